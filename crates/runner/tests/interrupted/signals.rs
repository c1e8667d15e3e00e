//! Signals that ask the program to end.

use crate::common::{Workspace, assert_success, files, stderr};
use crate::results::{cells, results};
use crate::running::Running;

/// Long enough that a signal comes on the way.
const STEPS: &str = "steps = 1500";

fn workspace() -> Workspace {
    let w = Workspace::new();
    w.edit("tiny-suite.toml", "steps = 12", STEPS);
    w.edit("tiny-suite.toml", "evaluate_every = 6", "evaluate_every = 400");
    w
}

/// Writes no state but when it is asked to end.
fn arguments(out: &str) -> [&str; 8] {
    ["run", "tiny-suite.toml", "--method", "lora", "--checkpoint-every", "3600", "--out", out]
}

#[test]
fn a_signal_keeps_the_state_and_says_how_to_go_on() {
    let w = workspace();
    assert_success(&w.run(&arguments("undisturbed")));
    let undisturbed = results(&w, "undisturbed");
    for (signal, code, name) in
        [(libc::SIGINT, 130, "SIGINT"), (libc::SIGTERM, 143, "SIGTERM"), (libc::SIGHUP, 129, "SIGHUP")]
    {
        let mut run = Running::start(&w, &arguments(name));
        run.wait_for("1500 steps, 2 runs");
        std::thread::sleep(std::time::Duration::from_millis(30));
        run.send(signal);
        let said = run.ended(code);
        for part in [name, "the state after update ", "run the same command again"] {
            assert!(said.contains(part), "`{part}` is not in: {said}");
        }
        assert_eq!(said.matches("the state after update").count(), 1, "{said}");
        assert!(!said.contains("error:"), "{said}");
        assert_eq!(files(&w.path(&format!("{name}/state"))).len(), 1, "the state, and no lock");
        assert!(cells(&w.path(name)).is_empty());
        let resumed = w.run(&arguments(name));
        assert_success(&resumed);
        assert!(stderr(&resumed).contains("going on after "), "{}", stderr(&resumed));
        assert_eq!(results(&w, name), undisturbed, "{name}");
        assert!(!w.path(&format!("{name}/state")).exists());
    }
}

#[test]
fn a_second_signal_ends_the_program_at_once() {
    let w = workspace();
    // A scoring that takes long, and looks at signals after each batch only.
    w.edit("tiny-suite.toml", "eval_batch_size = 8", "eval_batch_size = 100000");
    w.edit("tiny-suite.toml", "evaluate_every = 400", "evaluate_every = 1");
    let rows = w.read("rows/validation.csv");
    let (head, rows) = rows.split_once('\n').unwrap();
    w.write("rows/validation.csv", &format!("{head}\n{}", rows.repeat(1000)));
    let mut run = Running::start(&w, &arguments("out"));
    run.wait_for("1500 steps, 2 runs");
    std::thread::sleep(std::time::Duration::from_millis(300));
    run.send(libc::SIGINT);
    std::thread::sleep(std::time::Duration::from_millis(20));
    run.send(libc::SIGINT);
    let said = run.ended(130);
    assert!(!said.contains("the state after update"), "{said}");
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let w = workspace();
    let mut run = Running::start_by(&w, "trap '' HUP; exec \"$0\" \"$@\"", &arguments("out"));
    run.wait_for("1500 steps, 2 runs");
    run.send(libc::SIGHUP);
    run.ended(0);
}
