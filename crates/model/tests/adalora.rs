//! AdaLoRA's updates and its penalty: against peft's allocator, and against equations.

mod common;

use burn::tensor::{DType, Tensor, TensorData};
use common::{
    Expected, VARIANTS, backbone, device, initial, largest, largest_difference, method, relative_error,
    values,
};
use peft_model::dropout::Dropout;
use peft_model::optim::{AdamW, AdamWSettings, Part, Update};
use peft_model::peft::ConfiguredMethod;
use peft_model::{Adaptation, Backbone, Gradients, Parameters, StepCount};
use serde_json::json;

/// As in make_low_rank.py: 12 updates, the budget falls after 2, the last allocation is at 9.
const STEPS: u64 = 12;
const LAST: u64 = 9;

fn adalora(regularizer: &str, targets: &[&str]) -> ConfiguredMethod {
    let settings = json!({
        "initial_rank": 3, "target_rank": 2, "alpha": 6.0, "targets": targets, "regularizer": regularizer,
        "initial_warmup": 0.17, "final_warmup": 0.25, "interval": 2,
    });
    method("adalora", settings)
}

/// Parameters with what a fixture has of them, and where training starts for the rest.
fn from_fixture(
    built: &ConfiguredMethod,
    backbone: &dyn Backbone,
    expected: &Expected,
    fixture: &str,
) -> Parameters {
    let start = initial(built, &[1], backbone);
    let given = start.declared().iter().zip(start.run_to_host(0)).map(|(parameter, start)| {
        let name = format!("{fixture}/value/{}", parameter.name);
        if parameter.trains { expected.floats(&name) } else { start }
    });
    let given: Vec<Vec<f32>> = given.collect();
    Parameters::from_host(start.declared().to_vec(), &[&given], &device(), DType::F32)
}

fn entries(parameters: &Parameters) -> usize {
    let diagonals = parameters.declared().iter().zip(parameters.run_to_host(0));
    let diagonals = diagonals.filter(|(parameter, _)| parameter.name.ends_with("lora_E"));
    diagonals.flat_map(|(_, values)| values).filter(|value| *value != 0.0).count()
}

#[test]
fn updates_leave_what_the_reference_leaves() {
    for variant in VARIANTS {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        let built = adalora("mean-norm", &["v"]);
        let mut parameters = from_fixture(&built, backbone.as_ref(), &expected, "adalora-updates");
        for step in 1..=STEPS {
            let gradient = |parameter: &peft_model::Parameter| -> Option<Tensor<2>> {
                let name = format!("adalora-updates/gradient.{step}/{}", parameter.name);
                let data = || TensorData::new(expected.floats(&name), [1, parameter.len()]);
                parameter.trains.then(|| Tensor::from_data(data(), &device()))
            };
            let gradients: Gradients = parameters.declared().iter().map(gradient).collect();
            let descend = |i: usize, value: Tensor<2>| match &gradients[i] {
                Some(gradient) => value - gradient.clone() * 0.1,
                None => value,
            };
            let moved = parameters.map_values(descend);
            parameters = built.method.after_update(moved, &gradients, StepCount { step, steps: STEPS });
            let mut compared = 0;
            let remembered = |name: &str| name.ends_with("sensitivity") || name.ends_with("uncertainty");
            for (parameter, found) in parameters.declared().iter().zip(parameters.run_to_host(0)) {
                let name = &parameter.name;
                if name.ends_with("lora_E") || step == LAST - 1 && remembered(name) {
                    let reference = expected.floats(&format!("adalora-updates/after.{step}/{name}"));
                    let error = relative_error(&found, &reference);
                    assert!(error < 1e-5, "{variant}, update {step}, {name}: {error:.1e}");
                    let zeros = |values: &[f32]| values.iter().map(|value| *value == 0.0).collect::<Vec<_>>();
                    assert_eq!(zeros(&found), zeros(&reference), "{variant}, update {step}, {name}");
                    compared += 1;
                }
            }
            let maps = parameters.declared().len() / 10;
            assert_eq!(compared, if step == LAST - 1 { 7 * maps } else { maps });
            if step >= LAST {
                assert_eq!(entries(&parameters), 2 * maps, "{variant}, update {step}");
            }
        }
    }
}

