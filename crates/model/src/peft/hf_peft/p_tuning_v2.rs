use serde_json::{Map, Value, json};

use super::{Fields, HfPeft, HfTensor};
use crate::layout::{Branch, Layout};
use crate::peft::p_tuning_v2::{Layers, PTuningV2};
use crate::peft::prefix_tuning::{Kind, direct};

/// peft hands prefixes over as the cache of T5's decoder, in which layer `i` takes prefix `2 i` modulo their number. Of
/// as many prefixes as layers, that is not each layer's own; of twice as many, it is.
impl HfPeft for PTuningV2 {
    const TYPES: &'static [&'static str] = &["PREFIX_TUNING"];

    fn from_fields(fields: &mut Fields, layout: &Layout) -> Result<Option<Self>, String> {
        fields.expect("num_transformer_submodules", 2)?;
        fields.expect("num_attention_heads", layout.num_heads)?;
        fields.expect("token_dim", layout.inner_dim)?;
        // What a network made is kept without it.
        fields.ignore(&["prefix_projection", "encoder_hidden_size", "init_weights"]);
        let (prefixes, of_decoder) = (fields.size("num_layers")?, decoder(layout).len());
        let layers = match prefixes {
            count if count == of_decoder => Layers::AsInPeft,
            count if count == 2 * of_decoder => Layers::Own,
            count => {
                return Err(format!(
                    "`num_layers` is {count}; it must be {of_decoder}, the layers of the decoder, or twice that"
                ));
            }
        };
        Ok(Some(Self {
            prefix_length: fields.size("num_virtual_tokens")?,
            attentions: vec![Kind::Decoder],
            position_bias: true,
            layers,
            ..Self::default()
        }))
    }

    fn to_fields(&self, layout: &Layout) -> Result<Map<String, Value>, String> {
        if self.attentions != [Kind::Decoder] || !self.position_bias {
            return Err("on T5, Python's peft has prefixes in the decoder's self-attention alone, with position bias: \
                        `attentions` must be [\"decoder\"] and `position_bias` true"
                .into());
        }
        let fields = json!({
            "num_virtual_tokens": self.prefix_length,
            "num_transformer_submodules": 2,
            "num_attention_heads": layout.num_heads,
            "token_dim": layout.inner_dim,
            "num_layers": decoder(layout).len() * self.apart(),
            "prefix_projection": false,
        });
        Ok(fields.as_object().cloned().unwrap_or_default())
    }

    fn tensors(&self, layout: &Layout) -> Vec<HfTensor> {
        let (branches, width) = (decoder(layout), layout.inner_dim);
        let shape = [self.prefix_length, branches.len() * self.apart() * 2 * width];
        let part = |layer: usize, branch: &Branch, (place, part): (usize, &str)| HfTensor {
            column: Some((2 * layer * self.apart() + place) * width),
            ..HfTensor::new(direct(branch, part), "prompt_embeddings", &shape)
        };
        let of_layer = |(layer, branch): (usize, &&Branch)| {
            [(0, "keys"), (1, "values")].map(|named| part(layer, branch, named))
        };
        branches.iter().enumerate().flat_map(of_layer).collect()
    }
}

impl PTuningV2 {
    /// How many prefixes in peft's table lie between those of two layers.
    fn apart(&self) -> usize {
        match self.layers {
            Layers::Own => 2,
            Layers::AsInPeft => 1,
        }
    }
}

fn decoder(layout: &Layout) -> Vec<&Branch> {
    layout.branches.iter().filter(|branch| Kind::of(branch.at) == Some(Kind::Decoder)).collect()
}
