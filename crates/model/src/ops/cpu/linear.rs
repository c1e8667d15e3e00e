//! Linear maps and their gradients, with one weight for all runs or one for each.

use super::gemm::{View, products};

/// Sizes of a linear map: inputs `[runs, rows, width]`, weights `[weights, out, width]`, where `weights` is 1 or
/// the number of runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub runs: usize,
    pub rows: usize,
    pub width: usize,
    pub out: usize,
    pub weights: usize,
}

impl Sizes {
    /// Rows that meet one weight: those of all runs where they share it.
    fn rows_per_weight(&self) -> usize {
        self.runs * self.rows / self.weights
    }

    /// What meets weight `n`, out of `[runs, rows, columns]`.
    fn rows<'a>(&self, data: &'a [f32], n: usize, columns: usize) -> View<'a> {
        let rows = self.rows_per_weight();
        View::new(&data[n * rows * columns..], [rows, columns], columns)
    }

    fn weight<'a>(&self, weights: &'a [f32], n: usize) -> View<'a> {
        View::new(&weights[n * self.out * self.width..], [self.out, self.width], self.width)
    }
}

/// `input x weight'`: `[runs, rows, out]`.
pub(super) fn forward(input: &[f32], weights: &[f32], s: Sizes) -> Vec<f32> {
    products(s.weights, [s.rows_per_weight(), s.out], |n| {
        [s.rows(input, n, s.width), s.weight(weights, n).transposed()]
    })
}

/// The gradient with respect to the input: `[runs, rows, width]`.
pub(super) fn backward_input(gradient: &[f32], weights: &[f32], s: Sizes) -> Vec<f32> {
    products(s.weights, [s.rows_per_weight(), s.width], |n| {
        [s.rows(gradient, n, s.out), s.weight(weights, n)]
    })
}

/// The gradient with respect to the weights: `[weights, out, width]`.
pub(super) fn backward_weight(gradient: &[f32], input: &[f32], s: Sizes) -> Vec<f32> {
    // Padding has no gradient. Left out, it cannot shift where the sums over rows are cut.
    let real: Vec<usize> = (0..s.runs * s.rows)
        .filter(|row| gradient[row * s.out..][..s.out].iter().any(|&g| g != 0.0))
        .collect();
    let rows = s.rows_per_weight();
    let first = |n: usize| real.partition_point(|&row| row < n * rows);
    let (gradient, input) = (gather(gradient, &real, s.out), gather(input, &real, s.width));
    products(s.weights, [s.out, s.width], |n| {
        let (start, count) = (first(n), first(n + 1) - first(n));
        let gradient = View::new(&gradient[start * s.out..], [count, s.out], s.out);
        [gradient.transposed(), View::new(&input[start * s.width..], [count, s.width], s.width)]
    })
}

/// Some of the rows of `[rows, columns]`.
fn gather(data: &[f32], rows: &[usize], columns: usize) -> Vec<f32> {
    rows.iter().flat_map(|row| &data[row * columns..][..columns]).copied().collect()
}
