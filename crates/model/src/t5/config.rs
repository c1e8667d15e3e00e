use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::settings;

/// The feed-forward non-linearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    Relu,
    /// Exact GELU.
    Gelu,
    /// GELU's tanh approximation, `gelu_new` in transformers.
    GeluNew,
    Silu,
}

/// A T5 configuration, read from the hub's `config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct T5Config {
    pub vocab_size: usize,
    pub d_model: usize,
    /// Size of each attention head; `num_heads * d_kv` need not equal `d_model`.
    pub d_kv: usize,
    pub d_ff: usize,
    pub num_layers: usize,
    /// Decoder depth; the encoder's where the file does not say.
    #[serde(default)]
    pub num_decoder_layers: Option<usize>,
    pub num_heads: usize,
    #[serde(default = "default_buckets")]
    pub relative_attention_num_buckets: usize,
    #[serde(default = "default_max_distance")]
    pub relative_attention_max_distance: usize,
    #[serde(default = "default_dropout")]
    pub dropout_rate: f64,
    #[serde(default = "default_epsilon")]
    pub layer_norm_epsilon: f64,
    /// `relu` (original T5) or `gated-gelu` (v1.1, Flan, LM-adapted), as transformers spells it.
    #[serde(default = "default_feed_forward")]
    pub feed_forward_proj: String,
    /// True for original T5, whose decoder output is scaled by `d_model^-0.5` before the head.
    #[serde(default = "default_true")]
    pub tie_word_embeddings: bool,
    #[serde(default)]
    pub pad_token_id: u32,
    #[serde(default = "default_eos")]
    pub eos_token_id: u32,
    #[serde(default)]
    pub decoder_start_token_id: u32,
}

fn default_buckets() -> usize {
    32
}
fn default_max_distance() -> usize {
    128
}
fn default_dropout() -> f64 {
    0.1
}
fn default_epsilon() -> f64 {
    1e-6
}
fn default_feed_forward() -> String {
    "relu".into()
}
fn default_true() -> bool {
    true
}
fn default_eos() -> u32 {
    1
}

