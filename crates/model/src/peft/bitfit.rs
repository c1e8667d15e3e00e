//! BitFit (Ben Zaken et al. 2022): only bias terms train.
//!
//! T5 has no biases, so one is added to every linear map, the head included, and to every norm inside a block, as
//! ATTEMPT's code does; the scales and the two final norms stay as they are there. `norms = "scale"` trains the scales
//! instead.
//!
//! Parameters: the outputs of all linear maps and `d` for each norm inside a block: 280,960 on T5-base. All start from 0.
//!
//! What goes wrong: the bias on the head is one number for each word of the vocabulary, and alone can learn class
//! frequencies; a bias on keys has no gradient, since softmax does not see it.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Registered, Validate, learning_rate};
use crate::layout::{Layout, Linear, Norm, NormSite};
use crate::ops::per_run;
use crate::{Context, Group, Init, Method, Parameter};

pub(super) const REGISTERED: Registered =
    Registered::new::<BitFit>("bitfit", "BitFit", "Ben Zaken et al. 2022");

/// Biases on every linear map, the head included, and on norms.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BitFit {
    /// Learning rate of all that trains.
    pub learning_rate: f64,
    /// What trains of the norms inside the blocks.
    pub norms: Norms,
}

/// What trains of the norms inside the blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Norms {
    /// A bias after each, as in ATTEMPT's code.
    Bias,
    /// The scale of each.
    Scale,
    None,
}

impl Default for BitFit {
    fn default() -> Self {
        Self { learning_rate: 3e-4, norms: Norms::Bias }
    }
}

impl Validate for BitFit {
    fn validate(&self) -> Result<(), String> {
        learning_rate("learning_rate", self.learning_rate)
    }
}

impl Method for BitFit {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let biases = layout.linears.iter().map(|linear| {
            let [out, _] = linear.shape;
            Parameter::new(bias(&linear.path), &[out], Init::Zeros)
        });
        let norms = layout.norms.iter().filter(|norm| matches!(norm.site, NormSite::Sublayer(_)));
        let d = layout.d_model;
        let of_norm = |norm: &Norm| match self.norms {
            Norms::Bias => Some(Parameter::new(bias(&norm.path), &[d], Init::Zeros)),
            Norms::Scale => Some(Parameter::backbone(&norm.weight, [1, d])),
            Norms::None => None,
        };
        Ok(biases.chain(norms.filter_map(of_norm)).collect())
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::NETWORK, self.learning_rate)]
    }

    fn starts_at_backbone(&self) -> bool {
        true
    }

    fn projection(
        &self,
        context: &Context,
        linear: &Linear,
        _input: &Tensor<4>,
        output: Tensor<4>,
    ) -> Tensor<4> {
        let bias = per_run(context.parameters.get(&bias(&linear.path)), &output);
        output + bias
    }

    fn norm(&self, context: &Context, norm: &Norm, output: Tensor<4>) -> Tensor<4> {
        let bias = bias(&norm.path);
        if !context.parameters.contains(&bias) {
            return output;
        }
        let bias = per_run(context.parameters.get(&bias), &output);
        output + bias
    }

    fn merges(&self) -> Result<(), String> {
        Err("it trains biases, and the backbone's linear maps and norms have none".into())
    }
}

fn bias(path: &str) -> String {
    format!("{path}.bias")
}
