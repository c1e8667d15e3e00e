//! Texts and splits against the independent reference next to the fixtures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use peft_bench::task::{self, Dialect, Role, Rows, Task, permutation};
use serde_json::Value;
use sha2::{Digest, Sha256};

const TASKS: [&str; 24] = [
    "cola",
    "sst2",
    "mrpc",
    "stsb",
    "qqp",
    "mnli",
    "qnli",
    "rte",
    "boolq",
    "cb",
    "multirc",
    "wic",
    "wsc.fixed",
    "record",
    "copa",
    "superglue-rte",
    "nq",
    "hotpotqa",
    "searchqa",
    "newsqa",
    "winogrande",
    "yelp_polarity",
    "scitail",
    "paws",
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tasks")
}

fn json(path: PathBuf) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn find(task: &str, variant: &str) -> Task {
    task::find(&if variant == "faithful" { task.to_string() } else { format!("{task}@{variant}") }).unwrap()
}

/// Rows given as JSON objects, through the reader for users' files.
fn rows_of(task: &Task, objects: &[&Value]) -> Rows {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    let lines: Vec<String> = objects.iter().map(|o| o.to_string()).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    Rows::read(&[path], &task.columns(), Dialect::default()).unwrap()
}

#[test]
fn tricky_rows_have_the_reference_texts() {
    let tricky = json(fixtures().join("tricky.json"));
    let mut counted = 0;
    for kind in ["cases", "by_code_only"] {
        for case in tricky[kind].as_array().unwrap() {
            let (name, variant) = (case["task"].as_str().unwrap(), case["variant"].as_str().unwrap());
            let task = find(name, variant);
            let mut row = case["row"].clone();
            // Columns that only scoring reads.
            match name {
                "multirc" => row["idx"] = serde_json::json!({"paragraph": 0, "question": 0, "answer": 0}),
                "record" => row["idx"] = serde_json::json!({"passage": 0, "query": 0}),
                _ => {}
            }
            let expected: Vec<(String, String)> = serde_json::from_value(case["pairs"].clone()).unwrap();
            let examples = task.examples(&rows_of(&task, &[&row]), &[0]);
            if expected[0].1 == "-1" {
                // The hub's unlabeled rows: the reference would train on "-1", we refuse.
                assert!(examples.unwrap_err().to_string().contains("`-1`"), "{name}");
                continue;
            }
            let pairs: Vec<(String, String)> = examples
                .unwrap_or_else(|e| panic!("{name}, {}: {e}", case["note"]))
                .into_iter()
                .map(|e| (e.source, e.target))
                .collect();
            assert_eq!(pairs, expected, "{name}: {}", case["note"]);
            counted += 1;
        }
    }
    assert!(counted >= 180, "{counted}");
}

#[test]
fn permutations_equal_pytorchs() {
    let splits = json(fixtures().join("splits.json"));
    for case in splits["permutations"].as_array().unwrap() {
        let (seed, size) = (case["seed"].as_u64().unwrap() as u32, case["n"].as_u64().unwrap() as usize);
        assert_eq!(digest(&permutation(size, seed)), case["sha256"], "seed {seed}, {size} rows");
    }
    assert!(splits["permutations"].as_array().unwrap().len() >= 40);
}

#[test]
fn splits_of_the_published_sizes_equal_the_references() {
    let splits = json(fixtures().join("splits.json"));
    for name in TASKS {
        let task = find(name, "faithful");
        for role in Role::ALL {
            let expected = &splits["published"][name][role.name()];
            let size = expected["n"].as_u64().unwrap() as usize;
            assert_eq!(task.spec.split.split(role), expected["from"], "{name} {}", role.name());
            let rows = task.spec.split.rows(role, size);
            assert_eq!(rows.len() as u64, expected["rows"].as_u64().unwrap(), "{name} {}", role.name());
            assert_eq!(digest(&rows), expected["sha256"], "{name} {}", role.name());
        }
    }
}

fn digest(rows: &[u32]) -> String {
    let bytes: Vec<u8> = rows.iter().flat_map(|row| row.to_le_bytes()).collect();
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text_digest(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// The user's hub cache, or else the one next to the checkout.
fn hub_cache() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/hf-home");
    std::env::var_os("HF_HOME").map_or(beside, PathBuf::from).join("hub")
}

/// The real rows cannot be redistributed, so this test needs a cache that has them.
#[test]
fn real_rows_have_the_reference_texts() {
    let cache = hub_cache();
    if !cache.is_dir() {
        eprintln!("skipped: there is no {}; HF_HOME may name another cache", cache.display());
        return;
    }
    let mut compared = BTreeMap::new();
    for file in std::fs::read_dir(fixtures().join("rows")).unwrap().flatten() {
        let fixture = json(file.path());
        let (name, variant) = (fixture["task"].as_str().unwrap(), fixture["variant"].as_str().unwrap());
        let task = find(name, variant);
        let repo = format!("datasets--{}", fixture["repo"].as_str().unwrap().replace('/', "--"));
        let commit = std::fs::read_to_string(cache.join(&repo).join("refs/main")).unwrap();
        let folder =
            cache.join(&repo).join("snapshots").join(commit.trim()).join(fixture["config"].as_str().unwrap());
        for (split, entries) in fixture["splits"].as_object().unwrap() {
            let file = folder.join(format!("{split}-00000-of-00001.parquet"));
            let rows = Rows::read(&[file], &task.columns(), Dialect::default()).unwrap();
            let entries: Vec<(u32, usize, String, String)> = serde_json::from_value(entries.clone()).unwrap();
            for (row, number, source, target) in entries {
                let example = task.examples(&rows, &[row]).unwrap().swap_remove(number);
                assert_eq!(
                    text_digest(&example.source),
                    source,
                    "{name} {split} row {row}: {}",
                    example.source
                );
                assert_eq!(
                    text_digest(&example.target),
                    target,
                    "{name} {split} row {row}: {}",
                    example.target
                );
                *compared.entry(task.name.clone()).or_insert(0) += 1;
            }
        }
    }
    println!("rows compared: {compared:?}");
    assert_eq!(compared.len(), TASKS.len() + 1);
}

/// The dataset has answers as a record of two lists, as the hub's conversion has it.
#[test]
fn rows_of_squad_become_texts() {
    let task = task::find("squad").unwrap();
    let row = serde_json::json!({
        "id": "0", "title": "T", "context": "It is in Paris (France).", "question": "Where's it?",
        "answers": {"text": ["Paris (France)", "Paris"], "answer_start": [9, 9]},
    });
    let example = task.examples(&rows_of(&task, &[&row]), &[0]).unwrap().swap_remove(0);
    assert_eq!(example.source, "question: Where ' s it ?  context: It is in Paris ( France ) . ");
    assert_eq!(example.target, "Paris ( France ) ");
    let expected =
        [Role::Train, Role::Validation, Role::Test].map(|role| task.spec.split.split(role).to_string());
    assert_eq!(expected, ["train", "train", "validation"]);
}
