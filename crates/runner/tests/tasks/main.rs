//! Inspecting tasks, custom datasets, and metrics on existing predictions.

#[path = "../common/mod.rs"]
mod common;

mod labels;
mod parquet_files;
mod rows;
mod text_files;

use std::fs;

use common::{Workspace, assert_refused, assert_success, stdout};
use peft_bench::task;
use polars::prelude::{ParquetWriter, df};

fn review(number: usize) -> (String, i64) {
    let (word, stars) = if number.is_multiple_of(2) { ("good", 5) } else { ("bad", 1) };
    (format!("the film {number} was<br>{word}, very"), stars)
}

/// The specification that the README shows, and rows for it.
fn reviews() -> Workspace {
    let workspace = Workspace::new();
    let readme = include_str!("../../../../README.md");
    let start = readme.find("title = \"Reviews\"").unwrap();
    let length = readme[start..].find("```").unwrap();
    workspace.write("reviews.toml", &readme[start..start + length]);
    let mut csv = String::from("text,stars\n");
    for (text, stars) in (0..50).map(review) {
        csv.push_str(&format!("\"{text}\",{stars}\n"));
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
    for part in [
        "source: review: the film",
        "reviews.csv, line ",
        "train: 40 rows",
        "median",
        "bad: ",
        "longer than 256 and truncated",
    ] {
        assert!(stdout(&shown).contains(part), "{part}: {}", stdout(&shown));
    }
    let run =
        workspace.run(&["run", "tiny-suite.toml", "--task", "reviews.toml", "--out", "out", "--steps", "2"]);
    assert_success(&run);
    assert!(stdout(&run).contains("Reviews"));
}

#[test]
fn an_empty_split_is_refused() {
    let workspace = reviews();
    workspace.edit("reviews.toml", "\"random\"", "\"hold-out\"\ntrain = \"all\"\ntest = \"all\"");
    workspace.edit("reviews.toml", "from = \"all\"", "");
    let dump = workspace.run(&["tasks", "dump", "reviews.toml", "--split", "train"]);
    assert_refused(&dump, &["reviews.toml", "`split`", "train split is empty", "none of the 50"]);
}

#[test]
fn label_words_that_the_tokenizer_cannot_encode_are_refused() {
    // Unknown to the tokenizer, or with spaces that decoding strips.
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
fn every_file_format_gives_the_same_rows() {
    let workspace = reviews();
    let expected = dump(&workspace, "train");
    let (texts, stars): (Vec<String>, Vec<i64>) = (0..50).map(review).unzip();
    let table =
        |line: &dyn Fn((&String, &i64)) -> String| texts.iter().zip(&stars).map(line).collect::<String>();
    let tsv = table(&|(text, stars)| format!("{text}\t{stars}\n"));
    workspace.write("reviews.tsv", &format!("text\tstars\n{tsv}"));
    let json =
        |(text, stars): (&String, &i64)| format!("{}\n", serde_json::json!({"stars": stars, "text": text}));
    workspace.write("reviews.jsonl", &table(&json));
    let file = fs::File::create(workspace.path("reviews.parquet")).unwrap();
    ParquetWriter::new(file).finish(&mut df!("text" => &texts, "stars" => &stars).unwrap()).unwrap();
    let mut current = "reviews.csv";
    for next in ["reviews.parquet", "reviews.jsonl", "reviews.tsv"] {
        workspace.edit("reviews.toml", current, next);
        assert_eq!(dump(&workspace, "train"), expected, "{next}");
        current = next;
    }
}

#[test]
fn an_inconsistent_specification_is_explained() {
    let words = "{ \"1\" = \"bad\", \"5\" = \"good\" }";
    let also = "also = [\"macro-f1\"]";
    let cases: [(&str, &str, &[&str]); 25] = [
        ("{text|strip-markup}", "{txt}", &["text.source", "`txt`", "text, stars"]),
        ("{text|strip-markup}", "{text|strip-markdown}", &["text.source", "strip-markdown", "strip-markup"]),
        ("column = \"stars\"", "column = \"star\"", &["labels.column", "`star`", "text, stars"]),
        ("\"5\" = \"good\"", "\"4\" = \"good\"", &["reviews.csv, line", "`5`", "known classes: 1, 4"]),
        ("select = \"accuracy\"", "select = \"acuracy\"", &["reviews.toml", "did you mean `accuracy`"]),
        ("from = \"all\"", "from = \"rows\"", &["split", "`rows`", "known: all"]),
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
fn a_specification_out_of_range_is_refused_by_key() {
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
        ("\"Reviews\"", "\"Rev\\u001b[31miews\"", &["`title`", "control", "\\x1b"]),
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
fn every_embedded_task_is_valid() {
    for name in task::names() {
        task::find(&name).unwrap();
    }
    assert!(task::names().len() >= 34);
}

#[test]
#[cfg(unix)]
fn a_non_file_is_refused_without_blocking() {
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
