use burn::tensor::{Int, Tensor};

use super::attention::{HIDDEN, KeysValues, attend};
use super::feed_forward::feed_forward;
use super::position::self_attention_bias;
use super::{Pass, Stack, Sublayer, SublayerKind};
use crate::peft::Input;

/// What the encoder hands to the decoder.
#[derive(Clone)]
pub struct Encoded {
    /// `[runs, batch, length, d_model]`, where length counts soft prompts too.
    pub states: Tensor<4>,
    /// 0 for real positions, [`HIDDEN`] for padding: `[runs, batch, length]`.
    pub mask: Tensor<3>,
}

/// Encodes source ids `[runs, batch, length]`; `mask`, of the same shape, is 1 for real tokens and
/// 0 for padding.
pub fn encode(pass: &Pass, ids: Tensor<3, Int>, mask: Tensor<3>) -> Encoded {
    let embeddings = pass.embed(ids);
    let input = Input { embeddings, mask };
    let Input { embeddings, mask } = pass.method.input(pass, Stack::Encoder, input);
    let mask = (mask.neg() + 1.0) * HIDDEN;
    let length = embeddings.dims()[2];
    let bias = self_attention_bias(pass, Stack::Encoder, 0, length, length);

    let mut states = pass.dropout("encoder.input", embeddings);
    for layer in 0..pass.config().num_layers {
        let at = |kind| Sublayer { stack: Stack::Encoder, layer, kind };
        states = residual(pass, at(SublayerKind::SelfAttention), states, |normed| {
            let at = at(SublayerKind::SelfAttention);
            let memory = KeysValues::project(pass, at, &normed);
            attend(pass, at, &normed, &memory, Some(&bias), Some(&mask))
        });
        states = residual(pass, at(SublayerKind::FeedForward), states, |normed| {
            feed_forward(pass, at(SublayerKind::FeedForward), normed)
        });
    }
    let states = pass.dropout("encoder.output", pass.norm(&Stack::Encoder.final_norm(), states));
    Encoded { states, mask }
}

/// `states + dropout(method(sub-layer(norm(states))))`.
pub(super) fn residual(
    pass: &Pass,
    at: Sublayer,
    states: Tensor<4>,
    sublayer: impl FnOnce(Tensor<4>) -> Tensor<4>,
) -> Tensor<4> {
    let output = sublayer(pass.norm(&at.norm(), states.clone()));
    let output = pass.method.sublayer(pass, at, output);
    pass.add_dropout(&at.path(), states, output)
}
