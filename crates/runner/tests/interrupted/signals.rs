//! Termination signals.

use std::time::Duration;

use crate::common::{Workspace, assert_success, files, stderr};
use crate::results::{Results, cells, results};
use crate::running::Running;

/// Long enough for a signal to arrive during the run.
const STEPS: &str = "steps = 800";

pub(crate) fn workspace() -> Workspace {
    let w = Workspace::new();
    w.edit("tiny-suite.toml", "steps = 12", STEPS);
    w.edit("tiny-suite.toml", "evaluate_every = 6", "evaluate_every = 200");
    w
}

/// Writes a state only when asked to terminate.
pub(crate) fn arguments(out: &str) -> [&str; 8] {
    ["run", "tiny-suite.toml", "--method", "lora", "--checkpoint-every", "3600", "--out", out]
}

/// Sends a signal to a run while it trains, and returns its output.
pub(crate) fn interrupted(w: &Workspace, out: &str, signal: i32, code: i32) -> String {
    let mut run = Running::start(w, &arguments(out));
    run.wait_for("800 steps, 2 runs");
    std::thread::sleep(Duration::from_millis(100));
    run.send(signal);
    run.ended(code)
}

#[test]
fn a_signal_saves_the_state_and_explains_how_to_resume() {
    let w = workspace();
    assert_success(&w.run(&arguments("undisturbed")));
    let undisturbed = results(&w, "undisturbed");
    for (signal, code, name) in
        [(libc::SIGINT, 130, "SIGINT"), (libc::SIGTERM, 143, "SIGTERM"), (libc::SIGHUP, 129, "SIGHUP")]
    {
        let said = interrupted(&w, name, signal, code);
        for part in [name, "the state after update ", "run the same command again"] {
            assert!(said.contains(part), "`{part}` is not in: {said}");
        }
        assert_eq!(said.matches("the state after update").count(), 1, "{said}");
        assert!(!said.contains("error:"), "{said}");
        assert_eq!(files(&w.path(&format!("{name}/state"))).len(), 1, "the state, and no lock");
        assert!(cells(&w.path(name)).is_empty());
        let resumed = w.run(&arguments(name));
        assert_success(&resumed);
        assert!(stderr(&resumed).contains("resuming after step "), "{}", stderr(&resumed));
        assert_eq!(results(&w, name), undisturbed, "{name}");
        assert!(!w.path(&format!("{name}/state")).exists());
    }
}

#[test]
fn a_run_with_fewer_or_more_seeds_resumes_from_the_existing_state() {
    let w = workspace();
    let with = |out: &'static str, seeds: &[&'static str]| {
        let seeds = seeds.iter().flat_map(|&seed| ["--seed", seed]);
        w.run(&arguments(out).into_iter().chain(seeds).collect::<Vec<_>>())
    };
    assert_success(&with("undisturbed", &["1", "2", "3"]));
    for (out, seeds) in [("fewer", &["2"][..]), ("more", &["1", "2", "3"])] {
        interrupted(&w, out, libc::SIGINT, 130);
        let resumed = with(out, seeds);
        assert_success(&resumed);
        let said = stderr(&resumed);
        assert_eq!(said.matches("resuming after step ").count(), 1, "{said}");
        let all = seeds.len();
        assert!(said.contains(&format!("{all}/{all} lora on Tiny, seed {}", seeds[all - 1])), "{said}");
        assert_eq!(said.lines().filter(|line| line.contains("(best step ")).count(), all, "{said}");
        assert_success(&with(out, &["1", "2", "3"]));
        assert_eq!(without_company(&w, out), without_company(&w, "undisturbed"));
        assert!(!w.path(&format!("{out}/state")).exists());
    }
}

/// The results without the number of seeds in the batched pass.
fn without_company(w: &Workspace, out: &str) -> Results {
    let mut results = results(w, out);
    results.records.values_mut().for_each(|record| record.runs_side_by_side = 0);
    results
}

#[test]
fn a_second_signal_terminates_the_program_immediately() {
    let w = workspace();
    // Scoring takes long, and checks for signals only after each batch.
    w.edit("tiny-suite.toml", "eval_batch_size = 8", "eval_batch_size = 100000");
    w.edit("tiny-suite.toml", "evaluate_every = 200", "evaluate_every = 1");
    let rows = w.read("rows/validation.csv");
    let (head, rows) = rows.split_once('\n').unwrap();
    w.write("rows/validation.csv", &format!("{head}\n{}", rows.repeat(1000)));
    let said = |wait| {
        let mut run = Running::start(&w, &arguments(&format!("out-{wait}")));
        run.wait_for("800 steps, 2 runs");
        std::thread::sleep(Duration::from_millis(wait));
        run.send(libc::SIGINT);
        std::thread::sleep(Duration::from_millis(20));
        run.send(libc::SIGINT);
        run.ended(130)
    };
    // On a busy machine the first update, after which a signal is heeded, takes longer.
    let is_immediate = |wait| !said(wait).contains("the state after update");
    assert!([300, 1000, 3000].into_iter().any(is_immediate), "the first signal alone ended it each time");
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let w = workspace();
    let mut run = Running::start_by(&w, "trap '' HUP; exec \"$0\" \"$@\"", &arguments("out"));
    run.wait_for("800 steps, 2 runs");
    run.send(libc::SIGHUP);
    run.ended(0);
}
