//! Broken checkpoints are refused with a message that names the file and the field.

mod common;

use std::fs;
use std::path::Path;

use burn::tensor::{DType, Device};
use peft_model::{Adaptation, Backbone, families};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};

fn load(folder: &Path) -> String {
    match families::load(folder, &Device::flex(), DType::F32) {
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

/// Writes a safetensors file of f32 tensors.
fn write_weights(path: &Path, tensors: &[(String, Vec<usize>, Vec<f32>)]) {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(.., values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// A fixture whose tensors a test has changed.
fn changed(
    fixture: &str,
    change: impl FnOnce(&mut Vec<(String, Vec<usize>, Vec<f32>)>),
) -> tempfile::TempDir {
    let folder = copy(fixture);
    let path = folder.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let floats =
        |data: &[u8]| data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let mut tensors: Vec<_> = read
        .iter()
        .map(|(name, view)| (name.to_string(), view.shape().to_vec(), floats(view.data())))
        .collect();
    change(&mut tensors);
    write_weights(&path, &tensors);
    folder
}

fn notes(folder: &Path) -> Vec<String> {
    families::load(folder, &Device::flex(), DType::F32).unwrap().weights().notes().to_vec()
}

fn log_probabilities(backbone: &dyn Backbone) -> Vec<f32> {
    let (built, parameters) = common::identity(backbone);
    let adaptation = Adaptation::new(built.method.as_ref(), &parameters);
    common::values(backbone.target_log_probabilities(&adaptation, &common::Expected::read("v1_1").batch(1)))
}

fn set_config(folder: &Path, more: Value) {
    let path = folder.join("config.json");
    let mut fields: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    fields.as_object_mut().unwrap().remove("tie_word_embeddings");
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    fs::write(path, fields.to_string()).unwrap();
}

#[test]
fn what_either_version_of_transformers_saves_computes_the_same() {
    for variant in common::VARIANTS {
        let reference = log_probabilities(common::backbone(variant).as_ref());
        for version in ["transformers-4", "transformers-5"] {
            let folder = copy(variant);
            for name in ["config.json", "generation_config.json"] {
                let saved = common::folder("saved").join(version).join(variant).join(name);
                fs::copy(saved, folder.path().join(name)).unwrap();
            }
            let backbone = families::load(folder.path(), &Device::flex(), DType::F32).unwrap();
            let fields = common::backbone(variant).configuration().fields();
            assert_eq!(backbone.configuration().fields(), fields, "{version}, {variant}");
            assert_eq!(log_probabilities(backbone.as_ref()), reference, "{version}, {variant}");
            assert_eq!(backbone.weights().notes(), [""; 0]);
        }
    }
}

#[test]
fn the_head_is_the_one_that_transformers_5_takes() {
    const HEAD: &str = "lm_head.weight";
    const TABLE: &str = "shared.weight";
    type Change = fn(&mut Vec<(String, Vec<usize>, Vec<f32>)>);
    let whole: Change = |_| {};
    let headless: Change = |tensors| tensors.retain(|t| t.0 != HEAD);
    let no_table: Change = |tensors| tensors.retain(|t| t.0 != TABLE);
    let equal: Change = |tensors| {
        let table = tensors.iter().find(|t| t.0 == TABLE).unwrap().2.clone();
        tensors.iter_mut().find(|t| t.0 == HEAD).unwrap().2 = table;
    };
    let expected = fs::read(common::folder("saved").join("heads.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&expected).unwrap();
    for (case, change, config) in [
        (
            "own head, tied, unscaled",
            whole,
            json!({"tie_word_embeddings": true, "scale_decoder_outputs": false}),
        ),
        ("own head, tied", whole, json!({"tie_word_embeddings": true})),
        (
            "own head, untied, scaled",
            whole,
            json!({"tie_word_embeddings": false, "scale_decoder_outputs": true}),
        ),
        ("no head, unscaled", headless, json!({"scale_decoder_outputs": false})),
        ("no head", headless, json!({})),
        ("equal head, untied", equal, json!({"tie_word_embeddings": false})),
        ("no table", no_table, json!({})),
    ] {
        let folder = changed("v1_1", change);
        set_config(folder.path(), config);
        let backbone = families::load(folder.path(), &Device::flex(), DType::F32).unwrap();
        assert_eq!(backbone.weights().notes(), [""; 0], "{case}");
        let reference = expected.tensor(case).unwrap().data().to_vec();
        let reference: Vec<f32> =
            reference.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        let error = common::relative_error(&log_probabilities(backbone.as_ref()), &reference);
        assert!(error < 1e-5, "{case}: {error:.1e}");
    }
}

#[test]
fn other_names_of_the_table_are_taken_and_must_hold_the_same() {
    let alias = |name: &'static str, factor: f32| {
        changed("original", move |tensors| {
            let (_, shape, values) = tensors.iter().find(|t| t.0 == "shared.weight").unwrap().clone();
            tensors.push((name.into(), shape, values.iter().map(|v| v * factor).collect()));
        })
    };
    for name in ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"] {
        assert_eq!(notes(alias(name, 1.0).path()), [""; 0]);
        assert_says(&load(alias(name, 2.0).path()), &[name, "differs", "shared.weight"]);
    }
}

#[test]
fn tensors_that_nothing_uses_are_told_by_name() {
    let relic = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";
    let with = |names: Vec<String>| {
        changed("original", move |tensors| tensors.extend(names.into_iter().map(|n| (n, vec![1], vec![0.0]))))
    };
    assert_eq!(notes(with(vec![relic.into()]).path()), [""; 0]);
    let told = notes(with(vec!["classifier.bias".into()]).path());
    assert_eq!(told.len(), 1);
    assert_says(&told[0], &["model.safetensors", "`classifier.bias`"]);
    let many = notes(with((0..20).map(|i| format!("extra.{i:02}")).collect()).path());
    assert_says(&many[0], &["`extra.00`", "and 15 more"]);
}

#[test]
fn decoding_settings_that_are_not_heeded_are_told() {
    let folder = copy("original");
    let path = folder.path().join("generation_config.json");
    fs::write(&path, r#"{"num_beams": 4, "min_length": 0, "repetition_penalty": 1.0, "do_sample": null}"#)
        .unwrap();
    let told = notes(folder.path());
    assert_eq!(told.len(), 1);
    assert_says(&told[0], &["generation_config.json", "`num_beams` 4", "greedily"]);
    assert!(!told[0].contains("min_length") && !told[0].contains("penalty"), "{}", told[0]);
    fs::write(&path, r#"{"eos_token_id": 5}"#).unwrap();
    set_config(folder.path(), json!({"eos_token_id": 1}));
    assert_says(&load(folder.path()), &["eos_token_id", "generation_config.json", "5"]);
    fs::write(&path, "{").unwrap();
    assert_says(&load(folder.path()), &["generation_config.json", "line 1"]);
}

#[test]
fn names_may_have_a_prefix_of_their_own() {
    let reference = common::backbone("original");
    let prefixed = |prefix: &'static str| {
        changed("original", move |tensors| tensors.iter_mut().for_each(|t| t.0 = format!("{prefix}{}", t.0)))
    };
    let same = |folder: &Path, tolerance: f32| {
        let loaded = families::load(folder, &Device::flex(), DType::F32).unwrap();
        assert_eq!(loaded.weights().notes(), [""; 0]);
        for (name, tensor) in reference.weights().iter() {
            let found = common::values(loaded.weights().get(name).clone());
            assert!(common::relative_error(&found, &common::values(tensor.clone())) <= tolerance, "{name}");
        }
    };
    same(prefixed("module.").path(), 0.0);
    same(prefixed("state_dict.model.").path(), 0.0);
    // What training programs pickle: the state beside other things, under a key of its own.
    same(&common::folder("formats/nested"), 1e-3);
    let two = changed("original", |tensors| {
        let more: Vec<_> =
            tensors.iter().map(|t| (format!("ema.{}", t.0), t.1.clone(), t.2.clone())).collect();
        tensors.iter_mut().for_each(|t| t.0 = format!("model.{}", t.0));
        tensors.extend(more);
    });
    assert_says(&load(two.path()), &["`model....`", "`ema....`"]);
    let partly = changed("original", |tensors| tensors[0].0 = format!("module.{}", tensors[0].0));
    assert_says(&load(partly.path()), &["missing"]);
}

#[test]
fn a_pickle_may_be_in_shards() {
    let folder = copy("formats/pytorch");
    for shard in ["a.bin", "b.bin"] {
        fs::copy(folder.path().join("pytorch_model.bin"), folder.path().join(shard)).unwrap();
    }
    fs::remove_file(folder.path().join("pytorch_model.bin")).unwrap();
    let reference = common::backbone("original");
    let shard = |i: usize| json!(["a.bin", "b.bin"][i % 2]);
    let names: Vec<&str> = reference.weights().iter().map(|(name, _)| name).collect();
    let map: serde_json::Map<String, Value> =
        names.iter().enumerate().map(|(i, name)| (name.to_string(), shard(i))).collect();
    let index = folder.path().join("pytorch_model.bin.index.json");
    fs::write(&index, json!({"weight_map": map}).to_string()).unwrap();
    let loaded = families::load(folder.path(), &Device::flex(), DType::F32).unwrap();
    for (name, tensor) in reference.weights().iter() {
        assert_eq!(
            common::values(loaded.weights().get(name).clone()),
            common::values(tensor.clone()),
            "{name}"
        );
    }

    for bad in ["../a.bin", "/a.bin", "x/a.bin", "..", "", "./a.bin"] {
        fs::write(&index, json!({"weight_map": {"shared.weight": bad}}).to_string()).unwrap();
        assert_says(
            &load(folder.path()),
            &["pytorch_model.bin.index.json", "shared.weight", "in the folder"],
        );
    }
    fs::write(&index, json!({"weight_map": {"no.such": "a.bin"}}).to_string()).unwrap();
    assert_says(&load(folder.path()), &["no.such", "a.bin"]);
}

#[test]
fn weights_that_are_no_numbers_are_named() {
    for value in [f32::NAN, f32::INFINITY] {
        let folder = changed("original", |tensors| {
            tensors.iter_mut().find(|t| t.0.ends_with("wo.weight")).unwrap().2[7] = value;
        });
        assert_says(&load(folder.path()), &["model.safetensors", "wo.weight", "finite"]);
    }
}

#[test]
fn what_is_not_the_file_itself_is_recognized() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    for file in ["model.safetensors", "config.json"] {
        let folder = copy("original");
        fs::write(folder.path().join(file), pointer).unwrap();
        assert_says(&load(folder.path()), &[file, "Git LFS pointer", "git lfs pull"]);
        fs::remove_file(folder.path().join(file)).unwrap();
        fs::create_dir(folder.path().join(file)).unwrap();
        assert_says(&load(folder.path()), &[file, "directory"]);
        fs::remove_dir(folder.path().join(file)).unwrap();
        let made = std::process::Command::new("mkfifo").arg(folder.path().join(file)).status();
        if made.is_ok_and(|status| status.success()) {
            assert_says(&load(folder.path()), &[file, "pipe"]);
        }
    }
    let folder = copy("original");
    fs::write(folder.path().join("adapter_config.json"), r#"{"base_model_name_or_path": "t5-base"}"#)
        .unwrap();
    assert_says(&load(folder.path()), &["peft", "adapter_config.json", "t5-base"]);
}