impl T5Config {
    /// Reads and checks a `config.json`.
    ///
    /// # Errors
    /// When the file cannot be read, is not JSON, lacks a field, or describes no T5.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
        Self::from_json(&text).map_err(|problem| Error::Config { path: path.into(), problem })
    }

    /// Reads and checks the text of a `config.json`; the error says what is wrong with it.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let fields: serde_json::Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        // umT5 and others have T5's tensors by name, but compute something else.
        match fields.get("model_type").and_then(|kind| kind.as_str()) {
            None | Some("t5" | "mt5") => {}
            Some(other) => return Err(format!("field `model_type` is `{other}`; known are t5 and mt5")),
        }
        let config: Self = settings::read(fields)?;
        config.check()?;
        Ok(config)
    }

    /// The text of a `config.json` that transformers reads too.
    pub fn to_json(&self) -> String {
        let mut fields = serde_json::json!(self);
        fields["model_type"] = "t5".into();
        fields["architectures"] = serde_json::json!(["T5ForConditionalGeneration"]);
        fields["is_encoder_decoder"] = true.into();
        serde_json::to_string_pretty(&fields).expect("plain values serialise") + "\n"
    }

    /// Original T5-base, the backbone of the ADePT paper.
    pub fn t5_base() -> Self {
        Self {
            vocab_size: 32128,
            d_model: 768,
            d_kv: 64,
            d_ff: 3072,
            num_layers: 12,
            num_decoder_layers: Some(12),
            num_heads: 12,
            ..Self::t5_small()
        }
    }

    /// Original T5-small.
    pub fn t5_small() -> Self {
        Self {
            vocab_size: 32128,
            d_model: 512,
            d_kv: 64,
            d_ff: 2048,
            num_layers: 6,
            num_decoder_layers: Some(6),
            num_heads: 8,
            relative_attention_num_buckets: default_buckets(),
            relative_attention_max_distance: default_max_distance(),
            dropout_rate: default_dropout(),
            layer_norm_epsilon: default_epsilon(),
            feed_forward_proj: default_feed_forward(),
            tie_word_embeddings: true,
            pad_token_id: 0,
            eos_token_id: default_eos(),
            decoder_start_token_id: 0,
        }
    }

    fn check(&self) -> Result<(), String> {
        for (field, value) in [
            ("vocab_size", self.vocab_size),
            ("d_model", self.d_model),
            ("d_kv", self.d_kv),
            ("d_ff", self.d_ff),
            ("num_layers", self.num_layers),
            ("num_decoder_layers", self.decoder_layers()),
            ("num_heads", self.num_heads),
        ] {
            settings::positive(field, value).map_err(|problem| format!("field {problem}"))?;
        }
        // Half of the encoder's buckets serve each direction, and half of those are logarithmic.
        if self.relative_attention_num_buckets < 4 {
            return Err("field `relative_attention_num_buckets` must be at least 4".into());
        }
        if self.relative_attention_max_distance <= self.relative_attention_num_buckets / 2 {
            return Err(
                "field `relative_attention_max_distance` must exceed half the number of buckets".into()
            );
        }
        if !(0.0..1.0).contains(&self.dropout_rate) {
            return Err("field `dropout_rate` must be in [0, 1)".into());
        }
        for (field, id) in [
            ("pad_token_id", self.pad_token_id),
            ("eos_token_id", self.eos_token_id),
            ("decoder_start_token_id", self.decoder_start_token_id),
        ] {
            if id as usize >= self.vocab_size {
                return Err(format!("field `{field}` is {id}, outside the vocabulary"));
            }
        }
        self.feed_forward_kind().map(|_| ())
    }

    /// Depth of the decoder.
    pub fn decoder_layers(&self) -> usize {
        self.num_decoder_layers.unwrap_or(self.num_layers)
    }

    /// Size of all heads together, the width of the query, key and value projections.
    pub fn inner_dim(&self) -> usize {
        self.num_heads * self.d_kv
    }

    /// The feed-forward activation.
    pub fn activation(&self) -> Activation {
        self.feed_forward_kind().expect("checked when read").0
    }

    /// Whether the feed-forward layer is gated (two input projections).
    pub fn is_gated(&self) -> bool {
        self.feed_forward_kind().expect("checked when read").1
    }

    fn feed_forward_kind(&self) -> Result<(Activation, bool), String> {
        let (gated, name) = match self.feed_forward_proj.strip_prefix("gated-") {
            Some(name) => (true, name),
            None => (false, self.feed_forward_proj.as_str()),
        };
        let activation = match (gated, name) {
            (_, "relu") => Activation::Relu,
            // transformers reads "gated-gelu" as the tanh approximation, for backward compatibility.
            (true, "gelu") | (_, "gelu_new") => Activation::GeluNew,
            (false, "gelu") => Activation::Gelu,
            (_, "silu") => Activation::Silu,
            _ => {
                return Err(format!(
                    "field `feed_forward_proj` is `{}`; known are relu, gelu, gelu_new, silu, and gated- before each",
                    self.feed_forward_proj
                ));
            }
        };
        Ok((activation, gated))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"{"vocab_size":32,"d_model":8,"d_kv":4,"d_ff":16,"num_layers":2,"num_heads":3}"#;

    #[test]
    fn missing_fields_take_the_defaults_of_transformers() {
        let config = T5Config::from_json(MINIMAL).unwrap();
        assert_eq!(config.decoder_layers(), 2);
        assert_eq!(config.inner_dim(), 12);
        assert_eq!(config.activation(), Activation::Relu);
        assert!(config.tie_word_embeddings && !config.is_gated());
        assert_eq!(config.eos_token_id, 1);
    }

    #[test]
    fn bad_fields_are_named() {
        for (field, bad) in [
            ("model_type", r#""d_kv":4,"model_type":"umt5""#),
            ("d_kv", r#""d_kv":-1"#),
            ("d_kv", r#""d_kv":1000000000000"#),
            ("d_kv", r#""d_kv":0"#),
            ("feed_forward_proj", r#""d_kv":4,"feed_forward_proj":"tanh""#),
            ("eos_token_id", r#""d_kv":4,"eos_token_id":32"#),
            ("dropout_rate", r#""d_kv":4,"dropout_rate":1.5"#),
        ] {
            let error = T5Config::from_json(&MINIMAL.replace(r#""d_kv":4"#, bad)).unwrap_err();
            assert!(error.contains(field), "{error}");
        }
        let error = T5Config::from_json(&MINIMAL.replace(r#""d_ff":16,"#, "")).unwrap_err();
        assert!(error.contains("d_ff"), "{error}");
    }
}
