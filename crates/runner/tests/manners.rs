//! How the program speaks: examples, hints, quiet, logs for programs, completions and manual pages.

mod common;

use common::{Workspace, assert_refused, assert_success, files, stderr, stdout};
use serde_json::Value;

/// Standard error as JSON, one object per line.
fn log(text: &str) -> Vec<Value> {
    let lines =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line:?}: {e}")));
    lines.collect()
}

const RUN: [&str; 9] =
    ["run", "tiny-suite.toml", "--method", "lora", "--seed", "1", "--out", "out", "--checkpoint-every=0"];

#[test]
fn a_hint_is_on_a_line_of_its_own() {
    let w = Workspace::new();
    for (arguments, error, hint) in [
        (
            &["run", "tiny-suite.toml", "--model", "google-t5/t5-base"][..],
            "HF_HUB_OFFLINE is set",
            "run `peft-bench fetch tiny-suite.toml --model google-t5/t5-base` on a machine with network access",
        ),
        (
            &["report", "nowhere"],
            "nowhere holds no results",
            "give a folder that `peft-bench run` has written",
        ),
        (&["run", "gleu"], "did you mean `glue`?", "`peft-bench suites` says what is in each"),
        (
            &["run", "tiny-suite.toml", "--precision", "bf16"],
            "cpu computes in f32 only",
            "`peft-bench devices` lists the precisions",
        ),
    ] {
        let refused = w.run(arguments);
        assert_refused(&refused, &[error]);
        let message = stderr(&refused);
        let lines: Vec<&str> = message.lines().collect();
        assert_eq!(lines.len(), 2, "{message}");
        assert!(lines[0].starts_with("error: ") && lines[0].contains(error), "{message}");
        assert!(lines[1].starts_with("hint: ") && lines[1].contains(hint), "{message}");
    }
    // Nothing is known to help here.
    assert!(!stderr(&w.run(&["run", "tiny-suite.toml", "--method", "lorra"])).contains("hint:"));
}

#[test]
fn quiet_leaves_results_and_errors() {
    let w = Workspace::new();
    let loud = w.run(&RUN);
    assert_success(&loud);
    assert!(stderr(&loud).contains("12 steps") && stderr(&loud).contains("warning: "), "{}", stderr(&loud));
    for place in [0, RUN.len()] {
        let mut arguments = RUN.to_vec();
        arguments.insert(place, "--quiet");
        arguments.extend(["--steps", if place == 0 { "3" } else { "4" }]);
        let quiet = w.run(&arguments);
        assert_success(&quiet);
        assert_eq!(stderr(&quiet), "");
        assert!(stdout(&quiet).contains("Tiny suite"), "{}", stdout(&quiet));
    }
    assert_refused(&w.run(&["run", "gleu", "--quiet"]), &["error: unknown suite", "\nhint: "]);
}

#[test]
fn a_log_for_programs_is_one_json_object_per_line() {
    let w = Workspace::new();
    let run = w.run(&[&RUN[..], &["--log-format", "json"]].concat());
    assert_success(&run);
    assert!(stdout(&run).contains("Tiny suite"), "results stay as they are");
    let lines = log(&stderr(&run));
    for line in &lines {
        let fields: Vec<&String> = line.as_object().unwrap().keys().take(3).collect();
        assert_eq!(fields, ["time", "level", "message"]);
        let time = chrono_like(line["time"].as_str().unwrap());
        assert!(time, "{line}");
    }
    let has = |level: &str, part: &str| {
        let is = |line: &&Value| line["level"] == level && line["message"].as_str().unwrap().contains(part);
        assert!(lines.iter().any(|line| is(&line)), "{level}: {part}: {lines:#?}");
    };
    has("progress", "1 cells, 0 already done");
    has("progress", "12 steps, 1 run");
    has("warning", "tiny: the test split has only 12 rows");
    let refused = w.run(&["run", "gleu", "--log-format", "json"]);
    assert_eq!(refused.status.code(), Some(2));
    let [line] = &log(&stderr(&refused))[..] else { panic!("{}", stderr(&refused)) };
    assert_eq!(line["level"], "error");
    assert!(line["message"].as_str().unwrap().starts_with("unknown suite `gleu`"), "{line}");
    assert!(line["hint"].as_str().unwrap().contains("peft-bench suites"), "{line}");
}

/// `2026-01-02T03:04:05Z`
fn chrono_like(time: &str) -> bool {
    let pattern = "dddd-dd-ddTdd:dd:ddZ";
    let fits = |(c, p): (char, char)| if p == 'd' { c.is_ascii_digit() } else { c == p };
    time.len() == pattern.len() && time.chars().zip(pattern.chars()).all(fits)
}

#[test]
fn help_is_styled_unless_no_color_is_set() {
    let w = Workspace::new();
    let help = |variables: &[(&str, &str)]| {
        let mut command = w.command(&["--help"]);
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env("TERM", "xterm");
        stdout(&command.envs(variables.iter().copied()).output().unwrap())
    };
    let forced = ("CLICOLOR_FORCE", "1");
    assert!(help(&[forced]).contains('\u{1b}'));
    assert!(!help(&[forced, ("NO_COLOR", "1")]).contains('\u{1b}'));
    assert!(!help(&[]).contains('\u{1b}'), "a pipe gets plain text");
}

#[test]
fn every_shell_gets_completions_of_every_command() {
    let w = Workspace::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = w.run(&["completions", shell]);
        assert_success(&script);
        for part in ["peft-bench", "pretrain", "memory-limit", "log-format"] {
            assert!(stdout(&script).contains(part), "{shell}: {part}");
        }
    }
    assert_refused(&w.run(&["completions", "sh"]), &["bash", "zsh"]);
}

#[test]
fn manual_pages_say_what_the_help_says() {
    let w = Workspace::new();
    let page = w.run(&["man"]);
    assert_success(&page);
    for part in [".TH peft-bench 1", "pretrain", "Compares parameter", "Examples:"] {
        assert!(stdout(&page).contains(part), "`{part}` is not in: {}", stdout(&page));
    }
    assert_success(&w.run(&["man", "--out", "pages/man1"]));
    let pages = files(&w.path("pages/man1"));
    for name in ["peft-bench.1", "peft-bench-run.1", "peft-bench-tasks-show.1"] {
        assert!(pages.iter().any(|page| page == name), "{pages:?}");
    }
    assert!(w.read("pages/man1/peft-bench-run.1").contains("memory"));
    w.write("file", "");
    assert_refused(&w.run(&["man", "--out", "file"]), &["cannot write file"]);
}
