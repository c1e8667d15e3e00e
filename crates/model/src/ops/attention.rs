use burn::tensor::{Tensor, activation};

use crate::dropout::Dropout;

/// What an attention mixes.
pub struct Attention {
    /// `[runs, batch, queries, inner_dim]`.
    pub queries: Tensor<4>,
    /// `[runs, batch, keys, inner_dim]`.
    pub keys: Tensor<4>,
    /// `[runs, batch, keys, inner_dim]`.
    pub values: Tensor<4>,
    /// Added to the scores: `[1 or runs, heads, queries, keys]`.
    pub bias: Option<Tensor<4>>,
    /// Added to the scores: `[runs, batch, keys]`.
    pub mask: Option<Tensor<3>>,
}

/// `softmax(Q K' + bias + mask) V` per head, unscaled as in T5, with dropout on the weights:
/// `[runs, batch, queries, inner_dim]`.
pub fn attention(input: Attention, heads: usize, dropout: Option<(&Dropout, f64)>) -> Tensor<4> {
    let [runs, batch, queries, inner] = input.queries.dims();
    let keys = input.keys.dims()[2];
    let mut scores = split_heads(input.queries, heads).matmul(split_heads(input.keys, heads).transpose());
    if let Some(bias) = input.bias {
        scores = scores + bias.unsqueeze_dim(1);
    }
    if let Some(mask) = input.mask {
        scores = scores + mask.reshape([runs, batch, 1, 1, keys]);
    }
    let mut weights = activation::softmax(scores, 4);
    if let Some((dropout, rate)) = dropout {
        weights = dropout.apply(weights, rate);
    }
    let mixed = weights.matmul(split_heads(input.values, heads));
    mixed.swap_dims(2, 3).reshape([runs, batch, queries, inner])
}

/// `[runs, batch, length, heads x size]` to `[runs, batch, heads, length, size]`.
fn split_heads(x: Tensor<4>, heads: usize) -> Tensor<5> {
    let [runs, batch, length, inner] = x.dims();
    x.reshape([runs, batch, length, heads, inner / heads]).swap_dims(2, 3)
}
