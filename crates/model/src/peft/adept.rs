//! ADePT, adaptive decomposed prompt tuning (Tang et al. 2025): a short prompt, and offsets that a small network computes
//! from each token's embedding: the encoder reads `[P; E + f(E)]` with `f(e) = ReLU(e A + a) B + b` (equation 3).
//!
//! Parameters: `m d + 2 d r + r + d`: 76,051 on T5-base with m = 60, r = 19. B and the biases start from 0, so that
//! offsets start from 0. After training, offsets fold into an embedding table of the encoder's own.
//!
//! The authors' code drops hidden units with 0.1 before the ReLU, which the equation does not have: `bottleneck_dropout`.
//! Its prompts start from a text.
//!
//! What goes wrong: ReLU units whose input is negative for every token get no gradient again; prompt and network need
//! learning rates three orders apart.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::prompt::prepend;
use super::{Prompt, PromptInit, Registered, Validate, learning_rate, positive, probability};
use crate::layout::{Layout, Stack};
use crate::ops::affine_per_run;
use crate::{Context, Group, Init, Input, Method, Parameter};

pub(super) const REGISTERED: Registered = Registered::new::<Adept>("adept", "ADePT", "Tang et al. 2025");

/// A soft prompt, and `f(e) = ReLU(e A + a) B + b` added to each embedding e.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Adept {
    /// The soft prompt.
    pub prompt: Prompt,
    /// Hidden units of the offset network.
    pub bottleneck: usize,
    /// Dropout before the ReLU: 0.1 in the authors' code, absent from the paper's equation.
    pub bottleneck_dropout: f64,
    /// Whether offsets are added in evaluation too; without them, a trained prompt is judged alone.
    pub offsets_in_evaluation: bool,
    /// Learning rate of the offset network.
    pub learning_rate: f64,
}

impl Default for Adept {
    fn default() -> Self {
        Self {
            prompt: Prompt::new(60, PromptInit::Text),
            bottleneck: 19,
            bottleneck_dropout: 0.0,
            offsets_in_evaluation: true,
            learning_rate: 1e-4,
        }
    }
}

impl Validate for Adept {
    fn validate(&self) -> Result<(), String> {
        self.prompt.validate()?;
        positive("bottleneck", self.bottleneck)?;
        probability("bottleneck_dropout", self.bottleneck_dropout)?;
        learning_rate("learning_rate", self.learning_rate)
    }
}

impl Method for Adept {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let (d, r) = (layout.d_model, self.bottleneck);
        let a = Init::Uniform((r as f64).powf(-0.5));
        let mut parameters = Vec::from_iter(self.prompt.declare(layout));
        let mut add = |name, shape: &[usize], init| {
            parameters.push(Parameter::new(name, shape, init));
        };
        add("down.weight", &[d, r], a);
        add("down.bias", &[r], Init::Zeros);
        add("up.weight", &[r, d], Init::Zeros);
        add("up.bias", &[d], Init::Zeros);
        Ok(parameters)
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![self.prompt.rate(), (Group::NETWORK, self.learning_rate)]
    }

    fn prompt_length(&self) -> usize {
        self.prompt.length
    }

    fn input(&self, context: &Context, stack: Stack, input: Input) -> Input {
        if stack == Stack::Decoder {
            return input;
        }
        if context.dropout.is_none() && !self.offsets_in_evaluation {
            return prepend(context, input);
        }
        let offsets = offsets(context, input.embeddings.clone(), self.bottleneck_dropout);
        let embeddings = input.embeddings + offsets;
        prepend(context, Input { embeddings, ..input })
    }

    fn merges(&self) -> Result<(), String> {
        Err("its prompt stands in the input; its offsets fold into an embedding table for the encoder alone"
            .into())
    }

    fn folded_embeddings(&self, context: &Context, table: Tensor<2>) -> Option<Tensor<2>> {
        let offsets = || offsets(context, table.clone().unsqueeze(), self.bottleneck_dropout);
        self.offsets_in_evaluation.then(|| table.clone() + offsets().reshape(table.dims()))
    }
}

/// `f(e)` of embeddings `[runs, batch, length, d_model]`.
fn offsets(context: &Context, embeddings: Tensor<4>, dropout: f64) -> Tensor<4> {
    let affine = |input, part: &str| {
        let weight: Tensor<3> = context.parameters.get(&format!("{part}.weight"));
        let bias: Tensor<2> = context.parameters.get(&format!("{part}.bias"));
        affine_per_run(input, weight.transpose(), bias)
    };
    let hidden = context.dropout("down", affine(embeddings, "down"), dropout);
    affine(activation::relu(hidden), "up")
}
