//! What the prompt methods share: a soft prompt before the encoder's input embeddings.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Group, Init, Input, Parameter, positive};
use crate::ops::per_sentence;
use crate::t5::{Pass, T5Config};

const NAME: &str = "prompt";

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
pub(super) const REFERENCE_TEXT: &str = "Classify this text is postive or not:";

/// Number of frequent tokens among which `PromptInit::Vocabulary` draws.
const FREQUENT_TOKENS: usize = 5000;

/// Refuses a prompt that no machine has room for; length 0 is none.
pub(super) fn check_length(length: usize) -> Result<(), String> {
    if length == 0 { Ok(()) } else { positive("prompt_length", length) }
}

/// Declares a soft prompt `[length, d_model]`, or nothing for length 0.
pub(super) fn declare(config: &T5Config, length: usize, init: PromptInit, text: &str) -> Option<Parameter> {
    if length == 0 {
        return None;
    }
    let init = match init {
        PromptInit::Vocabulary => Init::SampledEmbeddingRows(FREQUENT_TOKENS),
        PromptInit::Normal => Init::Normal(1.0),
        PromptInit::Text => Init::Text(text.to_string()),
    };
    Some(Parameter::new(NAME, &[length, config.d_model], init).in_group(Group::PROMPT))
}

/// Puts the soft prompt before the input embeddings, visible to every position.
pub(super) fn prepend(pass: &Pass, input: Input) -> Input {
    if !pass.parameters.contains(NAME) {
        return input;
    }
    let prompt: Tensor<3> = pass.parameters.get(NAME);
    let [runs, batch, ..] = input.embeddings.dims();
    let [_, length, _] = prompt.dims();
    let prompt = per_sentence(prompt, batch);
    let visible = Tensor::ones([runs, batch, length], &input.mask.device());
    Input {
        embeddings: Tensor::cat(vec![prompt, input.embeddings], 2),
        mask: Tensor::cat(vec![visible, input.mask], 2),
    }
}
