use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use peft_model::layout::Layout;
use peft_model::settings::positive;
use peft_model::{Configuration, families};
use peft_pocket::Mixture;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::PretrainError;
use crate::files;
use crate::files::embedded;
use crate::host::memory::{self, TooLarge};
use crate::model::footprint;
use crate::results::portable;

/// How a model is pretrained: the contents of a TOML in `datasets/recipes/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    pub title: String,
    /// Seed of everything that is random: weights, text, corruption.
    pub seed: u64,
    /// Model whose weights and tokenizer it starts from: a folder, an embedded model or a hub id. By default, weights
    /// are random and the tokenizer is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    pub tokenizer: TokenizerRecipe,
    pub model: ModelRecipe,
    pub data: DataRecipe,
    pub training: TrainingRecipe,
    /// Run in sequence, each with its own mixture and schedule.
    pub phases: Vec<Phase>,
}

/// The unigram tokenizer (Kudo 2018), trained on the corpus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerRecipe {
    /// Maximum number of pieces, including sentinels and special tokens.
    pub vocabulary: usize,
    /// Number of sentinels for span corruption.
    pub sentinels: usize,
    /// Number of passages that it is trained on.
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
    /// Added to the encoder's random position bias before training, so that its first heads attend to the previous
    /// token, the next one, and the token itself. AdamW would need thousands of steps for so large a bias.
    pub local_attention: f32,
    /// Written into `config.json`, for fine-tuning.
    pub dropout_rate: f64,
}

/// Training data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRecipe {
    /// Longest source; longer passages are truncated.
    pub source_tokens: usize,
    /// Fraction of tokens that are masked.
    pub noise_density: f64,
    /// Mean length of a masked span, in tokens.
    pub mean_span: f64,
    /// Number of examples of each kind for the held-out loss.
    pub held_out: usize,
}

/// Batches and regularization.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRecipe {
    /// Examples per step.
    pub batch_size: usize,
    /// Micro-batches per step, split by length to save padding; their gradients are accumulated.
    pub pieces: usize,
    pub weight_decay: f64,
    /// Dropout while pretraining.
    pub dropout_rate: f64,
    /// Steps between measurements of the held-out loss.
    pub evaluate_every: u64,
}

/// A stretch of pretraining.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    pub steps: u64,
    pub learning_rate: f64,
    pub warmup_steps: u64,
    /// Number of steps after which the learning rate would reach zero; defaults to the phase's length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decay_over: Option<u64>,
    /// Fraction of supervised examples; the rest is span corruption.
    pub supervised: f64,
    /// Mixture of the supervised examples.
    pub mixture: Mixture,
}

impl Recipe {
    /// Total number of steps.
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
        let last = self.phases.last().expect("a checked recipe has a phase");
        (last, last.steps)
    }

    /// Reads a recipe: a file, or an embedded one by its path below `datasets/`.
    ///
    /// # Errors
    /// When it does not exist, is malformed, or has unknown keys or values out of range.
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
        if self.folder_name().is_empty() || self.title.chars().any(char::is_control) {
            return Err(format!("`title` is {:?}; it must be one line of text", self.title));
        }
        self.tokenizer.check()?;
        self.model.check(self.start.is_some())?;
        self.data.check()?;
        self.training.check()?;
        // Its errors name the field, which is also a key of `model`.
        self.configuration(self.tokenizer.vocabulary)?;
        if self.phases.is_empty() {
            return Err("`phases` is empty; there must be at least one".into());
        }
        self.phases.iter().try_for_each(Phase::check)
    }

    /// The title as a folder name: letters and digits, separated by hyphens.
    pub fn folder_name(&self) -> String {
        let words = self.title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let name = words.collect::<Vec<_>>().join("-").to_lowercase();
        // File names have at most 255 bytes, and a character at most 4.
        name.chars().take(60).collect()
    }

    /// The recipe without private paths: absolute paths and paths below the home folder are reduced to their last part.
    pub fn without_private_paths(&self) -> Self {
        let public = |start: &String| portable(start);
        Self { start: self.start.as_ref().map(public), ..self.clone() }
    }

    /// Refuses a pretraining whose weights or batches do not fit into memory, by a lower bound of their sizes.
    ///
    /// # Errors
    /// The message names the keys.
    pub fn ensure_memory(&self, layout: &Layout) -> Result<(), TooLarge> {
        let parameters = layout.num_parameters();
        let model = || {
            let ModelRecipe { d_model, d_ff, num_layers, .. } = self.model;
            format!(
                "`model` (`d_model` {d_model}, `d_ff` {d_ff}, `num_layers` {num_layers}): {parameters} parameters \
                 with gradients and moments"
            )
        };
        // The start, the values, their gradients and two moments.
        let training = memory::floats(&[parameters, 5]);
        memory::ensure(model, training)?;
        let TrainingRecipe { batch_size, pieces, .. } = self.training;
        let batch = || format!("`training.batch_size` {batch_size} in `training.pieces` {pieces}");
        // Every text has at least one token and the EOS token.
        let piece = footprint::teacher_forcing(layout, batch_size.div_ceil(pieces), 2, 2);
        memory::ensure(batch, training.saturating_add(piece))
    }

    /// The model's configuration, for a tokenizer with `vocab_size` pieces.
    ///
    /// # Errors
    /// The message names the key of `model` that is out of range.
    pub fn configuration(&self, vocab_size: usize) -> Result<Arc<dyn Configuration>, String> {
        let model = &self.model;
        let fields = json!({
            "vocab_size": vocab_size,
            "d_model": model.d_model,
            "d_kv": model.d_kv,
            "d_ff": model.d_ff,
            "num_heads": model.num_heads,
            "num_layers": model.num_layers,
            "num_decoder_layers": model.num_decoder_layers,
            "relative_attention_num_buckets": model.relative_attention_num_buckets,
            "relative_attention_max_distance": model.relative_attention_max_distance,
            "dropout_rate": model.dropout_rate,
        });
        families::parse_configuration(&fields.to_string()).map_err(|problem| format!("`model`: {problem}"))
    }
}

