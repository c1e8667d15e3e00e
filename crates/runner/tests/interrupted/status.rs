//! `peft-bench status`: how far suites are, from another terminal.

use std::fs::File;

use crate::common::{Workspace, assert_refused, assert_success, files, stdout};
use crate::results::cells;
use crate::running::Running;

fn arguments(steps: &'static str) -> [&'static str; 8] {
    ["run", "tiny-suite.toml", "--steps", steps, "--checkpoint-every", "0", "--out", "out"]
}

fn status(w: &Workspace) -> String {
    let output = w.run(&["status", "out"]);
    assert_success(&output);
    stdout(&output)
}

fn progress_files(w: &Workspace) -> usize {
    files(&w.path("out/state")).iter().filter(|name| name.ends_with(".progress.json")).count()
}

#[test]
fn a_running_training_tells_its_step_loss_speed_and_remaining_time() {
    let w = Workspace::new();
    let long = arguments("2000000");
    let mut running = Running::start(&w, &long);
    running.wait_for("steps, 2 runs");
    running.wait_until("a rate, which is told after two seconds", |_| {
        let text = status(&w);
        text.contains(" steps/s, ") && text.contains("loss ")
    });
    let text = status(&w);
    let line = text.lines().find(|line| line.starts_with("  lora on Tiny, seeds 1, 2: step ")).unwrap();
    assert!(line.contains("/2000000, ") && line.contains(" left (process "), "{text}");
    assert!(text.contains("Tiny suite: "), "{text}");
    assert!(text.contains(" 2 running, "), "{text}");
    running.kill();
    // What a killed process has told is not believed, and goes with the next run.
    assert_eq!(progress_files(&w), 1);
    let text = status(&w);
    assert!(text.contains(" 0 running, ") && !text.contains("steps/s"), "{text}");
    assert_eq!(progress_files(&w), 1, "status writes nothing");
    assert_success(&w.run(&["run", "tiny-suite.toml", "--method", "lora", "--out", "out"]));
    assert_eq!(progress_files(&w), 0);
}

#[test]
fn the_remaining_time_follows_from_the_cells_that_are_done() {
    let w = Workspace::new();
    let shard = w.run(&["run", "tiny-suite.toml", "--shard", "1/2", "--out", "out"]);
    assert_success(&shard);
    let text = status(&w);
    assert!(text.contains("Tiny suite: 4 cells: 2 done, 0 running, 2 missing; about "), "{text}");
    assert!(text.contains(" left, one training at a time"), "{text}");
    // Another process holds one of the others, and has not told yet how far it is.
    assert_success(&w.run(&["run", "tiny-suite.toml", "--out", "all"]));
    let known = cells(&w.path("out"));
    let other = cells(&w.path("all")).into_iter().find(|cell| !known.contains(cell)).unwrap();
    w.write(&format!("out/state/{other}.lock"), "process 7 on moon");
    let lock = File::open(w.path(&format!("out/state/{other}.lock"))).unwrap();
    lock.lock().unwrap();
    assert!(status(&w).contains("2 done, 1 running, 1 missing; about "), "{}", status(&w));
    drop(lock);
    assert_success(&w.run(&["run", "tiny-suite.toml", "--out", "out"]));
    assert!(status(&w).contains("4 cells: 4 done, 0 running, 0 missing\n"), "{}", status(&w));
}

#[test]
fn a_damaged_progress_file_is_nothing() {
    let w = Workspace::new();
    assert_success(&w.run(&["run", "tiny-suite.toml", "--out", "out"]));
    for bytes in ["", "{", "[]", "{\"cells\": []}", "\u{0}"] {
        w.write("out/state/0123456789abcdef.progress.json", bytes);
        assert!(status(&w).contains("4 done"), "{}", status(&w));
    }
    assert_success(&w.run(&["run", "tiny-suite.toml", "--out", "out"]));
    assert!(!w.path("out/state").exists());
}

#[test]
fn a_folder_without_suites_is_refused() {
    let w = Workspace::new();
    assert_refused(&w.run(&["status", "nothing"]), &["nothing"]);
    assert_refused(&w.run(&["status", "rows"]), &["rows", "suites"]);
    assert_refused(&w.run(&["status", "tiny.toml"]), &["tiny.toml"]);
}
