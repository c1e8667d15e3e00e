//! Pretraining on the pocket world: a small recipe end to end, and the embedded model.

mod common;

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use burn::tensor::{DType, Device};
use common::{Workspace, assert_refused, assert_success, stderr};
use peft_bench::files::atomic::death;
use peft_bench::hub::{Hub, HubSettings, Progress};
use peft_bench::model::{Model, Precision};
use peft_bench::pretrain::{Examples, Recipe, Report, held_out_loss};
use peft_model::{Adaptation, Parameters, families, peft};

const RECIPE: &str = r#"
title = "tiny"
seed = 3

[tokenizer]
vocabulary = 300
sentinels = 10
passages = 200

[model]
d_model = 16
d_kv = 4
d_ff = 24
num_heads = 2
num_layers = 1
num_decoder_layers = 1
relative_attention_num_buckets = 8
relative_attention_max_distance = 16
local_attention = 4.0
dropout_rate = 0.1

[data]
source_tokens = 64
noise_density = 0.15
mean_span = 2.0
held_out = 10

[training]
batch_size = 8
pieces = 2
weight_decay = 0.01
dropout_rate = 0.1
evaluate_every = 20

[[phases]]
steps = 90
learning_rate = 1e-2
warmup_steps = 3
supervised = 0.5
mixture = { reasons = 0.3, verbalized = 0.5 }

[[phases]]
steps = 10
learning_rate = 1e-3
warmup_steps = 1
supervised = 0.9
mixture = { reasons = 0.0, verbalized = 1.0 }
"#;

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("tiny-recipe.toml", RECIPE);
    workspace
}

fn report(workspace: &Workspace, folder: &str) -> Report {
    serde_json::from_str(&workspace.read(&format!("{folder}/pretraining.json"))).unwrap()
}

#[test]
fn a_recipe_gives_a_model_that_has_learned_and_loads() {
    let workspace = workspace();
    assert_success(&workspace.run(&["pretrain", "tiny-recipe.toml", "--out", "m"]));
    let report = report(&workspace, "m");
    assert_eq!(report.steps, 100);
    // A hundred steps are enough to learn which words are frequent: less than the uniform guess over 300.
    assert!(report.held_out.span_corruption < 300f64.ln(), "{report:?}");
    let backbone = families::load(&workspace.path("m"), &Device::flex(), DType::F32).unwrap();
    assert_eq!(backbone.configuration().dropout_rate(), 0.1);
    let files = common::files(&workspace.path("m"));
    assert_eq!(files, ["config.json", "model.safetensors", "pretraining.json", "tokenizer.json"]);
    let run = ["run", "tiny-suite.toml", "--model", "m", "--steps", "2", "--out", "out"];
    assert_success(&workspace.run(&run));
}

#[test]
fn a_killed_pretraining_resumes_bit_identically() {
    let workspace = workspace();
    workspace.edit("tiny-recipe.toml", "steps = 90", "steps = 300");
    assert_success(&workspace.run(&["pretrain", "tiny-recipe.toml", "--out", "whole"]));
    let arguments = ["pretrain", "tiny-recipe.toml", "--out", "killed", "--checkpoint-every", "0"];
    let mut process = workspace.command(&arguments).spawn().unwrap();
    let started = Instant::now();
    while !workspace.path("killed/state.safetensors").exists() {
        assert!(started.elapsed() < Duration::from_secs(60), "no checkpoint was written");
        std::thread::sleep(Duration::from_millis(2));
    }
    process.kill().unwrap();
    process.wait().unwrap();
    assert_success(&workspace.run(&arguments));
    let weights = |folder: &str| fs::read(workspace.path(folder).join("model.safetensors")).unwrap();
    assert_eq!(weights("whole"), weights("killed"));
    assert_eq!(weights("whole"), interrupted(&workspace));
}

