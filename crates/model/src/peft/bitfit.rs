//! BitFit (Ben Zaken et al. 2022): only bias terms train.
//!
//! T5 has no biases, so one is added to every linear map and to every norm inside a block, as ATTEMPT's code
//! does; the scales and the two final norms stay as they are there.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Checked, Group, Init, Method, Parameter, Registered, learning_rate};
use crate::ops::per_run;
use crate::t5::{Pass, Site, Sublayer, T5Config};

pub(super) const REGISTERED: Registered =
    Registered::new::<BitFit>("bitfit", "BitFit", "Ben Zaken et al. 2022");

/// Biases on every linear map, the head included, and on norms.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BitFit {
    pub learning_rate: f64,
    pub norms: Norms,
}

/// What trains of the norms inside the blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norms {
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

impl Checked for BitFit {
    fn check(&self) -> Result<(), String> {
        learning_rate("learning_rate", self.learning_rate)
    }
}

impl Method for BitFit {
    fn parameters(&self, config: &T5Config) -> Vec<Parameter> {
        let mut parameters: Vec<Parameter> = Site::all(config)
            .iter()
            .map(|site| {
                let [out, _] = site.shape(config);
                Parameter::new(bias(site), &[out], Init::Zeros)
            })
            .collect();
        let norms = Sublayer::all(config).into_iter().map(|s| s.norm());
        let d = config.d_model;
        match self.norms {
            Norms::Bias => {
                parameters.extend(norms.map(|name| Parameter::new(norm_bias(&name), &[d], Init::Zeros)))
            }
            Norms::Scale => parameters.extend(norms.map(|name| Parameter::backbone(name, [1, d]))),
            Norms::None => {}
        }
        parameters
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::NETWORK, self.learning_rate)]
    }

    fn projection(&self, pass: &Pass, site: Site, _input: &Tensor<4>, output: Tensor<4>) -> Tensor<4> {
        let bias = per_run(pass.parameters.get(&bias(&site)), &output);
        output + bias
    }

    fn norm(&self, pass: &Pass, name: &str, output: Tensor<4>) -> Tensor<4> {
        let bias = norm_bias(name);
        if !pass.parameters.contains(&bias) {
            return output;
        }
        let bias = per_run(pass.parameters.get(&bias), &output);
        output + bias
    }
}

fn norm_bias(scale: &str) -> String {
    format!("{}.bias", scale.trim_end_matches(".weight"))
}

fn bias(site: &Site) -> String {
    format!("{}.bias", site.path())
}
