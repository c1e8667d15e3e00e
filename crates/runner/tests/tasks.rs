//! Looking into tasks, datasets of one's own, and metrics on predictions made elsewhere.

mod common;

use std::fs;
use std::path::Path;

use common::{Workspace, assert_refused, assert_success, stdout};
use peft_bench::task::{self, Rows, Task, Template, Value};
use polars::prelude::*;

/// The specification that the README shows, and rows for it.
fn reviews() -> Workspace {
    let workspace = Workspace::new();
    let readme = include_str!("../../../README.md");
    let start = readme.find("title = \"Reviews\"").unwrap();
    let length = readme[start..].find("```").unwrap();
    workspace.write("reviews.toml", &readme[start..start + length]);
    let mut csv = String::from("text,stars\n");
    for i in 0..50 {
        let (word, stars) = if i % 2 == 0 { ("good", 5) } else { ("bad", 1) };
        csv.push_str(&format!("\"the film {i} was<br>{word}, very\",{stars}\n"));
    }
    workspace.write("reviews.csv", &csv);
    workspace
}

fn dump(workspace: &Workspace, split: &str) -> Vec<serde_json::Value> {
    let output = workspace.run(&["tasks", "dump", "reviews.toml", "--split", split]);
    assert_success(&output);
    stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_dataset_of_the_readme_is_shown_and_runs() {
    let workspace = reviews();
    let shown = workspace.run(&["tasks", "show", "reviews.toml", "--model", "model"]);
    assert_success(&shown);
    for part in ["source: review: the film", "train: 40 rows", "median", "bad: ", "longer than 256 and cut"] {
        assert!(stdout(&shown).contains(part), "{part}: {}", stdout(&shown));
    }
    let run =
        workspace.run(&["run", "tiny-suite.toml", "--task", "reviews.toml", "--out", "out", "--steps", "2"]);
    assert_success(&run);
    assert!(stdout(&run).contains("Reviews"));
}

#[test]
fn a_split_that_a_rule_gives_no_rows_is_refused() {
    let workspace = reviews();
    workspace.edit("reviews.toml", "\"random\"", "\"hold-out\"\ntrain = \"all\"\ntest = \"all\"");
    workspace.edit("reviews.toml", "from = \"all\"", "");
    let dump = workspace.run(&["tasks", "dump", "reviews.toml", "--split", "train"]);
    assert_refused(&dump, &["reviews.toml", "`split`", "train split has no rows", "none of the 50"]);
}

#[test]
fn words_that_the_model_cannot_write_are_refused() {
    // Unknown to the tokenizer, and with spaces that decoding strips.
    for word in ["splendid", " good "] {
        let workspace = reviews();
        workspace.edit("reviews.toml", "\"good\"", &format!("\"{word}\""));
        let run = ["run", "tiny-suite.toml", "--task", "reviews.toml", "--out", "out", "--steps", "2"];
        assert_refused(&workspace.run(&run), &["reviews.toml", "`labels.words`", &format!("`{word}`")]);
        assert!(!workspace.path("out").exists());
    }
}

#[test]
fn a_dump_has_every_row_once_with_its_index() {
    let workspace = reviews();
    let splits = ["train", "validation", "test"].map(|split| dump(&workspace, split));
    assert_eq!(splits.each_ref().map(Vec::len), [40, 5, 5]);
    let mut rows: Vec<u64> = splits.iter().flatten().map(|line| line["row"].as_u64().unwrap()).collect();
    rows.sort_unstable();
    assert_eq!(rows, (0..50).collect::<Vec<u64>>());
    for line in splits.iter().flatten() {
        let row = line["row"].as_u64().unwrap();
        let word = if row.is_multiple_of(2) { "good" } else { "bad" };
        assert_eq!(line["source"], format!("review: the film {row} was {word}, very"));
        assert_eq!(line["target"], word);
    }
    let file = workspace.run(&["tasks", "dump", "reviews.toml", "--split", "test", "--output", "test.jsonl"]);
    assert_success(&file);
    assert_eq!(workspace.read("test.jsonl").lines().count(), 5);
}

#[test]
fn every_kind_of_file_gives_the_same_rows() {
    let workspace = reviews();
    let expected = dump(&workspace, "train");
    let path = workspace.path("reviews.csv");
    let mut frame =
        CsvReadOptions::default().try_into_reader_with_file_path(Some(path)).unwrap().finish().unwrap();
    let create = |name: &str| fs::File::create(workspace.path(name)).unwrap();
    ParquetWriter::new(create("reviews.parquet")).finish(&mut frame).unwrap();
    JsonWriter::new(create("reviews.jsonl"))
        .with_json_format(JsonFormat::JsonLines)
        .finish(&mut frame)
        .unwrap();
    CsvWriter::new(create("reviews.tsv")).with_separator(b'\t').finish(&mut frame).unwrap();
    let mut current = "reviews.csv";
    for next in ["reviews.parquet", "reviews.jsonl", "reviews.tsv"] {
        workspace.edit("reviews.toml", current, next);
        assert_eq!(dump(&workspace, "train"), expected, "{next}");
        current = next;
    }
}

#[test]
fn a_specification_that_does_not_fit_is_explained() {
    let words = "{ \"1\" = \"bad\", \"5\" = \"good\" }";
    let also = "also = [\"macro-f1\"]";
    let cases: [(&str, &str, &[&str]); 25] = [
        ("{text|strip-markup}", "{txt}", &["text.source", "`txt`", "text, stars"]),
        ("{text|strip-markup}", "{text|strip-markdown}", &["text.source", "strip-markdown", "strip-markup"]),
        ("column = \"stars\"", "column = \"star\"", &["labels.column", "`star`", "text, stars"]),
        ("\"5\" = \"good\"", "\"4\" = \"good\"", &["reviews.csv, row", "`5`", "known classes are 1, 4"]),
        ("select = \"accuracy\"", "select = \"acuracy\"", &["reviews.toml", "did you mean `accuracy`"]),
        ("from = \"all\"", "from = \"rows\"", &["split", "`rows`", "there are all"]),
        ("from = \"all\"", "from = \"all\"\ntest = 0.95", &["split.test", "0.95"]),
        ("rule = \"random\"", "rule = \"randomly\"", &["reviews.toml", "randomly", "hold-out"]),
        ("reviews.csv", "nothing.csv", &["reviews.toml", "`data.files`", "nothing.csv", "`all`"]),
        (words, "[\"0\", \"0\"]", &["reviews.toml", "`labels.words`", "class 1", "`0`", "table"]),
        (words, "{ \"1\" = \"bad\", \"5\" = \"bad\" }", &["`labels.words`", "different words"]),
        (
            "\"accuracy\"",
            "\"f1\"",
            &["reviews.toml", "`metrics.select`", "`f1`", "`0` and `1`", "`bad`, `good`"],
        ),
        (
            also,
            "also = [\"macro-f1\", \"multirc-f1a\"]",
            &["`metrics.also`", "`multirc-f1a`", "`bad`, `good`"],
        ),
        (also, "also = [\"pearson\"]", &["`metrics.also`", "`pearson`", "numbers", "`bad`, `good`"]),
        (also, "report = \"spearman\"", &["`metrics.report`", "`spearman`", "numbers"]),
        (also, "also = [\"record-f1\"]", &["`metrics.also`", "`record-f1`", "`text.group`"]),
        (
            "[labels]",
            "answers = \"{text}\"\n[labels]",
            &["`metrics.select`", "`text.answers`", "`exact-match`"],
        ),
        ("{text|strip-markup}", "{text|first}", &["reviews.csv, row", "`text.source`", "needs a list"]),
        ("review: {text|strip-markup}", "review", &["`text.source`", "no column"]),
        ("[labels]", "empty = \"none\"\n[labels]", &["`text.empty`", "`text.expand`"]),
        ("[split]", "revision = \"v1\"\n[split]", &["`data.revision`", "`data.repo`"]),
        ("[split]", "[probes]\nodd = \"{txt}\"\n[split]", &["`probes.odd`", "`txt`"]),
        (
            "[split]",
            "[variants]\ndefault = \"a\"\n[variants.b]\nsource = \"{text|nofn}\"\n[split]",
            &["`variants.b`", "`text.source`", "`nofn`"],
        ),
        (
            "[split]",
            "[variants]\ndefault = \"a\"\n[variants.b]\n[split]",
            &["`variants.b`", "changes nothing"],
        ),
        (also, "also = [\"multirc-exact-match\"]", &["`metrics.also`", "`multirc-exact-match`"]),
    ];
    for (from, to, parts) in cases {
        let workspace = reviews();
        workspace.edit("reviews.toml", from, to);
        assert_refused(&workspace.run(&["tasks", "dump", "reviews.toml", "--split", "train"]), parts);
    }
}

#[test]
fn every_task_of_the_program_is_in_order() {
    for name in task::names() {
        task::find(&name).unwrap();
    }
    assert!(task::names().len() >= 34);
}

/// A task over a column `label` with these words.
fn labelled(words: &str) -> Task {
    let text = format!(
        "title = \"Labelled\"\ngroup = \"Tests\"\n\
         [data]\nfiles = {{ all = \"rows.csv\" }}\n\
         [split]\nrule = \"random\"\nfrom = \"all\"\n\
         [text]\nsource = \"{{text}}\"\n\
         [labels]\nwords = {words}\n\
         [metrics]\nselect = \"accuracy\"\n"
    );
    Task::parse("labelled", &text, "labelled.toml", Path::new(".")).unwrap()
}

fn targets(task: &Task, rows: &Rows) -> Result<Vec<String>, String> {
    let indices: Vec<u32> = (0..rows.len() as u32).collect();
    let examples = task.examples(rows, &indices).map_err(|e| e.to_string())?;
    Ok(examples.into_iter().map(|example| example.target).collect())
}

/// Rows of a file with this name and these bytes.
fn rows_of(name: &str, bytes: impl AsRef<[u8]>) -> Result<Rows, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), bytes).unwrap();
    Rows::read(&[folder.path().join(name)]).map_err(|e| e.to_string())
}

