use std::path::Path;

use peft_model::t5::T5Config;
use serde::{Deserialize, Serialize};

use super::PretrainError;
use crate::embedded;
use crate::files;
use crate::pocket::Mixture;

/// How a model is pretrained: what a TOML in `datasets/recipes/` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    pub title: String,
    /// Seed of everything that is random: weights, text, corruption.
    pub seed: u64,
    /// Model whose weights and tokenizer it goes on from: a folder, an embedded one or a hub id. Where it is left
    /// out, weights are random and the tokenizer is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    pub tokenizer: TokenizerRecipe,
    pub model: ModelRecipe,
    pub data: DataRecipe,
    pub training: TrainingRecipe,
    /// One after the other, each with its own mixture and schedule.
    pub phases: Vec<Phase>,
}

/// The unigram tokenizer (Kudo 2018), trained on the corpus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerRecipe {
    /// Number of pieces, sentinels and special tokens included.
    pub vocabulary: usize,
    /// Number of sentinels for span corruption.
    pub sentinels: usize,
    /// Passages that it is trained on.
    pub passages: usize,
}

/// Sizes of the T5.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRecipe {
    pub d_model: usize,
    pub d_kv: usize,
    pub d_ff: usize,
    pub num_heads: usize,
    pub num_layers: usize,
    pub num_decoder_layers: usize,
    pub relative_attention_num_buckets: usize,
    pub relative_attention_max_distance: usize,
    /// Added to the encoder's random position bias before training: its first heads look at the token before,
    /// the one after, and the token itself. AdamW takes thousands of steps to make a bias that large.
    pub local_attention: f32,
    /// Written into `config.json`, for fine-tuning.
    pub dropout_rate: f64,
}

/// What it reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRecipe {
    /// Longest source; longer passages are cut.
    pub source_tokens: usize,
    /// Share of hidden tokens.
    pub noise_density: f64,
    /// Mean length of a hidden span, in tokens.
    pub mean_span: f64,
    /// Examples of each kind on which the held-out loss is measured.
    pub held_out: usize,
}

/// How long and how hard it trains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRecipe {
    /// Examples per update.
    pub batch_size: usize,
    /// Pieces that a batch is cut into by length, so that little is padded; their gradients add up.
    pub pieces: usize,
    pub weight_decay: f64,
    /// Dropout while pretraining.
    pub dropout_rate: f64,
    /// Updates between measurements of the held-out loss.
    pub evaluate_every: u64,
}

/// A stretch of pretraining.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    pub steps: u64,
    pub learning_rate: f64,
    pub warmup_steps: u64,
    /// Steps over which the learning rate would fall to zero, where that is not the phase's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decay_over: Option<u64>,
    /// Share of supervised examples; the rest is span corruption.
    pub supervised: f64,
    /// What the supervised examples are.
    pub mixture: Mixture,
}

impl Recipe {
    /// Updates in all.
    pub fn steps(&self) -> u64 {
        self.phases.iter().map(|phase| phase.steps).sum()
    }

    /// The phase of a step, counted from 0, and the step's number within it.
    pub fn phase(&self, step: u64) -> (&Phase, u64) {
        let mut within = step;
        for phase in &self.phases {
            if within < phase.steps {
                return (phase, within);
            }
            within -= phase.steps;
        }
        let last = self.phases.last().expect("checked: there is a phase");
        (last, last.steps)
    }

    /// Reads a recipe: a file, or an embedded one by its path below `datasets/`.
    ///
    /// # Errors
    /// When there is none, or it is malformed, has unknown keys or values out of range.
    pub fn find(path: &str) -> Result<Self, PretrainError> {
        let text = match files::read_settings(Path::new(path)) {
            Ok(text) => text,
            Err(error) => embedded::text(path).ok_or(error)?.to_string(),
        };
        let wrong = |problem: String| PretrainError::Recipe { path: path.into(), problem };
        let recipe: Self = files::parse_toml(&text).map_err(wrong)?;
        recipe.check().map_err(wrong)?;
        Ok(recipe)
    }

    fn check(&self) -> Result<(), String> {
        let share = |key: &str, value: f64| match (0.0..=1.0).contains(&value) {
            true => Ok(()),
            false => Err(format!("`{key}` is {value}; it must be in [0, 1]")),
        };
        if self.phases.is_empty() {
            return Err("`phases` is empty; there must be at least one".into());
        }
        for phase in &self.phases {
            share("phases.supervised", phase.supervised)?;
            share("phases.mixture.reasons", phase.mixture.reasons)?;
            share("phases.mixture.verbalized", phase.mixture.verbalized)?;
            if phase.steps == 0 {
                return Err("`phases.steps` is 0; it must be at least 1".into());
            }
        }
        share("data.noise_density", self.data.noise_density)?;
        if self.start.is_some() && self.model.local_attention != 0.0 {
            return Err("`model.local_attention` is for random weights; with `start` it must be 0".into());
        }
        for (key, value) in [
            ("tokenizer.sentinels", self.tokenizer.sentinels),
            ("tokenizer.passages", self.tokenizer.passages),
            ("data.held_out", self.data.held_out),
            ("training.batch_size", self.training.batch_size),
            ("training.pieces", self.training.pieces),
            ("training.evaluate_every", self.training.evaluate_every as usize),
        ] {
            if value == 0 {
                return Err(format!("`{key}` is 0; it must be at least 1"));
            }
        }
        if self.data.source_tokens < 8 {
            return Err(format!(
                "`data.source_tokens` is {}; it must be at least 8",
                self.data.source_tokens
            ));
        }
        Ok(())
    }

    /// The model's configuration, for a tokenizer of so many pieces.
    pub fn config(&self, vocab_size: usize) -> T5Config {
        let model = &self.model;
        T5Config {
            vocab_size,
            d_model: model.d_model,
            d_kv: model.d_kv,
            d_ff: model.d_ff,
            num_heads: model.num_heads,
            num_layers: model.num_layers,
            num_decoder_layers: Some(model.num_decoder_layers),
            relative_attention_num_buckets: model.relative_attention_num_buckets,
            relative_attention_max_distance: model.relative_attention_max_distance,
            dropout_rate: model.dropout_rate,
            ..T5Config::t5_small()
        }
    }
}
