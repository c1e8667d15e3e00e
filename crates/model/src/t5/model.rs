use burn::tensor::{Int, Tensor};

use super::decoder::{Cache, decode};
use super::encoder::{Encoded, encode};
use super::position::PositionCache;
use super::{T5Config, T5Configuration};
use crate::backbone::{Backbone, Configuration, Decoding};
use crate::batch::{Batch, Rows};
use crate::pass::Pass;
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

    fn logits(&self, pass: &Pass, batch: &Batch) -> Tensor<4> {
        let config = &self.configuration.config;
        let encoded = encode(pass, self, batch.source.clone());
        decode(pass, self, shift_right(config, &batch.target.ids), &encoded, None)
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
