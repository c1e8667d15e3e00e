use burn::tensor::{DType, Tensor};

use super::{per_run, rms_norm};

/// `(x - mean(x)) / sqrt(variance(x) + epsilon) * scale + bias` over the last axis, statistics in f32 (Ba et al. 2016);
/// T5 itself has it nowhere.
///
/// `input` is `[runs, batch, length, width]`, `scale` and `bias` `[runs, width]`.
pub fn layer_norm_per_run(input: Tensor<4>, scale: Tensor<2>, bias: Tensor<2>, epsilon: f64) -> Tensor<4> {
    let dtype = input.dtype();
    let wide = input.cast(DType::F32);
    let centered = wide.clone() - wide.mean_dim(3);
    let normed = rms_norm(centered.cast(dtype), scale.unsqueeze_dim(1), epsilon);
    let bias = per_run(bias, &normed);
    normed + bias
}
