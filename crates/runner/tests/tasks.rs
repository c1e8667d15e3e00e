//! Looking into tasks, datasets of one's own, and metrics on predictions made elsewhere.

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::{Workspace, assert_refused, assert_success, stdout};
use peft_bench::task::{self, Dialect, Quote, Rows, Task, Template, Value};
use polars::prelude::{
    AnyValue, Categories, Column, CsvReadOptions, CsvWriter, DataFrame, DataType, FrozenCategories,
    IntoColumn, JsonFormat, JsonWriter, NamedFrom, ParquetWriter, SerReader, SerWriter, Series,
};
use polars_arrow::array::{
    Array, DictionaryArray, FixedSizeListArray, Float16Array, NullArray, PrimitiveArray, Utf8Array,
    Utf8ViewArray,
};
use polars_arrow::datatypes::{ArrowDataType, ArrowSchema, Field};
use polars_arrow::record_batch::RecordBatchT;
use polars_arrow::types::NativeType;
use polars_parquet::write::{
    CompressionOptions, FileWriter, RowGroupIterator, StatisticsOptions, Version, WriteOptions,
    get_dtype_encoding,
};

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
        ("\"5\" = \"good\"", "\"4\" = \"good\"", &["reviews.csv, line", "`5`", "known classes are 1, 4"]),
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
        ("{text|strip-markup}", "{text|first}", &["reviews.csv, line", "`text.source`", "needs a list"]),
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

/// These columns of files with these names and bytes.
fn columns_of(
    files: &[(&str, impl AsRef<[u8]>)],
    columns: &[&str],
    dialect: Dialect,
) -> Result<Rows, String> {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = files.iter().map(|(name, _)| folder.path().join(name)).collect();
    files.iter().zip(&paths).for_each(|((_, bytes), path)| fs::write(path, bytes).unwrap());
    let columns: Vec<String> = columns.iter().map(|column| column.to_string()).collect();
    Rows::read(&paths, &columns, dialect).map_err(|e| e.to_string())
}

/// The columns that tests use, of a file with this name and these bytes.
fn rows_of(name: &str, bytes: impl AsRef<[u8]>) -> Result<Rows, String> {
    columns_of(&[(name, bytes)], &["text", "label", "n", "when", "picture", "id"], Dialect::default())
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
    let cases: [(&str, &[u8], &[&str]); 23] = [
        ("rows.csv", b"text,label\na,1\nb,2,3\n", &["line 3", "3 field", "header has 2"]),
        ("rows.csv", b"text,label\n\"a\nb\",1\nc\n", &["line 4", "1 field", "header has 2"]),
        ("rows.csv", b"text,label\na,1\n\"b,2\nc,3\n", &["line 3", "quote", "never closed"]),
        ("rows.csv", b"text,label\n\"a\" b,1\n", &["line 2", "` b`", "closing quote"]),
        ("rows.csv", b"text,label\na,1\n\xff,2\n", &["line 3", "UTF-8"]),
        ("rows.csv", b"", &["empty", "names"]),
        ("rows.csv", b"text,text\na,b\n", &["line 1", "two columns", "`text`"]),
        ("rows.csv", b"text,label\ra,1\rb,0\r", &["CR alone"]),
        ("rows.csv", b"text;label\na, b;1\n", &["line 1", "`separator = \";\"`"]),
        ("rows.csv", b"text\tlabel\na, b\t1\n", &["line 1", "`separator = \"\\t\"`"]),
        ("rows.csv", b"text|label\na|1\n", &["line 1", "`separator = \"|\"`"]),
        ("rows.tsv", b"text,label\na\tb,1\n", &["line 1", "`separator = \",\"`"]),
        ("rows.tsv", b"text\tlabel\na\tb\t1\n", &["line 2", "3 field", "header has 2"]),
        (
            "rows.tsv",
            b"text\tlabel\n\"a\tb\" c\t1\n",
            &["line 2", "3 field", "closing quote", "`data.quote`"],
        ),
        ("rows.jsonl", b"{\"text\": \"a\"}\n\n{\"text\": \"b\"\n", &["line 3", "whole object"]),
        ("rows.jsonl", b"{\"n\": 1}\n{\"n\": [18446744073709551616]}\n", &["line 2", "`n`", "too large"]),
        ("rows.jsonl", b"{\"n\": null}\n{\"n\": 1}\n{\"n\": true}\n", &["line 3", "`n`", "true or false"]),
        ("rows.jsonl", b"{\"text\": \"a\"}\n[1]\n", &["line 2"]),
        ("rows.jsonl", b"[\n{\"text\": \"a\"},\n{\"text\": \"b\"}\n]\n", &["one JSON list"]),
        (
            "rows.jsonl",
            b"{\"text\": \"a\"}\n{\"text\": [1]}\n",
            &["line 2", "`text`", "a list", "text in an earlier"],
        ),
        ("rows.jsonl", b"{\"n\": 1}\n{\"n\": NaN}\n", &["line 2", "`NaN`", "null"]),
        ("rows.jsonl", b"{\"n\": -Infinity}\n", &["line 1", "Infinity"]),
        ("rows.parquet", b"PAR1 and no more", &["PAR1"]),
    ];
    for (name, bytes, parts) in cases {
        let problem = rows_of(name, bytes).unwrap_err();
        for part in parts.iter().chain([&name]) {
            assert!(problem.contains(part), "{part}: {problem}");
        }
        assert!(!problem.contains("onsider") && !problem.contains('\n'), "{problem}");
    }
    let deep = format!("{{\"text\": {}\n", "[".repeat(100_000));
    assert!(rows_of("rows.jsonl", deep).unwrap_err().contains("line 1: recursion limit"));
}

