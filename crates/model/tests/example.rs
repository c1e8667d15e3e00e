//! The example of a training does what it says.

mod common;

#[path = "../examples/train_lora.rs"]
#[allow(dead_code)]
mod train_lora;

use std::fs;

use burn::tensor::{DType, Device};
use peft_model::{Error, adapter, families, peft};

#[test]
fn lora_learns_the_rows_and_loads_as_it_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    for variant in common::VARIANTS {
        let file = folder.path().join("lora.safetensors");
        let [before, after, again] = train_lora::train(&common::folder(variant), &file).unwrap();
        assert!(after < 0.9 * before, "{variant}: {before} {after}");
        assert_eq!(after.to_bits(), again.to_bits());
    }
}

#[test]
fn an_adapter_of_another_method_or_model_is_refused_by_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lora.safetensors");
    train_lora::train(&common::folder("original"), &file).unwrap();
    let backbone = families::load(&common::folder("original"), &Device::flex(), DType::F32).unwrap();
    let load = |settings: serde_json::Value| {
        let lora = peft::build("lora", settings.as_object().unwrap()).unwrap().method;
        let declared = lora.parameters(backbone.layout()).unwrap();
        adapter::load(declared, &file, 1 << 20, &Device::flex(), DType::F32).unwrap_err()
    };
    for (settings, part) in [
        (serde_json::json!({"rank": 5}), "F32 [4, "),
        (serde_json::json!({"rank": 4, "targets": ["q"]}), "v.lora_"),
        (serde_json::json!({"rank": 4, "targets": ["q", "v", "o"]}), "o.lora_A"),
    ] {
        let error = load(settings);
        assert!(matches!(error, Error::Adapter { .. }), "{error}");
        assert!(
            error.to_string().contains(part) && error.to_string().contains("lora.safetensors"),
            "{error}"
        );
    }
    fs::write(&file, b"{}").unwrap();
    assert!(load(serde_json::json!({"rank": 4})).to_string().contains("lora.safetensors"));
}