impl TokenizerRecipe {
    fn check(&self) -> Result<(), String> {
        positive("tokenizer.vocabulary", self.vocabulary)?;
        between("tokenizer.sentinels", self.sentinels, 1, MOST_SENTINELS)?;
        between("tokenizer.passages", self.passages, 1, MOST_TEXTS)
    }
}

impl ModelRecipe {
    fn check(&self, has_start: bool) -> Result<(), String> {
        number("model.local_attention", self.local_attention.into(), f64::MIN, f64::MAX)?;
        if has_start && self.local_attention != 0.0 {
            return Err(
                "`model.local_attention` is only for random weights; with `start` it must be 0".into()
            );
        }
        rate("model.dropout_rate", self.dropout_rate)
    }
}

impl DataRecipe {
    fn check(&self) -> Result<(), String> {
        between("data.source_tokens", self.source_tokens, 8, 1 << 24)?;
        share("data.noise_density", self.noise_density)?;
        number("data.mean_span", self.mean_span, 1.0, f64::MAX)?;
        between("data.held_out", self.held_out, 1, MOST_TEXTS)
    }
}

impl TrainingRecipe {
    fn check(&self) -> Result<(), String> {
        positive("training.batch_size", self.batch_size)?;
        between("training.pieces", self.pieces, 1, self.batch_size)?;
        number("training.weight_decay", self.weight_decay, 0.0, f64::MAX)?;
        rate("training.dropout_rate", self.dropout_rate)?;
        between("training.evaluate_every", self.evaluate_every, 1, MOST_STEPS)
    }
}

impl Phase {
    fn check(&self) -> Result<(), String> {
        between("phases.steps", self.steps, 1, MOST_STEPS)?;
        number("phases.learning_rate", self.learning_rate, f64::MIN_POSITIVE, f64::MAX)?;
        let decay_over = self.decay_over.unwrap_or(self.steps);
        between("phases.decay_over", decay_over, 1, MOST_STEPS)?;
        if self.warmup_steps > decay_over {
            return Err(format!(
                "`phases.warmup_steps` is {}; it must be at most {decay_over}, the steps of the phase's schedule",
                self.warmup_steps
            ));
        }
        share("phases.supervised", self.supervised)?;
        share("phases.mixture.reasons", self.mixture.reasons)?;
        share("phases.mixture.verbalized", self.mixture.verbalized)
    }
}

/// More spans than any text has.
const MOST_SENTINELS: usize = 4096;

/// As many texts as can be generated in minutes and held in memory.
const MOST_TEXTS: usize = 1_000_000;

const MOST_STEPS: u64 = 1_000_000_000;

fn between<T: PartialOrd + Display>(key: &str, value: T, least: T, most: T) -> Result<(), String> {
    match least <= value && value <= most {
        true => Ok(()),
        false => Err(format!("`{key}` is {value}; it must be between {least} and {most}")),
    }
}

/// A finite number between two bounds.
fn number(key: &str, value: f64, least: f64, most: f64) -> Result<(), String> {
    match (least..=most).contains(&value) {
        true => Ok(()),
        false if least == f64::MIN => Err(format!("`{key}` is {value}; it must be a finite number")),
        false if least == f64::MIN_POSITIVE => {
            Err(format!("`{key}` is {value}; it must be a positive number"))
        }
        false => Err(format!("`{key}` is {value}; it must be a number of at least {least}")),
    }
}

fn share(key: &str, value: f64) -> Result<(), String> {
    match (0.0..=1.0).contains(&value) {
        true => Ok(()),
        false => Err(format!("`{key}` is {value}; it must be in [0, 1]")),
    }
}

/// A dropout rate.
fn rate(key: &str, value: f64) -> Result<(), String> {
    match (0.0..1.0).contains(&value) {
        true => Ok(()),
        false => Err(format!("`{key}` is {value}; it must be in [0, 1)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titled(title: &str) -> Recipe {
        Recipe { title: title.into(), ..Recipe::find("recipes/pocket.toml").unwrap() }
    }

    #[test]
    fn a_title_never_escapes_the_results_folder() {
        for (title, name) in [
            ("Pocket", "pocket"),
            ("My T5, second try", "my-t5-second-try"),
            ("../../x", "x"),
            ("/etc/passwd", "etc-passwd"),
            ("C:\\x", "c-x"),
            ("Übung", "übung"),
        ] {
            assert_eq!(titled(title).folder_name(), name);
            titled(title).check().unwrap();
        }
        assert!(titled(&"x".repeat(300)).folder_name().len() <= 255);
        for title in ["", "..", "/", " ", "a\u{1b}[31m", "a\nb"] {
            assert!(titled(title).check().unwrap_err().contains("`title`"), "{title:?}");
        }
    }

    #[test]
    fn a_private_path_is_not_published() {
        for (start, published) in [
            ("/home/me/models/base", "base"),
            ("~/base", "base"),
            ("models/base", "models/base"),
            ("google/t5-v1_1-small", "google/t5-v1_1-small"),
        ] {
            let recipe = Recipe { start: Some(start.into()), ..titled("x") };
            assert_eq!(recipe.without_private_paths().start.as_deref(), Some(published));
        }
    }
}
