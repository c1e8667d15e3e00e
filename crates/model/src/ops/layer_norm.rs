use burn::tensor::Tensor;

use super::{per_run, rms_norm};

/// `(x - mean(x)) / sqrt(variance(x) + epsilon) * scale + bias` over the last axis, which T5 itself has nowhere (Ba et
/// al. 2016).
///
/// `input` is `[runs, batch, length, width]`, `scale` and `bias` `[runs, width]`.
pub fn layer_norm_per_run(input: Tensor<4>, scale: Tensor<2>, bias: Tensor<2>, epsilon: f64) -> Tensor<4> {
    let mean = input.clone().mean_dim(3);
    let normed = rms_norm(input - mean, scale.unsqueeze_dim(1), epsilon);
    let bias = per_run(bias, &normed);
    normed + bias
}
