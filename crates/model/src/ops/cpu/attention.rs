//! Attention and its gradients, sentence by sentence: no table of weights outlives its sentence.

use rayon::prelude::*;

use super::gemm::{View, multiply};
use super::simd::{exp, max, sum, vectorize};
use crate::dropout::Mask;

/// Sizes of an attention. Queries are `[runs, batch, queries, heads x size]`, keys and values
/// `[runs, batch, keys, heads x size]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub runs: usize,
    pub batch: usize,
    pub heads: usize,
    pub queries: usize,
    pub keys: usize,
    /// Size of one head.
    pub size: usize,
}

impl Sizes {
    fn inner(&self) -> usize {
        self.heads * self.size
    }

    fn scores(&self) -> usize {
        self.queries * self.keys
    }

    /// One head's rows of a sentence's `[length, heads x size]`.
    fn head<'a>(&self, data: &'a [f32], head: usize, length: usize) -> View<'a> {
        View::new(&data[head * self.size..], [length, self.size], self.inner())
    }
}

/// What an attention mixes, beside its sizes.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub queries: &'a [f32],
    pub keys: &'a [f32],
    pub values: &'a [f32],
    /// `[1 or runs, heads, queries, keys]`, added to the scores.
    pub bias: Option<&'a [f32]>,
    /// `[runs, batch, keys]`, added to the scores.
    pub mask: Option<&'a [f32]>,
    /// Dropout on the weights.
    pub dropout: Option<&'a Mask>,
}

impl<'a> Inputs<'a> {
    /// The inputs of one sentence, and its number.
    fn sentence(&self, sizes: Sizes, n: usize) -> Sentence<'a> {
        let rows =
            |data: &'a [f32], length: usize| &data[n * length * sizes.inner()..][..length * sizes.inner()];
        let bias = self.bias.map(|bias| {
            let per_run = sizes.heads * sizes.scores();
            let run = if bias.len() == per_run { 0 } else { n / sizes.batch };
            &bias[run * per_run..][..per_run]
        });
        Sentence {
            number: n,
            sizes,
            queries: rows(self.queries, sizes.queries),
            keys: rows(self.keys, sizes.keys),
            values: rows(self.values, sizes.keys),
            bias,
            mask: self.mask.map(|mask| &mask[n * sizes.keys..][..sizes.keys]),
        }
    }
}

struct Sentence<'a> {
    number: usize,
    sizes: Sizes,
    queries: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    bias: Option<&'a [f32]>,
    mask: Option<&'a [f32]>,
}

impl Sentence<'_> {
    /// `Q K' + bias + mask` of one head: `[queries, keys]`.
    fn scores(&self, head: usize, scores: &mut [f32]) {
        let s = self.sizes;
        let (queries, keys) = (s.head(self.queries, head, s.queries), s.head(self.keys, head, s.keys));
        multiply(scores, s.keys, queries, keys.transposed(), false);
        vectorize(|| {
            for (query, row) in scores.chunks_mut(s.keys).enumerate() {
                if let Some(bias) = self.bias {
                    let bias = &bias[(head * s.queries + query) * s.keys..][..s.keys];
                    for (score, bias) in row.iter_mut().zip(bias) {
                        *score += bias;
                    }
                }
                if let Some(mask) = self.mask {
                    for (score, mask) in row.iter_mut().zip(mask) {
                        *score += mask;
                    }
                }
            }
        });
    }

    /// Multiplies one head's weights by their dropout factors.
    fn drop(&self, head: usize, weights: &mut [f32], dropout: Option<&Mask>) {
        let Some(mask) = dropout else { return };
        let s = self.sizes;
        let first = (self.number * s.heads + head) * s.queries;
        vectorize(|| {
            for (query, row) in weights.chunks_mut(s.keys).enumerate() {
                let key = mask.row_key(first + query);
                for (column, weight) in row.iter_mut().enumerate() {
                    *weight *= mask.factor(key, column);
                }
            }
        });
    }
}

