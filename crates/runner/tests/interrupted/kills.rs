//! Kills before every sync, rename and removal of a short run that does everything at least once.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode};

use crate::common::{Workspace, assert_success, files};
use crate::results::results;

const STEP: &str = "PEFT_BENCH_TEST_DIES_AT";
const METHOD: &str = "PEFT_BENCH_TEST_DIES_IN";

fn workspace(method: &str) -> Workspace {
    let w = Workspace::new();
    w.edit("tiny-suite.toml", "steps = 12", "steps = 3");
    w.edit("tiny-suite.toml", "evaluate_every = 6", "evaluate_every = 2");
    // Tokens are cached once, outside the killed runs.
    w.write("other.toml", &w.read("tiny.toml").replace("\"Tiny\"", "\"Other\""));
    let spot = "[methods.spot]\nprompt.length = 2\nsources = [\"other.toml\"]\n";
    w.write("tiny-suite.toml", &format!("{}\n{spot}", w.read("tiny-suite.toml")));
    assert_success(&w.run(&arguments(method, "undisturbed")));
    w
}

fn arguments<'a>(method: &'a str, out: &'a str) -> [&'a str; 8] {
    ["run", "tiny-suite.toml", "--method", method, "--checkpoint-every", "0", "--out", out]
}

/// The program in this test's executable, which is killed before the given file operation.
#[test]
#[ignore = "it is the process that the test below kills"]
fn dies() {
    let step = std::env::var(STEP).unwrap().parse().unwrap();
    peft_bench::files::atomic::death::at(step);
    let method = std::env::var(METHOD).unwrap();
    let arguments = ["peft-bench"].into_iter().chain(arguments(&method, "out"));
    let code = peft_bench::cli::run(arguments.map(Into::into));
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
}

fn run_to(w: &Workspace, method: &str, step: usize, out: &str) -> bool {
    let like = w.command(&[]);
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "kills::dies", "--ignored", "--nocapture"]);
    child.env(STEP, step.to_string()).env(METHOD, method);
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
    killed_at_every_step("lora", 40);
}

#[test]
fn so_does_one_that_trains_a_source_first() {
    killed_at_every_step("spot", 60);
}

/// Kills runs of a method, each at a later step; there are more than `least`.
fn killed_at_every_step(method: &str, least: usize) {
    let w = workspace(method);
    let undisturbed = results(&w, "undisturbed");
    let mut step = 1;
    loop {
        let out = format!("killed-{step}");
        if run_to(&w, method, step, &out) {
            break;
        }
        assert_success(&w.run(&arguments(method, &out)));
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
    assert!(step > least, "only {step} steps");
}
