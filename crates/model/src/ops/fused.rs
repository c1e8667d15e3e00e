//! The fused operations: one interface, and kernels for the CPU and for every runtime of CubeCL behind it.
//!
//! Under automatic differentiation Burn takes attention, norms and losses apart and keeps every
//! intermediate; these keep what a gradient needs and compute the rest again.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, backend_extension};
use burn::tensor::{DType, Device, Tensor};

use super::arguments::{
    AdamWNumbers, AdamWRuns, AdamWState, AttentionGradients, AttentionInputs, AttentionPlan,
};
#[cfg(feature = "cube")]
use super::metadata::{self, spec};
use crate::device::is_host;
use crate::dropout::Mask;

/// Whether the fused operations can take a tensor: there are kernels for f32 on the CPU, and for f32 and bf16 on GPUs.
pub(super) fn takes<const D: usize>(tensor: &Tensor<D>) -> bool {
    let device = tensor.device().inner();
    match tensor.dtype() {
        DType::F32 => is_host(&device) || is_cube(&device),
        DType::BF16 => is_cube(&device),
        _ => false,
    }
}

/// Whether the kernels for GPUs can take a tensor.
#[cfg(feature = "cube")]
pub(super) fn is_on_gpu<const D: usize>(tensor: &Tensor<D>) -> bool {
    takes(tensor) && !is_host(&tensor.device())
}

/// Whether a device is one of CubeCL's.
#[cfg(feature = "cube")]
fn is_cube(device: &Device) -> bool {
    matches!(device.as_dispatch(), burn::backend::DispatchDevice::Cube(_))
}

#[cfg(not(feature = "cube"))]
fn is_cube(_: &Device) -> bool {
    false
}

/// The fused operations as they are called, with their gradients; shapes as in [`crate::ops`].
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "cube"))]
pub(super) trait FusedOps: Backend {
    fn rms_norm(input: FloatTensor<Self>, scale: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self>;
    fn attention(#[extension_type] inputs: AttentionInputs<Self>, plan: AttentionPlan) -> FloatTensor<Self>;
    fn dropout(input: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self>;
    fn add_dropout(residual: FloatTensor<Self>, update: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self>;
    fn relu_dropout(input: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self>;
    /// Logits `[rows, vocabulary]` and ids `[rows]` to `[rows]`.
    fn log_probabilities(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self>;
}

/// What a device computes for the fused operations: each forward pass with what its gradients need, and the
/// gradients.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Fusion: cfg(feature = "cube"))]
pub(super) trait Kernels: Backend {
    /// The tensor in the layout that the kernels read, so that what is kept for a gradient is not copied twice.
    #[fusion(default)]
    fn contiguous(tensor: FloatTensor<Self>) -> FloatTensor<Self> {
        tensor
    }

    /// The normed input, and the reciprocal root mean square of each row, `[rows]`.
    #[fusion(meta = metadata::rms_norm)]
    fn rms_norm_forward(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    #[fusion(dtype = input, shape = input)]
    fn rms_norm_input_gradient(
        gradient: FloatTensor<Self>,
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        reciprocals: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    /// `[scales, 1, width]`.
    #[fusion(meta = |_, input, _, scales| spec([*scales, 1, input.shape[3]], input.dtype))]
    fn rms_norm_scale_gradient(
        gradient: FloatTensor<Self>,
        input: FloatTensor<Self>,
        reciprocals: FloatTensor<Self>,
        scales: usize,
    ) -> FloatTensor<Self>;

    /// The mixed values, and the log of each softmax's normalizer, `[runs, batch, heads, queries]`.
    #[fusion(meta = metadata::attention)]
    fn attention_forward(
        #[extension_type] inputs: AttentionInputs<Self>,
        plan: AttentionPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// Gradients with respect to queries, keys, values and, where it is asked for, the bias.
    #[fusion(meta = |_, inputs, _, _, with_bias| metadata::attention_gradients(inputs, *with_bias))]
    fn attention_gradients(
        gradient: FloatTensor<Self>,
        #[extension_type] inputs: AttentionInputs<Self>,
        normalizers: FloatTensor<Self>,
        plan: AttentionPlan,
        with_bias: bool,
    ) -> AttentionGradients<Self>;

    /// Its own gradient.
    #[fusion(dtype = input, shape = input)]
    fn apply_mask(input: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self>;
    #[fusion(dtype = residual, shape = residual)]
    fn add_masked(residual: FloatTensor<Self>, update: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self>;
    #[fusion(dtype = input, shape = input)]
    fn relu_masked(input: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self>;
    /// From the output: what is positive there was kept and positive.
    #[fusion(dtype = gradient, shape = gradient)]
    fn relu_masked_gradient(
        gradient: FloatTensor<Self>,
        output: FloatTensor<Self>,
        scale: f32,
    ) -> FloatTensor<Self>;

    /// The log-probabilities, and the log of each row's normalizer, `[rows]`.
    #[fusion(meta = |_, targets| metadata::log_probabilities(targets))]
    fn log_probabilities_forward(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    #[fusion(dtype = logits, shape = logits)]
    fn log_probabilities_gradient(
        gradient: FloatTensor<Self>,
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        normalizers: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// The parameter and its moments after an update; the gradient is `[runs, elements]`.
    #[fusion(meta = |state, _, _, _| state.clone())]
    fn adamw(
        #[extension_type] state: AdamWState<Self>,
        gradient: FloatTensor<Self>,
        #[extension_type] runs: AdamWRuns<Self>,
        numbers: AdamWNumbers,
    ) -> AdamWState<Self>;
    /// Sum of squares of each run's elements: `[runs, elements]` to `[runs]`.
    #[fusion(dtype = gradient, shape = [gradient[0]].into())]
    fn sum_of_squares(gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Without gradients, an operation is its forward pass.
macro_rules! forward_only {
    ($backend:ty) => {
        impl FusedOps for $backend {
            fn rms_norm(
                input: FloatTensor<Self>,
                scale: FloatTensor<Self>,
                epsilon: f64,
            ) -> FloatTensor<Self> {
                Self::rms_norm_forward(input, scale, epsilon).0
            }

            fn attention(inputs: AttentionInputs<Self>, plan: AttentionPlan) -> FloatTensor<Self> {
                Self::attention_forward(inputs, plan).0
            }

            fn dropout(input: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self> {
                Self::apply_mask(input, mask)
            }

            fn add_dropout(
                residual: FloatTensor<Self>,
                update: FloatTensor<Self>,
                mask: Mask,
            ) -> FloatTensor<Self> {
                Self::add_masked(residual, update, mask)
            }

            fn relu_dropout(input: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self> {
                Self::relu_masked(input, mask)
            }

            fn log_probabilities(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
                Self::log_probabilities_forward(logits, targets).0
            }
        }
    };
}

forward_only!(burn::backend::Flex);
#[cfg(feature = "cube")]
forward_only!(burn::backend::Cube);
