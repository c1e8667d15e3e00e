use std::sync::Arc;

use burn::tensor::{DType, Device};

use super::layout::{layout, position_bias};
use super::load::load;
use super::position::{PositionCache, relative_position_bucket};
use super::{T5, T5Config};
use crate::Error;
use crate::backbone::{Backbone, Configuration};
use crate::layout::{Layout, Stack};
use crate::weights::{Checkpoint, Weights};

/// A T5 configuration whose values have been checked.
#[derive(Debug, Clone)]
pub struct T5Configuration {
    pub(super) config: T5Config,
    pub(super) layout: Layout,
}

impl T5Configuration {
    /// Checks a configuration.
    ///
    /// # Errors
    /// The message names the field that is out of range, and what would be right.
    pub fn new(config: T5Config) -> Result<Self, String> {
        config.check()?;
        Ok(Self { layout: layout(&config), config })
    }
}

impl Configuration for T5Configuration {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn fields(&self) -> serde_json::Value {
        serde_json::json!(self.config)
    }

    fn to_json(&self) -> String {
        let mut fields = self.fields();
        fields["model_type"] = "t5".into();
        fields["architectures"] = serde_json::json!(["T5ForConditionalGeneration"]);
        fields["is_encoder_decoder"] = true.into();
        format!("{fields:#}\n")
    }

    fn dropout_rate(&self) -> f64 {
        self.config.dropout_rate
    }

    fn with_dropout_rate(&self, rate: f64) -> Arc<dyn Configuration> {
        let config = T5Config { dropout_rate: rate, ..self.config.clone() };
        Arc::new(Self { config, layout: self.layout.clone() })
    }

    fn build(&self, weights: Weights) -> Box<dyn Backbone> {
        Box::new(T5 { configuration: self.clone(), weights, positions: PositionCache::default() })
    }

    fn read(
        &self,
        checkpoint: &Checkpoint,
        device: &Device,
        dtype: DType,
    ) -> Result<(Arc<dyn Configuration>, Weights), Error> {
        let (configuration, weights) = load(&self.config, checkpoint, device, dtype)?;
        Ok((Arc::new(configuration), weights))
    }

    fn favor_neighbors(&self, weights: &mut Weights, bias: f32) -> bool {
        let name = position_bias(Stack::Encoder);
        let config = &self.config;
        let (buckets, distance) =
            (config.relative_attention_num_buckets, config.relative_attention_max_distance);
        for (head, offset) in (0..config.num_heads).zip([-1, 1, 0]) {
            let bucket = relative_position_bucket(offset, true, buckets, distance) as usize;
            let table = weights.get(&name).clone();
            let cell = [bucket..bucket + 1, head..head + 1];
            let value = table.clone().slice(cell.clone()) + bias;
            weights.replace(&name, table.slice_assign(cell, value));
        }
        true
    }
}
