use burn::tensor::Tensor;

use super::attention::{HIDDEN, attend, project};
use super::feed_forward::feed_forward;
use super::position::self_attention_bias;
use super::{T5, T5Config};
use crate::batch::Rows;
use crate::layout::{Branch, NormSite, Stack, Sublayer, SublayerKind};
use crate::method::Input;
use crate::pass::Pass;

/// What the encoder hands to the decoder.
pub(super) struct Encoded {
    /// `[runs, batch, length, d_model]`, where length counts soft prompts too.
    pub states: Tensor<4>,
    /// 0 for real positions, [`HIDDEN`] for padding: `[runs, batch, length]`.
    pub mask: Tensor<3>,
}

/// Encodes sources.
pub(super) fn encode(pass: &Pass, model: &T5, source: Rows) -> Encoded {
    let config = &model.configuration.config;
    let input = Input { embeddings: pass.embed(source.ids), mask: source.mask };
    let Input { embeddings, mask } = pass.method.input(pass, Stack::Encoder, input);
    let mask = (mask.neg() + 1.0) * HIDDEN;
    let length = embeddings.dims()[2];
    let bias = self_attention_bias(pass, model, Stack::Encoder, 0, length, length);

    let mut states = pass.dropout("encoder.input", embeddings);
    let mut trace = Trace::new(pass);
    for layer in 0..config.num_layers {
        trace.push(&states);
        let at = |kind| Sublayer { stack: Stack::Encoder, layer, kind };
        states = residual(pass, config, at(SublayerKind::SelfAttention), states, |branch, normed| {
            let own = project(pass, branch, &normed);
            attend(pass, branch, &normed, &own, Some(&bias), Some(&mask))
        });
        states = residual(pass, config, at(SublayerKind::FeedForward), states, |branch, normed| {
            feed_forward(pass, config, branch, normed)
        });
    }
    Encoded { states: finish(pass, config, Stack::Encoder, states, trace), mask }
}

/// `states + dropout(method(sub-layer(norm(states))))`.
pub(super) fn residual(
    pass: &Pass,
    config: &T5Config,
    at: Sublayer,
    states: Tensor<4>,
    sublayer: impl FnOnce(&Branch, Tensor<4>) -> Tensor<4>,
) -> Tensor<4> {
    let (branch, norm) = (pass.layout.branch(at), pass.layout.norm(NormSite::Sublayer(at)));
    let output = sublayer(branch, pass.rms_norm(norm, states.clone(), config.layer_norm_epsilon));
    let output = pass.method.sublayer(pass, branch, output);
    pass.add_dropout(&branch.path, states, output)
}

/// What comes after the last block of a stack.
pub(super) fn finish(
    pass: &Pass,
    config: &T5Config,
    stack: Stack,
    states: Tensor<4>,
    mut trace: Trace,
) -> Tensor<4> {
    trace.push(&states);
    let states = pass.method.output(pass, stack, states, &trace.states);
    let norm = pass.layout.norm(NormSite::Final(stack));
    let site = match stack {
        Stack::Encoder => "encoder.output",
        Stack::Decoder => "decoder.output",
    };
    pass.dropout(site, pass.rms_norm(norm, states, config.layer_norm_epsilon))
}

/// The states between the blocks of a stack, kept where the method asks for them.
pub(super) struct Trace {
    kept: bool,
    states: Vec<Tensor<4>>,
}

impl Trace {
    pub(super) fn new(pass: &Pass) -> Self {
        Self { kept: pass.method.traces(), states: Vec::new() }
    }

    pub(super) fn push(&mut self, states: &Tensor<4>) {
        if self.kept {
            self.states.push(states.clone());
        }
    }
}
