//! Prompt tuning (Lester et al. 2021): the encoder reads `[P; E]`, a soft prompt `P` before the input embeddings `E`, and
//! the prompt is all that trains (section 2).
//!
//! Parameters: `m d` for `m` positions, 76,800 on T5-base with 100; with `train_embeddings`, as in the
//! code of ADePT's authors, `V d` more, of a table that the decoder and a tied head share.
//!
//! What goes wrong: it needs learning rates of 0.3 and more and many thousand updates; where it starts decides much
//! (section 3.2), and a prompt at the far end of a long source may be all that a truncated text leaves room for.

use serde::{Deserialize, Serialize};

use super::prompt::prepend;
use super::{Prompt, PromptInit, Registered, Validate, learning_rate, positive};
use crate::layout::{Layout, Stack};
use crate::{Context, Group, Input, Method, Parameter};

pub(super) const REGISTERED: Registered =
    Registered::new::<PromptTuning>("prompt-tuning", "PT", "Lester et al. 2021").as_in_peft::<PromptTuning>();

/// A soft prompt before the encoder's input embeddings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PromptTuning {
    /// The soft prompt.
    pub prompt: Prompt,
    /// Whether the shared embedding table trains too, as it does in the authors' code.
    pub train_embeddings: bool,
    /// Learning rate of the embedding table, where it trains.
    pub learning_rate: f64,
}

impl Default for PromptTuning {
    fn default() -> Self {
        Self {
            prompt: Prompt::new(100, PromptInit::Vocabulary),
            train_embeddings: false,
            learning_rate: 1e-4,
        }
    }
}

impl Validate for PromptTuning {
    fn validate(&self) -> Result<(), String> {
        positive("prompt.length", self.prompt.length)?;
        self.prompt.validate()?;
        learning_rate("learning_rate", self.learning_rate)
    }
}

impl Method for PromptTuning {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let table = || Parameter::backbone(&layout.embedding, [layout.vocab_size, layout.d_model]);
        let table = self.train_embeddings.then(table);
        Ok(self.prompt.declare(layout).into_iter().chain(table).collect())
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![self.prompt.rate(), (Group::NETWORK, self.learning_rate)]
    }

    fn prompt_length(&self) -> usize {
        self.prompt.length
    }

    fn input(&self, context: &Context, stack: Stack, input: Input) -> Input {
        match stack {
            Stack::Encoder => prepend(context, input),
            Stack::Decoder => input,
        }
    }

    fn merges(&self) -> Result<(), String> {
        Err("its prompt stands in the input, and no weight puts positions there".into())
    }
}