/// The weights after each termination signal has been sent once.
fn interrupted(workspace: &Workspace) -> Vec<u8> {
    let arguments = ["pretrain", "tiny-recipe.toml", "--out", "interrupted"];
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let log = workspace.path("log");
        let mut command = workspace.command(&arguments);
        let mut process = command.stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
        let started = Instant::now();
        while !fs::read_to_string(&log).unwrap().contains("pretraining") {
            assert!(started.elapsed() < Duration::from_secs(60), "no training began");
            std::thread::sleep(Duration::from_millis(2));
        }
        let id = process.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        assert_eq!(process.wait().unwrap().code(), Some(code));
        let message = fs::read_to_string(&log).unwrap();
        assert!(message.contains("is kept") && message.contains("run the same command again"), "{message}");
        assert!(workspace.path("interrupted/state.safetensors").exists());
    }
    assert_success(&workspace.run(&arguments));
    fs::read(workspace.path("interrupted/model.safetensors")).unwrap()
}

/// Pretrains in this process, which is killed during writing; runs in a child process.
fn pretrain_until(workspace: &Workspace, step: usize) -> bool {
    let command = workspace.command(&[]);
    let (folder, variables) = (command.get_current_dir().unwrap().to_owned(), command.get_envs());
    let mut child = Command::new(std::env::current_exe().unwrap());
    for (key, value) in variables {
        value.map(|value| child.env(key, value));
    }
    child.args(["--exact", "a_pretraining_killed_while_writing_leaves_no_partial_model"]);
    child.current_dir(folder).env(DEATH, step.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    child.status().unwrap().success()
}

const DEATH: &str = "PRETRAIN_TEST_DEATH";

#[test]
fn a_pretraining_killed_while_writing_leaves_no_partial_model() {
    if let Ok(step) = std::env::var(DEATH) {
        death::at(step.parse().unwrap());
        let arguments = ["peft-bench", "pretrain", "tiny-recipe.toml", "--out", "m"];
        let _ = peft_bench::cli::run(arguments.map(Into::into));
        return;
    }
    let workspace = workspace();
    for (from, to) in
        [("steps = 90", "steps = 3"), ("steps = 10", "steps = 1"), ("passages = 200", "passages = 50")]
    {
        workspace.edit("tiny-recipe.toml", from, to);
    }
    assert_success(&workspace.run(&["pretrain", "tiny-recipe.toml", "--out", "m"]));
    let model = |names: &[&str]| -> Vec<Vec<u8>> {
        names.iter().map(|name| fs::read(workspace.path("m").join(name)).unwrap_or_default()).collect()
    };
    let names = ["config.json", "tokenizer.json", "model.safetensors"];
    let old = model(&names);
    workspace.edit("tiny-recipe.toml", "d_ff = 24", "d_ff = 32");
    let mut seen = Vec::new();
    for step in 1.. {
        assert!(step < 50, "writing has fewer steps");
        let lived = pretrain_until(&workspace, step);
        let (weights, now) = (workspace.path("m/model.safetensors"), model(&names));
        seen.push((weights.exists(), now == old));
        if weights.exists() && now != old {
            let backbone = families::load(&workspace.path("m"), &Device::flex(), DType::F32).unwrap();
            assert_eq!(backbone.layout().d_ff, 32);
            let report: serde_json::Value =
                serde_json::from_str(&workspace.read("m/pretraining.json")).unwrap();
            assert_eq!(report["recipe"]["model"]["d_ff"], 32);
        }
        if lived {
            break;
        }
    }
    for state in [(true, true), (false, false), (true, false)] {
        assert!(seen.contains(&state), "no death in between: {seen:?}");
    }
    let left = common::files(&workspace.path("m"));
    assert_eq!(left, ["config.json", "model.safetensors", "pretraining.json", "tokenizer.json"]);
}

#[test]
fn a_pretraining_continues_if_its_state_cannot_be_written() {
    let workspace = workspace();
    let program = workspace.command(&[]);
    // The state is larger than 80 blocks of 512 or 1024 bytes, the model's files are smaller.
    let limited = "trap '' XFSZ; ulimit -f 80; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", limited]).arg(program.get_program());
    command.args(["pretrain", "tiny-recipe.toml", "--out", "m", "--checkpoint-every", "0"]);
    let output = command.current_dir(program.get_current_dir().unwrap()).output().unwrap();
    assert_success(&output);
    assert!(stderr(&output).contains("cannot write m/state.safetensors"), "{}", stderr(&output));
    let backbone = families::load(&workspace.path("m"), &Device::flex(), DType::F32);
    assert!(backbone.is_ok(), "{backbone:?}");
}

