//! The committed fixtures: tiny checkpoints and what transformers and peft compute with them.
#![allow(dead_code)]

use std::path::PathBuf;

use burn::tensor::{DType, Device, Tensor};
use peft_model::peft::{self, ConfiguredMethod, METHODS};
use peft_model::{Backbone, Batch, Parameters, families};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::{Map, Value, json};

pub(crate) const VARIANTS: [&str; 2] = ["original", "v1_1"];

/// The device under test: the one that `PEFT_BENCH_DEVICE` names, in a build with its feature; the CPU by default.
pub(crate) fn device() -> Device {
    match std::env::var("PEFT_BENCH_DEVICE").as_deref() {
        Err(_) | Ok("cpu") => Device::flex(),
        #[cfg(feature = "vulkan")]
        Ok("vulkan") => Device::vulkan(Default::default()),
        #[cfg(feature = "wgpu")]
        Ok("wgpu") => Device::wgpu(Default::default()),
        #[cfg(feature = "cuda")]
        Ok("cuda") => Device::cuda(0),
        Ok(other) => panic!("{other} is not a device of this build"),
    }
}

pub(crate) fn folder(variant: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(variant)
}

pub(crate) fn backbone(variant: &str) -> Box<dyn Backbone> {
    families::load(&folder(variant), &device(), DType::F32).unwrap()
}

/// The reference's numbers by name, of every file of the variant's folder but the weights.
pub(crate) struct Expected(Vec<Vec<u8>>);

impl Expected {
    pub(crate) fn read(variant: &str) -> Self {
        let paths = std::fs::read_dir(folder(variant)).unwrap().map(|entry| entry.unwrap().path());
        let numbers = paths.filter(|path| {
            path.extension().is_some_and(|extension| extension == "safetensors")
                && path.file_name().is_some_and(|name| name != "model.safetensors")
        });
        Self(numbers.map(|path| std::fs::read(path).unwrap()).collect())
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|file| SafeTensors::deserialize(file).unwrap().tensor(name).is_ok())
    }

    pub(crate) fn floats(&self, name: &str) -> Vec<f32> {
        let bytes = self.tensor(name).data().to_vec();
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }

    pub(crate) fn ints(&self, name: &str) -> Vec<i32> {
        let bytes = self.tensor(name).data().to_vec();
        bytes.chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().unwrap())).collect()
    }

    pub(crate) fn shape(&self, name: &str) -> Vec<usize> {
        self.tensor(name).shape().to_vec()
    }

    /// `(source, target)` ids of each row, without padding.
    pub(crate) fn rows(&self) -> Vec<(Vec<u32>, Vec<u32>)> {
        let split = |name: &str, padding: i32| -> Vec<Vec<u32>> {
            let width = self.shape(name)[1];
            let rows = self.ints(name);
            let rows = rows.chunks(width);
            rows.map(|r| r.iter().take_while(|&&id| id != padding).map(|&id| id as u32).collect()).collect()
        };
        split("ids", 0).into_iter().zip(split("labels", -100)).collect()
    }

    /// The fixture's batch, the same for each of so many runs.
    pub(crate) fn batch(&self, runs: usize) -> Batch {
        let rows = self.rows();
        let run: Vec<(&[u32], &[u32])> = rows.iter().map(|(s, t)| (&s[..], &t[..])).collect();
        Batch::new(&vec![run; runs], 0, &device())
    }

    fn tensor(&self, name: &str) -> TensorView<'_> {
        let tensor = |file| SafeTensors::deserialize(file).unwrap().tensor(name).ok();
        self.0.iter().find_map(|file| tensor(file)).unwrap_or_else(|| panic!("no fixture has {name}"))
    }
}

/// Builds a method from settings written as JSON.
pub(crate) fn method(name: &str, settings: Value) -> ConfiguredMethod {
    let settings: Map<String, Value> = settings.as_object().unwrap().clone();
    peft::build(name, &settings).unwrap()
}

/// Gives the bytes of a text as ids of a vocabulary of 96 tokens.
pub(crate) fn tokenize(text: &str) -> Vec<u32> {
    text.bytes().map(|b| u32::from(b) % 96).collect()
}

/// A method's parameters before training, one run per seed.
pub(crate) fn initial(built: &ConfiguredMethod, seeds: &[u64], backbone: &dyn Backbone) -> Parameters {
    let method = built.method.as_ref();
    let sources = backbone.untrained_sources(method, 3, &tokenize).unwrap();
    backbone.start_from(&sources, method, seeds, &tokenize).unwrap()
}

