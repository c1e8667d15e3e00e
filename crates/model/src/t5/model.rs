use burn::tensor::{Int, Tensor};

use super::decoder::{self, Cache, decode};
use super::encoder::{self, Encoded, encode};
use super::position::PositionCache;
use super::{T5Config, T5Configuration};
use crate::backbone::{Backbone, Configuration, Decoding};
use crate::batch::{Batch, Rows};
use crate::layout::Stack;
use crate::pass::Pass;
use crate::stage::State;
use crate::weights::Weights;

/// A frozen T5.
#[derive(Debug, Clone)]
pub struct T5 {
    pub(super) configuration: T5Configuration,
    pub(super) weights: Weights,
    pub(super) positions: PositionCache,
}

impl Backbone for T5 {
    fn configuration(&self) -> &dyn Configuration {
        &self.configuration
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The beginning, the blocks and the end of the encoder, the last with the decoder's beginning; then its blocks and
    /// its end.
    fn stages(&self) -> usize {
        let config = &self.configuration.config;
        config.num_layers + config.decoder_layers() + 3
    }

    fn source_stages(&self) -> usize {
        self.configuration.config.num_layers + 1
    }

    fn stage(&self, pass: &Pass, batch: &Batch, stage: usize, state: Option<State>) -> State {
        let config = &self.configuration.config;
        let Some(state) = state else { return encoder::begin(pass, self, batch.source.clone()) };
        let (layers, decoder_layers) = (config.num_layers, config.decoder_layers());
        match stage - 1 {
            layer if layer < layers => encoder::block(pass, self, layer, state),
            layer if layer == layers => {
                let mask = state.mask.clone();
                let (states, side) = encoder::end(pass, self, Stack::Encoder, state);
                let ids = shift_right(config, &batch.target.ids);
                decoder::begin(pass, self, ids, &Encoded { states, mask, side }, 0)
            }
            layer if layer <= layers + decoder_layers => {
                decoder::block(pass, self, layer - layers - 1, state, None)
            }
            _ => State { states: decoder::logits(pass, self, state.clone()), ..state },
        }
    }

    fn decoding<'a>(&'a self, pass: &'a Pass<'a>, source: Rows) -> Box<dyn Decoding + 'a> {
        let config = &self.configuration.config;
        let encoded = encode(pass, self, source);
        Box::new(T5Decoding { pass, model: self, encoded, cache: Cache::new(config.decoder_layers()) })
    }
}

/// The source is encoded once, and keys and values are cached.
struct T5Decoding<'a> {
    pass: &'a Pass<'a>,
    model: &'a T5,
    encoded: Encoded,
    cache: Cache,
}

impl Decoding for T5Decoding<'_> {
    fn step(&mut self, ids: Tensor<3, Int>) -> Tensor<4> {
        decode(self.pass, self.model, ids, &self.encoded, Some(&mut self.cache))
    }
}

/// The decoder's input: the start token, then the target without its last token.
fn shift_right(config: &T5Config, target: &Tensor<3, Int>) -> Tensor<3, Int> {
    let [runs, batch, length] = target.dims();
    let start = Tensor::full([runs, batch, 1], config.decoder_start_token_id as i64, &target.device());
    match length {
        0 | 1 => start,
        _ => Tensor::cat(vec![start, target.clone().narrow(2, 0, length - 1)], 2),
    }
}
