//! Shapes and types of what a kernel returns, for Burn's fusion, which runs kernels later.

use burn::backend::fusion::custom::TensorSpec;
use burn::tensor::{DType, Shape};

use super::arguments::{AttentionGradientsMetadata, AttentionInputsMetadata, AttentionPlan, MaybeMetadata};

/// A tensor of this shape and type.
pub(super) fn spec<const D: usize>(shape: [usize; D], dtype: DType) -> TensorSpec {
    TensorSpec::new(Shape::from(shape), dtype)
}

pub(super) fn rms_norm(input: &TensorSpec, _: &TensorSpec, _: &f64) -> (TensorSpec, TensorSpec) {
    let [runs, batch, length, _] = input.shape.dims();
    (input.clone(), spec([runs * batch * length], DType::F32))
}

pub(super) fn attention(inputs: &AttentionInputsMetadata, plan: &AttentionPlan) -> (TensorSpec, TensorSpec) {
    let [runs, batch, length, _] = inputs.queries.shape.dims();
    (inputs.queries.clone(), spec([runs, batch, plan.heads, length], DType::F32))
}

pub(super) fn attention_gradients(
    inputs: &AttentionInputsMetadata,
    with_bias: bool,
) -> AttentionGradientsMetadata {
    let AttentionInputsMetadata { queries, keys, values, bias, .. } = inputs.clone();
    let bias = if with_bias { bias } else { MaybeMetadata::None };
    AttentionGradientsMetadata { queries, keys, values, bias }
}

pub(super) fn log_probabilities(targets: &TensorSpec) -> (TensorSpec, TensorSpec) {
    let rows = TensorSpec::new(targets.shape.clone(), DType::F32);
    (rows.clone(), rows)
}
