//! Nothing in a user's files or arguments can control the terminal, and `--output` writes to existing devices.
#![cfg(unix)]

mod common;

use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use common::{Workspace, assert_refused, assert_success, stderr, stdout};

/// Clears the screen, in three spellings.
const CLEAR: &str = "\u{1b}[2J\u{9b}2J\u{202e}";

fn assert_harmless(output: &Output) {
    for text in [stdout(output), stderr(output)] {
        assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{7}', '\r']), "{text:?}");
    }
}

#[test]
fn titles_names_and_rows_cannot_control_the_terminal() {
    let workspace = Workspace::new();
    workspace.edit("tiny-suite.toml", "\"Tiny suite\"", "\"Tiny \\u001b[2J\\u0007 suite\"");
    workspace.edit("rows/train.csv", "the film was bad", &format!("the film was {CLEAR} bad"));
    let show = workspace.run(&["tasks", "show", "tiny.toml", "--model", "model"]);
    assert_success(&show);
    assert!(stdout(&show).contains("film was \\x1b[2J\\x9b2J\\u{202e} bad"), "{}", stdout(&show));
    assert_harmless(&show);
    let run = workspace.train("prompt-tuning", &["--seed", "1", "--steps", "2"]);
    assert_success(&run);
    assert!(stdout(&run).contains("Tiny \\x1b[2J\\x07 suite"), "{}", stdout(&run));
    assert_harmless(&run);
    workspace.edit("tiny.toml", "\"Tiny\"", "\"Tiny \\u001b[2J\\u202e task\"");
    let refused = workspace.run(&["tasks", "show", "tiny.toml", "--model", "model"]);
    assert_refused(&refused, &["tiny.toml", "`title`", "control characters"]);
    assert_harmless(&refused);
}

#[test]
fn invalid_arguments_cannot_control_the_terminal() {
    let workspace = Workspace::new();
    let name = format!("{CLEAR}.toml");
    let commands: [&[&str]; 5] = [
        &["run", &name],
        &["run", "tiny-suite.toml", "--method", &name],
        &["run", "tiny-suite.toml", "--device", &name],
        &["fetch", "--model", &name, "tiny-suite.toml"],
        &[&name],
    ];
    for arguments in commands {
        let refused = workspace.run(arguments);
        assert_refused(&refused, &["\\"]);
        assert_harmless(&refused);
    }
}

#[test]
fn output_goes_into_devices_pipes_and_links() {
    let workspace = Workspace::new();
    let dump =
        |output: &str| workspace.run(&["tasks", "dump", "tiny.toml", "--split", "test", "--output", output]);
    let plain = workspace.run(&["tasks", "dump", "tiny.toml", "--split", "test"]);
    assert_success(&plain);
    for place in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        let there = dump(place);
        assert_success(&there);
        assert_eq!(stdout(&there), stdout(&plain), "{place}");
    }
    assert_success(&dump("/dev/null"));
    symlink("/dev/full", workspace.path("full")).unwrap();
    assert_refused(&dump("full"), &["cannot write full", "No space left on device"]);

    symlink("target.jsonl", workspace.path("link.jsonl")).unwrap();
    assert_success(&dump("link.jsonl"));
    assert_eq!(workspace.read("target.jsonl"), stdout(&plain));
    assert!(workspace.path("link.jsonl").is_symlink());

    let fifo = workspace.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let reader = std::thread::spawn(move || std::fs::read_to_string(fifo).unwrap());
    assert_success(&dump("fifo"));
    assert_eq!(reader.join().unwrap(), stdout(&plain));

    std::fs::create_dir(workspace.path("folder")).unwrap();
    assert_refused(&dump("folder"), &["cannot write folder"]);
}
