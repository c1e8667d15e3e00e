//! Broken checkpoints are refused with a message that names the file and the field.

mod common;

use std::fs;
use std::path::Path;

use burn::tensor::{DType, Device};
use peft_model::t5::Backbone;

fn load(folder: &Path) -> String {
    match Backbone::load(folder, &Device::flex(), DType::F32) {
        Ok(_) => panic!("a broken checkpoint was accepted"),
        Err(error) => error.to_string(),
    }
}

/// A copy of a fixture that a test may break.
fn copy(fixture: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(common::folder(fixture)).unwrap().flatten() {
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

fn edit_config(folder: &Path, from: &str, to: &str) {
    let path = folder.join("config.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    fs::write(path, text.replace(from, to)).unwrap();
}

fn truncate(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() - bytes.len() / 3]).unwrap();
}

fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn truncated_weights() {
    for (fixture, file) in [
        ("original", "model.safetensors"),
        ("formats/sharded", "model-00002-of-00002.safetensors"),
        ("formats/pytorch", "pytorch_model.bin"),
    ] {
        let folder = copy(fixture);
        truncate(&folder.path().join(file));
        assert_says(&load(folder.path()), &[file, "not a readable checkpoint"]);
    }
}

#[test]
fn a_missing_shard() {
    let folder = copy("formats/sharded");
    fs::remove_file(folder.path().join("model-00001-of-00002.safetensors")).unwrap();
    assert_says(&load(folder.path()), &["cannot read", "model-00001-of-00002.safetensors"]);
}

#[test]
fn shapes_that_do_not_fit_the_config() {
    for fixture in ["original", "formats/pytorch"] {
        let folder = copy(fixture);
        edit_config(folder.path(), "\"d_ff\": 48", "\"d_ff\": 64");
        assert_says(&load(folder.path()), &["DenseReluDense", "[48, 32]", "[64, 32]", "config.json"]);
    }
}

#[test]
fn layers_that_the_checkpoint_lacks() {
    let folder = copy("original");
    edit_config(folder.path(), "\"num_layers\": 2", "\"num_layers\": 3");
    assert_says(&load(folder.path()), &["model.safetensors", "encoder.block.2.layer.0", "missing"]);
}

#[test]
fn an_untied_head_that_the_checkpoint_lacks() {
    let folder = copy("original");
    edit_config(folder.path(), "\"d_kv\": 8", "\"d_kv\": 8, \"tie_word_embeddings\": false");
    assert_says(&load(folder.path()), &["lm_head.weight", "missing"]);
}

#[test]
fn no_weights_and_no_config() {
    let folder = copy("original");
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    assert_says(&load(folder.path()), &["no weights found", "pytorch_model.bin"]);
    fs::remove_file(folder.path().join("config.json")).unwrap();
    assert_says(&load(folder.path()), &["cannot read", "config.json"]);
}

#[test]
fn a_config_that_is_not_json_or_not_t5() {
    let folder = copy("original");
    edit_config(folder.path(), "\"d_kv\": 8,", "\"d_kv\": ");
    assert_says(&load(folder.path()), &["config.json", "line"]);
    let folder = copy("original");
    edit_config(folder.path(), "\"relu\"", "\"swish\"");
    assert_says(&load(folder.path()), &["config.json", "feed_forward_proj", "swish"]);
}
