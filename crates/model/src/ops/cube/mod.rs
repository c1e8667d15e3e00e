//! The fused operations on GPUs: kernels in CubeCL, for CUDA, Vulkan, Metal and WebGPU.
//!
//! No kernel adds atomically: the same input gives the same bits, whatever runs beside. Values may be of any float
//! type; sums and what is kept for a gradient are in f32.

// The arguments of a kernel are its buffers and sizes, and its loops have no iterators.
#![allow(clippy::too_many_arguments, clippy::needless_range_loop)]
// What the macros make of a kernel is public, and may not be made of what is not.
#![allow(unreachable_pub)]

mod adamw;
mod attention;
mod attention_gradients;
mod cross_entropy;
mod dropout;
mod gate;
mod launch;
mod mask;
mod reduce;
mod rms_norm;

use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::arguments::{
    AdamWNumbers, AdamWRuns, AdamWState, AttentionGradients, AttentionInputs, AttentionPlan,
};
use super::fused::Kernels;
use crate::dropout::Mask;

impl Kernels for CubeBackend {
    fn rms_norm_forward(input: CubeTensor, scale: CubeTensor, epsilon: f64) -> (CubeTensor, CubeTensor) {
        rms_norm::forward(input, scale, epsilon as f32)
    }

    fn rms_norm_input_gradient(
        gradient: CubeTensor,
        input: CubeTensor,
        scale: CubeTensor,
        reciprocals: CubeTensor,
    ) -> CubeTensor {
        rms_norm::input_gradient(gradient, input, scale, reciprocals)
    }

    fn rms_norm_scale_gradient(
        gradient: CubeTensor,
        input: CubeTensor,
        reciprocals: CubeTensor,
        scales: usize,
    ) -> CubeTensor {
        rms_norm::scale_gradient(gradient, input, reciprocals, scales)
    }

    fn attention_forward(inputs: AttentionInputs<Self>, plan: AttentionPlan) -> (CubeTensor, CubeTensor) {
        attention::forward(attention::Inputs::new(inputs, plan))
    }

    fn attention_gradients(
        gradient: CubeTensor,
        inputs: AttentionInputs<Self>,
        normalizers: CubeTensor,
        plan: AttentionPlan,
        with_bias: bool,
    ) -> AttentionGradients<Self> {
        let inputs = attention::Inputs::new(inputs, plan);
        attention_gradients::gradients(gradient, inputs, normalizers, with_bias)
    }

    fn apply_mask(input: CubeTensor, mask: Mask) -> CubeTensor {
        dropout::dropout(input, &mask)
    }

    fn add_masked(residual: CubeTensor, update: CubeTensor, mask: Mask) -> CubeTensor {
        dropout::add_dropout(residual, update, &mask)
    }

    fn relu_masked(input: CubeTensor, mask: Mask) -> CubeTensor {
        dropout::relu_dropout(input, &mask)
    }

    fn relu_masked_gradient(gradient: CubeTensor, output: CubeTensor, scale: f32) -> CubeTensor {
        dropout::relu_dropout_gradient(gradient, output, scale)
    }

    fn log_probabilities_forward(logits: CubeTensor, targets: CubeTensor) -> (CubeTensor, CubeTensor) {
        cross_entropy::forward(logits, targets)
    }

    fn log_probabilities_gradient(
        gradient: CubeTensor,
        logits: CubeTensor,
        targets: CubeTensor,
        normalizers: CubeTensor,
    ) -> CubeTensor {
        cross_entropy::gradient(gradient, logits, targets, normalizers)
    }

    fn adamw(
        state: AdamWState<Self>,
        gradient: CubeTensor,
        runs: AdamWRuns<Self>,
        numbers: AdamWNumbers,
    ) -> AdamWState<Self> {
        adamw::update(state, gradient, runs, numbers)
    }

    fn sum_of_squares(gradient: CubeTensor) -> CubeTensor {
        adamw::sum_of_squares(gradient)
    }
}