#[test]
fn a_file_decides_whether_its_quotes_enclose_fields() {
    let said = "He said \"no\" to me";
    // As table programs write these texts: quoted where they must be, all of them, all but numbers.
    for written in [
        "text\tlabel\n\"He said \"\"no\"\" to me\"\t1\nplain\t0\n",
        "text\tlabel\r\n\"He said \"\"no\"\" to me\"\t1\r\n\"a\tb\"\t0\r\n\"c\nd\"\t1\r\n",
        "\"text\"\t\"label\"\n\"He said \"\"no\"\" to me\"\t\"1\"\n\"plain\"\t\"0\"\n",
        "\"text\"\t\"label\"\n\"He said \"\"no\"\" to me\"\t1\n\"plain\"\t0\n",
    ] {
        let rows = rows_of("rows.tsv", written).unwrap();
        assert_eq!(cells(&rows, "text")[0], Value::Text(said.into()), "{written}");
        assert_eq!(rows.len(), 1 + cells(&rows, "text")[1..].len());
    }
    let rows = rows_of("rows.tsv", "\"text\"\t\"label\"\n\"plain\"\t1\n").unwrap();
    assert_eq!(cells(&rows, "text"), [Value::Text("plain".into())]);

    // As GLUE writes texts that have quotes: a field may begin with one that nothing closes.
    for raw in [
        "\"Brilliant,\" she wrote",
        "ends with \"quote\"",
        said,
        "\"never closed",
        "a 5\" disk",
        "\"",
        "\"\"\"What is it?",
    ] {
        for (before, after) in [("", ""), ("plain\t1\n", "\"He said \"\"no\"\"\"\t0\n")] {
            let rows = rows_of("rows.tsv", format!("text\tlabel\n{before}{raw}\t1\n{after}")).unwrap();
            let text = &cells(&rows, "text")[before.lines().count()];
            assert_eq!(text, &Value::Text(raw.into()), "{raw}, then {after}");
        }
    }
    // A quote that opens on one line and one that closes on another are text, and so are needless ones.
    let rows = rows_of("rows.tsv", "text\tlabel\n\"one\t1\ntwo\"\t0\n").unwrap();
    assert_eq!(rows.len(), 2);
    let rows = rows_of("rows.tsv", "text\tlabel\n\"I love it.\"\t1\nplain\t0\n").unwrap();
    assert_eq!(cells(&rows, "text")[0], Value::Text("\"I love it.\"".into()));
}