#[test]
fn a_training_ends_with_the_entries_that_the_target_allows() {
    let (backbone, expected) = (backbone("v1_1"), Expected::read("v1_1"));
    let built = adalora("mean-norm", &["q", "v"]);
    let mut parameters = initial(&built, &[5], backbone.as_ref());
    let settings = AdamWSettings { epsilon: 1e-6, weight_decay: 0.0, max_gradient_norm: 1.0 };
    let mut optimizer = AdamW::new(&parameters, settings);
    let rates = [built.method.learning_rates().into_iter().collect()];
    for step in 1..=STEPS {
        let update = Update {
            backbone: backbone.as_ref(),
            method: built.method.as_ref(),
            count: StepCount { step, steps: STEPS },
            rates: &rates,
            factor: 1.0,
            gradient_checkpointing: false,
        };
        let slices = vec![expected.batch(1)];
        update.apply(
            &mut parameters,
            &mut optimizer,
            [Part { slices, dropout: Dropout::new(&[5], step), share: 1.0 }],
        );
        let maps = parameters.declared().len() / 10;
        match step {
            // The first allocation, out of a budget between all and the target.
            4 => assert!(entries(&parameters) > 2 * maps && entries(&parameters) < 3 * maps),
            LAST.. => assert_eq!(entries(&parameters), 2 * maps, "update {step}"),
            _ => (),
        }
    }
}

#[test]
fn the_penalty_and_its_gradients_are_the_references() {
    for variant in VARIANTS {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        let built = adalora("mean-norm", &["q", "v"]);
        let parameters = from_fixture(&built, backbone.as_ref(), &expected, "adalora").tracked();
        let adaptation = Adaptation::new(built.method.as_ref(), &parameters);
        let penalty = backbone.penalty(&adaptation, &expected.batch(1)).unwrap();
        let error =
            relative_error(&values(penalty.clone().inner()), &expected.floats("adalora-penalty/value"));
        let gradients = parameters.take_gradients(&mut penalty.sum().backward());
        let mut worst = 0f32;
        for (parameter, gradient) in parameters.declared().iter().zip(gradients) {
            let Some(gradient) = gradient else { continue };
            let reference = expected.floats(&format!("adalora-penalty/gradient/{}", parameter.name));
            worst = worst.max(largest_difference(&values(gradient), &reference) / largest(&reference));
        }
        println!("{variant}: relative errors: penalty {error:.1e}, worst gradient {worst:.1e}");
        assert!(error < 1e-5 && worst < 1e-4 && worst > 0.0, "{variant}");
    }
}

#[test]
fn the_published_penalty_is_the_sum_of_squares() {
    let (backbone, expected) = (backbone("original"), Expected::read("original"));
    let built = adalora("sum-of-squares", &["q", "v"]);
    let parameters = from_fixture(&built, backbone.as_ref(), &expected, "adalora");
    let mut sum = 0.0;
    for (parameter, matrix) in parameters.declared().iter().zip(parameters.run_to_host(0)) {
        // Q has its 3 triplets in rows, P in columns.
        let entry = |triplet: usize, i: usize| match parameter.name.ends_with("lora_A") {
            true => f64::from(matrix[triplet * parameter.shape[1] + i]),
            false => f64::from(matrix[i * 3 + triplet]),
        };
        if parameter.name.ends_with("lora_A") || parameter.name.ends_with("lora_B") {
            for (a, b) in (0..9).map(|i| (i / 3, i % 3)) {
                let product: f64 = (0..matrix.len() / 3).map(|i| entry(a, i) * entry(b, i)).sum();
                sum += (product - if a == b { 1.0 } else { 0.0 }).powi(2);
            }
        }
    }
    let adaptation = Adaptation::new(built.method.as_ref(), &parameters);
    let penalty = values(backbone.penalty(&adaptation, &expected.batch(1)).unwrap());
    assert!(relative_error(&penalty, &[0.5 * sum as f32]) < 1e-5, "{penalty:?} {sum}");
}