fn parquet(mut frame: DataFrame) -> Vec<u8> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame).unwrap();
    bytes
}

fn cells(rows: &Rows, column: &str) -> Vec<Value> {
    (0..rows.len()).map(|row| rows.row(row).value(column).unwrap()).collect()
}

/// Text that a reader could take for something else.
const AWKWARD: [&str; 16] = [
    "001",
    "1.510",
    "1e3",
    "true",
    "False",
    "null",
    "NaN",
    "2020-01-01",
    "say \"hi\"",
    "\"",
    "a, b",
    "\"a\", \"b\"",
    "5\" disk",
    " spaced  out ",
    "#1",
    "été\u{2028}…",
];

#[test]
fn text_stays_as_the_file_has_it() {
    let mut files = Vec::new();
    let lines = |line: &dyn Fn(&str) -> String| AWKWARD.map(line).concat();
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let plain = |text: &str| if text.contains(['"', ',']) { quoted(text) } else { text.to_string() };
    files.push(("csv", format!("text,n\n{}", lines(&|t| format!("{},1\n", quoted(t)))).into_bytes()));
    files.push(("csv", format!("text,n\r\n{}", lines(&|t| format!("{},1\r\n", plain(t)))).into_bytes()));
    files
        .push(("csv", format!("\u{feff}n,text\n{}", lines(&|t| format!("1,{}\n\n", plain(t)))).into_bytes()));
    files.push(("tsv", format!("text\tn\n{}", lines(&|t| format!("{t}\t1\n"))).into_bytes()));
    files.push(("tsv", format!("n\ttext{}", lines(&|t| format!("\r\n1\t{t}"))).into_bytes()));
    files.push(("jsonl", lines(&|t| format!("{}\n", serde_json::json!({"text": t, "n": 1}))).into_bytes()));
    let text = Column::new("text".into(), AWKWARD);
    let categories = text.cast(&DataType::from_categories(Categories::global())).unwrap();
    let frozen = FrozenCategories::new(AWKWARD).unwrap();
    let fixed = text.cast(&DataType::from_frozen_categories(frozen)).unwrap();
    for column in [text, categories, fixed] {
        files.push(("parquet", parquet(DataFrame::new(AWKWARD.len(), vec![column]).unwrap())));
    }
    for (number, (ending, bytes)) in files.into_iter().enumerate() {
        let rows = rows_of(&format!("rows.{ending}"), bytes).unwrap();
        let expected = AWKWARD.map(|text| Value::Text(text.into()));
        assert_eq!(cells(&rows, "text"), expected, "file {number}, {ending}");
    }
}

