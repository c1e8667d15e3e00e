//! P-tuning (Liu et al. 2021, "GPT understands, too"): a small network makes the soft prompt before the encoder's input.
//!
//! Each position has an embedding `e`, and the prompt is `W3 relu(W2 relu(W1 e + b1) + b2) + b3`: the MLP of peft's
//! `PromptEncoder`, which is its default. The paper has a bidirectional LSTM over the positions before a smaller MLP, and
//! says that the network may be left out after training; the LSTM is not offered. The paper trains the backbone too and
//! puts its prompts around and into the text; as in peft, here the backbone stays frozen and the prompt comes first.
//!
//! Parameters: `p d` for the embeddings and `(d h + h) + (h h + h) + (h d + d)` for the network, with `h = d` unless
//! `hidden` says otherwise, as in peft. Embeddings start standard normal, the network as torch's linear maps do; the
//! learning rate is that of peft's examples. peft's files hold what the network makes of the embeddings, `p` rows of `d`:
//! a prompt as `prompt-tuning` has it, from which the network cannot be had back.
//!
//! What goes wrong: the prompt starts far smaller than token embeddings are, whatever the text.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::prompt::{NAME, prepend_vectors};
use super::{Prompt, PromptInit, Registered, Validate, learning_rate, positive};
use crate::layout::{Layout, Stack};
use crate::ops::affine_per_run;
use crate::settings::LARGEST;
use crate::{Context, Group, Init, Input, Method, Parameter};

pub(super) const REGISTERED: Registered =
    Registered::new::<PTuning>("p-tuning", "P-tuning", "Liu et al. 2021");

/// A soft prompt that a network makes from one embedding per position.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PTuning {
    /// The embeddings that the network takes.
    pub prompt: Prompt,
    /// What makes the prompt of them.
    pub network: Network,
    /// Hidden units of the network; 0 is as many as the model is wide.
    pub hidden: usize,
    /// Learning rate of the network.
    pub learning_rate: f64,
}

/// What makes the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Network {
    /// Three linear maps with ReLU between them, the same for each position.
    Mlp,
}

impl Default for PTuning {
    fn default() -> Self {
        let prompt = Prompt { learning_rate: 1e-3, ..Prompt::new(20, PromptInit::Normal) };
        Self { prompt, network: Network::Mlp, hidden: 0, learning_rate: 1e-3 }
    }
}

impl Validate for PTuning {
    fn validate(&self) -> Result<(), String> {
        positive("prompt.length", self.prompt.length)?;
        self.prompt.validate()?;
        if self.hidden > LARGEST {
            return Err(format!("`hidden` is {}; it must be at most {LARGEST}", self.hidden));
        }
        learning_rate("learning_rate", self.learning_rate)
    }
}

/// The linear maps, as peft numbers them.
const MAPS: [&str; 3] = ["mlp_head.0", "mlp_head.2", "mlp_head.4"];

impl PTuning {
    /// The prompt that the network makes, `[runs, length, d_model]`; in f32, whatever the backbone computes in.
    fn made(&self, context: &Context) -> Tensor<3> {
        let affine = |input: Tensor<4>, name: &str| {
            let weight = context.parameters.get_f32::<3>(&format!("{name}.weight"));
            affine_per_run(input, weight, context.parameters.get_f32(&format!("{name}.bias")))
        };
        let [first, second, last] = MAPS;
        let embeddings: Tensor<3> = context.parameters.get_f32(NAME);
        let hidden = activation::relu(affine(embeddings.unsqueeze_dim(1), first));
        let hidden = activation::relu(affine(hidden, second));
        affine(hidden, last).squeeze_dim(1).cast(context.weights.dtype())
    }
}

impl Method for PTuning {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let d = layout.d_model;
        let h = if self.hidden == 0 { d } else { self.hidden };
        let map = |(name, [out, input]): (&str, [usize; 2])| {
            let uniform = Init::Uniform((input as f64).powf(-0.5));
            [
                Parameter::new(format!("{name}.weight"), &[out, input], uniform.clone()),
                Parameter::new(format!("{name}.bias"), &[out], uniform),
            ]
        };
        let maps = MAPS.into_iter().zip([[h, d], [h, h], [d, h]]);
        Ok(self.prompt.declare(layout).into_iter().chain(maps.flat_map(map)).collect())
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
        prepend_vectors(self.made(context), input)
    }

    fn as_prompt(&self, context: &Context) -> Option<Tensor<3>> {
        Some(self.made(context))
    }

    fn merges(&self) -> Result<(), String> {
        Err("its prompt stands in the input, and no weight puts positions there".into())
    }
}
