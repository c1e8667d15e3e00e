//! Kills before every sync, rename and removal of a short run that does everything at least once.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode};

use crate::common::{Workspace, assert_success, files};
use crate::results::results;

const STEP: &str = "PEFT_BENCH_TEST_DIES_AT";

fn workspace() -> Workspace {
    let w = Workspace::new();
    w.edit("tiny-suite.toml", "steps = 12", "steps = 3");
    w.edit("tiny-suite.toml", "evaluate_every = 6", "evaluate_every = 2");
    // Tokens are cached once, outside the killed runs.
    assert_success(&w.run(&arguments("undisturbed")));
    w
}

fn arguments(out: &str) -> [&str; 8] {
    ["run", "tiny-suite.toml", "--method", "lora", "--checkpoint-every", "0", "--out", out]
}

/// The program in this test's executable, which is killed before the given file operation.
#[test]
#[ignore = "it is the process that the test below kills"]
fn dies() {
    let step = std::env::var(STEP).unwrap().parse().unwrap();
    peft_bench::files::atomic::death::at(step);
    let arguments = ["peft-bench"].into_iter().chain(arguments("out"));
    let code = peft_bench::cli::run(arguments.map(Into::into));
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
}

fn run_to(w: &Workspace, step: usize, out: &str) -> bool {
    let like = w.command(&[]);
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "kills::dies", "--ignored", "--nocapture"]).env(STEP, step.to_string());
    for (key, value) in like.get_envs() {
        match value {
            Some(value) => child.env(key, value),
            None => child.env_remove(key),
        };
    }
    let output = child.current_dir(w.path("")).output().unwrap();
    let died = output.status.signal() == Some(libc::SIGABRT);
    assert!(died || output.status.success(), "{output:?}");
    let left = w.path("out");
    if left.exists() {
        fs::rename(left, w.path(out)).unwrap();
    }
    !died
}

#[test]
fn a_run_killed_at_any_sync_or_rename_gives_the_same_results() {
    let w = workspace();
    let undisturbed = results(&w, "undisturbed");
    let mut step = 1;
    loop {
        let out = format!("killed-{step}");
        if run_to(&w, step, &out) {
            break;
        }
        assert_success(&w.run(&arguments(&out)));
        assert_eq!(results(&w, &out), undisturbed, "killed before step {step}");
        let folder = w.path(&out);
        let folders = [folder.clone(), folder.join("cells"), folder.join("suites")].into_iter();
        let adapters =
            files(&folder.join("adapters")).into_iter().map(|cell| folder.join("adapters").join(cell));
        let left = folders.chain(adapters).flat_map(|folder| files(&folder));
        let left: Vec<String> = left
            .filter(|name| name.starts_with('.') || name.contains("damaged") || name == "state")
            .collect();
        assert!(left.is_empty(), "killed before step {step}, {left:?} stays");
        step += 1;
    }
    assert!(step > 40, "only {step} steps");
}
