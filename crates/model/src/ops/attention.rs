use burn::backend::Dispatch;
use burn::tensor::{DType, Tensor, activation};

use super::arguments::{AttentionInputs, AttentionPlan, Maybe};
use super::fused::{FusedOps, takes};
use crate::dropout::Mask;

/// What an attention mixes.
#[derive(Clone)]
pub struct Attention {
    /// `[runs, batch, queries, inner_dim]`.
    pub queries: Tensor<4>,
    /// `[runs, batch, keys, inner_dim]`.
    pub keys: Tensor<4>,
    /// `[runs, batch, keys, inner_dim]`.
    pub values: Tensor<4>,
    /// Added to the scores: `[1 or runs, heads, queries, keys]`.
    pub bias: Option<Tensor<4>>,
    /// Added to the scores, in f32: `[runs, batch, keys]`.
    pub mask: Option<Tensor<3>>,
}

/// `softmax(Q K' + bias + mask) V` per head, unscaled as in T5, the softmax in f32: `[runs, batch, queries, inner_dim]`.
/// `dropout` is for the weights, `[runs, batch, heads, queries, keys]`.
pub fn attention(input: Attention, heads: usize, dropout: Option<Mask>) -> Tensor<4> {
    if !takes(&input.queries) {
        return attention_composed(input, heads, dropout);
    }
    let [queries, keys, values] = [input.queries, input.keys, input.values].map(Tensor::into_dispatch);
    let bias = Maybe::from(input.bias.map(Tensor::into_dispatch));
    let mask = Maybe::from(input.mask.map(Tensor::into_dispatch));
    let inputs = AttentionInputs { queries, keys, values, bias, mask };
    Tensor::from_dispatch(Dispatch::attention(inputs, AttentionPlan { heads, dropout }))
}

/// [`attention`] from Burn's own operations, for every device.
pub fn attention_composed(input: Attention, heads: usize, dropout: Option<Mask>) -> Tensor<4> {
    let [runs, batch, queries, inner] = input.queries.dims();
    let keys = input.keys.dims()[2];
    let dtype = input.queries.dtype();
    let scores = split_heads(input.queries, heads).matmul(split_heads(input.keys, heads).transpose());
    let mut scores = scores.cast(DType::F32);
    if let Some(bias) = input.bias {
        scores = scores + bias.cast(DType::F32).unsqueeze_dim(1);
    }
    if let Some(mask) = input.mask {
        scores = scores + mask.reshape([runs, batch, 1, 1, keys]);
    }
    let mut weights = activation::softmax(scores, 4);
    if let Some(mask) = dropout {
        weights = super::dropout_composed(weights, &mask);
    }
    let mixed = weights.cast(dtype).matmul(split_heads(input.values, heads));
    mixed.swap_dims(2, 3).reshape([runs, batch, queries, inner])
}

/// `[runs, batch, length, heads x size]` to `[runs, batch, heads, length, size]`.
fn split_heads(x: Tensor<4>, heads: usize) -> Tensor<5> {
    let [runs, batch, length, inner] = x.dims();
    x.reshape([runs, batch, length, heads, inner / heads]).swap_dims(2, 3)
}
