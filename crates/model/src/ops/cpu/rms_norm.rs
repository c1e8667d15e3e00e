//! Root-mean-square norm and its gradients, one pass each.

use rayon::prelude::*;

use super::simd::{sum, vectorize};

/// Rows that one task handles.
const BLOCK: usize = 32;

/// Sizes of a norm's input: `runs` blocks of `rows` rows of `width` elements, one scale per run or one
/// for all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub runs: usize,
    pub rows: usize,
    pub width: usize,
    pub scales: usize,
}

impl Sizes {
    fn scale<'a>(&self, scales: &'a [f32], row: usize) -> &'a [f32] {
        let run = if self.scales == 1 { 0 } else { row / self.rows };
        &scales[run * self.width..][..self.width]
    }
}

/// The normed rows, and the reciprocal root mean square of each.
pub(super) fn forward(x: &[f32], scales: &[f32], sizes: Sizes, epsilon: f32) -> (Vec<f32>, Vec<f32>) {
    let width = sizes.width;
    let mut out = vec![0.0; x.len()];
    let mut reciprocals = vec![0.0; sizes.runs * sizes.rows];
    out.par_chunks_mut(BLOCK * width).zip(reciprocals.par_chunks_mut(BLOCK)).enumerate().for_each(
        |(block, (out, reciprocals))| {
            vectorize(|| {
                for (i, (out, reciprocal)) in out.chunks_mut(width).zip(reciprocals).enumerate() {
                    let row = block * BLOCK + i;
                    let x = &x[row * width..][..width];
                    *reciprocal = 1.0 / (sum(width, |i| x[i] * x[i]) / width as f32 + epsilon).sqrt();
                    for ((out, x), scale) in out.iter_mut().zip(x).zip(sizes.scale(scales, row)) {
                        *out = x * *reciprocal * scale;
                    }
                }
            })
        },
    );
    (out, reciprocals)
}

/// The gradient with respect to the input.
pub(super) fn backward_input(
    gradient: &[f32],
    x: &[f32],
    scales: &[f32],
    reciprocals: &[f32],
    sizes: Sizes,
) -> Vec<f32> {
    let width = sizes.width;
    let mut out = vec![0.0; x.len()];
    out.par_chunks_mut(BLOCK * width).enumerate().for_each(|(block, out)| {
        vectorize(|| {
            for (i, out) in out.chunks_mut(width).enumerate() {
                let row = block * BLOCK + i;
                let (x, g) = (&x[row * width..][..width], &gradient[row * width..][..width]);
                let (scale, r) = (sizes.scale(scales, row), reciprocals[row]);
                let along = sum(width, |i| g[i] * scale[i] * x[i]) * r * r / width as f32;
                for (((out, x), g), scale) in out.iter_mut().zip(x).zip(g).zip(scale) {
                    *out = r * (g * scale - x * along);
                }
            }
        })
    });
    out
}

/// The gradient with respect to the scales: `[scales, width]`.
pub(super) fn backward_scale(gradient: &[f32], x: &[f32], reciprocals: &[f32], sizes: Sizes) -> Vec<f32> {
    let width = sizes.width;
    let rows_per_scale = sizes.runs * sizes.rows / sizes.scales;
    let mut out = vec![0.0; sizes.scales * width];
    out.par_chunks_mut(width).enumerate().for_each(|(scale, out)| {
        vectorize(|| {
            for row in scale * rows_per_scale..(scale + 1) * rows_per_scale {
                let (x, g) = (&x[row * width..][..width], &gradient[row * width..][..width]);
                let r = reciprocals[row];
                for ((out, x), g) in out.iter_mut().zip(x).zip(g) {
                    *out += g * x * r;
                }
            }
        })
    });
    out
}
