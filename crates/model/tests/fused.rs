//! The fused operations against the same arithmetic composed of Burn's own operations on the CPU.
//!
//! They run on the device that `PEFT_BENCH_DEVICE` names: `cpu`, the default, or `vulkan`, in a build with that feature.

mod common;

use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use common::{device, largest, largest_difference, values};
use peft_model::dropout::{Dropout, Mask};
use peft_model::ops;

/// Where expected values are computed, and inputs drawn.
fn cpu() -> Device {
    Device::flex()
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &cpu())
}

fn to_device<const D: usize>(tensors: &[Tensor<D>], device: &Device) -> Vec<Tensor<D>> {
    tensors.iter().map(|tensor| tensor.clone().to_device(device)).collect()
}

/// Compares a fused function on the device under test with a composed one on the CPU: their values, and their
/// gradients for a random direction. Both get the inputs on their device.
fn assert_same<const D: usize>(
    inputs: Vec<Tensor<4>>,
    fused: impl Fn(&[Tensor<4>]) -> Tensor<D>,
    composed: impl Fn(&[Tensor<4>]) -> Tensor<D>,
) {
    let direction = random(composed(&inputs).dims());
    let run = |f: &dyn Fn(&[Tensor<4>]) -> Tensor<D>, device: &Device| {
        let inputs = to_device(&inputs, device);
        let inputs: Vec<Tensor<4>> = inputs.into_iter().map(|t| t.autodiff().require_grad()).collect();
        let out = f(&inputs);
        let mut gradients = (out.clone() * direction.clone().to_device(device)).sum().backward();
        let mut all = vec![values(out.inner())];
        all.extend(inputs.iter().map(|t| values(t.grad_remove(&mut gradients).unwrap())));
        all
    };
    let (found, expected) = (run(&fused, &device()), run(&composed, &cpu()));
    for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
        let error = largest_difference(a, b) / largest(b).max(1e-6);
        assert!(error < 1e-5, "part {i}: {error:.1e}");
    }
    // Without gradients the operation takes another path.
    let (a, b) = (values(fused(&to_device(&inputs, &device()))), values(composed(&inputs)));
    assert!(largest_difference(&a, &b) / largest(&b).max(1e-6) < 1e-5);
}

#[test]
fn rms_norm() {
    for (runs, scales, width) in [(1, 1, 32), (3, 1, 33), (3, 3, 7)] {
        let inputs = vec![random([runs, 2, 5, width]), random([scales, 1, 1, width])];
        let scale = |t: &Tensor<4>| t.clone().reshape([scales, 1, width]);
        assert_same(
            inputs,
            |t| ops::rms_norm(t[0].clone(), scale(&t[1]), 1e-6),
            |t| ops::rms_norm_composed(t[0].clone(), scale(&t[1]), 1e-6),
        );
    }
}

#[test]
fn more_rows_than_an_axis_has_cubes() {
    let inputs = vec![random([1, 1, 70_001, 4]), random([1, 1, 1, 4])];
    let scale = |t: &Tensor<4>| t.clone().reshape([1, 1, 4]);
    let (found, expected) = (to_device(&inputs, &device()), &inputs);
    let found = values(ops::rms_norm(found[0].clone(), scale(&found[1]), 1e-6));
    let expected = values(ops::rms_norm_composed(expected[0].clone(), scale(&expected[1]), 1e-6));
    assert!(largest_difference(&found, &expected) / largest(&expected) < 1e-5);
}

#[test]
fn linear() {
    for shape in [[1, 1, 1, 8], [2, 3, 5, 16], [1, 40, 20, 64]] {
        let out = 48;
        let inputs = vec![random(shape), random([1, 1, out, shape[3]])];
        let weight = |t: &Tensor<4>| t.clone().reshape([out, shape[3]]);
        let flat = |t: &Tensor<4>| t.clone().reshape([shape[0] * shape[1] * shape[2], shape[3]]);
        assert_same(
            inputs,
            |t| ops::linear(t[0].clone(), weight(&t[1])),
            |t| flat(&t[0]).matmul(weight(&t[1]).transpose()).reshape([shape[0], shape[1], shape[2], out]),
        );
    }
}