#[test]
fn a_model_that_diverged_is_not_published() {
    let workspace = workspace();
    workspace.edit("tiny-recipe.toml", "steps = 90", "steps = 3");
    workspace.edit("tiny-recipe.toml", "learning_rate = 1e-2", "learning_rate = 1e30");
    let output = workspace.run(&["pretrain", "tiny-recipe.toml", "--out", "m"]);
    assert_refused(&output, &["tiny-recipe.toml", "`phases.learning_rate`"]);
    assert!(!workspace.path("m/model.safetensors").exists());
}

#[test]
fn a_recipe_can_start_from_a_model() {
    let workspace = workspace();
    assert_success(&workspace.run(&["pretrain", "tiny-recipe.toml", "--out", "m"]));
    let start = workspace.path("m").display().to_string();
    workspace.edit("tiny-recipe.toml", "seed = 3", &format!("seed = 3\nstart = {start:?}"));
    let refused = workspace.run(&["pretrain", "tiny-recipe.toml", "--out", "n"]);
    assert_refused(&refused, &["local_attention", "start"]);
    workspace.edit("tiny-recipe.toml", "local_attention = 4.0", "local_attention = 0.0");
    assert_success(&workspace.run(&["pretrain", "tiny-recipe.toml", "--out", "n"]));
    assert_eq!(workspace.read("m/tokenizer.json"), workspace.read("n/tokenizer.json"));
    assert_eq!(report(&workspace, "n").recipe.start.as_deref(), Some("m"), "no folder of its maker");
    let (first, second) = (report(&workspace, "m").held_out, report(&workspace, "n").held_out);
    assert!(second.span_corruption < first.span_corruption, "{first:?}, then {second:?}");
    workspace.edit("tiny-recipe.toml", "d_ff = 24", "d_ff = 32");
    assert_refused(&workspace.run(&["pretrain", "tiny-recipe.toml", "--out", "o"]), &["start", "d_ff"]);
}

#[test]
fn an_invalid_recipe_is_refused() {
    let cases: [(&str, &str, &[&str]); 4] = [
        ("supervised = 0.5", "supervised = 1.5", &["phases.supervised", "1.5"]),
        ("batch_size = 8", "batch_sise = 8", &["tiny-recipe.toml", "batch_sise"]),
        ("vocabulary = 300", "vocabulary = 20", &["tokenizer.vocabulary", "20"]),
        ("steps = 90", "steps = 0", &["phases.steps"]),
    ];
    for (from, to, parts) in cases {
        let workspace = workspace();
        workspace.edit("tiny-recipe.toml", from, to);
        assert_refused(&workspace.run(&["pretrain", "tiny-recipe.toml", "--out", "m"]), parts);
    }
    assert_refused(&workspace().run(&["pretrain", "none.toml"]), &["none.toml"]);
}

#[test]
fn the_embedded_model_has_the_loss_of_its_card() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../datasets/models/pocket");
    let report: Report =
        serde_json::from_str(&fs::read_to_string(format!("{folder}/pretraining.json")).unwrap()).unwrap();
    assert_eq!(Recipe::find("recipes/pocket.toml").unwrap(), report.recipe, "made by the recipe beside it");
    let card = fs::read_to_string(format!("{folder}/README.md")).unwrap();
    for loss in [report.held_out.span_corruption, report.held_out.supervised] {
        assert!(card.contains(&format!("{loss:.4}")), "the card says {loss:.4}");
    }
    let hub = Hub::new(HubSettings::new("http://127.0.0.1:1", folder, Progress::Silent));
    let model = Model::open("pocket", &hub, &Device::flex(), Precision::F32).unwrap();
    assert_eq!(model.backbone.layout().num_parameters(), report.parameters);
    let (frozen, none) = (peft::frozen(), Parameters::none(1, DType::F32));
    let method = frozen.method.as_ref();
    let adaptation = Adaptation::new(method, &none);
    let backbone = model.backbone.as_ref();
    let loss = held_out_loss(
        backbone,
        &adaptation,
        &Examples::new(&report.recipe, &model.tokenizer).unwrap().held_out(),
    );
    for (found, stated) in [
        (loss.span_corruption, report.held_out.span_corruption),
        (loss.supervised, report.held_out.supervised),
    ] {
        assert!((found - stated).abs() < 1e-4 * stated, "{found} instead of {stated}");
    }
}
