//! Adapters that Python's peft made are read with its numbers, written as it writes them, and refused by name where
//! they ask for more than a method does.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::DType;
use common::{Expected, VARIANTS, backbone, device, relative_error, values};
use peft_model::peft::hf_peft::{self, CONFIG, HfAdapter, TENSORS};
use peft_model::{Adaptation, Backbone, Parameters};
use safetensors::SafeTensors;
use serde_json::{Value, json};

/// Adapters of methods that this crate does not have yet would fail here, so each is read.
fn cases(variant: &str) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder(variant)).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = entries
        .filter(|path| path.is_dir())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_string(), path))
        .collect();
    cases.sort();
    cases
}

fn folder(variant: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hf_peft").join(variant)
}

/// Log-probabilities of the fixture's targets.
fn scores(backbone: &dyn Backbone, adapter: &HfAdapter, variant: &str) -> Vec<f32> {
    let HfAdapter { built, declared, values: held, .. } = adapter;
    let parameters = Parameters::from_host(declared.clone(), &[held], &device(), DType::F32);
    let adaptation = Adaptation::new(built.method.as_ref(), &parameters);
    values(backbone.target_log_probabilities(&adaptation, &Expected::read(variant).batch(1)))
}

#[test]
fn adapters_that_peft_made_score_as_they_do_there() {
    for variant in VARIANTS {
        let backbone = backbone(variant);
        let bytes = fs::read(folder(variant).join("expected.safetensors")).unwrap();
        let expected = SafeTensors::deserialize(&bytes).unwrap();
        let cases = cases(variant);
        assert_eq!(cases.len(), expected.names().len());
        for (case, path) in cases {
            let adapter = hf_peft::read(&path, backbone.layout()).unwrap();
            let expected = peft_model::files::floats(expected.tensor(&case).unwrap().data());
            let error = relative_error(&scores(backbone.as_ref(), &adapter, variant), &expected);
            println!("{variant} {case}: read as {}, relative error {error:.1e}", adapter.name);
            assert!(error < 1e-5, "{variant} {case}: {error:.1e}");
            assert_eq!(adapter.base_model.as_deref(), Some(variant));
        }
    }
}

#[test]
fn adapters_are_written_as_peft_writes_them() {
    let kept = std::env::var_os("PEFT_BENCH_EXPORTS").map(PathBuf::from);
    for variant in VARIANTS {
        let backbone = backbone(variant);
        for (case, path) in cases(variant) {
            let adapter = hf_peft::read(&path, backbone.layout()).unwrap();
            let temporary = tempfile::tempdir().unwrap();
            let written =
                kept.as_ref().map_or(temporary.path().into(), |kept| kept.join(variant).join(&case));
            fs::create_dir_all(&written).unwrap();
            let HfAdapter { name, built, declared, values, .. } = &adapter;
            hf_peft::write(&written, (name, &built.settings), backbone.layout(), (declared, values), variant)
                .unwrap();
            assert_same_tensors(&written, &path);
            let (ours, theirs) = (config(&written), config(&path));
            for (key, value) in ours.as_object().unwrap() {
                let same = same(value, &theirs[key]) || SAID_OTHERWISE.contains(&key.as_str());
                assert!(same, "{variant} {case}: `{key}` is {value}, peft writes {}", theirs[key]);
            }
            let again = hf_peft::read(&written, backbone.layout()).unwrap();
            assert_eq!((&again.built.settings, &again.values), (&built.settings, values));
        }
    }
}

/// Fields that change nothing, and may differ: a prompt that a network made is one without a network, and the number of
/// updates that a training had.
const SAID_OTHERWISE: [&str; 6] = [
    "num_attention_heads",
    "num_layers",
    "peft_type",
    "prefix_projection",
    "prompt_tuning_init",
    "total_step",
];

fn config(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join(CONFIG)).unwrap()).unwrap()
}

/// Numbers by value, lists in any order.
fn same(ours: &Value, theirs: &Value) -> bool {
    let sorted = |list: &Vec<Value>| {
        let mut texts: Vec<String> = list.iter().map(Value::to_string).collect();
        texts.sort();
        texts
    };
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) => ours.as_f64() == theirs.as_f64(),
        (Value::Array(ours), Value::Array(theirs)) => sorted(ours) == sorted(theirs),
        _ => ours == theirs,
    }
}

fn assert_same_tensors(written: &Path, expected: &Path) {
    let [ours, theirs] = [written, expected].map(|folder| fs::read(folder.join(TENSORS)).unwrap());
    let [ours, theirs] = [&ours, &theirs].map(|bytes| SafeTensors::deserialize(bytes).unwrap());
    let names = |tensors: &SafeTensors| {
        let mut names: Vec<String> = tensors.names().into_iter().map(str::to_string).collect();
        names.sort();
        names
    };
    assert_eq!(names(&ours), names(&theirs));
    for (name, tensor) in ours.tensors() {
        let expected = theirs.tensor(&name).unwrap();
        assert_eq!((tensor.shape(), tensor.data()), (expected.shape(), expected.data()), "{name}");
    }
}

/// The message for the fixture's adapter after a change.
fn refusal(case: &str, change: impl FnOnce(&Path)) -> String {
    let copy = tempfile::tempdir().unwrap();
    for name in [CONFIG, TENSORS] {
        fs::copy(folder("original").join(case).join(name), copy.path().join(name)).unwrap();
    }
    change(copy.path());
    hf_peft::read(copy.path(), backbone("original").layout()).unwrap_err().to_string()
}

fn with_field(case: &str, key: &str, value: Value) -> String {
    refusal(case, |folder| {
        let mut fields = config(folder);
        fields[key] = value;
        fs::write(folder.join(CONFIG), fields.to_string()).unwrap();
    })
}

