//! What the prompt methods share: a soft prompt before the encoder's input embeddings.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{learning_rate, positive};
use crate::layout::Layout;
use crate::ops::per_sentence;
use crate::{Context, Group, Init, Input, Parameter};

pub(super) const NAME: &str = "prompt";

/// The settings of a soft prompt `[length, d_model]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    /// Number of positions; 0 is no prompt.
    pub length: usize,
    /// Where it starts.
    pub init: PromptInit,
    /// The text of [`PromptInit::Text`].
    pub text: String,
    /// Its learning rate.
    pub learning_rate: f64,
}

/// Where a soft prompt starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromptInit {
    /// Random rows among the first 5,000 of the embedding table (Lester et al. 2021, ATTEMPT).
    Vocabulary,
    /// The embeddings of a text, repeated to the prompt's length.
    Text,
    /// Standard normal, which the authors' code falls back to.
    Normal,
}

/// The text from which ADePT's code starts its prompts (the misspelling is theirs).
const REFERENCE_TEXT: &str = "Classify this text is postive or not:";

/// Number of frequent tokens among which `PromptInit::Vocabulary` draws.
const FREQUENT_TOKENS: usize = 5000;

impl Prompt {
    /// A prompt of so many positions that starts there; the learning rate is the reference's.
    pub(super) fn new(length: usize, init: PromptInit) -> Self {
        Self { length, init, text: REFERENCE_TEXT.into(), learning_rate: 0.3 }
    }

    /// Refuses a prompt that no machine has room for.
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.length > 0 {
            positive("prompt.length", self.length)?;
        }
        learning_rate("prompt.learning_rate", self.learning_rate)
    }

    /// The learning rate of its parameter.
    pub(super) fn rate(&self) -> (Group, f64) {
        (Group::PROMPT, self.learning_rate)
    }

    /// Declares the prompt, or nothing for length 0.
    pub(super) fn declare(&self, layout: &Layout) -> Option<Parameter> {
        self.declare_for(1, layout)
    }

    /// Declares a prompt for each of several tasks, `[tasks, length, d_model]`, or the only one.
    pub(super) fn declare_for(&self, tasks: usize, layout: &Layout) -> Option<Parameter> {
        let init = match self.init {
            PromptInit::Vocabulary => Init::SampledEmbeddingRows(FREQUENT_TOKENS),
            PromptInit::Normal => Init::Normal(1.0),
            PromptInit::Text => Init::Text(self.text.clone()),
        };
        let shape = [tasks, self.length, layout.d_model];
        let shape = if tasks == 1 { &shape[1..] } else { &shape };
        (self.length > 0).then(|| Parameter::new(NAME, shape, init).in_group(Group::PROMPT))
    }
}

/// Puts the soft prompt, where there is one, before the input embeddings.
pub(super) fn prepend(context: &Context, input: Input) -> Input {
    match context.parameters.contains(NAME) {
        true => prepend_vectors(soft_prompt(context), input),
        false => input,
    }
}

/// The soft prompt as it is trained, `[runs, length, d_model]`.
pub(super) fn soft_prompt(context: &Context) -> Tensor<3> {
    context.parameters.get(NAME)
}

/// Puts vectors `[runs, length, d_model]` before the input embeddings, visible to every position.
pub(super) fn prepend_vectors(prompt: Tensor<3>, input: Input) -> Input {
    let batch = input.embeddings.dims()[1];
    put_before(per_sentence(prompt, batch), input)
}

/// Puts a prompt for each sentence, `[runs, batch, length, d_model]`, before the input embeddings.
pub(super) fn put_before(prompt: Tensor<4>, input: Input) -> Input {
    let [runs, batch, length, _] = prompt.dims();
    let visible = Tensor::ones([runs, batch, length], &input.mask.device());
    Input {
        embeddings: Tensor::cat(vec![prompt, input.embeddings], 2),
        mask: Tensor::cat(vec![visible, input.mask], 2),
    }
}
