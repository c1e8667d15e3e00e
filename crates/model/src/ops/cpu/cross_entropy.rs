//! Log-probabilities of target ids and their gradient, without a full table of log-probabilities.

use rayon::prelude::*;

use super::simd::{exp, max, sum, vectorize};

/// Log-probability of each row's target, and the log of each row's normalizer.
pub(super) fn forward(logits: &[f32], targets: &[i64], vocabulary: usize) -> (Vec<f32>, Vec<f32>) {
    logits
        .par_chunks(vocabulary)
        .zip(targets)
        .map(|(row, &target)| {
            let normalizer = vectorize(|| {
                let max = max(row);
                max + sum(row.len(), |i| exp(row[i] - max)).ln()
            });
            (row[target as usize] - normalizer, normalizer)
        })
        .unzip()
}

/// The gradient with respect to the logits.
pub(super) fn backward(
    gradient: &[f32],
    logits: &[f32],
    targets: &[i64],
    normalizers: &[f32],
    vocabulary: usize,
) -> Vec<f32> {
    let mut out = vec![0.0; logits.len()];
    out.par_chunks_mut(vocabulary).enumerate().for_each(|(row, out)| {
        let g = gradient[row];
        // Padding has no gradient, and the vector starts as zeros.
        if g == 0.0 {
            return;
        }
        let logits = &logits[row * vocabulary..][..vocabulary];
        vectorize(|| {
            for (out, logit) in out.iter_mut().zip(logits) {
                *out = -g * exp(logit - normalizers[row]);
            }
        });
        out[targets[row] as usize] += g;
    });
    out
}
