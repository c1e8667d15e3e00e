//! The backbone in bf16: losses and gradients near those in f32, and what trains stays in f32.

mod common;

use burn::tensor::{DType, Device};
use common::{Expected, VARIANTS, device, every_path, folder, initial, method, relative_error, values};
use peft_model::dropout::Dropout;
use peft_model::optim::{AdamW, AdamWSettings, Part, Update};
use peft_model::peft::ConfiguredMethod;
use peft_model::{Adaptation, Backbone, Gradients, StepCount, families};

fn computes_in_bf16(device: &Device) -> bool {
    let supported = device.supports_dtype(DType::BF16);
    if !supported {
        println!("skipped: this device does not compute in bf16");
    }
    supported
}

fn load(variant: &str, dtype: DType) -> Box<dyn Backbone> {
    families::load(&folder(variant), &device(), dtype).unwrap()
}

/// Losses and gradients of two runs, with dropout.
fn step(backbone: &dyn Backbone, built: &ConfiguredMethod, expected: &Expected) -> (Vec<f32>, Gradients) {
    let dropout = Dropout::new(&[3, 4], 7);
    let parameters = initial(built, &[3, 4], backbone).tracked();
    let adaptation =
        Adaptation { dropout: Some(&dropout), ..Adaptation::new(built.method.as_ref(), &parameters) };
    let loss = backbone.target_loss(&adaptation, &expected.batch(2));
    let losses = values(loss.clone().inner());
    (losses, parameters.take_gradients(&mut loss.sum().backward()))
}

fn cosine(a: &Gradients, b: &Gradients) -> f64 {
    let flat = |gradients: &Gradients| -> Vec<f64> {
        gradients.iter().flatten().flat_map(|g| values(g.clone())).map(f64::from).collect()
    };
    let (a, b) = (flat(a), flat(b));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

#[test]
fn bf16_is_near_f32_for_every_method() {
    if !computes_in_bf16(&device()) {
        return;
    }
    for variant in VARIANTS {
        let expected = Expected::read(variant);
        let (narrow, exact) = (load(variant, DType::BF16), load(variant, DType::F32));
        // The same weights in f32, so that arithmetic alone differs.
        let rounded = tempfile::tempdir().unwrap();
        exact.save(rounded.path(), DType::BF16).unwrap();
        let wide = families::load(rounded.path(), &device(), DType::F32).unwrap();
        for (label, name, settings) in every_path() {
            let built = method(name, settings);
            let (loss, gradients) = step(narrow.as_ref(), &built, &expected);
            let (reference, references) = step(wide.as_ref(), &built, &expected);
            let (error, cosine) = (relative_error(&loss, &reference), cosine(&gradients, &references));
            println!("{variant} {label}: loss {error:.1e}, cosine of gradients {cosine:.4}");
            assert!(error < 3e-2 && cosine > 0.9, "{variant} {label}: {error:.1e}, {cosine:.4}");
            assert!(error > 0.0, "{variant} {label} was not computed in bf16");
            assert!(gradients.iter().flatten().all(|gradient| gradient.dtype() == DType::F32), "{label}");
        }
    }
}

#[test]
fn what_trains_stays_in_f32() {
    if !computes_in_bf16(&device()) {
        return;
    }
    let (backbone, expected) = (load("v1_1", DType::BF16), Expected::read("v1_1"));
    for (label, name, settings) in every_path() {
        let built = method(name, settings);
        let mut parameters = initial(&built, &[3], backbone.as_ref());
        let before = parameters.run_to_host(0);
        let settings = AdamWSettings { epsilon: 1e-6, weight_decay: 0.0, max_gradient_norm: 1.0 };
        let mut optimizer = AdamW::new(&parameters, settings);
        // A change that bf16 would round away.
        let rates = vec![built.method.learning_rates().into_iter().map(|(group, _)| (group, 1e-6)).collect()];
        let update = Update {
            backbone: backbone.as_ref(),
            method: built.method.as_ref(),
            count: StepCount { step: 1, steps: 1 },
            rates: &rates,
            factor: 1.0,
            gradient_checkpointing: false,
        };
        let part = Part { slices: vec![expected.batch(1)], dropout: Dropout::new(&[3], 1), share: 1.0 };
        update.apply(&mut parameters, &mut optimizer, [part]);
        let (first, second) = optimizer.moments();
        let all = parameters.values().iter().chain(first).chain(second);
        assert!(all.into_iter().all(|tensor| tensor.dtype() == DType::F32), "{label}");
        assert_ne!(before, parameters.run_to_host(0), "{label}");
        let adaptation = Adaptation::new(built.method.as_ref(), &parameters);
        assert!(!backbone.generate(&adaptation, expected.batch(1).source, 5).concat().is_empty());
    }
}