/// The mixed values `[runs, batch, queries, heads x size]`, and the log of each softmax's normalizer,
/// `[runs, batch, heads, queries]`.
pub(super) fn forward(inputs: Inputs, sizes: Sizes) -> (Vec<f32>, Vec<f32>) {
    let sentences = sizes.runs * sizes.batch;
    let mut out = vec![0.0; sentences * sizes.queries * sizes.inner()];
    let mut normalizers = vec![0.0; sentences * sizes.heads * sizes.queries];
    out.par_chunks_mut(sizes.queries * sizes.inner())
        .zip(normalizers.par_chunks_mut(sizes.heads * sizes.queries))
        .enumerate()
        .for_each_init(
            || vec![0.0; sizes.scores()],
            |scores, (n, (out, normalizers))| {
                let sentence = inputs.sentence(sizes, n);
                for head in 0..sizes.heads {
                    sentence.scores(head, scores);
                    softmax(scores, sizes.keys, &mut normalizers[head * sizes.queries..][..sizes.queries]);
                    sentence.drop(head, scores, inputs.dropout);
                    let weights = View::new(scores, [sizes.queries, sizes.keys], sizes.keys);
                    let values = sizes.head(sentence.values, head, sizes.keys);
                    multiply(&mut out[head * sizes.size..], sizes.inner(), weights, values, false);
                }
            },
        );
    (out, normalizers)
}

/// Turns rows of scores into weights, and keeps the log of each row's normalizer.
fn softmax(scores: &mut [f32], keys: usize, normalizers: &mut [f32]) {
    vectorize(|| {
        for (row, normalizer) in scores.chunks_mut(keys).zip(normalizers) {
            let largest = max(row);
            for score in row.iter_mut() {
                *score = exp(*score - largest);
            }
            let total = sum(keys, |i| row[i]);
            let scale = 1.0 / total;
            for weight in row.iter_mut() {
                *weight *= scale;
            }
            *normalizer = largest + total.ln();
        }
    });
}

/// Gradients with respect to an attention's inputs.
pub(super) struct Gradients {
    pub queries: Vec<f32>,
    pub keys: Vec<f32>,
    pub values: Vec<f32>,
    /// One block `[heads, queries, keys]` for each of the bias's runs; empty where it is not asked for.
    pub bias: Vec<f32>,
}

/// Parts into which each run's batch is cut when the bias's gradient is summed: fixed, so that the sum
/// does not depend on the number of threads.
const BIAS_PARTS: usize = 4;

/// The gradients. Weights are computed again from the scores rather than kept.
pub(super) fn backward(
    gradient: &[f32],
    inputs: Inputs,
    normalizers: &[f32],
    sizes: Sizes,
    with_bias: bool,
) -> Gradients {
    let (rows, columns) = (sizes.queries * sizes.inner(), sizes.keys * sizes.inner());
    let sentences = sizes.runs * sizes.batch;
    let (mut dq, mut dk, mut dv) =
        (vec![0.0; sentences * rows], vec![0.0; sentences * columns], vec![0.0; sentences * columns]);
    let part = if with_bias { sizes.batch.div_ceil(BIAS_PARTS) } else { 1 };
    let bias_block = if with_bias { sizes.heads * sizes.scores() } else { 0 };
    let work =
        |run: usize, first: usize, dq: &mut [f32], dk: &mut [f32], dv: &mut [f32], bias: &mut [f32]| {
            let mut scratch = Scratch::new(sizes);
            let parts = dq.chunks_mut(rows).zip(dk.chunks_mut(columns)).zip(dv.chunks_mut(columns));
            for (i, ((dq, dk), dv)) in parts.enumerate() {
                let n = run * sizes.batch + first + i;
                let gradient = &gradient[n * rows..][..rows];
                let normalizers =
                    &normalizers[n * sizes.heads * sizes.queries..][..sizes.heads * sizes.queries];
                let sentence = inputs.sentence(sizes, n);
                scratch.sentence(&sentence, gradient, normalizers, inputs.dropout, [dq, dk, dv], bias);
            }
        };
    let parts_per_run = sizes.batch.div_ceil(part);
    let mut partial = vec![0.0; sizes.runs * parts_per_run * bias_block];
    // Runs are separate blocks, so that no part spans two of them.
    let runs = dq
        .par_chunks_mut(sizes.batch * rows)
        .zip(dk.par_chunks_mut(sizes.batch * columns))
        .zip(dv.par_chunks_mut(sizes.batch * columns))
        .zip(Blocks::new(&mut partial, parts_per_run * bias_block, sizes.runs).0)
        .enumerate();
    runs.for_each(|(run, (((dq, dk), dv), bias))| {
        dq.par_chunks_mut(part * rows)
            .zip(dk.par_chunks_mut(part * columns))
            .zip(dv.par_chunks_mut(part * columns))
            .zip(Blocks::new(bias, bias_block, parts_per_run).0)
            .enumerate()
            .for_each(|(i, (((dq, dk), dv), bias))| work(run, i * part, dq, dk, dv, bias));
    });
    let bias = if with_bias {
        let blocks = if inputs.bias.is_some_and(|b| b.len() == bias_block) { 1 } else { sizes.runs };
        sum_blocks(&partial, bias_block, blocks)
    } else {
        Vec::new()
    };
    Gradients { queries: dq, keys: dk, values: dv, bias }
}