#[test]
fn a_file_that_can_be_read_either_way_needs_a_word_from_the_task() {
    let either = "text\tlabel\n\"one\"\t1\n\"two\"\t0\n";
    let problem = rows_of("rows.tsv", either).unwrap_err();
    assert!(problem.contains("rows.tsv") && problem.contains("`data.quote`"), "{problem}");
    for (quote, text) in [(Quote::None, "\"one\""), (Quote::Enclosing, "one")] {
        let dialect = Dialect { quote: Some(quote), ..Dialect::default() };
        let rows = columns_of(&[("rows.tsv", either)], &["text"], dialect).unwrap();
        assert_eq!(cells(&rows, "text")[0], Value::Text(text.into()));
    }
}

#[test]
fn columns_may_be_separated_by_any_character() {
    for separator in [';', '|', '\t', '¦'] {
        let text = format!("text{separator}label\n\"a{separator} \"\"b\"\"\"{separator}1\n");
        let dialect = Dialect { separator: Some(separator), ..Dialect::default() };
        let rows = columns_of(&[("rows.csv", text)], &["text", "label"], dialect).unwrap();
        assert_eq!(cells(&rows, "text"), [Value::Text(format!("a{separator} \"b\""))]);
        assert_eq!(cells(&rows, "label"), [Value::Text("1".into())]);
    }
}

#[test]
fn quotes_behind_backslashes_are_refused_before_rows_run_together() {
    for text in [
        "text,label\n\"He said \\\"no\\\" to me\",1\nplain,0\n",
        "text,label\n\"Jeans 2\\\"\",1\ngood,0\n\"5\\\" and 6\\\", wide\",0\n",
        // Without the backslashes' meaning, this would be one row less.
        "text,label,note\n\"ends in \\\"\",1,\"\"\nplain,0,\"x\"\n",
    ] {
        let problem = rows_of("rows.csv", text).unwrap_err();
        assert!(problem.contains("backslashes") && problem.contains("`\"\"`"), "{problem}");
    }
    let json = "text,label\n\"{\"\"say\"\": \"\"a \\\"\"b\\\"\", c\"\"}\",1\n\"C:\\dir\\\",0\n";
    let rows = rows_of("rows.csv", json).unwrap();
    let texts = ["{\"say\": \"a \\\"b\\\", c\"}", "C:\\dir\\"].map(|text| Value::Text(text.into()));
    assert_eq!(cells(&rows, "text"), texts);
}

#[test]
fn columns_that_nothing_reads_may_be_anything() {
    let rows = rows_of("rows.csv", ",text,x,x,label,\n0,a,1,2,1,\n1,b,3,4,0,\n").unwrap();
    assert_eq!(cells(&rows, "text"), ["a", "b"].map(|text| Value::Text(text.into())));
    let rows = rows_of("rows.jsonl", "{\"text\": \"a\", \"x\": 1}\n{\"text\": \"b\", \"x\": [1e999]}\n");
    assert!(rows.unwrap_err().contains("line 2"), "no number is that large");
    let rows =
        rows_of("ROWS.JSONL", "{\"text\": \"a\", \"x\": 1}\n{\"text\": \"b\", \"x\": [{}]}\n").unwrap();
    assert_eq!(rows.len(), 2);
}

#[test]
fn json_keeps_the_digits_of_integers_and_the_last_of_equal_keys() {
    let ids = "9007199254740993 9007199254740992 -9007199254740993 18446744073709551615 1.5 7";
    let lines: String = ids.split(' ').map(|id| format!("{{\"id\": 0, \"id\": {id}}}\n")).collect();
    let rows = rows_of("rows.jsonl", lines).unwrap();
    let template = Template::parse("{id}").unwrap();
    let shown: Vec<String> = (0..rows.len()).map(|row| template.render(&rows.row(row)).unwrap()).collect();
    assert_eq!(shown.join(" "), ids);
    let mixed = rows_of("rows.jsonl", "{\"n\": [1, \"a\", null]}\n").unwrap();
    let list = vec![Value::Integer(1), Value::Text("a".into()), Value::Null];
    assert_eq!(cells(&mixed, "n"), [Value::List(list)]);
}

