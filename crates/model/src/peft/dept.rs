//! DePT, decomposed prompt tuning (Shi and Lipani 2024): a short prompt and low-rank offsets that
//! belong to positions.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::prompt::{self, PromptInit, REFERENCE_TEXT};
use super::{Checked, Group, Init, Input, Method, Parameter, Registered, factor, learning_rate, positive};
use crate::ops::{linear_per_run, per_sentence};
use crate::t5::{Pass, Stack, T5Config};

pub(super) const REGISTERED: Registered = Registered::new::<Dept>("dept", "DePT", "Shi and Lipani 2024");

/// A prompt `[prompt_length, d_model]`, and `scaling (A B)[i]` added to the embedding at position i.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dept {
    pub prompt_length: usize,
    pub rank: usize,
    /// Longest source, in tokens: A has one row per position. Left out, it is the task's limit.
    pub max_length: usize,
    /// The offsets are scaled by `alpha / sqrt(rank)`.
    pub alpha: f64,
    pub offsets: Offsets,
    pub init: PromptInit,
    pub init_text: String,
    pub prompt_learning_rate: f64,
    /// Learning rate of A and B.
    pub learning_rate: f64,
}

/// What the offsets depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Offsets {
    /// The position, as published.
    Position,
    /// The token, through a bias-free ReLU network: what ADePT's code runs under the name DePT.
    TokenNetwork,
}

impl Default for Dept {
    fn default() -> Self {
        Self {
            prompt_length: 40,
            rank: 45,
            max_length: 256,
            alpha: 8.0,
            offsets: Offsets::Position,
            init: PromptInit::Vocabulary,
            init_text: REFERENCE_TEXT.into(),
            prompt_learning_rate: 0.3,
            learning_rate: 5e-4,
        }
    }
}

impl Checked for Dept {
    const LENGTH_SETTING: Option<&'static str> = Some("max_length");

    fn check(&self) -> Result<(), String> {
        prompt::check_length(self.prompt_length)?;
        positive("rank", self.rank)?;
        factor("alpha", self.alpha)?;
        positive("max_length", self.max_length)?;
        learning_rate("learning_rate", self.learning_rate)?;
        learning_rate("prompt_learning_rate", self.prompt_learning_rate)
    }
}

impl Method for Dept {
    fn parameters(&self, config: &T5Config) -> Vec<Parameter> {
        let (d, r) = (config.d_model, self.rank);
        let rows = match self.offsets {
            Offsets::Position => self.max_length,
            Offsets::TokenNetwork => d,
        };
        // Kaiming uniform with a = sqrt(5) over r inputs.
        let a = Init::Uniform((r as f64).powf(-0.5));
        let mut parameters =
            Vec::from_iter(prompt::declare(config, self.prompt_length, self.init, &self.init_text));
        parameters.push(Parameter::new("offset_A", &[rows, r], a));
        parameters.push(Parameter::new("offset_B", &[r, d], Init::Zeros));
        parameters
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::PROMPT, self.prompt_learning_rate), (Group::NETWORK, self.learning_rate)]
    }

    fn max_source_length(&self) -> Option<usize> {
        (self.offsets == Offsets::Position).then_some(self.max_length)
    }

    fn prompt_length(&self) -> usize {
        self.prompt_length
    }

    fn input(&self, pass: &Pass, stack: Stack, input: Input) -> Input {
        if stack == Stack::Decoder {
            return input;
        }
        let a: Tensor<3> = pass.parameters.get("offset_A");
        let b: Tensor<3> = pass.parameters.get("offset_B");
        let offsets = match self.offsets {
            Offsets::Position => {
                let [_, batch, length, _] = input.embeddings.dims();
                per_sentence(self.position_offsets(a, b, length), batch)
            }
            Offsets::TokenNetwork => {
                let hidden = activation::relu(linear_per_run(input.embeddings.clone(), a.transpose()));
                linear_per_run(hidden, b.transpose())
            }
        };
        let embeddings = input.embeddings + offsets;
        prompt::prepend(pass, Input { embeddings, ..input })
    }
}

impl Dept {
    /// `[runs, length, d_model]`.
    ///
    /// # Panics
    /// When the source is longer than `max_length`: there is no offset for those positions.
    fn position_offsets(&self, a: Tensor<3>, b: Tensor<3>, length: usize) -> Tensor<3> {
        assert!(
            length <= self.max_length,
            "DePT has offsets for {} positions, the source has {length}",
            self.max_length
        );
        let scaling = self.alpha / (self.rank as f64).sqrt();
        let offsets = linear_per_run(a.narrow(1, 0, length).unsqueeze_dim(1), b.transpose());
        offsets.squeeze_dim::<3>(1) * scaling
    }
}