#[test]
fn attention() {
    // More queries and keys than a tile has, and heads whose rows leave room for smaller tiles only.
    for (runs, biases, queries, keys, rate, size) in [
        (1, 1, 6, 6, 0.0, 8),
        (2, 1, 5, 9, 0.2, 8),
        (2, 2, 37, 33, 0.2, 8),
        (3, 3, 1, 4, 0.1, 8),
        (1, 1, 9, 10, 0.2, 128),
    ] {
        let (batch, heads) = (5, 3);
        let rows = |length| random([runs, batch, length, heads * size]);
        let inputs = vec![rows(queries), rows(keys), rows(keys), random([biases, heads, queries, keys])];
        let hidden: Vec<f32> =
            (0..runs * batch * keys).map(|i| if i % keys > i % 3 + 1 { -1e9 } else { 0.0 }).collect();
        let mask = Tensor::<3>::from_data(TensorData::new(hidden, [runs, batch, keys]), &cpu());
        let seeds: Vec<u64> = (0..runs as u64).collect();
        let attend = |t: &[Tensor<4>], f: fn(ops::Attention, usize, Option<Mask>) -> Tensor<4>| {
            let input = ops::Attention {
                queries: t[0].clone(),
                keys: t[1].clone(),
                values: t[2].clone(),
                bias: Some(t[3].clone()),
                mask: Some(mask.clone().to_device(&t[0].device().inner())),
            };
            f(
                input,
                heads,
                Dropout::new(&seeds, 7).mask("weights", &[runs, batch, heads, queries, keys], rate),
            )
        };
        assert_same(inputs, |t| attend(t, ops::attention), |t| attend(t, ops::attention_composed));
    }
}

#[test]
fn attention_without_bias_and_mask() {
    let inputs = vec![random([2, 3, 2, 16]), random([2, 3, 11, 16]), random([2, 3, 11, 16])];
    let attend = |t: &[Tensor<4>], f: fn(ops::Attention, usize, Option<Mask>) -> Tensor<4>| {
        let (queries, keys, values) = (t[0].clone(), t[1].clone(), t[2].clone());
        f(ops::Attention { queries, keys, values, bias: None, mask: None }, 2, None)
    };
    assert_same(inputs, |t| attend(t, ops::attention), |t| attend(t, ops::attention_composed));
}

#[test]
fn dropout_alone_and_with_its_neighbors() {
    let shape = [2, 3, 5, 40];
    let mask = || Dropout::new(&[3, 4], 1).mask("site", &shape, 0.3).unwrap();
    assert_same(
        vec![random(shape)],
        |t| ops::dropout(t[0].clone(), mask()),
        |t| ops::dropout_composed(t[0].clone(), &mask()),
    );
    assert_same(
        vec![random(shape), random(shape)],
        |t| ops::add_dropout(t[0].clone(), t[1].clone(), mask()),
        |t| t[0].clone() + ops::dropout_composed(t[1].clone(), &mask()),
    );
    assert_same(
        vec![random(shape)],
        |t| ops::relu_dropout(t[0].clone(), mask()),
        |t| ops::dropout_composed(burn::tensor::activation::relu(t[0].clone()), &mask()),
    );
    assert_same(
        vec![random(shape), random(shape)],
        |t| ops::gelu_gate_dropout(t[0].clone(), t[1].clone(), mask()),
        |t| {
            let gate = burn::tensor::activation::gelu_approximate(t[0].clone());
            ops::dropout_composed(gate * t[1].clone(), &mask())
        },
    );
}

#[test]
fn log_probabilities() {
    let ids: Vec<i64> = (0..12).map(|i| (i * 7) % 50).collect();
    let targets = Tensor::<3, Int>::from_data(TensorData::new(ids, [2, 3, 2]), &cpu());
    let targets = |t: &Tensor<4>| targets.clone().to_device(&t.device().inner());
    assert_same(
        vec![random([2, 3, 2, 50]) * 5.0],
        |t| ops::log_probabilities(t[0].clone(), targets(&t[0])),
        |t| ops::log_probabilities_composed(t[0].clone(), targets(&t[0])),
    );
}

#[test]
fn extreme_scores_give_no_nan() {
    let logits = Tensor::<4>::from_floats([[[[1e30, -1e30, 0.0, 88.0]]]], &device());
    let target = Tensor::<3, Int>::from_ints([[[0]]], &device());
    assert_eq!(values(ops::log_probabilities(logits, target)), [0.0]);
}