/// A file of these columns, their Arrow kinds noted in it.
fn arrow_parquet(columns: Vec<(&str, Box<dyn Array>)>) -> Vec<u8> {
    let fields = columns.iter().map(|(name, array)| Field::new((*name).into(), array.dtype().clone(), true));
    let schema: ArrowSchema = fields.map(|field| (field.name.clone(), field)).collect();
    let options = WriteOptions {
        statistics: StatisticsOptions::default(),
        version: Version::V2,
        compression: CompressionOptions::Snappy,
        data_page_size: None,
    };
    let encodings = schema.iter_values().map(|field| get_dtype_encoding(&field.dtype)).collect();
    let (rows, arrays) = (columns[0].1.len(), columns.into_iter().map(|(_, array)| array).collect());
    let chunk = RecordBatchT::new(rows, Arc::new(schema.clone()), arrays);
    let groups = RowGroupIterator::try_new([Ok(chunk)].into_iter(), &schema, options, encodings).unwrap();
    let mut writer = FileWriter::try_new(Vec::new(), schema, options).unwrap();
    groups.for_each(|group| writer.write(rows as u64, group.unwrap()).unwrap());
    writer.end(None).unwrap();
    writer.into_inner()
}

fn numbers<T: NativeType>(kind: ArrowDataType, values: [T; 2]) -> Box<dyn Array> {
    PrimitiveArray::from_vec(values.to_vec()).to(kind).boxed()
}

/// Halves from their bits; the crate that has their type is not at hand.
fn halves<T: NativeType<Bytes = [u8; 2]>>(bits: [u16; 2]) -> PrimitiveArray<T> {
    PrimitiveArray::from_vec(bits.map(|bits| T::from_le_bytes(bits.to_le_bytes())).to_vec())
}

#[test]
fn parquet_columns_of_every_kind_are_read_or_refused_where_they_are_used() {
    use ArrowDataType as Kind;
    let text = |text: &str| Value::Text(text.into());
    let digits = |digits: &str| Value::Digits(digits.into());
    let half: Float16Array = halves([0x3800, 0xc000]);
    let item = Field::new("item".into(), Kind::Float32, true);
    let fixed = FixedSizeListArray::new(
        Kind::FixedSizeList(Box::new(item), 2),
        2,
        PrimitiveArray::from_vec(vec![0.5f32, 1.0, 2.0, 4.0]).boxed(),
        None,
    );
    let keys = PrimitiveArray::from_vec(vec![1u32, 0]);
    let words = Utf8Array::<i64>::from_slice(["b", "a"]).boxed();
    let dictionary = DictionaryArray::try_from_keys(keys, words, false).unwrap();
    let number = |x: f64| Value::Number(x);
    let lists = [[0.5, 1.0], [2.0, 4.0]].map(|list| Value::List(list.map(number).to_vec()));
    let kinds: Vec<(&str, Box<dyn Array>, [Value; 2])> = vec![
        ("int8", numbers(Kind::Int8, [-1i8, 1]), [-1, 1].map(Value::Integer)),
        ("uint8", numbers(Kind::UInt8, [0u8, 255]), [0, 255].map(Value::Integer)),
        ("int16", numbers(Kind::Int16, [-300i16, 1]), [-300, 1].map(Value::Integer)),
        ("uint16", numbers(Kind::UInt16, [0u16, 65_535]), [0, 65_535].map(Value::Integer)),
        ("uint32", numbers(Kind::UInt32, [0, u32::MAX]), [0, u32::MAX.into()].map(Value::Integer)),
        ("uint64", numbers(Kind::UInt64, [7, u64::MAX]), [Value::Integer(7), digits("18446744073709551615")]),
        ("float16", half.boxed(), [number(0.5), number(-2.0)]),
        ("decimal", numbers(Kind::Decimal(5, 2), [-5i128, 12_345]), [digits("-0.05"), digits("123.45")]),
        ("whole", numbers(Kind::Decimal(5, 0), [-5i128, 12]), [-5, 12].map(Value::Integer)),
        ("fixed", fixed.boxed(), lists),
        ("dictionary", dictionary.boxed(), [text("a"), text("b")]),
        ("string", Utf8Array::<i32>::from_slice(["a", "é"]).boxed(), [text("a"), text("é")]),
        ("large", Utf8Array::<i64>::from_slice(["a", "é"]).boxed(), [text("a"), text("é")]),
        ("view", Utf8ViewArray::from_slice([Some("a"), None]).boxed(), [text("a"), Value::Null]),
        ("null", NullArray::new(Kind::Null, 2).boxed(), [Value::Null, Value::Null]),
        ("date", numbers(Kind::Date32, [0, 1]), ["date"; 2].map(|name| Value::Other(name.into()))),
    ];
    let columns = kinds.iter().map(|(name, array, _)| (*name, array.clone())).collect();
    let file = [("rows.parquet", arrow_parquet(columns))];
    for (name, _, expected) in &kinds {
        let rows = columns_of(&file, &[name], Dialect::default()).unwrap();
        assert_eq!(cells(&rows, name), expected, "{name}");
    }
}