#[test]
fn what_no_method_does_is_refused_by_its_name() {
    let fields = [
        ("lora", "modules_to_save", json!(["lm_head"])),
        ("lora", "rank_pattern", json!({"q": 2})),
        ("lora", "alpha_pattern", json!({"q": 2})),
        ("lora", "layers_to_transform", json!([0])),
        ("lora", "exclude_modules", json!(["k"])),
        ("lora", "bias", json!("all")),
        ("lora", "lora_bias", json!(true)),
        ("lora", "fan_in_fan_out", json!(true)),
        ("lora", "init_lora_weights", json!("pissa_niter_4")),
        ("lora", "trainable_token_indices", json!([1])),
        ("lora", "use_qalora", json!(true)),
        ("lora", "target_modules", json!(".*SelfAttention.(q|v)")),
        ("lora", "target_modules", json!(["q", "qkv"])),
        ("lora", "r", json!(-1)),
        ("lora", "r", json!("three")),
        ("lora", "r", Value::Null),
        ("lora", "lora_alpha", json!("six")),
        ("lora", "use_dora", json!("maybe")),
        ("lora", "an_option_of_tomorrow", json!(0.5)),
        ("lora", "peft_type", json!("LOHA")),
        ("lora", "peft_type", Value::Null),
        ("ia3", "target_modules", json!(["k", "v"])),
        ("ia3", "feedforward_modules", json!([])),
        ("layer-norm", "target_modules", json!(["final_layer_norm"])),
        ("prompt-tuning", "num_transformer_submodules", json!(2)),
        ("prompt-tuning", "token_dim", json!(768)),
        ("prefix-tuning", "num_transformer_submodules", json!(1)),
        ("prefix-tuning", "num_layers", json!(4)),
        ("prefix-tuning", "num_attention_heads", json!(2)),
        ("prefix-tuning", "token_dim", json!(32)),
    ];
    let message = refusal("lora", |folder| {
        let mut fields = config(folder);
        (fields["use_dora"], fields["use_rslora"]) = (true.into(), true.into());
        fs::write(folder.join(CONFIG), fields.to_string()).unwrap();
    });
    assert!(message.contains("switches") && message.contains("dora"), "{message}");
    for (case, key, value) in fields {
        let message = with_field(case, key, value.clone());
        assert!(!message.contains("must be one of") || key == "peft_type", "{message}");
        let named = message.contains(key)
            || (key == "target_modules" && message.contains("qkv"))
            || (key == "r" && message.contains("rank"));
        assert!(message.contains(CONFIG) || message.contains("method `"), "{key} = {value}: {message}");
        assert!(named, "{key} = {value}: {message}");
    }
}

#[test]
fn tensors_that_do_not_fit_are_refused_by_their_names() {
    let rename = |from: &'static str, to: &'static str| {
        refusal("lora", |folder| {
            let path = folder.join(TENSORS);
            let bytes = fs::read(&path).unwrap();
            let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
            let mut renamed = bytes.clone();
            renamed[at..at + to.len()].copy_from_slice(to.as_bytes());
            fs::write(&path, renamed).unwrap();
        })
    };
    let message = rename(
        "decoder.block.0.layer.0.SelfAttention.q.lora_A",
        "decoder.block.9.layer.0.SelfAttention.q.lora_A",
    );
    assert!(message.contains("decoder.block.9.layer.0.SelfAttention.q.lora_A.weight"), "{message}");
    let message = with_field("lora", "target_modules", json!(["q"]));
    assert!(message.contains("SelfAttention.v.lora_A.weight"), "{message}");
    let message = with_field("lora", "target_modules", json!(["q", "v", "k"]));
    assert!(message.contains("SelfAttention.k.lora_A.weight") && message.contains("missing"), "{message}");
    let message = with_field("lora", "r", json!(5));
    assert!(message.contains("has shape [3, 32]") && message.contains("[5, 32]"), "{message}");
    let message = refusal("lora", |folder| fs::write(folder.join(TENSORS), b"nonsense").unwrap());
    assert!(message.contains(TENSORS), "{message}");
    let message = refusal("lora", |folder| fs::remove_file(folder.join(TENSORS)).unwrap());
    assert!(message.contains(TENSORS), "{message}");
    let other =
        hf_peft::read(&folder("original").join("lora"), backbone("v1_1").layout()).unwrap_err().to_string();
    assert!(other.contains("decoder.block.2"), "{other}");
}

#[test]
fn the_checkpoints_that_depts_authors_released_are_read() {
    let released = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/dept_released/dept_adapters");
    if !released.is_dir() {
        eprintln!("skipped: there is no {}", released.display());
        return;
    }
    let t5_base = peft_model::families::reference();
    for (task, length, rank) in [("cola", 80, 15), ("sst2", 60, 30)] {
        let adapter = hf_peft::read(&released.join(task), t5_base.layout()).unwrap();
        let settings = &adapter.built.settings;
        let found = (adapter.name, &settings["prompt"]["length"], &settings["rank"], &settings["max_length"]);
        assert_eq!(found, ("dept", &length.into(), &rank.into(), &256.into()), "{task}");
        let sizes: Vec<usize> = adapter.values.iter().map(Vec::len).collect();
        assert_eq!(sizes, [length * 768, 256 * rank, rank * 768], "{task}");
    }
    // These were released without their offsets.
    for task in ["hotpotqa", "nq", "superglue-wic"] {
        let refused = hf_peft::read(&released.join(task), t5_base.layout()).unwrap_err().to_string();
        assert!(refused.contains("`prompt_encoder.lora_embedding_A` is missing"), "{task}: {refused}");
    }
}
