use serde::{Deserialize, Serialize};

use crate::activation::Activation;
use crate::settings;

/// The feed-forward layers: `relu` (original T5) or `gated-gelu` (v1.1, Flan, LM-adapted), as transformers spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FeedForward {
    /// The non-linearity.
    pub activation: Activation,
    /// Whether there are two input projections, of which the activated one multiplies the other.
    pub gated: bool,
}

impl FeedForward {
    /// That of T5 v1.1.
    pub const GATED_GELU: Self = Self { activation: Activation::GeluNew, gated: true };
}

impl Default for FeedForward {
    /// That of the original T5.
    fn default() -> Self {
        Self { activation: Activation::Relu, gated: false }
    }
}

impl TryFrom<String> for FeedForward {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (gated, name) = match text.strip_prefix("gated-") {
            Some(name) => (true, name),
            None => (false, text.as_str()),
        };
        let activation = match (gated, name) {
            (_, "relu") => Activation::Relu,
            // transformers reads "gated-gelu" as the tanh approximation, for backward compatibility.
            (true, "gelu") | (_, "gelu_new") => Activation::GeluNew,
            (false, "gelu") => Activation::Gelu,
            (_, "silu") => Activation::Silu,
            _ => {
                return Err(format!(
                    "`{text}` is unknown; known are relu, gelu, gelu_new, silu, and gated- before each"
                ));
            }
        };
        Ok(Self { activation, gated })
    }
}

impl From<FeedForward> for String {
    fn from(FeedForward { activation, gated }: FeedForward) -> Self {
        match (gated, activation) {
            (true, Activation::GeluNew) => "gated-gelu".into(),
            (true, activation) => format!("gated-{}", activation.name()),
            (false, activation) => activation.name().into(),
        }
    }
}

/// T5's sizes and settings, by their names in the hub's `config.json`; checked where a
/// [`T5Configuration`](super::T5Configuration) is made of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct T5Config {
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Size of each attention head; `num_heads * d_kv` need not equal `d_model`.
    pub d_kv: usize,
    /// Hidden units of the feed-forward layers.
    pub d_ff: usize,
    /// Depth of the encoder.
    pub num_layers: usize,
    /// Decoder depth; the encoder's where the file does not say.
    #[serde(default)]
    pub num_decoder_layers: Option<usize>,
    /// Attention heads.
    pub num_heads: usize,
    /// Rows of the position bias tables.
    #[serde(default = "default_buckets")]
    pub relative_attention_num_buckets: usize,
    /// Distance from which all positions share a bucket.
    #[serde(default = "default_max_distance")]
    pub relative_attention_max_distance: usize,
    /// Probability with which dropout drops an element.
    #[serde(default = "default_dropout")]
    pub dropout_rate: f64,
    /// Added to the mean square in the norms.
    #[serde(default = "default_epsilon")]
    pub layer_norm_epsilon: f64,
    /// Non-linearity of the feed-forward layers.
    #[serde(default)]
    pub feed_forward_proj: FeedForward,
    /// Whether the head is the embedding table. Of a loaded backbone it says what the weights are: a `lm_head.weight`
    /// that differs from the table is a head of its own, whatever the file says.
    #[serde(default = "default_true")]
    pub tie_word_embeddings: bool,
    /// Whether decoder states are scaled by `d_model^-0.5` before the head, as in original T5 but not in v1.1.
    #[serde(default = "default_true")]
    pub scale_decoder_outputs: bool,
    /// Factor on the standard deviations of random weights, and the value of random norm scales.
    #[serde(default = "default_factor")]
    pub initializer_factor: f64,
    /// Id that fills rows up.
    #[serde(default)]
    pub pad_token_id: u32,
    /// Id that ends sources and targets.
    #[serde(default = "default_eos")]
    pub eos_token_id: u32,
    /// Id that the decoder's input begins with.
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
fn default_true() -> bool {
    true
}
fn default_factor() -> f64 {
    1.0
}
fn default_eos() -> u32 {
    1
}

/// Most blocks in a stack, far more than any T5 has; a larger number is a typing error.
const MOST_LAYERS: usize = 1024;

impl T5Config {
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
            feed_forward_proj: FeedForward::default(),
            tie_word_embeddings: true,
            scale_decoder_outputs: true,
            initializer_factor: default_factor(),
            pad_token_id: 0,
            eos_token_id: default_eos(),
            decoder_start_token_id: 0,
        }
    }

    /// Says which field is out of range, and what would be right.
    pub(super) fn check(&self) -> Result<(), String> {
        for (field, value) in [
            ("vocab_size", self.vocab_size),
            ("d_model", self.d_model),
            ("d_kv", self.d_kv),
            ("d_ff", self.d_ff),
            ("num_heads", self.num_heads),
            ("relative_attention_max_distance", self.relative_attention_max_distance),
        ] {
            settings::positive(field, value).map_err(|problem| format!("field {problem}"))?;
        }
        // No overflow: both factors are bounded.
        settings::positive("num_heads` x `d_kv", self.inner_dim())
            .map_err(|problem| format!("field {problem}"))?;
        for (field, layers) in
            [("num_layers", self.num_layers), ("num_decoder_layers", self.decoder_layers())]
        {
            if !(1..=MOST_LAYERS).contains(&layers) {
                return Err(format!(
                    "field `{field}` is {layers}; it must be at least 1 and at most {MOST_LAYERS}"
                ));
            }
        }
        // Half of the encoder's buckets serve each direction, and half of those are logarithmic.
        let buckets = self.relative_attention_num_buckets;
        if !(4..=settings::LARGEST).contains(&buckets) {
            return Err(format!(
                "field `relative_attention_num_buckets` is {buckets}; it must be at least 4 and at most {}",
                settings::LARGEST
            ));
        }
        if self.relative_attention_max_distance <= buckets / 2 {
            return Err(
                "field `relative_attention_max_distance` must exceed half of `relative_attention_num_buckets`".into()
            );
        }
        if !(0.0..1.0).contains(&self.dropout_rate) {
            return Err(format!("field `dropout_rate` is {}; it must be in [0, 1)", self.dropout_rate));
        }
        for (field, value) in
            [("layer_norm_epsilon", self.layer_norm_epsilon), ("initializer_factor", self.initializer_factor)]
        {
            if !(value.is_finite() && value >= 0.0) {
                return Err(format!("field `{field}` is {value}; it must be at least 0"));
            }
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
        Ok(())
    }

    /// Depth of the decoder.
    pub fn decoder_layers(&self) -> usize {
        self.num_decoder_layers.unwrap_or(self.num_layers)
    }

    /// Size of all heads together, the width of the query, key and value projections.
    pub fn inner_dim(&self) -> usize {
        self.num_heads * self.d_kv
    }
}