#[test]
fn lists_and_records_of_parquet_are_read_to_their_leaves() {
    let lists = Column::new(
        "spans".into(),
        [Series::new("".into(), ["a", "b"]), Series::new_empty("".into(), &DataType::String)],
    );
    let starts = Column::new("start".into(), [Some(7i64), None]);
    let answers = DataFrame::new(2, vec![lists, starts]).unwrap().into_struct("answers".into()).into_column();
    let bytes = parquet(DataFrame::new(2, vec![answers]).unwrap());
    let rows = columns_of(&[("rows.parquet", bytes)], &["answers"], Dialect::default()).unwrap();
    let record = |spans: &[&str], start| {
        let spans = spans.iter().map(|span| Value::Text(span.to_string())).collect();
        Value::Record(vec![("spans".into(), Value::List(spans)), ("start".into(), start)])
    };
    assert_eq!(cells(&rows, "answers"), [record(&["a", "b"], Value::Integer(7)), record(&[], Value::Null)]);
}

#[test]
fn damaged_parquet_is_refused_or_read_but_never_ends_the_program() {
    let text = Column::new("text".into(), ["good", "bad", "good", "good"]);
    let label = Column::new("label".into(), [1i64, 0, 1, 1]);
    let whole = parquet(DataFrame::new(4, vec![text, label]).unwrap());
    let mut refused = 0;
    let mut read = |bytes: Vec<u8>| match rows_of("rows.parquet", bytes) {
        Ok(rows) => assert!(rows.len() < 1000),
        Err(problem) => {
            assert!(problem.contains("rows.parquet") && !problem.contains('\n'), "{problem}");
            refused += 1;
        }
    };
    (0..whole.len()).for_each(|length| read(whole[..length].to_vec()));
    for place in 0..whole.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[place] ^= mask;
            read(damaged);
        }
    }
    assert!(refused > whole.len());
}

