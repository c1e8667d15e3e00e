//! LayerNorm tuning (Zhao et al. 2024): the norms are all that trains.

use serde::{Deserialize, Serialize};

use super::{Checked, Group, Method, Parameter, Registered, learning_rate};
use crate::t5::{Backbone, T5Config};

pub(super) const REGISTERED: Registered =
    Registered::new::<LayerNormTuning>("layer-norm", "LayerNorm", "Zhao et al. 2024");

/// The scale of every norm trains, the final ones included; T5's norms have no bias.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LayerNormTuning {
    pub learning_rate: f64,
}

impl Default for LayerNormTuning {
    fn default() -> Self {
        Self { learning_rate: 1e-3 }
    }
}

impl Checked for LayerNormTuning {
    fn check(&self) -> Result<(), String> {
        learning_rate("learning_rate", self.learning_rate)
    }
}

impl Method for LayerNormTuning {
    fn parameters(&self, config: &T5Config) -> Vec<Parameter> {
        let norms = Backbone::norms(config).into_iter();
        norms.map(|norm| Parameter::backbone(norm, [1, config.d_model])).collect()
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::NETWORK, self.learning_rate)]
    }
}
