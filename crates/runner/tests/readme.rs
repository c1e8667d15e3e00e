//! The README's commands, exactly as printed.

mod common;

use common::{Workspace, assert_success, stdout};

const README: &str = include_str!("../../../README.md");

/// Blocks of the README in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("{language}\n");
    README.split("```").filter_map(|block| block.strip_prefix(fence.as_str())).collect()
}

/// The README's commands of the program, without comments.
fn commands() -> Vec<&'static str> {
    let lines = blocks("sh").into_iter().flat_map(str::lines);
    let commands = lines.filter_map(|line| line.strip_prefix("peft-bench "));
    commands.map(|line| line.split(" #").next().unwrap().trim()).collect()
}

/// The README's dataset: its TOML, and a CSV with the columns that its text mentions.
fn own_dataset() -> Workspace {
    let w = Workspace::new();
    w.write("reviews.toml", blocks("toml").iter().find(|block| block.contains("reviews.csv")).unwrap());
    let rows = (0..320).map(|i| match i % 2 {
        0 => format!("\"the film, no {i}, was very bad\",1\n"),
        _ => format!("the <b>book</b> no {i} was good,5\n"),
    });
    w.write("reviews.csv", &("text,stars\n".to_string() + &rows.collect::<String>()));
    w
}

/// Commands that need the hub or an hour; their names and options are checked by the parser.
fn needs_more(command: &str) -> bool {
    ["fetch", "run paper"].iter().any(|start| command.starts_with(start))
}

#[test]
fn the_readmes_commands_work_as_printed() {
    let w = own_dataset();
    let run: Vec<&str> = commands().into_iter().filter(|command| !needs_more(command)).collect();
    assert!(run.len() >= 2, "{run:?}");
    for command in run {
        // The only substitution: a tiny model, which needs no network, and fewer steps.
        let tiny = command.replace("google-t5/t5-base", "model");
        let mut words: Vec<&str> = tiny.split_whitespace().collect();
        match words[0] {
            "run" => words.extend(["--steps", "2", "--seed", "1"]),
            _ => words.extend(["--model", "model"]),
        }
        assert_success(&w.run(&words));
    }
    let report = w.run(&["report", "results/reviews"]);
    assert_success(&report);
    for method in ["full", "prompt-tuning", "dept", "adept", "adapter", "bitfit", "lora", "Reviews"] {
        assert!(stdout(&report).contains(method), "{}", stdout(&report));
    }
}

#[test]
fn commands_that_need_the_hub_are_parsed() {
    let w = own_dataset();
    for command in commands().into_iter().filter(|command| needs_more(command)) {
        let words: Vec<&str> = command.split_whitespace().collect();
        let output = w.run(&words);
        // Refused for lack of a network, not for an unknown argument.
        common::assert_refused(&output, &["HF_HUB_OFFLINE is set"]);
    }
}

#[test]
fn the_readmes_suite_runs() {
    let w = own_dataset();
    let suite = blocks("toml").into_iter().find(|block| block.contains("base = ")).unwrap();
    w.write("own.toml", suite);
    let more = ["--task", "tiny.toml", "--model", "model", "--steps", "2", "--seed", "1"];
    // Its override is for a task that does not run here.
    w.edit("own.toml", "tasks = [\"cola\"]\ntraining", "tasks = [\"../tiny.toml\"]\ntraining");
    w.edit("own.toml", "\"../tiny.toml\"", "\"tiny.toml\"");
    let output =
        w.run(&[&["run", "own.toml", "--method", "lora r=4", "--method", "lora r=16"][..], &more].concat());
    assert_success(&output);
    assert!(
        stdout(&output).contains("lora r=4") && stdout(&output).contains("lora r=16"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn the_readmes_sweep_runs() {
    let w = own_dataset();
    let suite = blocks("toml").into_iter().find(|block| block.contains("[sweep]")).unwrap();
    w.write("own.toml", suite);
    let more = ["--task", "tiny.toml", "--model", "model", "--steps", "1", "--seed", "42"];
    let output = w.run(&[&["run", "own.toml"][..], &more].concat());
    assert_success(&output);
    for method in ["lora", "prompt-tuning"] {
        assert!(stdout(&output).contains(&format!("  {method} on Tiny: ")), "{}", stdout(&output));
    }
}
