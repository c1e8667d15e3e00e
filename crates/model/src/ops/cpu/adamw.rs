//! One AdamW update in one pass over memory.

use rayon::prelude::*;

use super::simd::{sum, vectorize};
use crate::ops::arguments::AdamWNumbers;

/// Elements that one task handles.
const BLOCK: usize = 1 << 14;

/// What differs between runs, one number for each.
#[derive(Clone, Copy)]
pub(super) struct Runs<'a> {
    /// Learning rate, bias correction included.
    pub rate: &'a [f32],
    /// Factor on the gradient.
    pub clip: &'a [f32],
    /// Share of the updated value that weight decay takes.
    pub decay: &'a [f32],
}

/// Updates values and moments of `[runs, elements]` in place.
pub(super) fn update(
    values: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    gradient: &[f32],
    runs: Runs,
    numbers: AdamWNumbers,
) {
    // Subtracted in f64: 1 - 0.999 keeps only four digits in f32.
    let [beta1, rest1] = [numbers.beta1, 1.0 - numbers.beta1].map(|b| b as f32);
    let [beta2, rest2] = [numbers.beta2, 1.0 - numbers.beta2].map(|b| b as f32);
    let elements = values.len() / runs.rate.len().max(1);
    let rows = values
        .par_chunks_mut(elements)
        .zip(first.par_chunks_mut(elements))
        .zip(second.par_chunks_mut(elements))
        .zip(gradient.par_chunks(elements))
        .enumerate();
    rows.for_each(|(run, (((values, first), second), gradient))| {
        let (rate, clip, decay) = (runs.rate[run], runs.clip[run], runs.decay[run]);
        let blocks = values
            .par_chunks_mut(BLOCK)
            .zip(first.par_chunks_mut(BLOCK))
            .zip(second.par_chunks_mut(BLOCK))
            .zip(gradient.par_chunks(BLOCK));
        blocks.for_each(|(((values, first), second), gradient)| {
            vectorize(|| {
                for (((value, m), v), g) in values.iter_mut().zip(first).zip(second).zip(gradient) {
                    let g = g * clip;
                    *m = *m * beta1 + g * rest1;
                    *v = *v * beta2 + g * g * rest2;
                    let updated = *value - rate * *m / (v.sqrt() + numbers.epsilon);
                    *value = updated - updated * decay;
                }
            })
        });
    });
}

/// Sum of squares of each run's elements, in blocks of fixed size: the same on any number of threads.
pub(super) fn sum_of_squares(gradient: &[f32], runs: usize) -> Vec<f32> {
    let elements = gradient.len() / runs.max(1);
    gradient
        .chunks(elements)
        .map(|run| {
            let blocks = run.par_chunks(BLOCK);
            let sums: Vec<f32> =
                blocks.map(|block| vectorize(|| sum(block.len(), |i| block[i] * block[i]))).collect();
            sums.iter().sum()
        })
        .collect()
}
