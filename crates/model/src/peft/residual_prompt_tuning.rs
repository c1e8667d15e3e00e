//! Residual prompt tuning (Razdaibiedina et al. 2023): the soft prompt plus what a bottleneck network makes of it.
//!
//! Each embedding `p` of the prompt becomes `p + LayerNorm(U relu(D p + a) + b)` (section 3.2) before it goes in front of
//! the encoder's input; LayerNorm has mean, scale and bias, with torch's epsilon of 1e-5. One network serves all positions
//! or each has its own.
//!
//! Parameters: `p d` for the prompt, and for each network `2 d m + m + d` for the maps and `2 d` for the norm.
//!
//! Defaults are those of the authors' `train.py`: 10 positions, a bottleneck of 800, one shared network with its norm, a
//! learning rate of 0.3 for prompt and network alike. The prompt starts at random tokens, which they draw from the whole
//! vocabulary and we, as in the other prompt methods, from its first 5,000; the maps start as torch's linear maps do.
//! Their class also has two-layer and LSTM networks and other non-linearities, which are not offered, and drops the
//! network's output at a rate of 0.
//!
//! What goes wrong: 0.3 is a large step for a network; without the norm (`layer_norm = false`) it diverges easily.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::prompt::{NAME, prepend_vectors};
use super::{Prompt, PromptInit, Registered, Validate, learning_rate, positive};
use crate::layout::{Layout, Stack};
use crate::ops::{affine_per_run, layer_norm_per_run};
use crate::{Context, Group, Init, Input, Method, Parameter};

pub(super) const REGISTERED: Registered =
    Registered::new::<ResidualPromptTuning>("residual-prompt-tuning", "RPT", "Razdaibiedina et al. 2023");

/// A soft prompt, and a network around which it has a skip connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResidualPromptTuning {
    /// What the network takes and is added to.
    pub prompt: Prompt,
    /// Hidden units of the network.
    pub bottleneck: usize,
    /// Whether each position has a network of its own.
    pub separate: bool,
    /// Whether the network ends in a layer norm.
    pub layer_norm: bool,
    /// Learning rate of the network.
    pub learning_rate: f64,
}

impl Default for ResidualPromptTuning {
    fn default() -> Self {
        Self {
            prompt: Prompt::new(10, PromptInit::Vocabulary),
            bottleneck: 800,
            separate: false,
            layer_norm: true,
            learning_rate: 0.3,
        }
    }
}

impl Validate for ResidualPromptTuning {
    fn validate(&self) -> Result<(), String> {
        positive("prompt.length", self.prompt.length)?;
        self.prompt.validate()?;
        positive("bottleneck", self.bottleneck)?;
        learning_rate("learning_rate", self.learning_rate)
    }
}

/// Torch's epsilon.
const EPSILON: f64 = 1e-5;

impl ResidualPromptTuning {
    /// Number of networks.
    fn networks(&self) -> usize {
        if self.separate { self.prompt.length } else { 1 }
    }

    /// The prompt and what the networks add to it, `[runs, length, d_model]`; in f32, whatever the backbone computes in.
    fn made(&self, context: &Context) -> Tensor<3> {
        let prompt: Tensor<3> = context.parameters.get_f32(NAME);
        (prompt.clone() + self.network(context, prompt)).cast(context.weights.dtype())
    }

    /// What the networks make of the prompt, `[runs, length, d_model]` in and out.
    fn network(&self, context: &Context, prompt: Tensor<3>) -> Tensor<3> {
        let [runs, length, d] = prompt.dims();
        // Each network of each run is a run to the operations.
        let all = runs * self.networks();
        let weight = |name: &str| {
            let weight: Tensor<4> = context.parameters.get_f32(name);
            let [_, _, out, input] = weight.dims();
            weight.reshape([all, out, input])
        };
        let vector = |name: &str| {
            let vector: Tensor<3> = context.parameters.get_f32(name);
            let [_, _, width] = vector.dims();
            vector.reshape([all, width])
        };
        let rows = prompt.reshape([all, 1, length / self.networks(), d]);
        let hidden = activation::relu(affine_per_run(rows, weight("down.weight"), vector("down.bias")));
        let mut out = affine_per_run(hidden, weight("up.weight"), vector("up.bias"));
        if self.layer_norm {
            out = layer_norm_per_run(out, vector("norm.weight"), vector("norm.bias"), EPSILON);
        }
        out.reshape([runs, length, d])
    }
}

impl Method for ResidualPromptTuning {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let (d, m, networks) = (layout.d_model, self.bottleneck, self.networks());
        let uniform = |inputs: usize| Init::Uniform((inputs as f64).powf(-0.5));
        let mut parameters = Vec::from_iter(self.prompt.declare(layout));
        let mut add = |name, shape: &[usize], init| {
            parameters.push(Parameter::new(name, &[&[networks], shape].concat(), init));
        };
        add("down.weight", &[m, d], uniform(d));
        add("down.bias", &[m], uniform(d));
        add("up.weight", &[d, m], uniform(m));
        add("up.bias", &[d], uniform(m));
        if self.layer_norm {
            add("norm.weight", &[d], Init::Ones);
            add("norm.bias", &[d], Init::Zeros);
        }
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
        prepend_vectors(self.made(context), input)
    }

    fn as_prompt(&self, context: &Context) -> Option<Tensor<3>> {
        Some(self.made(context))
    }

    fn merges(&self) -> Result<(), String> {
        Err("its prompt stands in the input, and no weight puts positions there".into())
    }
}
