use burn::tensor::{Int, Tensor};

use super::T5;
use super::attention::{attend, project};
use super::encoder::{Encoded, bias, end, new_bias, residual, traced};
use super::feed_forward::feed_forward;
use crate::layout::{Branch, Site, Stack, Sublayer, SublayerKind};
use crate::method::{Input, KeysValues};
use crate::pass::Pass;
use crate::stage::State;

/// Keys and values of the positions decoded so far, and of the encoded source, layer by layer.
pub(super) struct Cache {
    own: Vec<Option<KeysValues>>,
    source: Vec<Option<KeysValues>>,
}

impl Cache {
    /// An empty cache for a decoder of so many layers.
    pub(super) fn new(layers: usize) -> Self {
        Self { own: vec![None; layers], source: vec![None; layers] }
    }

    /// Number of positions decoded so far.
    fn length(&self) -> usize {
        let first = self.own.first().and_then(Option::as_ref);
        first.map_or(0, KeysValues::length)
    }
}

/// Decodes target ids `[runs, batch, length]` to logits `[runs, batch, length, vocab_size]`.
///
/// With a cache, the ids continue the positions that the cache holds.
pub(super) fn decode(
    pass: &Pass,
    model: &T5,
    ids: Tensor<3, Int>,
    encoded: &Encoded,
    mut cache: Option<&mut Cache>,
) -> Tensor<4> {
    let past = cache.as_ref().map_or(0, |c| c.length());
    let mut state = begin(pass, model, ids, encoded, past);
    for layer in 0..model.configuration.config.decoder_layers() {
        state = block(pass, model, layer, state, cache.as_deref_mut());
    }
    logits(pass, model, state)
}

/// The embedded targets, `past` positions after the first.
pub(super) fn begin(pass: &Pass, model: &T5, ids: Tensor<3, Int>, encoded: &Encoded, past: usize) -> State {
    let [runs, batch, length] = ids.dims();
    let mask = Tensor::ones([runs, batch, length], &ids.device());
    let embeddings = pass.embed(Stack::Decoder, ids);
    let input = pass.method.input(pass, Stack::Decoder, Input { embeddings, mask });
    State {
        states: pass.dropout("decoder.input", input.embeddings),
        encoded: Some(encoded.states.clone()),
        side: encoded.side.clone(),
        mask: encoded.mask.clone(),
        bias: Some(new_bias(pass, model, Stack::Decoder, past, length)),
        trace: Vec::new(),
    }
}

/// One block over the state that the one before it left.
pub(super) fn block(
    pass: &Pass,
    model: &T5,
    layer: usize,
    state: State,
    mut cache: Option<&mut Cache>,
) -> State {
    let config = &model.configuration.config;
    let bias = bias(pass, model, Stack::Decoder, &state);
    let trace = traced(pass, &state);
    let at = |kind| Sublayer { stack: Stack::Decoder, layer, kind };
    let (source, states) = (state.side.as_ref(), state.states);
    let states = residual(pass, config, at(SublayerKind::SelfAttention), source, states, |branch, normed| {
        let own = own_keys_values(pass, branch, &normed, cache.as_deref_mut());
        attend(pass, branch, &normed, &own, Some(&bias), None)
    });
    let encoded = state.encoded.as_ref().expect("a decoder begins with what was encoded");
    let states =
        residual(pass, config, at(SublayerKind::CrossAttention), source, states, |branch, normed| {
            let own = source_keys_values(pass, branch, encoded, cache);
            attend(pass, branch, &normed, &own, None, Some(&state.mask))
        });
    let states = residual(pass, config, at(SublayerKind::FeedForward), source, states, |branch, normed| {
        feed_forward(pass, config, branch, normed)
    });
    State { states, bias: Some(bias), trace, ..state }
}

/// Keys and values of the target so far, this step's included.
fn own_keys_values(
    pass: &Pass,
    branch: &Branch,
    states: &Tensor<4>,
    cache: Option<&mut Cache>,
) -> KeysValues {
    let new = project(pass, branch, states);
    let Some(cache) = cache else { return new };
    let slot = &mut cache.own[branch.at.layer];
    let all = match slot.take() {
        Some(past) => past.append(new),
        None => new,
    };
    slot.insert(all).clone()
}

/// Keys and values of the source, computed once per generation.
fn source_keys_values(
    pass: &Pass,
    branch: &Branch,
    encoded: &Tensor<4>,
    cache: Option<&mut Cache>,
) -> KeysValues {
    let new = || project(pass, branch, encoded);
    match cache {
        Some(cache) => cache.source[branch.at.layer].get_or_insert_with(new).clone(),
        None => new(),
    }
}

/// Vocabulary logits.
pub(super) fn logits(pass: &Pass, model: &T5, state: State) -> Tensor<4> {
    let config = &model.configuration.config;
    let (states, side) = end(pass, model, Stack::Decoder, state);
    let states = side.unwrap_or(states);
    let scaled =
        if config.scale_decoder_outputs { states * (config.d_model as f64).powf(-0.5) } else { states };
    pass.linear(pass.layout.linear(Site::Head), scaled)
}
