use burn::tensor::{Int, Tensor};

use super::attention::{KeysValues, attend};
use super::encoder::residual;
use super::feed_forward::feed_forward;
use super::position::self_attention_bias;
use super::{Encoded, Pass, Site, Stack, Sublayer, SublayerKind};
use crate::peft::Input;

/// Keys and values of the positions decoded so far, and of the encoded source, layer by layer.
#[derive(Clone, Default)]
pub struct Cache {
    own: Vec<Option<KeysValues>>,
    source: Vec<Option<KeysValues>>,
}

impl Cache {
    /// An empty cache for a decoder of so many layers.
    pub fn new(layers: usize) -> Self {
        Self { own: vec![None; layers], source: vec![None; layers] }
    }

    /// Number of positions decoded so far.
    pub fn length(&self) -> usize {
        let first = self.own.first().and_then(Option::as_ref);
        first.map_or(0, KeysValues::length)
    }
}

/// Decodes target ids `[runs, batch, length]` to logits `[runs, batch, length, vocab_size]`.
///
/// With a cache, the ids continue the positions that the cache holds.
pub fn decode(
    pass: &Pass,
    ids: Tensor<3, Int>,
    encoded: &Encoded,
    mut cache: Option<&mut Cache>,
) -> Tensor<4> {
    let [runs, batch, length] = ids.dims();
    let mask = Tensor::ones([runs, batch, length], &ids.device());
    let embeddings = pass.embed(ids);
    let input = pass.method.input(pass, Stack::Decoder, Input { embeddings, mask });
    let past = cache.as_ref().map_or(0, |c| c.length());
    let bias = self_attention_bias(pass, Stack::Decoder, past, length, past + length);

    let mut states = pass.dropout("decoder.input", input.embeddings);
    for layer in 0..pass.config().decoder_layers() {
        let at = |kind| Sublayer { stack: Stack::Decoder, layer, kind };
        states = residual(pass, at(SublayerKind::SelfAttention), states, |normed| {
            let at = at(SublayerKind::SelfAttention);
            let memory = own_memory(pass, at, &normed, cache.as_deref_mut());
            attend(pass, at, &normed, &memory, Some(&bias), None)
        });
        states = residual(pass, at(SublayerKind::CrossAttention), states, |normed| {
            let at = at(SublayerKind::CrossAttention);
            let memory = source_memory(pass, at, encoded, cache.as_deref_mut());
            attend(pass, at, &normed, &memory, None, Some(&encoded.mask))
        });
        states = residual(pass, at(SublayerKind::FeedForward), states, |normed| {
            feed_forward(pass, at(SublayerKind::FeedForward), normed)
        });
    }
    let states = pass.dropout("decoder.output", pass.norm(&Stack::Decoder.final_norm(), states));
    head(pass, states)
}

/// Keys and values of the target so far, this step's included.
fn own_memory(pass: &Pass, at: Sublayer, states: &Tensor<4>, cache: Option<&mut Cache>) -> KeysValues {
    let new = KeysValues::project(pass, at, states);
    let Some(cache) = cache else { return new };
    let slot = &mut cache.own[at.layer];
    let all = match slot.take() {
        Some(past) => past.append(new),
        None => new,
    };
    slot.insert(all).clone()
}

/// Keys and values of the source, computed once per generation.
fn source_memory(pass: &Pass, at: Sublayer, encoded: &Encoded, cache: Option<&mut Cache>) -> KeysValues {
    let project = || KeysValues::project(pass, at, &encoded.states);
    match cache {
        Some(cache) => cache.source[at.layer].get_or_insert_with(project).clone(),
        None => project(),
    }
}

/// Vocabulary logits.
fn head(pass: &Pass, states: Tensor<4>) -> Tensor<4> {
    let config = pass.config();
    let scaled =
        if config.scale_decoder_outputs { states * (config.d_model as f64).powf(-0.5) } else { states };
    pass.linear(Site::Head, scaled)
}
