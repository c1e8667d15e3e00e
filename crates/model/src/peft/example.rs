//! (IA)^3 on attention (Liu et al. 2022, section 3.3): keys and values are scaled by learned vectors.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Checked, Group, Init, Method, Parameter, Registered, learning_rate};
use crate::ops::per_run;
use crate::t5::{Pass, Projection, Site, T5Config};

pub(super) const REGISTERED: Registered = Registered::new::<Ia3>("ia3", "(IA)^3", "Liu et al. 2022");

/// One factor per output of every key and value projection.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ia3 {
    pub learning_rate: f64,
}

impl Default for Ia3 {
    fn default() -> Self {
        Self { learning_rate: 3e-3 }
    }
}

impl Checked for Ia3 {
    fn check(&self) -> Result<(), String> {
        learning_rate("learning_rate", self.learning_rate)
    }
}

impl Method for Ia3 {
    fn parameters(&self, config: &T5Config) -> Vec<Parameter> {
        let parameter = |site: Site| {
            let [out, _] = site.shape(config);
            Parameter::new(factor(&site), &[out], Group::Network, Init::Zeros)
        };
        Site::all(config).into_iter().filter(acts_on).map(parameter).collect()
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::Network, self.learning_rate)]
    }

    /// `[runs, batch, length, out]` in and out; each run has factors of its own.
    fn projection(&self, pass: &Pass, site: Site, _input: &Tensor<4>, output: Tensor<4>) -> Tensor<4> {
        if !acts_on(&site) {
            return output;
        }
        let factors = per_run(pass.parameters.get(&factor(&site)), &output);
        output.clone() + output * factors
    }
}

fn acts_on(site: &Site) -> bool {
    matches!(site, Site::Projection(_, Projection::K | Projection::V))
}

fn factor(site: &Site) -> String {
    format!("{}.factor", site.path())
}
