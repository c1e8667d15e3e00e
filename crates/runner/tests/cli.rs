//! The program from a user's point of view: its output, and how it refuses bad input.

mod common;

use std::fs;

use common::{Workspace, assert_refused, assert_success, files, stderr, stdout};
use peft_bench::results::{CellStatus, Curve, Store};
use serde_json::Value;

#[test]
fn a_suite_runs_and_leaves_whole_files() {
    let w = Workspace::new();
    let output = w.run(&["run", "tiny-suite.toml", "--out", "out"]);
    assert_success(&output);
    let table = stdout(&output);
    for part in ["Tiny suite", "lora", "prompt-tuning", "average", "seeds", "comparison.parquet"] {
        assert!(table.contains(part), "{table}");
    }
    let parts = ["adapters", "cells", "comparison.parquet", "comparison.svg", "suites"];
    assert_eq!(files(&w.path("out")), parts);
    let cells = files(&w.path("out/cells"));
    assert_eq!(cells.len(), 4, "two methods, two seeds: {cells:?}");
    let store = Store::open(&w.path("out")).unwrap();
    for cell in &cells {
        let record = store.read(cell.trim_end_matches(".parquet")).unwrap().unwrap();
        assert_eq!(record.status, CellStatus::Completed);
        assert!(record.score.unwrap() >= 0.0 && record.losses.last().unwrap().0 == 12);
        assert_eq!(record.validation_curve.iter().map(|p| p.0).collect::<Vec<_>>(), [6, 12]);
        assert_eq!((record.train_rows, record.validation_rows, record.test_rows), (40, 12, 12));
        assert_eq!(record.runs_side_by_side, 2);
        assert!(record.test_scores.contains("f1"));
        assert!(files(&store.adapter_folder(&record.cell)).contains(&"adapter.json".to_string()));
    }
}

#[test]
fn the_lowest_error_chooses_the_checkpoint_and_is_no_percentage() {
    let w = Workspace::new();
    w.edit("tiny.toml", "select = \"accuracy\"", "select = \"mean-absolute-error\"");
    // Before it has learned to answer with a number, each answer counts as -1.
    w.edit("tiny-suite.toml", "evaluate_every = 6", "evaluate_every = 1");
    w.edit("tiny-suite.toml", "[methods.lora]", "[methods.full]\nlearning_rate = 0.01\n\n[methods.lora]");
    let output = w.train("full", &["--out", "out", "--steps", "60"]);
    assert_success(&output);
    let table = stdout(&output);
    for part in ["mean-absolute-error ↓", "lower is better", "note: Tests has no average"] {
        assert!(table.contains(part), "`{part}` is not in: {table}");
    }
    assert!(!w.path("out/comparison.svg").exists(), "nothing is a percentage");
    let store = Store::open(&w.path("out")).unwrap();
    let mut some_differ = false;
    for cell in files(&w.path("out/cells")) {
        let record = store.read(cell.trim_end_matches(".parquet")).unwrap().unwrap();
        let scores: Vec<f64> = record.validation_curve.iter().map(|(_, score)| *score).collect();
        let lowest = scores.iter().copied().fold(f64::INFINITY, f64::min);
        assert_eq!(record.selection_score, Some(lowest), "{scores:?}");
        assert!((0.0..=2.0).contains(&lowest), "in the targets' units: {lowest}");
        some_differ |= scores.iter().any(|score| *score > lowest);
    }
    assert!(some_differ, "any choice would do");
}

#[test]
fn running_again_computes_nothing_and_gives_the_same_table() {
    let w = Workspace::new();
    let first = w.train("lora", &["--out", "out"]);
    assert_success(&first);
    let again = w.train("lora", &["--out", "out"]);
    assert_success(&again);
    assert_eq!(stdout(&first), stdout(&again));
    assert!(!stderr(&again).contains("steps"), "{}", stderr(&again));
    let more = w.train("lora", &["--out", "out", "--seed", "1", "--seed", "2", "--seed", "3"]);
    assert_success(&more);
    assert!(stderr(&more).contains("12 steps, 1 run\n"), "only the new seed is missing: {}", stderr(&more));
    w.edit("rows/train.csv", "very good", "very red");
    let changed = w.train("lora", &["--out", "out"]);
    assert_success(&changed);
    assert!(stderr(&changed).contains("2 runs"), "other rows make other results: {}", stderr(&changed));
}

