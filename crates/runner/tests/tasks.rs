//! Looking into tasks, datasets of one's own, and metrics on predictions made elsewhere.

mod common;

use std::fs;

use common::{Workspace, assert_refused, assert_success, stdout};
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
    let cases: [(&str, &str, &[&str]); 8] = [
        ("{text|strip-markup}", "{txt}", &["text.source", "`txt`", "text, stars"]),
        ("{text|strip-markup}", "{text|strip-markdown}", &["text.source", "strip-markdown", "strip-markup"]),
        ("column = \"stars\"", "column = \"star\"", &["labels.column", "`star`", "text, stars"]),
        ("\"5\" = \"good\"", "\"4\" = \"good\"", &["reviews.csv, row", "`5`", "known classes are 1, 4"]),
        ("select = \"accuracy\"", "select = \"acuracy\"", &["reviews.toml", "did you mean `accuracy`"]),
        ("from = \"all\"", "from = \"rows\"", &["split", "`rows`", "there are all"]),
        ("from = \"all\"", "from = \"all\"\ntest = 0.95", &["split.test", "0.95"]),
        ("rule = \"random\"", "rule = \"randomly\"", &["reviews.toml", "randomly", "hold-out"]),
    ];
    for (from, to, parts) in cases {
        let workspace = reviews();
        workspace.edit("reviews.toml", from, to);
        assert_refused(&workspace.run(&["tasks", "dump", "reviews.toml", "--split", "train"]), parts);
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
