//! What the fused operations take and give where it is more than a tensor.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType};

use crate::dropout::Mask;

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
