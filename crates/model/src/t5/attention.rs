//! Multi-head attention as T5 has it: no scaling of the scores, an additive position bias.

use burn::tensor::Tensor;

use super::{Pass, Projection, Sublayer};
use crate::ops;

/// Score of a key that may not be looked at.
pub const HIDDEN: f32 = -1e9;

/// Keys and values of one attention: `[runs, batch, length, inner_dim]` each.
#[derive(Clone)]
pub struct KeysValues {
    /// `[runs, batch, length, inner_dim]`.
    pub keys: Tensor<4>,
    /// `[runs, batch, length, inner_dim]`.
    pub values: Tensor<4>,
}

impl KeysValues {
    /// Projects states `[runs, batch, length, d_model]` to keys and values.
    pub fn project(pass: &Pass, at: Sublayer, states: &Tensor<4>) -> Self {
        Self {
            keys: pass.linear(at.site(Projection::K), states.clone()),
            values: pass.linear(at.site(Projection::V), states.clone()),
        }
    }

    /// Appends later positions, for step-by-step decoding.
    pub fn append(self, later: Self) -> Self {
        Self {
            keys: Tensor::cat(vec![self.keys, later.keys], 2),
            values: Tensor::cat(vec![self.values, later.values], 2),
        }
    }

    /// Number of positions.
    pub fn length(&self) -> usize {
        self.keys.dims()[2]
    }
}

/// Lets `states` `[runs, batch, queries, d_model]` attend to keys and values, and projects back.
///
/// `bias` is `[1 or runs, heads, queries, keys]`; `mask`, `[runs, batch, keys]`, is 0 where a key may
/// be looked at and [`HIDDEN`] elsewhere. Keys that the method puts first have neither.
pub(super) fn attend(
    pass: &Pass,
    at: Sublayer,
    states: &Tensor<4>,
    own: &KeysValues,
    bias: Option<&Tensor<4>>,
    mask: Option<&Tensor<3>>,
) -> Tensor<4> {
    let heads = pass.config().num_heads;
    let queries = pass.linear(at.site(Projection::Q), states.clone());
    let KeysValues { keys, values } = pass.method.keys_values(pass, at, own.clone());
    let prefix = keys.dims()[2] - own.length();
    let [runs, batch, length, _] = queries.dims();
    let dropout = pass.mask(&format!("{}.weights", at.path()), &[runs, batch, heads, length, keys.dims()[2]]);
    let mixed = ops::attention(
        ops::Attention {
            queries,
            keys,
            values,
            bias: bias.map(|bias| zeros_first(bias, prefix)),
            mask: mask.map(|mask| zeros_first(mask, prefix)),
        },
        heads,
        dropout,
    );
    pass.linear(at.site(Projection::O), mixed)
}

/// Puts so many zeros before the last axis.
fn zeros_first<const D: usize>(tensor: &Tensor<D>, count: usize) -> Tensor<D> {
    if count == 0 {
        return tensor.clone();
    }
    let mut dims = tensor.dims();
    dims[D - 1] = count;
    Tensor::cat(vec![Tensor::zeros(dims, &tensor.device()), tensor.clone()], D - 1)
}
