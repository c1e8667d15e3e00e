use burn::tensor::{Tensor, activation};

use super::{Activation, Pass, Projection, Sublayer};

/// The position-wise feed-forward network, gated in T5 v1.1: `[runs, batch, length, d_model]`.
pub(super) fn feed_forward(pass: &Pass, at: Sublayer, states: Tensor<4>) -> Tensor<4> {
    let config = pass.config();
    let site = format!("{}.hidden", at.path());
    let linear = |projection, states| pass.linear(at.site(projection), states);
    let hidden = match (config.activation(), config.is_gated()) {
        (Activation::Relu, false) => pass.relu_dropout(&site, linear(Projection::Wi, states)),
        (activation, false) => pass.dropout(&site, activate(activation, linear(Projection::Wi, states))),
        (activation, true) => {
            let gate = activate(activation, linear(Projection::Wi0, states.clone()));
            pass.dropout(&site, gate * linear(Projection::Wi1, states))
        }
    };
    linear(Projection::Wo, hidden)
}

fn activate(kind: Activation, x: Tensor<4>) -> Tensor<4> {
    match kind {
        Activation::Relu => activation::relu(x),
        Activation::Gelu => activation::gelu(x),
        Activation::GeluNew => activation::gelu_approximate(x),
        Activation::Silu => activation::silu(x),
    }
}
