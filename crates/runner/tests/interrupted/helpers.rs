//! A run whose trainings several processes share (`--jobs`).

use std::fs;
use std::time::{Duration, Instant};

use crate::common::{Workspace, assert_success, stderr};
use crate::results::{cells, results};
use crate::running::Running;
use crate::sharing::{GROUPS, arguments, updates, workspace};

fn with_jobs<'a>(out: &'a str, jobs: &'a str) -> Vec<&'a str> {
    [&arguments(out)[..], &["--jobs", jobs]].concat()
}

/// Processes that were started in this workspace and still run.
fn processes(w: &Workspace) -> usize {
    let Ok(all) = fs::read_dir("/proc") else { return 0 };
    let folder = fs::canonicalize(w.path("")).unwrap();
    all.flatten()
        .filter(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == folder))
        .count()
}

fn wait_until_all_ended(w: &Workspace) {
    let started = Instant::now();
    while processes(w) > 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "{} processes still run", processes(w));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn helpers_take_a_part_of_the_work_and_the_results_are_those_of_one_process() {
    let w = workspace("steps = 400");
    assert_success(&w.run(&arguments("alone")));
    let shared = w.run(&with_jobs("shared", "3"));
    assert_success(&shared);
    let said = stderr(&shared);
    assert!(updates(&said).len() < GROUPS, "it did everything itself: {said}");
    assert_eq!(said.lines().filter(|line| line.contains("(best step ")).count(), 2 * GROUPS, "{said}");
    assert!(!said.contains("ended early"), "{said}");
    assert_eq!(results(&w, "shared"), results(&w, "alone"));
    assert_eq!(processes(&w), 0);
}

#[test]
fn they_end_with_the_process_that_they_help_and_what_they_began_is_resumed() {
    let w = workspace("steps = 400");
    assert_success(&w.run(&arguments("alone")));
    for (out, signal, code) in [("asked", libc::SIGINT, Some(130)), ("killed", libc::SIGKILL, None)] {
        let mut running = Running::start(&w, &with_jobs(out, "3"));
        running.wait_for("steps, 2 runs");
        running.send(signal);
        match code {
            Some(code) => assert!(running.ended(code).contains("progress is saved")),
            None => drop(running.kill()),
        }
        wait_until_all_ended(&w);
        assert!(cells(&w.path(out)).len() < 2 * GROUPS, "it was done before");
        assert_success(&w.run(&arguments(out)));
        assert_eq!(results(&w, out), results(&w, "alone"), "{out}");
    }
}

#[test]
fn a_number_of_processes_that_cannot_be_is_refused() {
    let w = Workspace::new();
    for number in ["0", "-1", "2000", "two"] {
        let refused = w.run(&with_jobs("out", number));
        assert_eq!(refused.status.code(), Some(2));
        assert!(stderr(&refused).contains("--jobs"), "{}", stderr(&refused));
    }
}