/// A method's parameters whose trained tensors are all moved away from where they start.
pub(crate) fn moved(built: &ConfiguredMethod, seeds: &[u64], backbone: &dyn Backbone) -> Parameters {
    let start = initial(built, seeds, backbone);
    let trains: Vec<bool> = start.declared().iter().map(|parameter| parameter.trains).collect();
    let noise = |i: usize, j: usize| {
        let draw = peft_model::random::mix((i as u64) << 32 | j as u64) >> 11;
        // So little that scaled updates leave attention away from saturation, which would magnify rounding.
        0.1 * (draw as f64 / (1u64 << 53) as f64 - 0.5) as f32
    };
    start.map_values(|i, value| {
        let shape = value.dims();
        let noise: Vec<f32> = (0..shape[0] * shape[1]).map(|j| noise(i, j)).collect();
        let noise = Tensor::<1>::from_floats(noise.as_slice(), &value.device());
        if trains[i] { value + noise.reshape(shape) } else { value }
    })
}

/// Settings under which the fixtures were made.
pub(crate) fn fixtures() -> Vec<(&'static str, &'static str, Value)> {
    let dept = |offsets| json!({"prompt": {"length": 3}, "rank": 4, "max_length": 20, "offsets": offsets});
    let attempt = |temperature| json!({"prompt": {"length": 6}, "sources": ["rte", "cola", "mrpc"], "bottleneck": 7, "temperature": temperature});
    let hyperdecoder =
        |mlp| json!({"encoder_bottleneck": 5, "decoder_bottleneck": 4, "hidden": 7, "mlp": mlp});
    vec![
        ("full", "full", json!({})),
        ("prompt-tuning", "prompt-tuning", json!({"prompt": {"length": 5}})),
        ("lora", "lora", json!({"rank": 3, "alpha": 6.0})),
        ("rslora", "rslora", json!({"rank": 3, "alpha": 6.0})),
        ("dora", "dora", json!({"rank": 3, "alpha": 6.0})),
        ("adalora", "adalora", json!({"initial_rank": 3, "target_rank": 2, "alpha": 6.0})),
        ("vera", "vera", json!({"rank": 5, "targets": ["q", "v", "wo"]})),
        ("bitfit", "bitfit", json!({})),
        ("bitfit-scale", "bitfit", json!({"norms": "scale"})),
        ("adapter-houlsby", "adapter", json!({"bottleneck": 4, "placement": "houlsby"})),
        ("adapter-pfeiffer", "adapter", json!({"bottleneck": 4, "placement": "pfeiffer"})),
        ("dept", "dept", dept("position")),
        ("dept-token-network", "dept", dept("token-network")),
        ("adept", "adept", json!({"prompt": {"length": 3}, "bottleneck": 4})),
        ("ia3", "ia3", json!({})),
        ("layer-norm", "layer-norm", json!({})),
        ("layer-norm-moved", "layer-norm", json!({})),
        ("prefix-tuning", "prefix-tuning", json!({"prefix_length": 7, "hidden": 0})),
        ("prefix-tuning-network", "prefix-tuning", json!({"prefix_length": 7, "hidden": 10})),
        ("adapter-drop", "adapter-drop", json!({"drop_layers": 1, "bottleneck": 4})),
        ("p-tuning", "p-tuning", json!({"prompt": {"length": 5}, "hidden": 10})),
        ("p-tuning-v2", "p-tuning-v2", json!({"prefix_length": 7})),
        (
            "p-tuning-v2-peft",
            "p-tuning-v2",
            json!({"prefix_length": 7, "attentions": ["decoder"], "position_bias": true}),
        ),
        (
            "residual-prompt-tuning",
            "residual-prompt-tuning",
            json!({"prompt": {"length": 5}, "bottleneck": 6}),
        ),
        (
            "residual-prompt-tuning-separate",
            "residual-prompt-tuning",
            json!({"prompt": {"length": 3}, "bottleneck": 6, "separate": true}),
        ),
        (
            "residual-prompt-tuning-without-norm",
            "residual-prompt-tuning",
            json!({"prompt": {"length": 5}, "bottleneck": 6, "layer_norm": false}),
        ),
        ("hyperformer", "hyperformer", json!({"reduction": 8, "embedding": 6, "hidden": 7, "projected": 5})),
        ("hyperdecoder", "hyperdecoder", hyperdecoder(true)),
        ("hyperdecoder-without-mlp", "hyperdecoder", hyperdecoder(false)),
        ("lst", "lst", json!({"reduction": 2, "drop_every": 2})),
        ("lst-every-block", "lst", json!({"reduction": 2, "drop_every": 0})),
        ("prompt-tuning", "spot", json!({"prompt": {"length": 5}})),
        ("attempt", "attempt", attempt(std::f64::consts::E)),
        ("attempt-cold", "attempt", attempt(0.01)),
        ("mpt", "mpt", json!({"prompt": {"length": 6}, "sources": ["rte", "cola"]})),
    ]
}

