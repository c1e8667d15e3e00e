//! The same training twice has the same bits, on every device: no kernel sums in an order that may change.

mod common;

use common::{Expected, backbone, initial, method};
use peft_model::Backbone;
use peft_model::StepCount;
use peft_model::dropout::Dropout;
use peft_model::optim::{AdamW, AdamWSettings, Part, Update};
use peft_model::peft::ConfiguredMethod;
use serde_json::json;

const SEEDS: [u64; 2] = [3, 4];

/// The bits of every parameter of every run after three updates.
fn train(backbone: &dyn Backbone, built: &ConfiguredMethod) -> Vec<Vec<u32>> {
    let mut parameters = initial(built, &SEEDS, backbone);
    let settings = AdamWSettings { epsilon: 1e-6, weight_decay: 0.01, max_gradient_norm: 1.0 };
    let mut optimizer = AdamW::new(&parameters, settings);
    let rates = vec![built.method.learning_rates(); SEEDS.len()];
    for step in 1..=3 {
        let update = Update {
            backbone,
            method: built.method.as_ref(),
            count: StepCount { step, steps: 3 },
            rates: &rates,
            factor: 1.0,
            gradient_checkpointing: false,
        };
        let batch = Expected::read("original").batch(SEEDS.len());
        let part = Part { slices: vec![batch], dropout: Dropout::new(&SEEDS, step), share: 1.0 };
        update.apply(&mut parameters, &mut optimizer, [part]);
    }
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect();
    (0..SEEDS.len()).flat_map(|run| parameters.run_to_host(run)).map(bits).collect()
}

#[test]
fn the_same_training_twice_has_the_same_bits() {
    let backbone = backbone("original");
    for (name, settings) in [
        // Trains everything, the position biases and the embeddings among it.
        ("full", json!({})),
        ("lora", json!({"rank": 3})),
        ("dept", json!({"prompt": {"length": 3}, "rank": 4})),
    ] {
        let built = method(name, settings);
        assert_eq!(train(backbone.as_ref(), &built), train(backbone.as_ref(), &built), "{name}");
    }
}
