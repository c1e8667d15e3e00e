//! Shares of a suite that several machines compute.

mod common;

use std::collections::BTreeSet;

use common::{Workspace, assert_refused, assert_success, files, stderr, stdout};

/// Two methods on two tasks, two seeds.
fn workspace() -> Workspace {
    let w = Workspace::new();
    let second = w.read("tiny.toml").replace("\"Tiny\"", "\"Second\"");
    w.write("second.toml", &second.replace("sentence: {text}", "{text}"));
    w.edit("tiny-suite.toml", "tasks = [\"tiny.toml\"]", "tasks = [\"tiny.toml\", \"second.toml\"]");
    w.edit("tiny-suite.toml", "steps = 12", "steps = 2");
    w
}

fn cells(w: &Workspace, out: &str) -> BTreeSet<String> {
    files(&w.path(out).join("cells")).into_iter().collect()
}

#[test]
fn shards_compute_every_cell_once_and_their_tables_say_what_is_missing() {
    let w = workspace();
    assert_success(&w.run(&["run", "tiny-suite.toml", "--out", "all"]));
    let mut seen = BTreeSet::new();
    for number in 1..=3 {
        let (out, shard) = (format!("shard-{number}"), format!("{number}/3"));
        let run = w.run(&["run", "tiny-suite.toml", "--shard", &shard, "--out", &out]);
        assert_success(&run);
        let own = cells(&w, &out);
        assert!((2..=3).contains(&own.len()), "{own:?}");
        let told = format!("Tiny suite, shard {shard}: {} cells, 0 already done", own.len());
        assert!(stderr(&run).contains(&told), "{}", stderr(&run));
        let missing = format!("missing: {} of 8 cells", 8 - own.len());
        assert!(stdout(&run).contains(&missing), "{}", stdout(&run));
        assert!(seen.is_disjoint(&own), "{own:?} {seen:?}");
        seen.extend(own);
    }
    assert_eq!(seen, cells(&w, "all"));
}

#[test]
fn shards_may_share_a_folder_and_the_last_one_completes_the_table() {
    let w = workspace();
    let run = |shard| w.run(&["run", "tiny-suite.toml", "--shard", shard, "--out", "out"]);
    assert!(stdout(&run("1/2")).contains("missing: 4 of 8 cells"));
    let last = run("2/2");
    assert_success(&last);
    assert!(!stdout(&last).contains("missing"), "{}", stdout(&last));
    assert_eq!(cells(&w, "out").len(), 8);
}

#[test]
fn a_shard_without_cells_does_nothing() {
    let w = workspace();
    let run = w.run(&["run", "tiny-suite.toml", "--shard", "9/9", "--out", "out"]);
    assert_success(&run);
    assert!(stderr(&run).contains("shard 9/9: 0 cells"), "{}", stderr(&run));
    assert!(stdout(&run).contains("missing: 8 of 8 cells"), "{}", stdout(&run));
}

#[test]
fn what_is_no_shard_is_refused() {
    let w = Workspace::new();
    for shard in ["0/3", "4/3", "a/b", "1", ""] {
        assert_refused(&w.train("lora", &["--shard", shard]), &["--shard", "i/n, with i from 1 to n"]);
    }
}