/// A registered method as it comes, or where the backbone is too small for that, with the settings of its first fixture.
pub(crate) fn as_it_comes(name: &str, backbone: &dyn Backbone) -> ConfiguredMethod {
    let built = method(name, json!({}));
    match built.method.parameters(backbone.layout()) {
        Ok(_) => built,
        Err(refused) => {
            let small = fixtures().into_iter().find(|(_, of, _)| *of == name);
            method(name, small.unwrap_or_else(|| panic!("{name} has no fixture, and {refused}")).2)
        }
    }
}

/// Every path of every registered method, in small.
pub(crate) fn every_path() -> Vec<(&'static str, &'static str, Value)> {
    let small: Vec<_> = fixtures().into_iter().chain(other_paths()).collect();
    let registered = METHODS.iter().map(|method| (method.name, method.name, json!({})));
    let without = registered.filter(|(name, ..)| small.iter().all(|(_, other, _)| other != name));
    without.chain(small.clone()).collect()
}

fn other_paths() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("lora with dropout", "lora", json!({"rank": 2, "dropout": 0.2})),
        ("lora everywhere", "lora", json!({"rank": 1, "targets": ["q", "k", "v", "o", "wo"]})),
        ("dora with dropout", "dora", json!({"rank": 2, "dropout": 0.2, "targets": ["k", "o", "wo"]})),
        ("vera with dropout", "vera", json!({"rank": 3, "dropout": 0.2})),
        (
            "adalora with squares",
            "adalora",
            json!({"initial_rank": 2, "target_rank": 1, "regularizer": "sum-of-squares", "dropout": 0.2}),
        ),
        ("adept with dropout", "adept", json!({"prompt": {"length": 2}, "bottleneck_dropout": 0.2})),
        (
            "prompt-tuning with embeddings",
            "prompt-tuning",
            json!({"prompt": {"length": 5}, "train_embeddings": true}),
        ),
        ("adapter with relu", "adapter", json!({"activation": "relu", "train_norms": false})),
        ("adapter with silu", "adapter", json!({"activation": "silu"})),
        ("bitfit without norms", "bitfit", json!({"norms": "none"})),
        (
            "p-tuning-v2 with positions everywhere",
            "p-tuning-v2",
            json!({"prefix_length": 3, "attentions": ["encoder", "decoder"], "position_bias": true}),
        ),
        (
            "hyperformer for two tasks",
            "hyperformer",
            json!({"reduction": 4, "tasks": 2, "train_norms": false}),
        ),
        (
            "attempt for two tasks",
            "attempt",
            json!({"prompt": {"length": 3}, "bottleneck": 4, "tasks": 2, "sources": ["rte"]}),
        ),
        ("mpt for two tasks", "mpt", json!({"prompt": {"length": 4}, "tasks": 2, "sources": ["rte"]})),
        ("mpt of fitted prompts", "mpt", json!({"prompt": {"length": 4}, "source_stage": "rank-one-fit"})),
        ("mpt-source in small", "mpt-source", json!({"prompt": {"length": 4}, "sources": ["rte", "cola"]})),
        ("lst from random blocks", "lst", json!({"reduction": 2, "drop_every": 3, "init": "random"})),
    ]
}

/// Tells a method that tells tasks apart that the rows of each run are of its tasks in turn.
pub(crate) fn tell_tasks(batch: &mut Batch, built: &ConfiguredMethod, runs: usize, rows: usize) {
    if let Some(tasks) = built.method.tasks() {
        let in_turn: Vec<u32> = (0..rows as u32).map(|row| row % tasks as u32).collect();
        batch.tell_tasks(&vec![in_turn; runs]);
    }
}

/// A method that trains nothing that matters: the backbone as it is.
pub(crate) fn identity(backbone: &dyn Backbone) -> (ConfiguredMethod, Parameters) {
    let built = method("bitfit", serde_json::json!({}));
    let parameters = initial(&built, &[0], backbone);
    (built, parameters)
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().unwrap()
}

/// The largest difference, relative to the largest expected magnitude.
pub(crate) fn relative_error(found: &[f32], expected: &[f32]) -> f32 {
    largest_difference(found, expected) / largest(expected).max(1e-12)
}

pub(crate) fn largest_difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).fold(0f32, |m, (a, b)| m.max((a - b).abs()))
}

pub(crate) fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0f32, |m, x| m.max(x.abs()))
}