#[test]
fn shards_of_one_split_are_read_by_name() {
    let text = Column::new("text".into(), ["a"]);
    let column = |name: &str, value: i64| Column::new(name.into(), [value]);
    let narrow = column("label", 1).cast(&DataType::Int32).unwrap();
    let real = Column::new("label".into(), [1.0f32]);
    let empty = Column::new_empty("note".into(), &DataType::Null).extend_constant(AnyValue::Null, 1).unwrap();
    let note = Column::new("note".into(), ["x"]);
    let shard = |columns: &[&Column]| {
        parquet(DataFrame::new(1, columns.iter().map(|column| (*column).clone()).collect()).unwrap())
    };
    let whole = shard(&[&text, &column("label", i64::MAX), &empty]);
    let shards = [
        ("0.parquet", whole.clone()),
        ("1.parquet", shard(&[&narrow, &column("more", 3), &note, &text])),
        ("2.parquet", shard(&[&note, &real, &text])),
    ];
    let rows = columns_of(&shards, &["text", "label", "note"], Dialect::default()).unwrap();
    assert_eq!(cells(&rows, "text"), ["a", "a", "a"].map(|text| Value::Text(text.into())));
    assert_eq!(cells(&rows, "label"), [Value::Integer(i64::MAX), Value::Integer(1), Value::Number(1.0)]);
    let note = Value::Text("x".into());
    assert_eq!(cells(&rows, "note"), [Value::Null, note.clone(), note]);
    assert!(rows.place(2).contains("2.parquet, row 1"), "{}", rows.place(2));

    let other =
        [("0.parquet", whole.clone()), ("1.parquet", shard(&[&text, &Column::new("label".into(), ["1"])]))];
    let problem = columns_of(&other, &["text", "label"], Dialect::default()).unwrap_err();
    assert!(
        problem.contains("1.parquet") && problem.contains("`label` holds text, but a number"),
        "{problem}"
    );

    let lacking = [("0.parquet", whole), ("1.parquet", shard(&[&text]))];
    let rows = columns_of(&lacking, &["text", "label"], Dialect::default()).unwrap();
    let problem = targets(&labelled("[\"bad\", \"good\"]"), &rows).unwrap_err();
    assert!(problem.contains("`label`") && problem.contains("1.parquet"), "{problem}");
}

#[test]
fn classes_may_be_written_in_several_ways() {
    let csv = |cells: &str| {
        let lines: String = cells.split('/').map(|cell| format!("a,{cell}\n")).collect();
        rows_of("rows.csv", format!("text,label\n{lines}")).unwrap()
    };
    let list = labelled("[\"no\", \"yes\"]");
    let written = "1/ 1/1.0/+1/01/True/TRUE/true";
    assert_eq!(targets(&list, &csv(written)).unwrap(), ["yes"; 8]);
    let examples = list.examples(&csv(written), &[0, 1, 2, 3, 4, 5, 6, 7]).unwrap();
    assert!(examples.iter().all(|example| example.class.as_deref() == Some("1")), "one class for few-shot");
    assert_eq!(targets(&list, &csv("0/False/0.00/-0")).unwrap(), ["no"; 4]);
    let table = labelled("{ \"-1\" = \"no\", \"0.5\" = \"maybe\", \"1\" = \"yes\" }");
    assert_eq!(targets(&table, &csv("1.0/-1/0.50/ -1.0 ")).unwrap(), ["yes", "no", "maybe", "no"]);
    let words = labelled("{ True = \"yes\", False = \"no\", other = \"no\" }");
    assert_eq!(targets(&words, &csv("true/FALSE/ other")).unwrap(), ["yes", "no", "no"]);
    // Two classes that one cell could mean, and cells that mean none.
    let versions = labelled("{ \"1.0\" = \"old\", \"1\" = \"older\" }");
    assert_eq!(targets(&versions, &csv("1.0/1")).unwrap(), ["old", "older"]);
    for (task, cell) in
        [(&versions, "1.00"), (&list, "2"), (&list, "-1"), (&list, "0.5"), (&list, "1e0"), (&list, "yes")]
    {
        let problem = targets(task, &csv(&format!("1/{cell}"))).unwrap_err();
        assert!(problem.contains("rows.csv, line 3") && problem.contains(cell), "{problem}");
    }
}

#[test]
fn a_list_of_labels_is_said_to_be_one() {
    let rows = rows_of("rows.jsonl", "{\"text\": \"a\", \"label\": [0, 1]}\n").unwrap();
    let problem = targets(&labelled("[\"no\", \"yes\"]"), &rows).unwrap_err();
    assert!(problem.contains("rows.jsonl, line 1") && problem.contains("several labels"), "{problem}");
}

#[test]
fn rows_are_named_by_their_line_in_the_file() {
    let rows = rows_of("rows.csv", "text,label\n\"two\nlines\",1\n\nb,x\n").unwrap();
    let problem = targets(&labelled("[\"no\", \"yes\"]"), &rows).unwrap_err();
    assert!(problem.contains("rows.csv, line 5") && problem.contains("`x`"), "{problem}");
    let escape = rows_of("rows.csv", "text,label\na,\u{1b}[31mred\n").unwrap();
    let problem = targets(&labelled("[\"no\", \"yes\"]"), &escape).unwrap_err();
    assert!(problem.contains("\\u{1b}[31mred"), "{problem}");
}