#[test]
fn cells_of_delimited_files_are_text_or_empty() {
    let rows = rows_of("rows.csv", "text,label\n\"two\nlines\",01\n\"\",\n").unwrap();
    let text = |text: &str| Value::Text(text.into());
    assert_eq!(cells(&rows, "text"), [text("two\nlines"), text("")]);
    assert_eq!(cells(&rows, "label"), [text("01"), Value::Null]);
    let template = Template::parse("{text} {label|one-decimal}").unwrap();
    assert_eq!(template.render(&rows.row(0)).unwrap(), "two\nlines 1.0");
}

#[test]
fn classes_are_what_the_file_says() {
    let written = rows_of("rows.csv", "text,label\na,01\nb,true\nc,x\n").unwrap();
    let joined = labelled("{ 01 = \"yes\", true = \"yes\", x = \"no\" }");
    assert_eq!(targets(&joined, &written).unwrap(), ["yes", "yes", "no"]);

    let frame = || {
        let columns =
            vec![Column::new("text".into(), ["a", "b"]), Column::new("label".into(), [false, true])];
        DataFrame::new(2, columns).unwrap()
    };
    for (name, bytes) in [
        ("rows.csv", b"text,label\na,false\nb,true\n".to_vec()),
        ("rows.jsonl", b"{\"text\":\"a\",\"label\":false}\n{\"text\":\"b\",\"label\":true}".to_vec()),
        ("rows.parquet", parquet(frame())),
    ] {
        let rows = rows_of(name, bytes).unwrap();
        assert_eq!(targets(&labelled("[\"0\", \"1\"]"), &rows).unwrap(), ["0", "1"], "{name}");
        let table = labelled("{ false = \"no\", true = \"yes\" }");
        assert_eq!(targets(&table, &rows).unwrap(), ["no", "yes"], "{name}");
        let problem = targets(&labelled("{ 0 = \"no\", 1 = \"yes\" }"), &rows).unwrap_err();
        assert!(problem.contains("`false`") && problem.contains("labelled.toml"), "{problem}");
    }
}

