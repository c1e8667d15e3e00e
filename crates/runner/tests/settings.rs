//! Overrides on the command line, and tables of runs with different settings.

mod common;

use std::fs;

use common::{Workspace, assert_refused, assert_success, files, stderr, stdout};
use peft_bench::results::Store;

#[test]
fn any_setting_can_be_overridden() {
    let w = Workspace::new();
    let trainable = |more: &[&str]| {
        let output = w.train("lora", &[&["--seed", "1", "--steps", "1"], more].concat());
        assert_success(&output);
        let table = stdout(&output);
        let line = table.lines().rfind(|line| line.trim_start().starts_with("lora")).unwrap().to_string();
        line.split_whitespace()
            .find(|word| word.len() > 2 && word.chars().all(|c| c.is_ascii_digit() || c == ','))
            .unwrap()
            .to_string()
    };
    let two = trainable(&["--out", "a"]);
    let four = trainable(&["--out", "b", "--set", "methods.lora.rank=4"]);
    let count = |text: &str| text.replace(',', "").parse::<u64>().unwrap();
    assert_eq!(count(&four), 2 * count(&two));

    // The command line takes precedence over the suite's overrides; bare words are strings.
    w.edit(
        "tiny-suite.toml",
        "[methods.lora]",
        "[[for]]\ntasks = [\"tiny.toml\"]\nmethods = [\"lora\"]\nsettings = { rank = 1 }\n\n[methods.lora]",
    );
    let eight =
        trainable(&["--out", "c", "--set", "methods.lora.rank=8", "--set", "training.batching=bucketed"]);
    assert_eq!(count(&eight), 4 * count(&two));
}

#[test]
fn settings_that_have_no_effect_or_no_meaning_are_refused() {
    let cases: [(&str, &[&str]); 9] = [
        ("methods.lora.rnk=4", &["--set methods.lora.rnk=4", "`rnk`", "`rank`"]),
        ("methods.lora.rank=many", &["`rank`"]),
        ("methods.lora.rank=0", &["`rank` is 0"]),
        ("methods.dept.rank=4", &["no method `dept` runs", "lora"]),
        ("methods.lora.method=adept", &["`method`"]),
        ("training.stepps=4", &["`stepps`", "`steps`"]),
        ("training.steps", &["no `=`"]),
        ("nothing.at.all=1", &["nothing.at.all"]),
        ("seeds=[1, 1]", &["seed 1", "twice"]),
    ];
    for (set, parts) in cases {
        let w = Workspace::new();
        assert_refused(&w.train("lora", &["--set", set, "--out", "out"]), parts);
        assert!(!w.path("out").exists(), "{set}");
    }
}

#[test]
fn errors_in_overrides_name_the_command_line() {
    let w = Workspace::new();
    let method = w.train("lorra", &[]);
    assert_refused(&method, &["--method lorra", "did you mean `lora`?"]);
    assert!(!stderr(&method).contains("tiny-suite.toml"), "{}", stderr(&method));
    let task = w.train("lora", &["--task", "colla"]);
    assert_refused(&task, &["--task colla", "did you mean `cola`?"]);
    assert!(!stderr(&task).contains("tiny-suite.toml"), "{}", stderr(&task));
}

#[test]
fn a_narrower_run_does_not_narrow_the_table() {
    let w = Workspace::new();
    let out = ["--out", "out", "--steps", "1"];
    assert_success(&w.run(&[&["run", "tiny-suite.toml"][..], &out].concat()));
    let whole = stdout(&w.run(&["report", "out"]));
    let table = fs::read(w.path("out/comparison.parquet")).unwrap();
    let narrow = w.run(&[&["run", "tiny-suite.toml", "--method", "lora", "--seed", "1"][..], &out].concat());
    assert_success(&narrow);
    assert!(stdout(&narrow).contains("prompt-tuning"), "{}", stdout(&narrow));
    assert_eq!(stdout(&w.run(&["report", "out"])), whole);
    assert_eq!(fs::read(w.path("out/comparison.parquet")).unwrap(), table);
}

#[test]
fn a_report_lists_what_is_missing_and_writes_nothing() {
    let w = Workspace::new();
    let out = ["--out", "out", "--steps", "1"];
    assert_success(&w.run(&[&["run", "tiny-suite.toml"][..], &out].concat()));
    let cells = files(&w.path("out/cells"));
    fs::remove_file(w.path("out/cells").join(&cells[0])).unwrap();
    let table = fs::read(w.path("out/comparison.parquet")).unwrap();
    let report = w.run(&["report", "out"]);
    assert_success(&report);
    assert!(stdout(&report).contains("missing"), "{}", stdout(&report));
    assert_eq!(fs::read(w.path("out/comparison.parquet")).unwrap(), table);
    fs::create_dir(w.path("empty")).unwrap();
    for folder in ["empty", "nowhere", "tiny.toml"] {
        assert_refused(&w.run(&["report", folder]), &[folder]);
    }
    assert!(files(&w.path("empty")).is_empty());
}