#[test]
fn a_specification_out_of_range_is_refused_by_its_key() {
    let files = "files = { all = \"reviews.csv\" }";
    let cases: [(&str, &str, &[&str]); 15] = [
        (
            files,
            "files = { all = \"reviews.csv\" }\nquote = \"'\"",
            &["line ", "`data.quote`", "`auto`", "`none`"],
        ),
        (files, "files = { all = \"reviews.csv\" }\nseparator = \"::\"", &["`data.separator`", "character"]),
        (files, "files = { all = \"reviews.csv\" }\nseparator = \"\\\"\"", &["`data.separator`"]),
        (files, "files = { all = \"reviews.jsonl\" }\nquote = \"none\"", &["`data.quote`", "reviews.jsonl"]),
        (
            files,
            "files = { all = \"a.csv\", b = \"b.parquet\" }\nseparator = \";\"",
            &["`data.separator`", "b.parquet"],
        ),
        (files, "repo = \"a/b\"\nquote = \"auto\"", &["`data.quote`", "`data.files`"]),
        ("\"Reviews\"", "\"Rev\\u001b[31miews\"", &["`title`", "control", "\\u{1b}"]),
        ("group = \"", "group = \"\\u0007", &["`group`", "control"]),
        ("[data]", "[probes]\n\"a\\u001bb\" = \"{text}\"\n[data]", &["`probes`", "control"]),
        (
            "[data]",
            "[limits]\nsource_tokens = 16777216\n[data]",
            &["`limits.source_tokens`", "16777216", "65536"],
        ),
        ("[data]", "[limits]\ntarget_tokens = 1\n[data]", &["`limits.target_tokens`", "1"]),
        ("[data]", "[limits]\ntarget_tokens = -5\n[data]", &["`limits.target_tokens`", "-5"]),
        ("[data]", "[reference]\nmajority = nan\nceiling = 90.0\n[data]", &["`reference.majority`", "NaN"]),
        ("column = \"stars\"", "column = \"\"", &["`labels.column`", "empty"]),
        (files, "files = { all = \"reviews.csv.gz\" }", &["reviews.csv.gz", "`gz`", "compressed"]),
    ];
    for (from, to, parts) in cases {
        let workspace = reviews();
        workspace.write("reviews.csv.gz", "");
        workspace.edit("reviews.toml", from, to);
        assert_refused(&workspace.run(&["tasks", "dump", "reviews.toml", "--split", "train"]), parts);
    }
}

#[test]
#[cfg(unix)]
fn what_is_no_file_is_refused_without_waiting_for_it() {
    let workspace = reviews();
    let dump = ["tasks", "dump", "reviews.toml", "--split", "train"];
    std::os::unix::fs::symlink("/dev/zero", workspace.path("zero.csv")).unwrap();
    fs::create_dir(workspace.path("folder.csv")).unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(workspace.path("fifo.csv")).status().unwrap();
    assert!(fifo.success());
    let mut current = "reviews.csv";
    for (next, part) in [("zero.csv", "device"), ("folder.csv", "directory"), ("fifo.csv", "pipe")] {
        workspace.edit("reviews.toml", current, next);
        assert_refused(&workspace.run(&dump), &["reviews.toml", "`data.files`", next, part]);
        current = next;
    }
    fs::rename(workspace.path("fifo.csv"), workspace.path("fifo.toml")).unwrap();
    fs::rename(workspace.path("zero.csv"), workspace.path("zero.toml")).unwrap();
    for name in ["fifo.toml", "zero.toml"] {
        assert_refused(&workspace.run(&["tasks", "dump", name, "--split", "train"]), &[name, "regular file"]);
        assert_refused(&workspace.run(&["run", name, "--out", "out"]), &[name, "regular file"]);
    }
}
