//! Adapters on their way to Python's peft and back.

mod common;

use std::fs;
use std::path::PathBuf;

use common::{Workspace, assert_refused, assert_success, files, stdout};
use serde_json::Value;

/// The adapter that a run of two steps trains.
fn train(w: &Workspace, method: &str) -> PathBuf {
    assert_success(&w.train(method, &["--steps", "2", "--seed", "1", "--out", "out"]));
    let adapters = w.path("out/adapters");
    adapters.join(&files(&adapters)[0])
}

fn score(w: &Workspace, adapter: &str) -> String {
    w.write("pairs.jsonl", "{\"source\": \"sentence: the film was good\", \"target\": \"1\"}\n");
    let output = w.run(&["score", "--model", "model", "--adapter", adapter, "--input", "pairs.jsonl"]);
    assert_success(&output);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_exported_adapter_scores_as_the_trained_one() {
    for method in ["lora", "ia3", "layer-norm", "prompt-tuning", "dept"] {
        let w = Workspace::new();
        let adapter = train(&w, method);
        let cell = w.path("out/cells").join(format!("{}.parquet", adapter.file_name().unwrap().display()));
        assert_success(&w.run(&["export", cell.to_str().unwrap(), "--out", "exported"]));
        assert_eq!(files(&w.path("exported")), ["adapter_config.json", "adapter_model.safetensors"]);
        let config: Value = serde_json::from_str(&w.read("exported/adapter_config.json")).unwrap();
        assert_eq!(config["base_model_name_or_path"], "model");
        assert_eq!(score(&w, "exported"), score(&w, adapter.to_str().unwrap()), "{method}");
    }
}

#[test]
fn a_prompt_that_a_network_makes_travels_as_a_prompt() {
    for method in ["p-tuning", "residual-prompt-tuning"] {
        let w = Workspace::new();
        let adapter = train(&w, method);
        let adapter = adapter.to_str().unwrap();
        assert_success(&w.run(&["export", adapter, "--out", "exported"]));
        assert!(w.read("exported/adapter_config.json").contains("PROMPT_TUNING"));
        let [own, exported] = [adapter, "exported"].map(|adapter| log_probabilities(&score(&w, adapter)));
        assert!((own[0] - exported[0]).abs() < 1e-5 * own[0].abs(), "{method}: {own:?} {exported:?}");
    }
}

#[test]
fn what_cannot_be_exported_is_said_in_one_line() {
    let w = Workspace::new();
    let adapter = train(&w, "adept");
    let adapter = adapter.to_str().unwrap();
    assert_refused(
        &w.run(&["export", adapter, "--out", "exported"]),
        &["adept", "Python's peft has no such method"],
    );
    fs::create_dir(w.path("full")).unwrap();
    w.write("full/notes.txt", "mine");
    assert_refused(&w.run(&["export", adapter, "--out", "full"]), &["--out full", "not empty"]);
    assert_refused(&w.run(&["export", "nowhere", "--out", "new"]), &["nowhere"]);
    assert_refused(
        &w.run(&["export", adapter, "--model", "nowhere/at-all", "--out", "new"]),
        &["nowhere/at-all"],
    );
}

#[test]
fn a_folder_of_two_adapters_is_refused() {
    let w = Workspace::new();
    let adapter = train(&w, "lora");
    let own = adapter.to_str().unwrap();
    assert_success(&w.run(&["export", own, "--out", "exported"]));
    fs::copy(w.path("exported/adapter_config.json"), adapter.join("adapter_config.json")).unwrap();
    w.write("pairs.jsonl", "{\"source\": \"a\", \"target\": \"1\"}\n");
    let refused = w.run(&["score", "--model", "model", "--adapter", own, "--input", "pairs.jsonl"]);
    assert_refused(&refused, &["adapter.json and adapter_config.json"]);
}

/// Scores of the merged model without an adapter.
fn score_merged(w: &Workspace) -> Vec<f64> {
    let output = w.run(&["score", "--model", "merged", "--input", "pairs.jsonl"]);
    assert_success(&output);
    log_probabilities(&String::from_utf8(output.stdout).unwrap())
}

fn log_probabilities(lines: &str) -> Vec<f64> {
    let row = |line: &str| serde_json::from_str::<Value>(line).unwrap()["logprob"].as_f64().unwrap();
    lines.lines().map(row).collect()
}

#[test]
fn a_merged_model_scores_as_the_adapter_does() {
    for method in ["lora", "dora", "ia3", "layer-norm", "full"] {
        let w = Workspace::new();
        let adapter = train(&w, method);
        let adapter = adapter.to_str().unwrap();
        assert_success(&w.run(&["export", adapter, "--merge", "--out", "merged"]));
        let trained = log_probabilities(&score(&w, adapter));
        for (merged, trained) in score_merged(&w).iter().zip(trained) {
            assert!((merged - trained).abs() < 1e-5 * trained.abs(), "{method}: {merged} {trained}");
        }
    }
}

#[test]
fn an_adapter_of_either_kind_is_described() {
    let w = Workspace::new();
    let adapter = train(&w, "lora");
    let own = adapter.to_str().unwrap();
    assert_success(&w.run(&["export", own, "--out", "exported"]));
    let [own, exported] = [own, "exported"].map(|folder| {
        let described = w.run(&["report", "--adapter", folder]);
        assert_success(&described);
        stdout(&described)
    });
    assert!(own.contains(": lora over model (") && own.contains("\n  rank = "), "{own}");
    assert!(own.contains("lora_A") && own.contains("Python's peft has the method"), "{own}");
    let tensors =
        |text: &str| text.lines().filter(|line| line.contains('[')).map(String::from).collect::<Vec<_>>();
    assert_eq!(tensors(&own), tensors(&exported));
    assert_refused(&w.run(&["report", "--adapter", "rows"]), &["rows"]);
    assert_eq!(w.run(&["report"]).status.code(), Some(2));
    assert_eq!(w.run(&["report", "out", "--adapter", "exported"]).status.code(), Some(2));
}

#[test]
fn what_cannot_be_merged_is_refused_with_its_reason() {
    let w = Workspace::new();
    let adapter = train(&w, "bitfit");
    let adapter = adapter.to_str().unwrap();
    assert_refused(
        &w.run(&["export", adapter, "--merge", "--out", "merged"]),
        &["bitfit cannot be merged", "bias"],
    );
    let merge = ["export", adapter, "--merge", "--format", "hf-peft", "--out", "merged"];
    let output = w.run(&merge);
    assert_eq!(output.status.code(), Some(2));
}