#[test]
fn seeds_in_one_batched_pass_equal_separate_runs() {
    let w = Workspace::new();
    assert_success(&w.run(&["run", "tiny-suite.toml", "--out", "together", "--seed", "1", "--seed", "2"]));
    for seed in ["1", "2"] {
        assert_success(&w.run(&["run", "tiny-suite.toml", "--out", "alone", "--seed", seed]));
    }
    let cells = files(&w.path("together/adapters"));
    assert_eq!(cells, files(&w.path("alone/adapters")));
    for cell in cells {
        let floats = |out: &str| {
            let bytes = fs::read(w.path(&format!("{out}/adapters/{cell}/adapter.safetensors"))).unwrap();
            let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
            let mut names = tensors.names();
            names.sort();
            let data: Vec<u8> =
                names.iter().flat_map(|name| tensors.tensor(name).unwrap().data().to_vec()).collect();
            data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect::<Vec<f32>>()
        };
        let (together, alone) = (floats("together"), floats("alone"));
        assert!(!together.is_empty() && together.len() == alone.len());
        for (a, b) in together.iter().zip(&alone) {
            assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a} in company, {b} alone");
        }
    }
}

#[test]
fn a_mistake_in_the_last_task_is_reported_before_the_first_one_trains() {
    let w = Workspace::new();
    let second = w.read("tiny.toml").replace("\"Tiny\"", "\"Second\"");
    w.write("second.toml", &second.replace("{text}", "{txt}"));
    let run = ["run", "tiny-suite.toml", "--task", "tiny.toml", "--task", "second.toml", "--out", "out"];
    let output = w.run(&run);
    assert_refused(&output, &["second.toml", "`txt`"]);
    assert!(!stderr(&output).contains("steps") && !w.path("out").exists(), "{}", stderr(&output));

    let target = "source = \"sentence: {text}\"\ntarget = \"{text}\"";
    let free = second.replace("source = \"sentence: {text}\"", target);
    let free = free.replace("[labels]\nwords = [\"0\", \"1\"]\n", "").replace("\"f1\"", "\"pearson\"");
    w.write("second.toml", &free);
    let output = w.run(&run);
    assert_refused(&output, &["second", "metrics"]);
    assert!(!stderr(&output).contains("steps") && !w.path("out").exists(), "{}", stderr(&output));
}

#[test]
fn a_method_under_two_names_trains_once_and_is_reported_under_both() {
    let w = Workspace::new();
    w.edit(
        "tiny-suite.toml",
        "[methods.lora]",
        "[methods.again]\nmethod = \"lora\"\nrank = 2\nalpha = 2.0\nlearning_rate = 0.01\n\n[methods.lora]",
    );
    let run = w.run(&["run", "tiny-suite.toml", "--method", "again", "--method", "lora", "--out", "out"]);
    assert_success(&run);
    assert_eq!(common::files(&w.path("out/cells")).len(), 2, "one per seed");
    for name in [" again ", " lora "] {
        let line = stdout(&run).lines().find(|line| line.contains(name)).unwrap().to_string();
        let seeds = line.split_whitespace().rev().nth(2);
        assert_eq!(seeds, Some("2"), "{line}");
    }
}

#[test]
fn suites_that_contradict_themselves_are_refused() {
    let w = Workspace::new();
    assert_refused(&w.train("lora", &["--seed", "1", "--seed", "1"]), &["seed 1", "twice"]);
    let twice = w.train("lora", &["--task", "tiny.toml", "--task", "tiny.toml"]);
    assert_refused(&twice, &["`tiny.toml`", "twice"]);
    // The same rows with another path, or other rows with the same title, would count as seeds.
    let same = w.train("lora", &["--task", "tiny.toml", "--task", "./tiny.toml"]);
    assert_refused(&same, &["`Tiny`", "./tiny.toml", "`title`"]);
    let cases: [(&str, &str, &[&str]); 11] = [
        ("steps = 12", "steps = -1", &["tiny-suite.toml", "training: `steps`"]),
        ("alpha = 2.0", "alpha = nan", &["`methods.lora.alpha`", "NaN", "finite"]),
        ("rank = 2", "rank = \"high\"", &["methods.lora", "`rank`"]),
        ("seeds = [1, 2]", "seeds = [1]\nshots = [0]", &["`shots`", "0"]),
        ("seeds = [1, 2]", "seeds = [1]\nshots = [4, 4]", &["`shots`", "4", "twice"]),
        ("seeds = [1, 2]", "seeds = [1]\nshots = [100000]", &["`shots`", "100000", "tiny"]),
        ("seeds = [1, 2]", "seeds = []", &["no seeds"]),
        ("model = \"model\"", "model = \"model\"\nbase = \"tiny-suite.toml\"", &["base", "circle"]),
        ("steps = 12", "steps = 12\nepochs = 2", &["tiny-suite.toml", "steps", "epochs"]),
        ("[methods.lora]", "[[for]]\ntasks = [\"colla\"]\n\n[methods.lora]", &["for.tasks", "cola"]),
        ("[methods.lora]", "[[for]]\nmethods = [\"lorra\"]\n\n[methods.lora]", &["for.methods", "lora"]),
    ];
    for (from, to, parts) in cases {
        let w = Workspace::new();
        w.edit("tiny-suite.toml", from, to);
        assert_refused(&w.run(&["run", "tiny-suite.toml"]), parts);
    }
}

