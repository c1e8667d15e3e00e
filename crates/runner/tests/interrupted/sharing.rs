//! Several processes on one folder.

use std::fs::{self, File};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::common::{Workspace, assert_success, files};
use crate::results::{cells, results};
use crate::running::Running;

/// Four groups: two methods on two tasks.
pub(crate) fn workspace(steps: &str) -> Workspace {
    let w = Workspace::new();
    let second = w.read("tiny.toml").replace("\"Tiny\"", "\"Second\"");
    w.write("second.toml", &second.replace("sentence: {text}", "{text}"));
    w.edit("tiny-suite.toml", "tasks = [\"tiny.toml\"]", "tasks = [\"tiny.toml\", \"second.toml\"]");
    w.edit("tiny-suite.toml", "steps = 12", steps);
    w.edit("tiny-suite.toml", "evaluate_every = 6", "evaluate_every = 40");
    w
}

pub(crate) const GROUPS: usize = 4;

pub(crate) fn arguments(out: &str) -> [&str; 6] {
    ["run", "tiny-suite.toml", "--checkpoint-every", "0", "--out", out]
}

/// Steps done by a process, from its output: where each training resumed, and where it ended.
pub(crate) fn updates(said: &str) -> Vec<(u64, u64)> {
    let number = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    let begun = said.lines().filter(|line| line.contains(" steps, 2 runs"));
    let begun = begun
        .map(|line| line.split_once("resuming after step ").map_or(0, |(_, rest)| number(rest).unwrap()));
    let ended = said.lines().filter(|line| line.contains(" steps in "));
    let ended = ended.map(|line| number(line.split_once(": ").unwrap().1).unwrap());
    begun.zip(ended.map(Some).chain([None])).filter_map(|(begun, ended)| Some((begun, ended?))).collect()
}

#[test]
fn four_processes_share_the_work_of_one_folder() {
    let w = workspace("steps = 80");
    assert_success(&w.run(&arguments("alone")));
    let mut processes: Vec<Running> = (0..4).map(|_| Running::start(&w, &arguments("shared"))).collect();
    let said: Vec<String> = processes.iter_mut().map(|process| process.ended(0)).collect();
    let done: Vec<(u64, u64)> = said.iter().flat_map(|said| updates(said)).collect();
    assert_eq!(done, [(0, 80); GROUPS], "{said:#?}");
    assert_eq!(results(&w, "shared"), results(&w, "alone"));
    assert!(!w.path("shared/state").exists(), "{:?}", files(&w.path("shared/state")));
}

#[test]
fn others_resume_the_work_of_a_killed_process() {
    let w = workspace("steps = 200");
    assert_success(&w.run(&arguments("alone")));
    let mut first = Running::start(&w, &arguments("shared"));
    let state = w.path("shared/state");
    first.wait_until("a state", |_| files(&state).iter().any(|name| name.ends_with(".safetensors")));
    let mut others: Vec<Running> = (0..3).map(|_| Running::start(&w, &arguments("shared"))).collect();
    others[0].wait_for("steps, 2 runs");
    let killed = first.kill();
    let lost = updates(&killed);
    let said: Vec<String> = others.iter_mut().map(|process| process.ended(0)).collect();
    let done: Vec<(u64, u64)> = said.iter().flat_map(|said| updates(said)).collect();
    assert_eq!(done.len() + lost.len(), GROUPS, "{killed}\n{said:#?}");
    assert_eq!(done.iter().filter(|(begun, _)| *begun > 0).count(), 1, "{killed}\n{said:#?}");
    assert!(done.iter().all(|(_, ended)| *ended == 200));
    assert_eq!(results(&w, "shared"), results(&w, "alone"));
}

#[test]
fn processes_that_are_killed_and_started_again_at_random_moments_give_the_same_results() {
    let w = workspace("steps = 120");
    assert_success(&w.run(&arguments("alone")));
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut processes: Vec<Running> = (0..4).map(|_| Running::start(&w, &arguments("shared"))).collect();
    let (mut killed, mut kills) = (0, 0);
    while kills < 12 {
        std::thread::sleep(Duration::from_millis(rng.random_range(20..250)));
        let process = rng.random_range(0..processes.len());
        // One that has ended is started again too, and finds nothing to do.
        killed += usize::from(processes[process].is_running());
        processes[process].kill();
        processes[process] = Running::start(&w, &arguments("shared"));
        kills += 1;
    }
    processes.iter_mut().for_each(|process| {
        process.ended(0);
    });
    assert!(killed > 3, "only {killed} of {kills} were still running");
    assert_eq!(results(&w, "shared"), results(&w, "alone"));
    assert!(!w.path("shared/state").exists(), "{:?}", files(&w.path("shared/state")));
}

/// Locks as if another process computed this cell.
fn held(w: &Workspace, cell: &str, holder: &str) -> File {
    w.write(&format!("out/state/{cell}.lock"), holder);
    let lock = File::open(w.path(&format!("out/state/{cell}.lock"))).unwrap();
    lock.lock().unwrap();
    lock
}

#[test]
fn a_process_waits_for_whichever_cell_is_free_first() {
    let w = Workspace::new();
    let arguments = ["run", "tiny-suite.toml", "--seed", "1", "--out", "out"];
    assert_success(&w.run(&arguments));
    let both = cells(&w.path("out"));
    let locks: Vec<File> = both.iter().map(|cell| held(&w, cell, "process 7 on moon")).collect();
    fs::remove_dir_all(w.path("out/cells")).unwrap();
    let mut waiting = Running::start(&w, &arguments);
    waiting.wait_for("waiting for process 7 on moon, which computes");
    assert!(waiting.said().contains("and for 1 more"), "{}", waiting.said());
    // Not the first in line: the other one's training is done while it is still held.
    let mut locks = locks.into_iter();
    let (first, second) = (locks.next(), locks.next());
    drop(second);
    waiting.wait_until("the cell that is free", |_| cells(&w.path("out")) == both[1..]);
    drop(first);
    waiting.ended(0);
    assert_eq!(cells(&w.path("out")), both);
}

#[test]
fn a_table_made_while_others_run_says_what_is_missing() {
    let w = workspace("steps = 4000");
    let mut running = Running::start(&w, &arguments("shared"));
    running.wait_for("steps, 2 runs");
    let table = w.run(&[&arguments("shared")[..], &["--steps", "2"]].concat());
    assert_success(&table);
    let text = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(text.contains("missing: 8 of 16 cells: "), "{text}");
    running.kill();
}

#[test]
fn a_waiting_process_names_the_holder_and_can_be_interrupted() {
    let w = Workspace::new();
    let arguments = ["run", "tiny-suite.toml", "--method", "lora", "--seed", "1", "--out", "out"];
    assert_success(&w.run(&arguments));
    let cell = cells(&w.path("out")).remove(0);
    fs::remove_file(w.path(&format!("out/cells/{cell}.parquet"))).unwrap();
    let lock = held(&w, &cell, "process 7 on moon");
    let mut waiting = Running::start(&w, &arguments);
    waiting.wait_for("waiting for process 7 on moon, which computes lora on");
    waiting.send(libc::SIGTERM);
    waiting.ended(143);
    let mut waiting = Running::start(&w, &arguments);
    waiting.wait_for("waiting for process 7 on moon");
    drop(lock);
    waiting.ended(0);
    assert_eq!(cells(&w.path("out")), [cell]);
}
