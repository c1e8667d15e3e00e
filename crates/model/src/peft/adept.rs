//! ADePT, adaptive decomposed prompt tuning (Tang et al. 2025): a short prompt, and offsets that a
//! small network computes from each token's embedding.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::prompt::{self, PromptInit, REFERENCE_TEXT};
use super::{
    Checked, Group, Init, Input, Method, Parameter, Registered, learning_rate, positive, probability,
};
use crate::ops::affine_per_run;
use crate::t5::{Pass, Stack, T5Config};

pub(super) const REGISTERED: Registered = Registered::new::<Adept>("adept", "ADePT", "Tang et al. 2025");

/// A prompt `[prompt_length, d_model]`, and `f(e) = ReLU(e A + a) B + b` added to each embedding e.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adept {
    pub prompt_length: usize,
    pub bottleneck: usize,
    /// Dropout before the ReLU: 0.1 in the authors' code, absent from the paper's equation.
    pub bottleneck_dropout: f64,
    pub init: PromptInit,
    pub init_text: String,
    pub prompt_learning_rate: f64,
    /// Learning rate of the offset network.
    pub learning_rate: f64,
}

impl Default for Adept {
    fn default() -> Self {
        Self {
            prompt_length: 60,
            bottleneck: 19,
            bottleneck_dropout: 0.0,
            init: PromptInit::Text,
            init_text: REFERENCE_TEXT.into(),
            prompt_learning_rate: 0.3,
            learning_rate: 1e-4,
        }
    }
}

impl Checked for Adept {
    fn check(&self) -> Result<(), String> {
        prompt::check_length(self.prompt_length)?;
        positive("bottleneck", self.bottleneck)?;
        probability("bottleneck_dropout", self.bottleneck_dropout)?;
        learning_rate("learning_rate", self.learning_rate)?;
        learning_rate("prompt_learning_rate", self.prompt_learning_rate)
    }
}

impl Method for Adept {
    fn parameters(&self, config: &T5Config) -> Vec<Parameter> {
        let (d, r) = (config.d_model, self.bottleneck);
        let a = Init::Uniform((r as f64).powf(-0.5));
        let mut parameters =
            Vec::from_iter(prompt::declare(config, self.prompt_length, self.init, &self.init_text));
        let mut add = |name, shape: &[usize], init| {
            parameters.push(Parameter::new(name, shape, init));
        };
        add("down.weight", &[d, r], a);
        add("down.bias", &[r], Init::Zeros);
        add("up.weight", &[r, d], Init::Zeros);
        add("up.bias", &[d], Init::Zeros);
        parameters
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::PROMPT, self.prompt_learning_rate), (Group::NETWORK, self.learning_rate)]
    }

    fn prompt_length(&self) -> usize {
        self.prompt_length
    }

    fn input(&self, pass: &Pass, stack: Stack, input: Input) -> Input {
        if stack == Stack::Decoder {
            return input;
        }
        let affine = |input, part: &str| {
            let weight: Tensor<3> = pass.parameters.get(&format!("{part}.weight"));
            let bias: Tensor<2> = pass.parameters.get(&format!("{part}.bias"));
            affine_per_run(input, weight.transpose(), bias)
        };
        let hidden =
            pass.method_dropout("down", affine(input.embeddings.clone(), "down"), self.bottleneck_dropout);
        let offsets = affine(activation::relu(hidden), "up");
        let embeddings = input.embeddings + offsets;
        prompt::prepend(pass, Input { embeddings, ..input })
    }
}