/// A slice cut into so many equal blocks, which may be empty.
struct Blocks<'a>(Vec<&'a mut [f32]>);

impl<'a> Blocks<'a> {
    fn new(mut data: &'a mut [f32], size: usize, count: usize) -> Self {
        let mut blocks = Vec::with_capacity(count);
        for _ in 0..count {
            let (block, rest) = data.split_at_mut(size);
            blocks.push(block);
            data = rest;
        }
        Self(blocks)
    }
}

/// Sums blocks in order, into so many groups.
fn sum_blocks(partial: &[f32], size: usize, groups: usize) -> Vec<f32> {
    let mut out = vec![0.0; groups * size];
    let per_group = partial.len() / groups;
    for (group, out) in out.chunks_mut(size).enumerate() {
        for block in partial[group * per_group..][..per_group].chunks(size) {
            for (out, x) in out.iter_mut().zip(block) {
                *out += x;
            }
        }
    }
    out
}

struct Scratch {
    weights: Vec<f32>,
    dropped: Vec<f32>,
    gradient: Vec<f32>,
}

impl Scratch {
    fn new(sizes: Sizes) -> Self {
        let empty = || vec![0.0; sizes.scores()];
        Self { weights: empty(), dropped: empty(), gradient: empty() }
    }

    fn sentence(
        &mut self,
        sentence: &Sentence,
        gradient: &[f32],
        normalizers: &[f32],
        dropout: Option<&Mask>,
        [dq, dk, dv]: [&mut [f32]; 3],
        bias: &mut [f32],
    ) {
        let s = sentence.sizes;
        let (inner, square) = (s.inner(), [s.queries, s.keys]);
        for head in 0..s.heads {
            sentence.scores(head, &mut self.weights);
            weights_from_scores(&mut self.weights, s.keys, &normalizers[head * s.queries..]);
            let from_out = s.head(gradient, head, s.queries);

            // Through the mixing of values.
            self.dropped.copy_from_slice(&self.weights);
            sentence.drop(head, &mut self.dropped, dropout);
            let dropped = View::new(&self.dropped, square, s.keys);
            multiply(&mut dv[head * s.size..], inner, dropped.transposed(), from_out, false);
            let values = s.head(sentence.values, head, s.keys);
            multiply(&mut self.gradient, s.keys, from_out, values.transposed(), false);
            sentence.drop(head, &mut self.gradient, dropout);

            // Through the softmax.
            softmax_backward(&mut self.gradient, &self.weights, s.keys);
            if let Some(bias) = bias.chunks_mut(s.scores()).nth(head) {
                bias.iter_mut().zip(&self.gradient).for_each(|(bias, g)| *bias += g);
            }

            // Through the scores.
            let from_scores = View::new(&self.gradient, square, s.keys);
            let (queries, keys) =
                (s.head(sentence.queries, head, s.queries), s.head(sentence.keys, head, s.keys));
            multiply(&mut dq[head * s.size..], inner, from_scores, keys, false);
            multiply(&mut dk[head * s.size..], inner, from_scores.transposed(), queries, false);
        }
    }
}

fn weights_from_scores(scores: &mut [f32], keys: usize, normalizers: &[f32]) {
    vectorize(|| {
        for (row, normalizer) in scores.chunks_mut(keys).zip(normalizers) {
            for score in row {
                *score = exp(*score - normalizer);
            }
        }
    });
}

/// Turns the gradient of weights into that of scores.
fn softmax_backward(gradient: &mut [f32], weights: &[f32], keys: usize) {
    vectorize(|| {
        for (g, w) in gradient.chunks_mut(keys).zip(weights.chunks(keys)) {
            let along = sum(keys, |i| g[i] * w[i]);
            for (g, w) in g.iter_mut().zip(w) {
                *g = w * (*g - along);
            }
        }
    });
}
