//! Every PEFT method against its PyTorch reference: the loss and the gradient of each trainable
//! tensor at random parameter values, and the promises that hold for all methods.

mod common;

use burn::tensor::{DType, Device, Tensor};
use common::{
    Expected, VARIANTS, backbone, every_method, fixtures, largest, largest_difference, method,
    relative_error, values,
};
use peft_model::dropout::Dropout;
use peft_model::peft::{Built, Init, Parameters};
use peft_model::t5::{Backbone, Pass, target_loss};
use serde_json::json;

fn from_fixture(built: &Built, backbone: &Backbone, expected: &Expected, fixture: &str) -> Parameters {
    let declared = built.method.parameters(backbone.config());
    let run: Vec<Vec<f32>> = declared
        .iter()
        .map(|parameter| match parameter.init {
            Init::Backbone => values(backbone.tensor(&parameter.name).clone()),
            _ => expected.floats(&format!("{fixture}/value/{}", parameter.name)),
        })
        .collect();
    Parameters::from_host(declared, &[&run], &Device::flex(), DType::F32)
}

#[test]
fn losses_and_gradients_agree_with_the_reference() {
    for variant in VARIANTS {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        for (fixture, name, settings) in fixtures() {
            let built = method(name, settings);
            let parameters = from_fixture(&built, &backbone, &expected, fixture).tracked();
            let pass = Pass {
                backbone: &backbone,
                method: built.method.as_ref(),
                parameters: &parameters,
                dropout: None,
            };
            let loss = target_loss(&pass, &expected.batch(1)).per_run;
            let loss_error =
                relative_error(&values(loss.clone().inner()), &expected.floats(&format!("{fixture}/loss")));
            let gradients = parameters.take_gradients(&mut loss.sum().backward());
            let references: Vec<Vec<f32>> = parameters
                .declared()
                .iter()
                .map(|p| expected.floats(&format!("{fixture}/gradient/{}", p.name)))
                .collect();
            // Some gradients are zero but for rounding, such as those of a bias on the keys.
            let smallest_scale = 1e-2 * references.iter().map(|r| largest(r)).fold(0f32, f32::max);
            let mut worst = 0f32;
            for ((parameter, gradient), reference) in
                parameters.declared().iter().zip(gradients).zip(&references)
            {
                let gradient =
                    gradient.unwrap_or_else(|| panic!("{fixture}: no gradient for {}", parameter.name));
                let scale = largest(reference).max(smallest_scale);
                worst = worst.max(largest_difference(&values(gradient), reference) / scale);
            }
            println!(
                "{variant} {fixture}: relative errors: loss {loss_error:.1e}, worst gradient {worst:.1e}"
            );
            assert!(loss_error < 1e-5 && worst < 1e-4, "{variant} {fixture}");
        }
    }
}

/// A few steps of plain gradient descent with dropout, each run with its own seed and step size.
fn descend(
    backbone: &Backbone,
    built: &Built,
    batches: &Expected,
    seeds: &[u64],
    rates: &[f32],
) -> Parameters {
    let declared = built.method.parameters(backbone.config());
    let mut parameters = Parameters::init(declared, seeds, backbone);
    for step in 0..3 {
        let dropout = Dropout::new(seeds, step);
        let tracked = parameters.tracked();
        let pass =
            Pass { backbone, method: built.method.as_ref(), parameters: &tracked, dropout: Some(&dropout) };
        let loss = target_loss(&pass, &batches.batch(seeds.len())).per_run.sum();
        let gradients = tracked.take_gradients(&mut loss.backward());
        let rates = Tensor::<1>::from_floats(rates, &Device::flex()).unsqueeze_dim(1);
        let values = parameters.values().iter().zip(gradients);
        let values = values
            .map(|(value, gradient)| match gradient {
                Some(gradient) => value.clone() - gradient * rates.clone(),
                None => value.clone(),
            })
            .collect();
        parameters = parameters.with_values(values);
    }
    parameters
}

#[test]
fn training_leaves_the_backbone_bit_identical() {
    for variant in VARIANTS {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        let snapshot = |b: &Backbone| -> Vec<(String, Vec<u32>)> {
            let bits = |t: &Tensor<2>| values(t.clone()).into_iter().map(f32::to_bits).collect();
            let mut all: Vec<_> =
                b.tensors().map(|(name, tensor)| (name.to_string(), bits(tensor))).collect();
            all.sort();
            all
        };
        let before = snapshot(&backbone);
        for (label, name, settings) in every_method() {
            let built = method(name, settings);
            let start = Parameters::init(built.method.parameters(backbone.config()), &[1], &backbone);
            let trained = descend(&backbone, &built, &expected, &[1], &[0.1]);
            assert_ne!(start.run_to_host(0), trained.run_to_host(0), "{label} trained nothing");
            assert_eq!(before, snapshot(&backbone), "{label} changed the frozen backbone");
        }
    }
}

#[test]
fn methods_start_at_the_pretrained_model() {
    for variant in VARIANTS {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        for name in ["full", "lora", "bitfit"] {
            let built = method(name, json!({}));
            let parameters = Parameters::init(built.method.parameters(backbone.config()), &[5], &backbone);
            let pass = Pass {
                backbone: &backbone,
                method: built.method.as_ref(),
                parameters: &parameters,
                dropout: None,
            };
            let loss = values(target_loss(&pass, &expected.batch(1)).per_run);
            assert!(relative_error(&loss, &expected.floats("loss")) < 1e-5, "{name}");
        }
    }
}
