use burn::tensor::Tensor;

use super::{Activation, FeedForward, T5Config};
use crate::layout::{Branch, Projection, Site};
use crate::pass::Pass;

/// The position-wise feed-forward network, gated in T5 v1.1: `[runs, batch, length, d_model]`.
pub(super) fn feed_forward(pass: &Pass, config: &T5Config, branch: &Branch, states: Tensor<4>) -> Tensor<4> {
    let site = format!("{}.hidden", branch.path);
    let linear =
        |projection, states| pass.linear(pass.layout.linear(Site::Projection(branch.at, projection)), states);
    let hidden = match config.feed_forward_proj {
        FeedForward { activation: Activation::Relu, gated: false } => {
            pass.relu_dropout(&site, linear(Projection::Up, states))
        }
        FeedForward { activation, gated: false } => {
            pass.dropout(&site, activation.apply(linear(Projection::Up, states)))
        }
        FeedForward { activation: Activation::GeluNew, gated: true } => {
            let gate = linear(Projection::Gate, states.clone());
            pass.gelu_gate_dropout(&site, gate, linear(Projection::Up, states))
        }
        FeedForward { activation, gated: true } => {
            let gate = activation.apply(linear(Projection::Gate, states.clone()));
            pass.dropout(&site, gate * linear(Projection::Up, states))
        }
    };
    linear(Projection::Down, hidden)
}