#[test]
fn types_without_text_are_refused_where_they_are_used() {
    let days = Column::new("when".into(), [1i32, 2]).cast(&DataType::Date).unwrap();
    let bytes = Column::new("picture".into(), [b"a".as_slice(), b"b"]);
    let ids = Column::new("id".into(), [u64::MAX, 7]);
    let rows = rows_of("rows.parquet", parquet(DataFrame::new(2, vec![days, bytes, ids]).unwrap())).unwrap();
    let render = |template: &str| Template::parse(template).unwrap().render(&rows.row(0));
    assert_eq!(render("{id}").unwrap(), u64::MAX.to_string());
    for (template, column, name) in [
        ("{when}", "`when`", "`date`"),
        ("{picture}", "`picture`", "`binary`"),
        ("{when|pad-punctuation}", "`when`", "`date`"),
    ] {
        let problem = render(template).unwrap_err();
        assert!(problem.contains(column) && problem.contains(name), "{problem}");
    }
}

#[test]
fn broken_files_are_refused_with_the_line() {
    let cases: [(&str, &[u8], &[&str]); 13] = [
        ("rows.csv", b"text,label\na,1\nb,2,3\n", &["line 3", "3 field", "header has 2"]),
        ("rows.csv", b"text,label\n\"a\nb\",1\nc\n", &["line 4", "1 field", "header has 2"]),
        ("rows.csv", b"text,label\na,1\n\"b,2\nc,3\n", &["line 3", "quote", "never closed"]),
        ("rows.csv", b"text,label\n\"a\" b,1\n", &["line 2", "` b`", "closing quote"]),
        ("rows.csv", b"text,label\na,1\n\xff,2\n", &["line 3", "UTF-8"]),
        ("rows.csv", b"", &["line 1", "no name"]),
        ("rows.csv", b"text,text\na,b\n", &["line 1", "two columns", "`text`"]),
        ("rows.tsv", b"text\tlabel\n\"a\tb\"\t1\n", &["line 2", "3 field", "header has 2"]),
        ("rows.jsonl", b"{\"text\": \"a\"}\n\n{\"text\": \"b\"\n", &["line 3"]),
        ("rows.jsonl", b"{\"n\": 1}\n{\"n\": [18446744073709551615]}\n", &["line 2", "`n`", "too large"]),
        ("rows.jsonl", b"{\"n\": null}\n{\"n\": 1}\n{\"n\": true}\n", &["line 3", "`n`", "true or false"]),
        ("rows.jsonl", b"{\"text\": \"a\"}\n[1]\n", &["line 2"]),
        (
            "rows.jsonl",
            b"{\"text\": \"a\"}\n{\"text\": [1]}\n",
            &["line 2", "`text`", "a list", "text on an earlier"],
        ),
    ];
    for (name, bytes, parts) in cases {
        let problem = rows_of(name, bytes).unwrap_err();
        for part in parts.iter().chain([&name]) {
            assert!(problem.contains(part), "{part}: {problem}");
        }
        assert!(!problem.contains("onsider") && !problem.contains('\n'), "{problem}");
    }
}

#[test]
fn predictions_made_elsewhere_are_scored() {
    let workspace = Workspace::new();
    workspace.write(
        "pairs.jsonl",
        "{\"prediction\": \"1\", \"target\": \"1\"}\n{\"prediction\": \"0\", \"target\": \"1\"}\n\
         {\"prediction\": \"The cat!\", \"target\": [\"dog\", \"cat\"]}\n",
    );
    let score = |name: &str| workspace.run(&["metric", name, "--input", "pairs.jsonl"]);
    let exact = score("exact-match");
    assert_success(&exact);
    let value: f64 = stdout(&exact).trim().parse().unwrap();
    assert!((value - 200.0 / 3.0).abs() < 1e-9);
    assert_refused(&score("exact-mach"), &["did you mean `exact-match`"]);
    assert_refused(&score("record-f1"), &["pairs.jsonl", "group"]);
    workspace.write("pairs.jsonl", "{\"prediction\": \"1\", \"target\": \"1\"}\n{\"prediction\": \"0\"}\n");
    assert_refused(&score("accuracy"), &["pairs.jsonl, line 2", "target"]);
}
