//! Prompts that are one shared prompt times rank-one factors of each task: MPT and its source stage.

use burn::tensor::Tensor;

use super::prompt::{NAME, put_before};
use super::tasks::prompts_of_rows;
use crate::ops::{linear_per_run, per_sentence};
use crate::{Context, Input};

pub(super) const POSITION_FACTOR: &str = "position_factor";
pub(super) const FEATURE_FACTOR: &str = "feature_factor";

/// `P o (u_k v_k^T)` for each task, from `[runs, length, d_model]`, `[runs, tasks, length]` and `[runs, tasks, d_model]`:
/// `[runs, tasks, length, d_model]`.
pub(super) fn prompts_of_tasks(shared: Tensor<3>, position: Tensor<3>, feature: Tensor<3>) -> Tensor<4> {
    let ([runs, tasks, length], [.., d]) = (position.dims(), feature.dims());
    // A product rather than broadcasting, whose gradient would depend on the runs beside it.
    let position = position.reshape([runs * tasks, 1, length, 1]);
    let factors = linear_per_run(position, feature.reshape([runs * tasks, d, 1]));
    per_sentence(shared, tasks) * factors.reshape([runs, tasks, length, d])
}

/// The prompt of each task, in f32, whatever the backbone computes in: `[runs, tasks, length, d_model]`.
pub(super) fn trained_prompts(context: &Context) -> Tensor<4> {
    let parameters = context.parameters;
    let (position, feature) = (parameters.get_f32(POSITION_FACTOR), parameters.get_f32(FEATURE_FACTOR));
    prompts_of_tasks(parameters.get_f32(NAME), position, feature)
}

/// Puts before each row the prompt of its task, of `[runs, tasks, length, d_model]`; rows that do not say are of the first.
pub(super) fn prepend_prompts_of_tasks(context: &Context, prompts: Tensor<4>, input: Input) -> Input {
    let batch = input.embeddings.dims()[1];
    put_before(prompts_of_rows(context, prompts, batch).cast(context.weights.dtype()), input)
}
