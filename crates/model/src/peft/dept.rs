//! DePT, decomposed prompt tuning (Shi and Lipani 2024): a short prompt, and offsets of low rank that belong to positions:
//! the encoder reads `[P; E + s A B]` with `s = alpha / sqrt(r)` (section 2.2).
//!
//! Parameters: `m d + r (L + d)` for sources of up to `L` tokens: 76,800 on T5-base with m = 40, r = 45, L = 256. A starts
//! Kaiming uniform and B from 0, so that offsets start from 0.
//!
//! The code that ADePT's authors ran under the name DePT has offsets that a bias-free ReLU network computes from each
//! token: `offsets = "token-network"`.
//!
//! What goes wrong: the offset at a position is the same for every token there, so a text that moves by one word meets
//! others; sources beyond `L` have none, and are refused.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::prompt::prepend;
use super::{Prompt, PromptInit, Registered, Validate, factor, learning_rate, positive};
use crate::layout::{Layout, Stack};
use crate::ops::{linear_per_run, per_sentence};
use crate::random::mix;
use crate::{Context, Group, Init, Input, Method, Parameter};

pub(super) const REGISTERED: Registered =
    Registered::new::<Dept>("dept", "DePT", "Shi and Lipani 2024").as_in_peft::<Dept>();

/// A soft prompt, and `scaling (A B)[i]` added to the embedding at position i.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dept {
    /// The soft prompt.
    pub prompt: Prompt,
    /// Columns of A and rows of B.
    pub rank: usize,
    /// Longest source, in tokens: A has one row per position. Left out, it is the task's limit.
    pub max_length: usize,
    /// The offsets are scaled by `alpha / sqrt(rank)`.
    pub alpha: f64,
    /// What the offsets depend on.
    pub offsets: Offsets,
    /// Whether evaluation gives each position the offset of another one of the same source: what is left of the score
    /// does not come from positions.
    pub shuffle_in_evaluation: bool,
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
            shuffle_in_evaluation: false,
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
        if self.shuffle_in_evaluation && self.offsets != Offsets::Position {
            return Err("`shuffle_in_evaluation` needs `offsets` of \"position\"".into());
        }
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
                let offsets = per_sentence(self.position_offsets(a, b, length), batch);
                match context.dropout.is_none() && self.shuffle_in_evaluation {
                    true => shuffled(offsets, &input.mask),
                    false => offsets,
                }
            }
            Offsets::TokenNetwork => {
                let hidden = activation::relu(linear_per_run(input.embeddings.clone(), a.transpose()));
                linear_per_run(hidden, b.transpose())
            }
        };
        let embeddings = input.embeddings + offsets;
        prepend(context, Input { embeddings, ..input })
    }

    fn merges(&self) -> Result<(), String> {
        Err("its prompt stands in the input, and its offsets belong to the encoder's input alone".into())
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

/// Permutes the offsets of each source's tokens, `[runs, batch, length, d_model]`, among themselves; the order depends on
/// the number of tokens alone.
fn shuffled(offsets: Tensor<4>, mask: &Tensor<3>) -> Tensor<4> {
    let [runs, batch, length, d_model] = offsets.dims();
    let keys: Vec<f32> = (0..length as u64).map(|i| (mix(i) >> 40) as f32).collect();
    let keys = Tensor::<1>::from_floats(&keys[..], &offsets.device()).reshape([1, 1, length]);
    // Padding sorts behind every token.
    let keys = keys + (mask.clone().neg() + 1.0) * (1u64 << 25) as f32;
    let order = keys.argsort(2).reshape([runs, batch, length, 1]).repeat_dim(3, d_model);
    offsets.gather(2, order)
}