#[test]
fn methods_with_different_settings_are_never_averaged() {
    let w = Workspace::new();
    let out = ["--out", "out", "--steps", "1"];
    assert_success(&w.train("lora", &out));
    let other = w.train("lora", &[&out[..], &["--set", "methods.lora.rank=4"]].concat());
    assert_success(&other);
    assert!(stdout(&other).contains("rank = 4") && stdout(&other).contains("2 ways"), "{}", stdout(&other));
    let lines = stdout(&other);
    let rows = lines.lines().filter(|line| line.trim_start().starts_with("lora"));
    assert_eq!(rows.count(), 2, "{lines}");
}

#[test]
fn a_run_counts_its_cells_and_reports_each_one_that_is_done() {
    let w = Workspace::new();
    let output = w.run(&["run", "tiny-suite.toml", "--out", "out", "--steps", "1"]);
    assert_success(&output);
    let said = stderr(&output);
    for part in ["4 cells, 0 already done, 4 to run", "cells 1-2 of 4", "4/4 prompt-tuning on Tiny, seed 2: "]
    {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    let again = stderr(&w.run(&["run", "tiny-suite.toml", "--out", "out", "--steps", "1"]));
    assert!(again.contains("4 cells, 4 already done, 0 to run") && !again.contains("4/4"), "{again}");
}

#[test]
fn listings_fit_a_terminal_of_80_columns() {
    let w = Workspace::new();
    for command in ["tasks", "suites", "methods"] {
        let output = w.run(&[command]);
        assert_success(&output);
        for line in stdout(&output).lines() {
            assert!(line.chars().count() <= 80, "{command}: {line}");
        }
    }
    let suites = stdout(&w.run(&["suites"]));
    let words: Vec<&str> = suites.split_whitespace().collect();
    assert!(words.join(" ").contains("22 tasks x 8 methods x 1 seed = 176 cells"), "{suites}");
}

#[test]
fn paths_in_a_suite_are_relative_to_it() {
    let w = Workspace::new();
    let suite = w.read("tiny-suite.toml").replace("\"tiny.toml\"", "\"../tiny.toml\"");
    w.write("suites/own.toml", &suite.replace("model = \"model\"", "model = \"../model\""));
    assert_success(&w.run(&["run", "suites/own.toml", "--steps", "1", "--out", "there"]));
    assert_success(&w.run(&["run", "tiny-suite.toml", "--steps", "1", "--out", "here"]));
    assert_eq!(files(&w.path("there/cells")), files(&w.path("here/cells")), "a cell is where no file lies");
}

#[test]
fn a_precision_that_the_device_lacks_is_refused() {
    let w = Workspace::new();
    for option in [["--precision", "bf16"], ["--set", "precision=bf16"]] {
        let refused = w.train("lora", &[&option[..], &["--out", "out"]].concat());
        assert_refused(&refused, &["precision bf16", "cpu computes in f32 only"]);
        assert!(!w.path("out").exists());
    }
    assert_refused(
        &w.train("lora", &["--precision", "f32", "--set", "precision=f32"]),
        &["--precision says it too"],
    );
    assert_success(&w.train("lora", &["--precision", "f32", "--steps", "1", "--seed", "1", "--out", "out"]));
}

#[test]
fn a_memory_limit_splits_batches_and_is_refused_where_no_row_fits() {
    let w = Workspace::new();
    let run = |out: &str, more: &[&str]| {
        w.train("lora", &[&["--seed", "1", "--steps", "4", "--out", out][..], more].concat())
    };
    assert_refused(&run("none", &["--memory-limit", "0.00001"]), &["lora on tiny", "one row at a time"]);
    assert!(!w.path("none").exists());
    let wide = run("wide", &["--memory-limit", "100"]);
    assert_success(&wide);
    assert!(stderr(&wide).contains("memory: lora on tiny, 1 at once: weights 0.0 GiB"), "{}", stderr(&wide));
    // The smallest limit that is not refused has room for one row or two.
    let limits = (0..20).map(|doublings| (1e-5 * f64::from(1 << doublings)).to_string());
    let split =
        limits.into_iter().find(|limit| run(limit, &["--memory-limit", limit]).status.success()).unwrap();
    let text = stderr(&run("again", &["--memory-limit", &split]));
    assert!(text.contains("each batch in") && text.contains("slices of"), "{text}");
    let losses = |out: &str| {
        let records = Store::read_only(&w.path(out)).unwrap().records().unwrap();
        records.into_iter().map(|record| (record.cell, record.losses)).collect::<Vec<_>>()
    };
    let (wide, split) = (losses("wide"), losses(&split));
    assert_eq!((wide.len(), &wide[0].0), (1, &split[0].0), "how a batch is split is no part of a cell");
    for ((step, wide), (other, split)) in wide[0].1.iter().zip(&split[0].1) {
        assert!(step == other && (wide - split).abs() < 1e-4 * wide, "{wide} {split}");
    }
}

#[test]
fn checkpointing_is_another_cell_of_nearly_the_same_result() {
    let w = Workspace::new();
    let run = |more: &[&str]| {
        w.train("lora", &[&["--seed", "1", "--steps", "3", "--out", "out"][..], more].concat())
    };
    assert_success(&run(&[]));
    assert_success(&run(&["--set", "training.gradient_checkpointing=true"]));
    assert_eq!(files(&w.path("out/cells")).len(), 2);
}
