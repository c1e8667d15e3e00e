//! Help texts, lists and error messages in full. After an intended change: `INSTA_UPDATE=always cargo test`, then
//! review the diff.

mod common;

use common::{Workspace, assert_success, stderr, stdout};
use insta::assert_snapshot;

/// Standard output in a terminal of 100 columns.
fn output(arguments: &str) -> String {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let output = Workspace::new().command(&words).env("COLUMNS", "100").output().unwrap();
    assert_success(&output);
    // Trailing spaces would not survive editors.
    stdout(&output).lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn help_texts_match_their_snapshots() {
    for command in
        ["run", "report", "fetch", "suites", "tasks", "methods", "doctor", "pretrain", "score", "metric"]
    {
        assert_snapshot!(format!("help_{command}"), output(&format!("{command} --help")));
    }
    for command in ["show", "dump"] {
        assert_snapshot!(format!("help_tasks_{command}"), output(&format!("tasks {command} --help")));
    }
    assert_snapshot!("help", output("--help"));
}

#[test]
fn lists_match_their_snapshots() {
    for list in ["suites", "tasks", "methods"] {
        assert_snapshot!(list, output(list));
    }
}

/// What is wrong in a workspace.
type Change = fn(&Workspace);

#[test]
fn error_messages_match_their_snapshot() {
    let run = "run tiny-suite.toml";
    let mistakes: [(&str, Change); 12] = [
        ("run glu", |_| {}),
        ("run tiny-suite.toml --task rtee", |_| {}),
        ("run tiny-suite.toml --method lorra", |_| {}),
        ("run tiny-suite.toml --set training.stepps=3", |_| {}),
        ("run tiny-suite.toml --set training.batch_size=0", |_| {}),
        ("run tiny-suite.toml --model google-t5/t5-base", |_| {}),
        ("run tiny-suite.toml --model nowhere", |_| {}),
        ("metric accuarcy --input pairs.jsonl", |_| {}),
        ("score --model model --input pairs.jsonl", |w| w.write("pairs.jsonl", "{\"source\": \"a\"}\n")),
        (run, |w| w.edit("tiny.toml", "title", "tittle")),
        (run, |w| w.edit("tiny.toml", "select = \"accuracy\"", "select = \"acuracy\"")),
        (run, |w| w.write("model/config.json", "{")),
    ];
    let message = |(arguments, spoil): (&str, Change)| {
        let w = Workspace::new();
        spoil(&w);
        let words: Vec<&str> = arguments.split_whitespace().collect();
        let output = w.run(&words);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {}", stderr(&output));
        let folder = w.path("").display().to_string();
        format!("peft-bench {arguments}\n{}", stderr(&output).replace(&folder, "<workspace>/").trim_end())
    };
    assert_snapshot!("errors", mistakes.map(message).join("\n\n"));
}