#[test]
fn random_weights_need_no_weight_files() {
    let w = Workspace::new();
    fs::remove_file(w.path("model/model.safetensors")).unwrap();
    let output = w.train("lora", &["--out", "out", "--model", "model@random"]);
    assert_success(&output);
}

#[test]
fn the_same_seed_gives_bit_identical_results() {
    let w = Workspace::new();
    for out in ["a", "b"] {
        assert_success(&w.run(&["run", "tiny-suite.toml", "--out", out]));
    }
    for cell in files(&w.path("a/adapters")) {
        let tensors =
            |out: &str| fs::read(w.path(out).join("adapters").join(&cell).join("adapter.safetensors"));
        assert_eq!(tensors("a").unwrap(), tensors("b").unwrap(), "{cell}");
    }
    let (a, b) = (Store::open(&w.path("a")).unwrap(), Store::open(&w.path("b")).unwrap());
    for cell in files(&w.path("a/cells")) {
        let id = cell.trim_end_matches(".parquet");
        let (a, b) = (a.read(id).unwrap().unwrap(), b.read(id).unwrap().unwrap());
        assert_eq!((a.score, a.losses, a.validation_curve), (b.score, b.losses, b.validation_curve));
    }
}

#[test]
fn a_killed_run_resumes_bit_identically() {
    let w = Workspace::new();
    w.edit("tiny-suite.toml", "steps = 12", "steps = 400");
    w.edit("tiny-suite.toml", "evaluate_every = 6", "evaluate_every = 100");
    let arguments =
        |out| ["run", "tiny-suite.toml", "--method", "lora", "--checkpoint-every", "0", "--out", out];
    let mut child = w.command(&arguments("a")).stderr(std::process::Stdio::null()).spawn().unwrap();
    let started = std::time::Instant::now();
    // Late enough that a best checkpoint is part of the state.
    let is_written = || files(&w.path("a/state")).iter().any(|name| name.ends_with(".safetensors"));
    while !is_written() || started.elapsed().as_millis() < 300 {
        assert!(started.elapsed().as_secs() < 60, "no state was written");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let killed_on_the_way = files(&w.path("a/cells")).iter().all(|name| name.starts_with('.'));
    let resumed = w.run(&arguments("a"));
    assert_success(&resumed);
    assert_success(&w.run(&arguments("b")));
    if killed_on_the_way {
        assert!(stderr(&resumed).contains("resuming after step"), "{}", stderr(&resumed));
    }
    assert!(!w.path("a/state").exists(), "the state goes when the results are there");
    for cell in files(&w.path("b/adapters")) {
        let tensors =
            |out: &str| fs::read(w.path(out).join("adapters").join(&cell).join("adapter.safetensors"));
        assert_eq!(tensors("a").unwrap(), tensors("b").unwrap(), "{cell}");
    }
}

#[test]
fn a_diverged_run_does_not_stop_the_others() {
    let w = Workspace::new();
    w.edit("tiny-suite.toml", "learning_rate = 0.01", "learning_rate = 1e38");
    let output = w.run(&["run", "tiny-suite.toml", "--out", "out", "--steps", "30"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let table = stdout(&output);
    assert!(table.contains("2 of 2 diverged") && table.contains("the loss was NaN by step"), "{table}");
    let store = Store::open(&w.path("out")).unwrap();
    for cell in files(&w.path("out/cells")) {
        let record = store.read(cell.trim_end_matches(".parquet")).unwrap().unwrap();
        match record.method.as_str() {
            "lora" => assert!(record.score.is_none() && matches!(record.status, CellStatus::Diverged(_))),
            _ => assert!(record.score.is_some() && record.status == CellStatus::Completed),
        }
    }
}

#[test]
fn a_run_that_diverges_at_its_last_step_is_reported() {
    let w = Workspace::new();
    w.edit("tiny-suite.toml", "learning_rate = 0.01", "learning_rate = 1e39");
    w.edit("tiny-suite.toml", "warmup_steps = 2", "warmup_steps = 0");
    let output = w.train("lora", &["--steps", "1"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).contains("2 of 2 diverged"), "{}", stdout(&output));
}

#[test]
fn scoring_pairs() {
    let w = Workspace::new();
    w.write(
        "pairs.jsonl",
        "{\"source\": \"sentence: the film was good\", \"target\": \"1\"}\n\n\
         {\"source\": \"sentence: the book was very very very bad\", \"target\": \"0\"}\n",
    );
    let score = |more: &[&str]| {
        let mut arguments =
            vec!["score", "--model", "model", "--input", "pairs.jsonl", "--output", "out.jsonl"];
        arguments.extend(more);
        let output = w.run(&arguments);
        assert_success(&output);
        let lines: Vec<Value> =
            w.read("out.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (lines, stderr(&output))
    };
    let (lines, _) = score(&[]);
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["source_ids"], serde_json::json!([6, 11, 9, 13, 7, 1]));
    assert_eq!(lines[0]["target_ids"], serde_json::json!([4, 1]));
    assert!(lines[0]["logprob"].as_f64().unwrap() < 0.0);
    let generated = lines[0]["generated_ids"].as_array().unwrap();
    assert!(generated[0] == 0 && generated.len() <= 9);
    assert!(lines[0]["generated_text"].is_string());

    let (cut, message) = score(&["--max-source-length", "4", "--max-new-tokens", "2"]);
    assert_eq!(cut[1]["source_ids"], serde_json::json!([6, 11, 10, 1]));
    assert!(message.contains("2 of 2 sources are longer than 4 tokens"), "{message}");
    assert!(cut[1]["generated_ids"].as_array().unwrap().len() <= 3);

    assert_success(&w.train("lora", &["--out", "out"]));
    let adapter = format!("out/adapters/{}", files(&w.path("out/adapters"))[0]);
    let (adapted, message) = score(&["--adapter", &adapter]);
    assert_ne!(adapted[0]["logprob"], lines[0]["logprob"]);
    assert!(message.is_empty(), "{message}");
    assert_success(&w.train("lora", &["--out", "other", "--model", "model@random"]));
    let adapter = format!("other/adapters/{}", files(&w.path("other/adapters"))[0]);
    let (_, message) = score(&["--adapter", &adapter]);
    assert!(message.contains("was trained on model@random"), "{message}");
}

#[test]
fn unknown_names_are_refused_with_a_suggestion() {
    let w = Workspace::new();
    assert_refused(
        &w.run(&["run", "tiny-suite.toml", "--task", "colla"]),
        &["unknown task `colla`", "`cola`"],
    );
    assert_refused(&w.train("prompt-tunning", &[]), &["unknown method `prompt-tunning`", "`prompt-tuning`"]);
    assert_refused(&w.run(&["run", "gleu"]), &["unknown suite `gleu`", "`glue`"]);
    assert_refused(&w.run(&["run", "missing.toml"]), &["cannot read missing.toml"]);
    assert_refused(&w.train("lora", &["--task", "missing.toml"]), &["cannot read missing.toml"]);
    assert!(!w.path("results").exists(), "nothing may be written");
}

#[test]
fn malformed_files_are_named_with_the_line() {
    let w = Workspace::new();
    w.edit("tiny.toml", "rule = \"official\"", "rule = \"official");
    assert_refused(&w.train("lora", &[]), &["tiny.toml", "line 9"]);
    let w = Workspace::new();
    w.edit("tiny.toml", "select =", "selekt =");
    assert_refused(&w.train("lora", &[]), &["tiny.toml", "selekt", "select"]);
    let w = Workspace::new();
    w.edit("tiny-suite.toml", "steps = 12", "stepz = 12");
    assert_refused(&w.train("lora", &[]), &["tiny-suite.toml", "stepz", "steps"]);
    let w = Workspace::new();
    w.edit("tiny-suite.toml", "rank = 2", "rnk = 2");
    assert_refused(&w.train("lora", &[]), &["tiny-suite.toml", "methods.lora", "rnk"]);
}

#[test]
fn rows_that_do_not_fit_the_task_are_explained() {
    let w = Workspace::new();
    w.edit("tiny.toml", "{text}", "{txt}");
    assert_refused(&w.train("lora", &[]), &["tiny.toml", "text.source", "`txt`", "text, label"]);
    let w = Workspace::new();
    w.edit("rows/validation.csv", "the book was very good,1", "the book was very good,7");
    assert_refused(
        &w.train("lora", &[]),
        &["tiny.toml", "validation.csv, line 3", "`label` holds `7`", "0, 1"],
    );
    let w = Workspace::new();
    w.edit("tiny.toml", "{text}", "{text|pad-punct}");
    assert_refused(&w.train("lora", &[]), &["tiny.toml", "text.source", "pad-punct", "pad-punctuation"]);
    let w = Workspace::new();
    w.edit("tiny.toml", "rows/test.csv", "rows/nothing.csv");
    assert_refused(&w.train("lora", &[]), &["cannot read", "nothing.csv"]);
    let w = Workspace::new();
    w.edit("tiny.toml", ", test = \"rows/test.csv\"", "");
    assert_refused(&w.train("lora", &[]), &["tiny.toml", "no split `test`", "train, validation"]);
}

#[test]
fn truncated_files_are_refused() {
    let w = Workspace::new();
    let bytes = fs::read(w.path("model/model.safetensors")).unwrap();
    fs::write(w.path("model/model.safetensors"), &bytes[..bytes.len() / 2]).unwrap();
    assert_refused(&w.train("lora", &[]), &["model.safetensors", "not a readable checkpoint"]);

    let w = Workspace::new();
    w.edit("tiny.toml", "rows/train.csv", "rows/train.parquet");
    w.write("rows/train.parquet", "PAR1 cut off in the middle");
    assert_refused(&w.train("lora", &[]), &["train.parquet", "not readable"]);

    let w = Workspace::new();
    w.edit("model/config.json", "\"d_ff\": 24", "\"d_ff\": 32");
    assert_refused(&w.train("lora", &[]), &["model.safetensors", "wi.weight", "[24, 16]", "[32, 16]"]);
}

#[test]
fn sources_over_the_limit_are_truncated_and_counted() {
    let w = Workspace::new();
    w.edit("tiny.toml", "also = [\"f1\"]", "also = [\"f1\"]\n\n[limits]\nsource_tokens = 6");
    let output = w.train("lora", &["--out", "out"]);
    assert_success(&output);
    assert!(stderr(&output).contains("train sources are longer than 6 tokens and were cut"));
}

#[test]
fn dept_refuses_sources_beyond_its_positions() {
    let w = Workspace::new();
    w.edit("tiny-suite.toml", "[methods.lora]", "[methods.dept]\nmax_length = 8\n\n[methods.lora]");
    assert_refused(&w.train("dept", &[]), &["dept", "8 source tokens", "256", "max_length"]);
}

#[test]
fn a_results_folder_that_cannot_be_written_is_refused_before_training() {
    let w = Workspace::new();
    w.write("file", "in the way");
    let output = w.train("lora", &["--out", "file"]);
    assert_refused(&output, &["cannot write", "file"]);
    assert!(!stderr(&output).contains("steps"));
}

#[test]
fn listings() {
    let w = Workspace::new();
    let output = w.run(&["methods", "--model", "model"]);
    assert_success(&output);
    assert!(stdout(&output).contains("prompt-tuning"));
    let output = w.run(&["tasks"]);
    assert_success(&output);
    assert!(stdout(&output).contains("nyu-mll/glue (cola)"));
}

#[test]
fn rows_are_tokenized_once_and_again_after_a_change() {
    let workspace = Workspace::new();
    let cached = || files(&workspace.path("tokens")).len();
    assert_success(&workspace.train("lora", &["--out", "first"]));
    assert_eq!(cached(), 3, "one for each role");
    assert_success(&workspace.train("lora", &["--out", "second"]));
    assert_eq!(cached(), 3);
    assert_eq!(losses(&workspace, "first"), losses(&workspace, "second"));
    let rows = workspace.read("rows/train.csv");
    workspace.write("rows/train.csv", &format!("{rows}the film was very very good,1\n"));
    assert_success(&workspace.train("lora", &["--out", "third"]));
    assert_eq!(cached(), 4);
}

#[test]
fn damaged_tokens_are_reported_and_recomputed() {
    let workspace = Workspace::new();
    assert_success(&workspace.train("lora", &["--out", "first"]));
    for name in files(&workspace.path("tokens")) {
        workspace.write(&format!("tokens/{name}"), "not what it was");
    }
    let output = workspace.train("lora", &["--out", "second"]);
    assert_success(&output);
    let message = stderr(&output);
    assert!(message.contains("are damaged; making them anew"), "{message}");
    assert_eq!(losses(&workspace, "first"), losses(&workspace, "second"));
}

fn losses(workspace: &Workspace, out: &str) -> Vec<Curve> {
    let store = Store::open(&workspace.path(out)).unwrap();
    let cells = files(&workspace.path(&format!("{out}/cells")));
    cells.iter().map(|c| store.read(c.trim_end_matches(".parquet")).unwrap().unwrap().losses).collect()
}
