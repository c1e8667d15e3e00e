//! Multi-head attention as T5 has it: no scaling of the scores, an additive position bias.

use burn::tensor::Tensor;

use crate::layout::{Branch, Projection, Site};
use crate::method::KeysValues;
use crate::ops;
use crate::pass::Pass;

/// Score of a key that may not be looked at.
pub(super) const HIDDEN: f32 = -1e9;

/// Keys and values of states `[runs, batch, length, d_model]`.
pub(super) fn project(pass: &Pass, branch: &Branch, states: &Tensor<4>) -> KeysValues {
    KeysValues {
        keys: linear(pass, branch, Projection::Key, states.clone()),
        values: linear(pass, branch, Projection::Value, states.clone()),
    }
}

/// Lets `states` `[runs, batch, queries, d_model]` attend to keys and values, and projects back.
///
/// `bias` is `[1 or runs, heads, queries, keys]`; `mask`, `[runs, batch, keys]`, is 0 where a key may
/// be looked at and [`HIDDEN`] elsewhere. Keys that the method puts first are hidden from none, and have a bias
/// where it is wide enough for them.
pub(super) fn attend(
    pass: &Pass,
    branch: &Branch,
    states: &Tensor<4>,
    own: &KeysValues,
    bias: Option<&Tensor<4>>,
    mask: Option<&Tensor<3>>,
) -> Tensor<4> {
    let heads = pass.layout.num_heads;
    let queries = linear(pass, branch, Projection::Query, states.clone());
    let KeysValues { keys, values } = pass.method.keys_values(pass, branch, own.clone());
    let [runs, batch, length, _] = queries.dims();
    let site = format!("{}.weights", branch.path);
    let width = keys.dims()[2];
    let dropout = pass.mask(&site, &[runs, batch, heads, length, width]);
    let mixed = ops::attention(
        ops::Attention {
            queries,
            keys,
            values,
            bias: bias.map(|bias| zeros_first(bias, width)),
            mask: mask.map(|mask| zeros_first(mask, width)),
        },
        heads,
        dropout,
    );
    linear(pass, branch, Projection::Output, mixed)
}

fn linear(pass: &Pass, branch: &Branch, projection: Projection, input: Tensor<4>) -> Tensor<4> {
    pass.linear(pass.layout.linear(Site::Projection(branch.at, projection)), input)
}

/// Puts zeros before the last axis, so that it is so wide.
fn zeros_first<const D: usize>(tensor: &Tensor<D>, width: usize) -> Tensor<D> {
    let mut dims = tensor.dims();
    if dims[D - 1] == width {
        return tensor.clone();
    }
    dims[D - 1] = width - dims[D - 1];
    let zeros = Tensor::zeros(dims, (&tensor.device(), tensor.dtype()));
    Tensor::cat(vec![zeros, tensor.clone()], D - 1)
}
