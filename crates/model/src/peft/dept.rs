//! DePT, decomposed prompt tuning (Shi and Lipani 2024): a short prompt and low-rank offsets that
//! belong to positions.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::prompt::prepend;
use super::{Prompt, PromptInit, Registered, Validate, factor, learning_rate, positive};
use crate::layout::{Layout, Stack};
use crate::ops::{linear_per_run, per_sentence};
use crate::{Context, Group, Init, Input, Method, Parameter};

pub(super) const REGISTERED: Registered =
    Registered::new::<Dept>("dept", "DePT", "Shi and Lipani 2024").as_in_peft::<Dept>();

/// A soft prompt, and `scaling (A B)[i]` added to the embedding at position i.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dept {
    pub prompt: Prompt,
    pub rank: usize,
    /// Longest source, in tokens: A has one row per position. Left out, it is the task's limit.
    pub max_length: usize,
    /// The offsets are scaled by `alpha / sqrt(rank)`.
    pub alpha: f64,
    pub offsets: Offsets,
    /// Learning rate of A and B.
    pub learning_rate: f64,
}

/// What the offsets depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Offsets {
    /// The position, as published.
    Position,
    /// The token, through a bias-free ReLU network: what ADePT's code runs under the name DePT.
    TokenNetwork,
}

impl Default for Dept {
    fn default() -> Self {
        Self {
            prompt: Prompt::new(40, PromptInit::Vocabulary),
            rank: 45,
            max_length: 256,
            alpha: 8.0,
            offsets: Offsets::Position,
            learning_rate: 5e-4,
        }
    }
}

impl Validate for Dept {
    const LENGTH_SETTING: Option<&'static str> = Some("max_length");

    fn validate(&self) -> Result<(), String> {
        self.prompt.validate()?;
        positive("rank", self.rank)?;
        factor("alpha", self.alpha)?;
        positive("max_length", self.max_length)?;
        learning_rate("learning_rate", self.learning_rate)
    }
}

impl Method for Dept {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let (d, r) = (layout.d_model, self.rank);
        let rows = match self.offsets {
            Offsets::Position => self.max_length,
            Offsets::TokenNetwork => d,
        };
        // Kaiming uniform with a = sqrt(5) over r inputs.
        let a = Init::Uniform((r as f64).powf(-0.5));
        let mut parameters = Vec::from_iter(self.prompt.declare(layout));
        parameters.push(Parameter::new("offset_A", &[rows, r], a));
        parameters.push(Parameter::new("offset_B", &[r, d], Init::Zeros));
        Ok(parameters)
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![self.prompt.rate(), (Group::NETWORK, self.learning_rate)]
    }

    fn max_source_length(&self) -> Option<usize> {
        (self.offsets == Offsets::Position).then_some(self.max_length)
    }

    fn prompt_length(&self) -> usize {
        self.prompt.length
    }

    fn input(&self, context: &Context, stack: Stack, input: Input) -> Input {
        if stack == Stack::Decoder {
            return input;
        }
        let a: Tensor<3> = context.parameters.get("offset_A");
        let b: Tensor<3> = context.parameters.get("offset_B");
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
        prepend(context, Input { embeddings, ..input })
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
