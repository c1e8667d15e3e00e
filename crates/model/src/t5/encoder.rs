use burn::tensor::Tensor;

use super::attention::{HIDDEN, attend, project};
use super::feed_forward::feed_forward;
use super::position::self_attention_bias;
use super::{T5, T5Config};
use crate::batch::Rows;
use crate::layout::{Branch, NormSite, Stack, Sublayer, SublayerKind};
use crate::method::{Input, Ladder};
use crate::pass::Pass;
use crate::stage::State;

/// What the encoder hands to the decoder.
pub(super) struct Encoded {
    /// `[runs, batch, length, d_model]`, where length counts soft prompts too.
    pub states: Tensor<4>,
    /// 0 for real positions, [`HIDDEN`] for padding: `[runs, batch, length]`.
    pub mask: Tensor<3>,
    /// What the method made of the encoder, where it makes something: with a network beside it, or of what it gave.
    pub side: Option<Tensor<4>>,
}

/// Encodes sources.
pub(super) fn encode(pass: &Pass, model: &T5, source: Rows) -> Encoded {
    let mut state = begin(pass, model, source);
    for layer in 0..model.configuration.config.num_layers {
        state = block(pass, model, layer, state);
    }
    let mask = state.mask.clone();
    let (states, side) = end(pass, model, Stack::Encoder, state);
    Encoded { states, mask, side }
}

/// The embedded sources.
pub(super) fn begin(pass: &Pass, model: &T5, source: Rows) -> State {
    let input = Input { embeddings: pass.embed(Stack::Encoder, source.ids), mask: source.mask };
    let Input { embeddings, mask } = pass.method.input(pass, Stack::Encoder, input);
    let mask = (mask.neg() + 1.0) * HIDDEN;
    let states = pass.dropout("encoder.input", embeddings);
    let state = State { states, encoded: None, side: None, mask, bias: None, trace: Vec::new() };
    State { bias: Some(bias(pass, model, Stack::Encoder, &state)), ..state }
}

/// The position bias at hand; else that of a stack without a past, as there is none where training computes a block
/// again.
pub(super) fn bias(pass: &Pass, model: &T5, stack: Stack, state: &State) -> Tensor<4> {
    let length = state.states.dims()[2];
    state.bias.clone().unwrap_or_else(|| new_bias(pass, model, stack, 0, length))
}

/// The position bias of so many positions after a past, over all keys that have a position.
pub(super) fn new_bias(pass: &Pass, model: &T5, stack: Stack, past: usize, length: usize) -> Tensor<4> {
    let first = pass.method.positioned_prefix(stack) + past;
    self_attention_bias(pass, model, stack, first, length, first + length)
}

/// One block over the state that the one before it left.
pub(super) fn block(pass: &Pass, model: &T5, layer: usize, state: State) -> State {
    let config = &model.configuration.config;
    let (bias, mask) = (bias(pass, model, Stack::Encoder, &state), &state.mask);
    let trace = traced(pass, &state);
    let at = |kind| Sublayer { stack: Stack::Encoder, layer, kind };
    let states = state.states;
    let states = residual(pass, config, at(SublayerKind::SelfAttention), None, states, |branch, normed| {
        let own = project(pass, branch, &normed);
        attend(pass, branch, &normed, &own, Some(&bias), Some(mask))
    });
    let states = residual(pass, config, at(SublayerKind::FeedForward), None, states, |branch, normed| {
        feed_forward(pass, config, branch, normed)
    });
    State { states, bias: Some(bias), trace, ..state }
}

/// `states + dropout(method(sub-layer(norm(states))))`, and what the method has beside the sub-layer; `source` is what it
/// made of the encoder.
pub(super) fn residual(
    pass: &Pass,
    config: &T5Config,
    at: Sublayer,
    source: Option<&Tensor<4>>,
    states: Tensor<4>,
    sublayer: impl FnOnce(&Branch, Tensor<4>) -> Tensor<4>,
) -> Tensor<4> {
    let (branch, norm) = (pass.layout.branch(at), pass.layout.norm(NormSite::Sublayer(at)));
    let normed = pass.rms_norm(norm, states.clone(), config.layer_norm_epsilon);
    let beside = pass.method.beside(pass, branch, &normed, source);
    let output = pass.method.sublayer(pass, branch, sublayer(branch, normed));
    let states = pass.add_dropout(&branch.path, states, output);
    match beside {
        Some(beside) => states + beside,
        None => states,
    }
}

/// What comes after the last block of a stack: its normed states, and what the method makes of the stack.
pub(super) fn end(pass: &Pass, model: &T5, stack: Stack, state: State) -> (Tensor<4>, Option<Tensor<4>>) {
    let trace = traced(pass, &state);
    let side = side_network(pass, model, stack, &state, &trace);
    let states = pass.method.output(pass, stack, state.states, &trace);
    let norm = pass.layout.norm(NormSite::Final(stack));
    let site = match stack {
        Stack::Encoder => "encoder.output",
        Stack::Decoder => "decoder.output",
    };
    let epsilon = model.configuration.config.layer_norm_epsilon;
    let states = pass.dropout(site, pass.rms_norm(norm, states, epsilon));
    let side = match stack {
        Stack::Encoder => side.or_else(|| pass.method.read_source(pass, &states, &state.mask)),
        Stack::Decoder => side,
    };
    (states, side)
}

fn side_network(
    pass: &Pass,
    model: &T5,
    stack: Stack,
    state: &State,
    trace: &[Tensor<4>],
) -> Option<Tensor<4>> {
    if trace.is_empty() {
        return None;
    }
    let bias = bias(pass, model, stack, state);
    let ladder = Ladder { trace, mask: &state.mask, bias: &bias, encoded: state.side.as_ref() };
    pass.method.side_network(pass, stack, &ladder)
}

/// The states between the blocks so far, these included, where the method asks for them.
pub(super) fn traced(pass: &Pass, state: &State) -> Vec<Tensor<4>> {
    match pass.method.traces() {
        true => [state.trace.as_slice(), std::slice::from_ref(&state.states)].concat(),
        false => Vec::new(),
    }
}
