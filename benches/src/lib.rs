//! What the benches share: a batch of made-up ids of a given size.

use burn::tensor::Device;
use peft_model::Batch;
use peft_model::layout::Layout;

/// Sizes of a training batch.
#[derive(Debug, Clone, Copy)]
pub struct BatchSize {
    pub runs: usize,
    pub rows: usize,
    /// Source tokens of every row.
    pub source: usize,
    /// Target tokens of every row.
    pub target: usize,
}

/// A batch without padding; ids spread over the vocabulary.
pub fn batch(layout: &Layout, size: BatchSize, device: &Device) -> Batch {
    let ids = |seed: usize, length: usize| -> Vec<u32> {
        (0..length).map(|i| (2 + (seed * 7919 + i * 104_729) % (layout.vocab_size - 2)) as u32).collect()
    };
    let rows: Vec<Vec<(Vec<u32>, Vec<u32>)>> = (0..size.runs)
        .map(|run| {
            (0..size.rows).map(|row| (ids(run * 31 + row, size.source), ids(row + 1, size.target))).collect()
        })
        .collect();
    let rows: Vec<Vec<(&[u32], &[u32])>> =
        rows.iter().map(|run| run.iter().map(|(s, t)| (&s[..], &t[..])).collect()).collect();
    Batch::new(&rows, layout.tokens.pad, device)
}
