//! Results folders that are swept, vanish, or cannot be written to; a system without spare threads.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::common::{Workspace, assert_refused, assert_success, files, stderr, stdout};
use crate::results::{cells, results};
use crate::running::Running;

const ARGUMENTS: [&str; 8] =
    ["run", "tiny-suite.toml", "--method", "lora", "--checkpoint-every", "0", "--out", "out"];

const NOBODY: u32 = 65534;

/// The program as a user to whom permissions apply, another one for root. `None` if that user cannot reach the program.
fn bound_by_permissions(w: &Workspace, arguments: &[&str]) -> Option<Command> {
    fs::set_permissions(w.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let command = |arguments: &[&str]| {
        let mut command = w.command(arguments);
        // SAFETY: the call only queries.
        if unsafe { libc::geteuid() } == 0 {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    };
    if command(&["--version"]).output().is_ok_and(|output| output.status.success()) {
        return Some(command(arguments));
    }
    eprintln!("skipped: root runs the test, and no other user can run the program from where it is");
    None
}

fn read_only(path: &Path) {
    let mode = if path.is_dir() { 0o555 } else { 0o444 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    if path.is_dir() {
        files(path).iter().for_each(|name| read_only(&path.join(name)));
    }
}

fn writable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    if path.is_dir() {
        files(path).iter().for_each(|name| writable(&path.join(name)));
    }
}

#[test]
fn a_finished_read_only_folder_is_still_reported() {
    let w = Workspace::new();
    let first = w.run(&ARGUMENTS);
    assert_success(&first);
    let table = stdout(&first);
    let before = results(&w, "out");
    let Some(mut command) = bound_by_permissions(&w, &ARGUMENTS) else { return };
    read_only(&w.path("out"));
    let shown = command.output().unwrap();
    let told = files(&w.path("out"));
    // A new cell is requested.
    command.args(["--seed", "9"]);
    let refused = command.output().unwrap();
    writable(&w.path("out"));
    assert_success(&shown);
    let rows =
        |text: &str| text.lines().filter(|line| line.contains("lora")).map(String::from).collect::<Vec<_>>();
    assert!(!rows(&table).is_empty());
    assert_eq!(rows(&stdout(&shown)), rows(&table));
    assert!(stderr(&shown).contains("note: cannot write"), "{}", stderr(&shown));
    assert_eq!(told, files(&w.path("out")));
    assert_eq!(results(&w, "out"), before);
    assert_refused(&refused, &["cannot write", "out"]);
    assert!(!stderr(&refused).contains("steps"), "{}", stderr(&refused));
}

#[test]
fn a_state_without_permission_is_an_error() {
    let w = Workspace::new();
    w.edit("tiny-suite.toml", "steps = 12", "steps = 400");
    let mut run = Running::start(&w, &ARGUMENTS);
    let state = w.path("out/state");
    run.wait_until("a state", |_| files(&state).iter().any(|name| name.ends_with(".safetensors")));
    run.kill();
    assert!(cells(&w.path("out")).is_empty());
    let state = state.join(files(&state).iter().find(|name| name.ends_with(".safetensors")).unwrap());
    let name = state.file_name().unwrap().to_str().unwrap();
    if let Some(mut command) = bound_by_permissions(&w, &ARGUMENTS) {
        writable(&w.path("out"));
        fs::set_permissions(&state, fs::Permissions::from_mode(0o000)).unwrap();
        assert_refused(&command.output().unwrap(), &["cannot read the training state", name, "denied"]);
    }
    fs::remove_file(&state).unwrap();
    fs::create_dir(&state).unwrap();
    assert_refused(&w.run(&ARGUMENTS), &["cannot read the training state", name, "directory"]);
    assert!(state.is_dir() && cells(&w.path("out")).is_empty());
}

#[test]
fn files_of_killed_writers_are_swept_in_every_folder_but_not_those_of_living_ones() {
    let w = Workspace::new();
    assert_success(&w.run(&ARGUMENTS));
    let before = results(&w, "out");
    let adapter = format!("out/adapters/{}", cells(&w.path("out"))[0]);
    let folders = ["out", "out/cells", "out/suites", "out/adapters", &adapter, "out/state"];
    for folder in folders {
        w.write(&format!("{folder}/.writing-old-aBc"), "half");
        w.write(&format!("{folder}/.writing-new-aBc"), "half");
    }
    let living = folders.map(|folder| File::open(w.path(&format!("{folder}/.writing-new-aBc"))).unwrap());
    living.iter().for_each(|file| file.lock().unwrap());
    assert_success(&w.run(&ARGUMENTS));
    for folder in folders {
        let left = files(&w.path(folder));
        let left: Vec<&String> = left.iter().filter(|name| name.starts_with(".writing")).collect();
        assert_eq!(left, [".writing-new-aBc"], "{folder}");
    }
    drop(living);
    assert_success(&w.run(&ARGUMENTS));
    assert!(folders.iter().all(|folder| !w.path(&format!("{folder}/.writing-new-aBc")).exists()));
    assert_eq!(results(&w, "out"), before);
}

#[test]
fn a_folder_that_vanishes_while_the_program_runs_is_an_error() {
    let w = Workspace::new();
    w.edit("tiny-suite.toml", "steps = 12", "steps = 300");
    w.edit("tiny-suite.toml", "evaluate_every = 6", "evaluate_every = 100");
    let mut run = Running::start(&w, &ARGUMENTS);
    run.wait_until("a state", |_| {
        files(&w.path("out/state")).iter().any(|name| name.ends_with(".safetensors"))
    });
    fs::rename(w.path("out"), w.path("elsewhere")).unwrap();
    let said = run.ended(2);
    assert_eq!(said.matches("error:").count(), 1, "{said}");
    assert!(said.contains("error: out was removed while the program ran"), "{said}");
    assert_success(&w.run(&ARGUMENTS));
    assert_eq!(cells(&w.path("out")).len(), 2);
}

#[test]
fn results_that_vanish_while_the_program_runs_are_an_error() {
    let w = Workspace::new();
    w.edit("tiny-suite.toml", "steps = 12", "steps = 300");
    assert_success(&w.run(&ARGUMENTS));
    let mut run = Running::start(&w, &[&ARGUMENTS[..], &["--method", "prompt-tuning"]].concat());
    run.wait_until("a state", |_| {
        files(&w.path("out/state")).iter().any(|name| name.ends_with(".safetensors"))
    });
    fs::remove_dir_all(w.path("out/cells")).unwrap();
    let said = run.ended(2);
    assert!(said.contains("was removed while the program ran"), "{said}");
}

#[test]
fn too_few_threads_give_a_one_line_error() {
    let w = Workspace::new();
    let Some(mut command) = bound_by_permissions(&w, &ARGUMENTS) else { return };
    let limit = libc::rlimit { rlim_cur: 3, rlim_max: 3 };
    // SAFETY: the child only sets its own limit.
    unsafe {
        command.pre_exec(move || match libc::setrlimit(libc::RLIMIT_NPROC, &limit) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let output = command.output().unwrap();
    assert_refused(&output, &["threads", "ulimit -u"]);
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
}
