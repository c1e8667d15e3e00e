//! The fused operations: one interface, and kernels for the CPU and for every runtime of CubeCL behind it.
//!
//! Under automatic differentiation Burn takes attention, norms and losses apart and keeps every
//! intermediate; these keep what a gradient needs and compute the rest again.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, ExtensionType, backend_extension};
use burn::tensor::{DType, Device, Tensor};

#[cfg(feature = "cube")]
use super::metadata::{self, spec};
use crate::dropout::Mask;

/// Whether the fused operations can take a tensor: it is in f32, and on a device that has kernels.
pub(super) fn takes<const D: usize>(tensor: &Tensor<D>) -> bool {
    let device = tensor.device().inner();
    tensor.dtype() == DType::F32 && (device == Device::flex() || is_cube(&device))
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

/// A tensor that may be left out.
#[derive(Debug, Clone, ExtensionType)]
#[extension_type(fusion: cfg(feature = "cube"))]
pub(super) enum Maybe<B: Backend> {
    /// It is there.
    Some(FloatTensor<B>),
    /// It is left out.
    None,
}

impl<B: Backend> Maybe<B> {
    /// The tensor as an option.
    pub(super) fn into_option(self) -> Option<FloatTensor<B>> {
        match self {
            Maybe::Some(tensor) => Some(tensor),
            Maybe::None => None,
        }
    }
}

impl<B: Backend> From<Option<FloatTensor<B>>> for Maybe<B> {
    fn from(tensor: Option<FloatTensor<B>>) -> Self {
        tensor.map_or(Maybe::None, Maybe::Some)
    }
}

/// What an attention reads; shapes as in [`crate::ops::Attention`].
#[derive(Debug, Clone, ExtensionType)]
#[extension_type(fusion: cfg(feature = "cube"))]
pub(super) struct AttentionInputs<B: Backend> {
    /// `[runs, batch, queries, inner_dim]`.
    pub queries: FloatTensor<B>,
    /// `[runs, batch, keys, inner_dim]`.
    pub keys: FloatTensor<B>,
    /// `[runs, batch, keys, inner_dim]`.
    pub values: FloatTensor<B>,
    /// `[1 or runs, heads, queries, keys]`.
    #[extension_type]
    pub bias: Maybe<B>,
    /// `[runs, batch, keys]`.
    #[extension_type]
    pub mask: Maybe<B>,
}

/// Gradients with respect to an attention's inputs.
#[derive(Debug, Clone, ExtensionType)]
#[extension_type(fusion: cfg(feature = "cube"))]
pub(super) struct AttentionGradients<B: Backend> {
    /// With respect to the queries.
    pub queries: FloatTensor<B>,
    /// With respect to the keys.
    pub keys: FloatTensor<B>,
    /// With respect to the values.
    pub values: FloatTensor<B>,
    /// With respect to the bias, where it was asked for.
    #[extension_type]
    pub bias: Maybe<B>,
}

/// A parameter with its moments, `[runs, elements]` each.
#[derive(Debug, Clone, ExtensionType)]
#[extension_type(fusion: cfg(feature = "cube"))]
pub(super) struct AdamWState<B: Backend> {
    /// The parameter.
    pub value: FloatTensor<B>,
    /// Running mean of the gradient.
    pub first: FloatTensor<B>,
    /// Running mean of the squared gradient.
    pub second: FloatTensor<B>,
}

/// What differs between runs, `[runs]` each.
#[derive(Debug, Clone, ExtensionType)]
#[extension_type(fusion: cfg(feature = "cube"))]
pub(super) struct AdamWRuns<B: Backend> {
    /// Learning rate, bias correction included.
    pub rate: FloatTensor<B>,
    /// Factor on the gradient.
    pub clip: FloatTensor<B>,
    /// Share of the updated value that weight decay takes.
    pub decay: FloatTensor<B>,
}

/// How an attention is to be computed.
#[derive(Debug, Clone)]
pub(super) struct AttentionPlan {
    /// Number of heads.
    pub heads: usize,
    /// Which weights are dropped.
    pub dropout: Option<Mask>,
}

/// The same numbers for all runs of an update.
#[derive(Debug, Clone, Copy)]
pub struct AdamWNumbers {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f32,
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