/// Values and gradients of an attention whose output is normed: with respect to queries, keys, values, bias and scale.
fn normed_attention(inputs: &[Tensor<4>], seeds: &[u64]) -> Vec<Vec<f32>> {
    let (runs, heads) = (seeds.len(), 2);
    let t: Vec<Tensor<4>> =
        to_device(inputs, &device()).into_iter().map(|t| t.autodiff().require_grad()).collect();
    let [_, batch, queries, _] = t[0].dims();
    let shape = [runs, batch, heads, queries, t[1].dims()[2]];
    let input = ops::Attention {
        queries: t[0].clone(),
        keys: t[1].clone(),
        values: t[2].clone(),
        bias: Some(t[3].clone()),
        mask: None,
    };
    let out = ops::attention(input, heads, Dropout::new(seeds, 7).mask("weights", &shape, 0.2));
    let scale = t[4].clone().reshape([runs, 1, out.dims()[3]]);
    let out = ops::rms_norm(out, scale, 1e-6);
    let mut gradients = out.clone().square().sum().backward();
    let mut all = vec![values(out.inner())];
    all.extend(t.iter().map(|t| values(t.grad_remove(&mut gradients).unwrap())));
    all
}

#[test]
fn a_run_has_the_same_bits_alone_and_in_company() {
    let (runs, width) = (3, 16);
    let mut inputs: Vec<Tensor<4>> = [19, 21, 21].map(|length| random([runs, 4, length, width])).into();
    inputs.push(random([runs, 2, 19, 21]));
    inputs.push(random([runs, 1, 1, width]));
    let together = normed_attention(&inputs, &[4, 5, 6]);
    assert_eq!(together, normed_attention(&inputs, &[4, 5, 6]));
    let middle: Vec<Tensor<4>> = inputs.iter().map(|t| t.clone().slice_dim(0, 1..2)).collect();
    for (together, alone) in together.iter().zip(normed_attention(&middle, &[5])) {
        assert_eq!(together[alone.len()..2 * alone.len()], alone);
    }
}

/// The mask that a device draws, read off what it leaves of ones.
fn assert_drawn(dims: &[usize; 4], seeds: &[u64], first_row: usize) {
    let mask = Dropout::new(seeds, 3).from_row(first_row).mask("site", dims, 0.3).unwrap();
    let ones = Tensor::<4>::ones(*dims, &device());
    let zeros = Tensor::<4>::zeros(*dims, &device());
    assert_eq!(values(ops::dropout(ones.clone(), mask.clone())), mask.factors());
    assert_eq!(values(ops::relu_dropout(ones.clone(), mask.clone())), mask.factors());
    assert_eq!(values(ops::add_dropout(zeros, ones, mask.clone())), mask.factors());
}

#[test]
fn every_device_draws_the_same_masks() {
    assert_drawn(&[1, 2, 7, 33], &[0], 0);
    assert_drawn(&[3, 5, 60, 32], &[u64::MAX, 7, 1 << 40], 11);
}

#[test]
fn adamw() {
    let (runs, elements) = (3, 40_000);
    let tensors: Vec<Tensor<2>> = (0..4).map(|_| random([runs, elements])).collect();
    let state = |tensors: &[Tensor<2>]| ops::Moments {
        value: tensors[0].clone(),
        first: tensors[1].clone(),
        second: tensors[2].clone().abs(),
    };
    let numbers = ops::AdamWNumbers { beta1: 0.9, beta2: 0.999, epsilon: 1e-6 };
    let steps = |device: &Device| ops::RunSteps {
        rate: Tensor::from_floats([0.0, 0.1, 0.2], device),
        clip: Tensor::from_floats([0.5, 1.5, 2.5], device),
        decay: Tensor::from_floats([0.01, 0.01, 0.01], device),
    };
    let moved = to_device(&tensors, &device());
    let fused = ops::adamw(state(&moved), moved[3].clone(), &steps(&device()), numbers);
    let composed = ops::adamw_composed(state(&tensors), tensors[3].clone(), &steps(&cpu()), numbers);
    let pairs =
        [(fused.value, composed.value), (fused.first, composed.first), (fused.second, composed.second)];
    for (a, b) in pairs {
        let (a, b) = (values(a), values(b));
        assert!(largest_difference(&a, &b) / largest(&b) < 1e-6);
    }
    assert_eq!(values(moved[0].clone()), values(tensors[0].clone()), "what others hold stays");
}

#[test]
fn sums_of_squares_and_the_clip_factors_that_they_give() {
    // Fewer and more elements than one block of a sum.
    for elements in [5, 40_000] {
        let gradient = random([3, elements]);
        let expected = values(gradient.clone().square().sum_dim(1));
        let sums = values(ops::sum_of_squares(gradient.clone().to_device(&device())));
        assert!(largest_difference(&sums, &expected) / largest(&expected) < 1e-5);
    }
    let squares = Tensor::<1>::from_floats([4.0, 1e-4, 0.0, f32::NAN], &device());
    let factors = values(ops::clip_factors(squares, 1.0));
    assert!((factors[0] - 0.5).abs() < 1e-6 && factors[1..3] == [1.0, 1.0] && factors[3].is_nan());
}
