//! Dropout, fused with what surrounds it in T5.

use rayon::prelude::*;

use super::simd::vectorize;
use crate::dropout::Mask;

/// Elements that one task handles, about.
const BLOCK: usize = 1 << 14;

/// Calls `f(row, elements)` on every row of `width` elements, in parallel.
fn for_rows(out: &mut [f32], width: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = BLOCK.div_ceil(width.max(1));
    out.par_chunks_mut(rows * width.max(1)).enumerate().for_each(|(block, chunk)| {
        vectorize(|| {
            for (i, row) in chunk.chunks_mut(width.max(1)).enumerate() {
                f(block * rows + i, row);
            }
        })
    });
}

/// `x` where it is kept, 0 where it is dropped; scaled. Its own gradient too.
pub(super) fn dropout(x: &mut [f32], mask: &Mask) {
    for_rows(
        x,
        mask.width(),
        #[inline(always)]
        |row, x| {
            let key = mask.row_key(row);
            for (column, x) in x.iter_mut().enumerate() {
                *x *= mask.factor(key, column);
            }
        },
    );
}

/// `residual += dropout(update)`.
pub(super) fn add_dropout(residual: &mut [f32], update: &[f32], mask: &Mask) {
    let width = mask.width();
    for_rows(
        residual,
        width,
        #[inline(always)]
        |row, residual| {
            let key = mask.row_key(row);
            let update = &update[row * width..][..width];
            for (column, (residual, update)) in residual.iter_mut().zip(update).enumerate() {
                *residual += update * mask.factor(key, column);
            }
        },
    );
}

/// `dropout(max(x, 0))`.
pub(super) fn relu_dropout(x: &mut [f32], mask: &Mask) {
    for_rows(
        x,
        mask.width(),
        #[inline(always)]
        |row, x| {
            let key = mask.row_key(row);
            for (column, x) in x.iter_mut().enumerate() {
                let positive = if *x > 0.0 { *x } else { 0.0 };
                *x = positive * mask.factor(key, column);
            }
        },
    );
}

/// The gradient of [`relu_dropout`], from its output: what is positive there was kept and positive.
pub(super) fn relu_dropout_backward(gradient: &mut [f32], output: &[f32], scale: f32) {
    let blocks = gradient.par_chunks_mut(BLOCK).zip(output.par_chunks(BLOCK));
    blocks.for_each(|(gradient, output)| {
        vectorize(|| {
            for (gradient, output) in gradient.iter_mut().zip(output) {
                *gradient = if *output > 0.0 { *gradient * scale } else { 0.0 };
            }
        })
    });
}
