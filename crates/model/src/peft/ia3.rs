//! (IA)^3 (Liu et al. 2022, section 3.3): learned vectors rescale keys, values and the hidden units of the feed-forward
//! layers.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Checked, Group, Init, Method, Parameter, Registered, learning_rate};
use crate::ops::per_run;
use crate::t5::{Pass, Projection, Site, T5Config};

pub(super) const REGISTERED: Registered = Registered::new::<Ia3>("ia3", "(IA)^3", "Liu et al. 2022");

/// One factor per key, value and hidden unit.
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
        let scaled = |site: Site| {
            let [out, input] = site.shape(config);
            let width = match side(&site)? {
                Side::Input => input,
                Side::Output => out,
            };
            Some(Parameter::new(factors(&site), &[width], Init::Ones))
        };
        Site::all(config).into_iter().filter_map(scaled).collect()
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::NETWORK, self.learning_rate)]
    }

    /// `[runs, batch, length, in]` in and out; each run has factors of its own.
    fn projection_input(&self, pass: &Pass, site: Site, input: Tensor<4>) -> Tensor<4> {
        rescale(pass, site, Side::Input, input)
    }

    /// `[runs, batch, length, out]` in and out.
    fn projection(&self, pass: &Pass, site: Site, _input: &Tensor<4>, output: Tensor<4>) -> Tensor<4> {
        rescale(pass, site, Side::Output, output)
    }
}

/// What of a linear map is rescaled.
#[derive(PartialEq)]
enum Side {
    Input,
    Output,
}

fn side(site: &Site) -> Option<Side> {
    match site {
        Site::Projection(_, Projection::K | Projection::V) => Some(Side::Output),
        Site::Projection(_, Projection::Wo) => Some(Side::Input),
        _ => None,
    }
}

fn rescale(pass: &Pass, site: Site, own: Side, values: Tensor<4>) -> Tensor<4> {
    if side(&site) != Some(own) {
        return values;
    }
    let factors = per_run(pass.parameters.get(&factors(&site)), &values);
    values * factors
}

fn factors(site: &Site) -> String {
    format!("{}.ia3", site.path())
}
