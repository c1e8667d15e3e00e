//! BitFit (Ben Zaken et al. 2022): only bias terms and norm scales train.
//!
//! T5 has no biases, so one is added to every linear map, as ATTEMPT's code does; the two final
//! norms stay frozen there.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Checked, Group, Init, Method, Parameter, Registered, learning_rate};
use crate::ops::per_run_bias;
use crate::t5::{Pass, Site, Sublayer, T5Config};

pub(super) const REGISTERED: Registered =
    Registered::new::<BitFit>("bitfit", "BitFit", "Ben Zaken et al. 2022");

/// Biases on every linear map, the head included.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BitFit {
    pub learning_rate: f64,
    /// Whether the norm scales inside the blocks train too.
    pub train_norms: bool,
}

impl Default for BitFit {
    fn default() -> Self {
        Self { learning_rate: 3e-4, train_norms: true }
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
                Parameter::new(bias(site), &[out], Group::Network, Init::Zeros)
            })
            .collect();
        if self.train_norms {
            let norms = Sublayer::all(config).into_iter().map(|s| s.norm());
            parameters.extend(norms.map(|name| Parameter::backbone(name, [1, config.d_model])));
        }
        parameters
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::Network, self.learning_rate)]
    }

    fn projection(&self, pass: &Pass, site: Site, _input: &Tensor<4>, output: Tensor<4>) -> Tensor<4> {
        output + per_run_bias(pass.parameters.get(&bias(&site)))
    }
}

fn bias(site: &Site) -> String {
    format!("{}.bias", site.path())
}
