//! Prompt tuning (Lester et al. 2021): a soft prompt is all that trains.

use serde::{Deserialize, Serialize};

use super::prompt::{self, PromptInit, REFERENCE_TEXT};
use super::{Checked, Group, Input, Method, Parameter, Registered, learning_rate, positive};
use crate::t5::{Pass, Stack, T5Config};

pub(super) const REGISTERED: Registered =
    Registered::new::<PromptTuning>("prompt-tuning", "PT", "Lester et al. 2021");

/// A soft prompt `[prompt_length, d_model]` before the encoder's input embeddings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PromptTuning {
    pub prompt_length: usize,
    pub init: PromptInit,
    pub init_text: String,
    /// Whether the shared embedding table trains too, as it does in the authors' code.
    pub train_embeddings: bool,
    pub prompt_learning_rate: f64,
    /// Learning rate of the embedding table, where it trains.
    pub learning_rate: f64,
}

impl Default for PromptTuning {
    fn default() -> Self {
        Self {
            prompt_length: 100,
            init: PromptInit::Vocabulary,
            init_text: REFERENCE_TEXT.into(),
            train_embeddings: false,
            prompt_learning_rate: 0.3,
            learning_rate: 1e-4,
        }
    }
}

impl Checked for PromptTuning {
    fn check(&self) -> Result<(), String> {
        positive("prompt_length", self.prompt_length)?;
        learning_rate("learning_rate", self.learning_rate)?;
        learning_rate("prompt_learning_rate", self.prompt_learning_rate)
    }
}

impl Method for PromptTuning {
    fn parameters(&self, config: &T5Config) -> Vec<Parameter> {
        let mut parameters =
            Vec::from_iter(prompt::declare(config, self.prompt_length, self.init, &self.init_text));
        if self.train_embeddings {
            parameters.push(Parameter::backbone("shared.weight".into(), [config.vocab_size, config.d_model]));
        }
        parameters
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::PROMPT, self.prompt_learning_rate), (Group::NETWORK, self.learning_rate)]
    }

    fn prompt_length(&self) -> usize {
        self.prompt_length
    }

    fn input(&self, pass: &Pass, stack: Stack, input: Input) -> Input {
        match stack {
            Stack::Encoder => prompt::prepend(pass, input),
            Stack::Decoder => input,
        }
    }
}
