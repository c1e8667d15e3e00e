//! Trial runs on the first rows of each split.

mod common;

use common::{Workspace, assert_refused, assert_success, files, stderr, stdout};
use peft_bench::results::{Record, Store};

fn records(w: &Workspace, out: &str) -> Vec<Record> {
    Store::read_only(&w.path(out)).unwrap().records().unwrap()
}

#[test]
fn a_trial_reads_the_first_rows_of_each_split_and_stands_beside_the_whole() {
    let w = Workspace::new();
    assert_success(&w.train("lora", &["--out", "out"]));
    let trial = w.train("lora", &["--out", "out", "--limit", "9"]);
    assert_success(&trial);
    let (limited, whole): (Vec<Record>, Vec<Record>) =
        records(&w, "out").into_iter().partition(|record| record.limit.is_some());
    assert_eq!((limited.len(), whole.len()), (2, 2));
    for record in &limited {
        assert_eq!((record.train_rows, record.validation_rows, record.test_rows), (9, 9, 9));
        assert_eq!(record.limit, Some(9));
    }
    let report = stdout(&w.run(&["report", "out"]));
    for table in [stdout(&trial), report] {
        let marked =
            table.lines().filter(|line| line.starts_with(" lora (trial run: 9 rows of each split) "));
        assert_eq!(marked.count(), 1, "{table}");
        assert_eq!(table.lines().filter(|line| line.starts_with(" lora  ")).count(), 1, "{table}");
        assert!(!table.contains("earlier"), "{table}");
    }
    // The same rows where there were no others: what a trial sees is the beginning of each file.
    for split in ["train", "validation", "test"] {
        let name = format!("rows/{split}.csv");
        let first: Vec<String> = w.read(&name).lines().take(10).map(String::from).collect();
        w.write(&name, &(first.join("\n") + "\n"));
    }
    assert_success(&w.train("lora", &["--out", "short"]));
    let losses = |records: &[Record]| records.iter().map(|r| (r.seed, r.losses.clone())).collect::<Vec<_>>();
    let (mut a, mut b) = (losses(&limited), losses(&records(&w, "short")));
    a.sort_by_key(|(seed, _)| *seed);
    b.sort_by_key(|(seed, _)| *seed);
    assert_eq!(a, b);
}

#[test]
fn a_limit_above_the_number_of_rows_is_still_another_cell() {
    let w = Workspace::new();
    assert_success(&w.train("lora", &["--out", "out"]));
    assert_success(&w.train("lora", &["--out", "out", "--limit", "1000"]));
    assert_eq!(files(&w.path("out/cells")).len(), 4);
    let again = w.train("lora", &["--out", "out", "--limit", "1000"]);
    assert!(stderr(&again).contains("0 to run"), "{}", stderr(&again));
}

#[test]
fn missing_cells_of_a_trial_are_told_as_such() {
    let w = Workspace::new();
    let shard = w.run(&["run", "tiny-suite.toml", "--limit", "9", "--shard", "1/4", "--out", "out"]);
    assert_success(&shard);
    let text = stdout(&shard);
    let missing = text.lines().find(|line| line.starts_with("missing: 3 of 4 cells")).unwrap();
    assert!(missing.contains("(trial run: 9 rows of each split) on Tiny"), "{missing}");
}

#[test]
fn rows_that_all_have_one_answer_do_not_stop_a_trial() {
    let w = Workspace::new();
    assert_success(&w.train("lora", &["--out", "out", "--limit", "1"]));
}

#[test]
fn what_is_no_number_of_rows_is_refused() {
    let w = Workspace::new();
    for limit in ["0", "-1", "x", ""] {
        assert_refused(&w.train("lora", &["--limit", limit]), &["--limit"]);
    }
}
