//! Pretraining on the pocket world: a small recipe from start to end, and the model that ships.

mod common;

use std::fs;
use std::time::{Duration, Instant};

use burn::tensor::{DType, Device};
use common::{Workspace, assert_refused, assert_success};
use peft_bench::hub::{Hub, HubSettings, Progress};
use peft_bench::model::Model;
use peft_bench::pretrain::{Examples, Recipe, Report, held_out_loss};
use peft_model::peft::{self, Parameters};
use peft_model::t5::{Backbone, Pass};

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
fn a_recipe_gives_a_model_that_has_learnt_and_loads() {
    let workspace = workspace();
    assert_success(&workspace.run(&["pretrain", "tiny-recipe.toml", "--out", "m"]));
    let report = report(&workspace, "m");
    assert_eq!(report.steps, 100);
    // A hundred steps are enough to learn which words are frequent: less than the uniform guess over 300.
    assert!(report.held_out.span_corruption < 300f64.ln(), "{report:?}");
    let backbone = Backbone::load(&workspace.path("m"), &Device::flex(), DType::F32).unwrap();
    assert_eq!(backbone.config().dropout_rate, 0.1);
    let files = common::files(&workspace.path("m"));
    assert_eq!(files, ["config.json", "model.safetensors", "pretraining.json", "tokenizer.json"]);
    let run = ["run", "tiny-suite.toml", "--model", "m", "--steps", "2", "--out", "out"];
    assert_success(&workspace.run(&run));
}

#[test]
fn a_killed_pretraining_goes_on_to_the_same_bits() {
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
}

#[test]
fn a_recipe_goes_on_from_a_model() {
    let workspace = workspace();
    assert_success(&workspace.run(&["pretrain", "tiny-recipe.toml", "--out", "m"]));
    workspace.edit("tiny-recipe.toml", "seed = 3", "seed = 3\nstart = \"m\"");
    let refused = workspace.run(&["pretrain", "tiny-recipe.toml", "--out", "n"]);
    assert_refused(&refused, &["local_attention", "start"]);
    workspace.edit("tiny-recipe.toml", "local_attention = 4.0", "local_attention = 0.0");
    assert_success(&workspace.run(&["pretrain", "tiny-recipe.toml", "--out", "n"]));
    assert_eq!(workspace.read("m/tokenizer.json"), workspace.read("n/tokenizer.json"));
    let (first, second) = (report(&workspace, "m").held_out, report(&workspace, "n").held_out);
    assert!(second.span_corruption < first.span_corruption, "{first:?}, then {second:?}");
    workspace.edit("tiny-recipe.toml", "d_ff = 24", "d_ff = 32");
    assert_refused(&workspace.run(&["pretrain", "tiny-recipe.toml", "--out", "o"]), &["start", "d_ff"]);
}

#[test]
fn a_recipe_that_makes_no_sense_is_refused() {
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
fn the_model_that_ships_has_the_loss_of_its_card() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../datasets/models/pocket");
    let report: Report =
        serde_json::from_str(&fs::read_to_string(format!("{folder}/pretraining.json")).unwrap()).unwrap();
    assert_eq!(Recipe::find("recipes/pocket.toml").unwrap(), report.recipe, "made by the recipe beside it");
    let card = fs::read_to_string(format!("{folder}/README.md")).unwrap();
    for loss in [report.held_out.span_corruption, report.held_out.supervised] {
        assert!(card.contains(&format!("{loss:.4}")), "the card says {loss:.4}");
    }
    let hub = Hub::new(HubSettings::new("http://127.0.0.1:1", folder, Progress::Silent));
    let model = Model::open("pocket", &hub, &Device::flex()).unwrap();
    assert_eq!(Backbone::num_parameters(model.backbone.config()), report.parameters);
    let (frozen, none) = (peft::frozen(), Parameters::init(Vec::new(), &[0], &model.backbone));
    let method = frozen.method.as_ref();
    let pass = Pass { backbone: &model.backbone, method, parameters: &none, dropout: None };
    let loss = held_out_loss(&pass, &Examples::new(&report.recipe, &model.tokenizer).unwrap().held_out());
    for (found, stated) in [
        (loss.span_corruption, report.held_out.span_corruption),
        (loss.supervised, report.held_out.supervised),
    ] {
        assert!((found - stated).abs() < 1e-4 * stated, "{found} instead of {stated}");
    }
}
