use burn::tensor::{Device, Int, Tensor, TensorData};

use super::{Pass, T5Config, decode, encode};
use crate::ops;

/// Token ids of one step, padded to common widths.
#[derive(Clone)]
pub struct Batch {
    /// `[runs, batch, source length]`.
    pub source: Tensor<3, Int>,
    /// 1 for real source tokens, 0 for padding: `[runs, batch, source length]`.
    pub source_mask: Tensor<3>,
    /// `[runs, batch, target length]`, EOS tokens included.
    pub target: Tensor<3, Int>,
    /// 1 for real target tokens, 0 for padding: `[runs, batch, target length]`.
    pub target_mask: Tensor<3>,
}

impl Batch {
    /// Pads the `(source, target)` ids of each run to the widest row.
    ///
    /// # Panics
    /// When the runs have unequal numbers of rows.
    pub fn new(rows: &[Vec<(&[u32], &[u32])>], pad: u32, device: &Device) -> Self {
        let sources: Vec<Vec<&[u32]>> = rows.iter().map(|r| r.iter().map(|p| p.0).collect()).collect();
        let targets: Vec<Vec<&[u32]>> = rows.iter().map(|r| r.iter().map(|p| p.1).collect()).collect();
        let (source, source_mask) = pad_ids(&sources, pad, device);
        let (target, target_mask) = pad_ids(&targets, pad, device);
        Self { source, source_mask, target, target_mask }
    }
}

/// Pads ids of `[runs][batch]` rows to one width; the second tensor is the mask.
pub fn pad_ids(rows: &[Vec<&[u32]>], pad: u32, device: &Device) -> (Tensor<3, Int>, Tensor<3>) {
    let batch = rows.first().map_or(0, Vec::len);
    let width = rows.iter().flatten().map(|r| r.len()).max().unwrap_or(0);
    let mut ids = Vec::with_capacity(rows.len() * batch * width);
    let mut mask = Vec::with_capacity(ids.capacity());
    for run in rows {
        assert_eq!(run.len(), batch, "runs side by side need batches of one size");
        for row in run {
            ids.extend(row.iter().map(|&id| i64::from(id)));
            ids.resize(ids.len() + width - row.len(), i64::from(pad));
            mask.resize(mask.len() + row.len(), 1.0f32);
            mask.resize(mask.len() + width - row.len(), 0.0);
        }
    }
    let shape = [rows.len(), batch, width];
    (
        Tensor::from_data(TensorData::new(ids, shape), device),
        Tensor::from_data(TensorData::new(mask, shape), device),
    )
}

/// Cross-entropy of the targets under teacher forcing.
pub struct TargetLoss {
    /// Mean over each run's real target tokens: `[runs]`.
    pub per_run: Tensor<1>,
}

/// The training loss: the mean negative log-probability of each run's target tokens.
pub fn target_loss(pass: &Pass, batch: &Batch) -> TargetLoss {
    let log_probabilities = token_log_probabilities(pass, batch);
    let total = ops::sum_rows(ops::sum_tokens(log_probabilities));
    let tokens = ops::sum_rows(ops::sum_tokens(batch.target_mask.clone()));
    TargetLoss { per_run: (total / tokens).neg() }
}

/// Log-probability of each whole target, EOS token included: `[runs, batch]`.
pub fn target_log_probabilities(pass: &Pass, batch: &Batch) -> Tensor<2> {
    ops::sum_tokens(token_log_probabilities(pass, batch))
}

/// Log-probability of each target token, 0 for padding: `[runs, batch, target length]`.
fn token_log_probabilities(pass: &Pass, batch: &Batch) -> Tensor<3> {
    ops::log_probabilities(target_logits(pass, batch), batch.target.clone()) * batch.target_mask.clone()
}

/// Teacher-forced logits: `[runs, batch, target length, vocab_size]`.
pub fn target_logits(pass: &Pass, batch: &Batch) -> Tensor<4> {
    let encoded = encode(pass, batch.source.clone(), batch.source_mask.clone());
    decode(pass, shift_right(pass.config(), &batch.target), &encoded, None)
}

/// The decoder's input: the start token, then the target without its last token.
fn shift_right(config: &T5Config, target: &Tensor<3, Int>) -> Tensor<3, Int> {
    let [runs, batch, length] = target.dims();
    let start = Tensor::full([runs, batch, 1], config.decoder_start_token_id as i64, &target.device());
    match length {
        0 | 1 => start,
        _ => Tensor::cat(vec![start, target.clone().narrow(2, 0, length - 1)], 2),
    }
}
