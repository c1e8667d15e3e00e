use burn::backend::Dispatch;
use burn::tensor::{DType, Tensor};

use super::fused::{FusedOps, takes};

/// `x / sqrt(mean(x^2) + epsilon) * scale` over the last axis, statistics in f32.
///
/// `input` is `[runs, batch, length, width]`, `scale` `[1 or runs, 1, width]`.
pub fn rms_norm(input: Tensor<4>, scale: Tensor<3>, epsilon: f64) -> Tensor<4> {
    if takes(&input) {
        let out = Dispatch::rms_norm(input.into_dispatch(), scale.into_dispatch(), epsilon);
        return Tensor::from_dispatch(out);
    }
    rms_norm_composed(input, scale, epsilon)
}

/// [`rms_norm`] from Burn's own operations, for every device.
pub fn rms_norm_composed(input: Tensor<4>, scale: Tensor<3>, epsilon: f64) -> Tensor<4> {
    let dtype = input.dtype();
    let wide = input.cast(DType::F32);
    let mean_square = wide.clone().square().mean_dim(3);
    let normed = wide * (mean_square + epsilon).sqrt().recip();
    normed.cast(dtype) * scale.unsqueeze_dim(1)
}
