use burn::tensor::{Tensor, activation};

use super::{Activation, Pass, Projection, Sublayer};

/// The position-wise feed-forward network, gated in T5 v1.1: `[runs, batch, length, d_model]`.
pub(super) fn feed_forward(pass: &Pass, at: Sublayer, states: Tensor<4>) -> Tensor<4> {
    let config = pass.config();
    let hidden = if config.is_gated() {
        let gate = pass.linear(at.site(Projection::Wi0), states.clone());
        let linear = pass.linear(at.site(Projection::Wi1), states);
        activate(config.activation(), gate) * linear
    } else {
        activate(config.activation(), pass.linear(at.site(Projection::Wi), states))
    };
    pass.linear(at.site(Projection::Wo), pass.dropout(hidden))
}

fn activate(kind: Activation, x: Tensor<4>) -> Tensor<4> {
    match kind {
        Activation::Relu => activation::relu(x),
        Activation::Gelu => activation::gelu(x),
        Activation::GeluNew => activation::gelu_approximate(x),
        Activation::Silu => activation::silu(x),
    }
}
