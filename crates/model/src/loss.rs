//! What logits of targets come to: the training loss, and the log-probabilities that it is the mean of.

use burn::tensor::Tensor;

use crate::Batch;
use crate::ops;

/// The mean negative log-probability of each run's target tokens, or a slice's share of it, from their logits
/// `[runs, batch, target length, vocab_size]`: `[runs]`.
pub(crate) fn loss(logits: Tensor<4>, batch: &Batch) -> Tensor<1> {
    let log_probabilities = token_log_probabilities(logits, batch);
    mean_over_tokens(log_probabilities, batch).neg()
}

/// The mean of values of target tokens, 0 for padding, `[runs, batch, target length]`; of a slice, its share of the mean
/// of the whole batch: `[runs]`.
pub(crate) fn mean_over_tokens(values: Tensor<3>, batch: &Batch) -> Tensor<1> {
    let total = ops::sum_rows(ops::sum_tokens(values));
    let tokens = match &batch.slice {
        Some(slice) => slice.tokens.clone(),
        None => ops::sum_rows(ops::sum_tokens(batch.target.mask.clone())),
    };
    total / tokens
}

/// Log-probability of each target token, 0 for padding: `[runs, batch, target length]`.
pub(crate) fn token_log_probabilities(logits: Tensor<4>, batch: &Batch) -> Tensor<3> {
    ops::log_probabilities(logits, batch.target.ids.clone()) * batch.target.mask.clone()
}
