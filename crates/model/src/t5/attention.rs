//! Multi-head attention as T5 has it: no scaling of the scores, an additive position bias.

use burn::tensor::Tensor;

use super::{Pass, Projection, Sublayer};
use crate::ops;

/// Score of a key that may not be looked at.
pub const HIDDEN: f32 = -1e9;

/// Keys and values of one attention: `[runs, batch, length, inner_dim]` each.
#[derive(Clone)]
pub struct KeysValues {
    pub keys: Tensor<4>,
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
/// be looked at and [`HIDDEN`] elsewhere.
pub(super) fn attend(
    pass: &Pass,
    at: Sublayer,
    states: &Tensor<4>,
    memory: &KeysValues,
    bias: Option<&Tensor<4>>,
    mask: Option<&Tensor<3>>,
) -> Tensor<4> {
    let config = pass.config();
    let queries = pass.linear(at.site(Projection::Q), states.clone());
    let mixed = ops::attention(
        ops::Attention {
            queries,
            keys: memory.keys.clone(),
            values: memory.values.clone(),
            bias: bias.cloned(),
            mask: mask.cloned(),
        },
        config.num_heads,
        pass.dropout.map(|dropout| (dropout, config.dropout_rate)),
    );
    pass.linear(at.site(Projection::O), mixed)
}
