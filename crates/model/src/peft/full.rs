//! Full fine-tuning: every backbone tensor trains.

use serde::{Deserialize, Serialize};

use super::{Checked, Group, Method, Parameter, Registered, learning_rate};
use crate::t5::{Backbone, T5Config};

pub(super) const REGISTERED: Registered =
    Registered::new::<FullFineTuning>("full", "Full fine-tuning", "Raffel et al. 2020");

/// Full fine-tuning. Runs side by side share no backbone: each has its own copy of every tensor.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FullFineTuning {
    pub learning_rate: f64,
}

impl Default for FullFineTuning {
    fn default() -> Self {
        Self { learning_rate: 3e-4 }
    }
}

impl Checked for FullFineTuning {
    fn check(&self) -> Result<(), String> {
        learning_rate("learning_rate", self.learning_rate)
    }
}

impl Method for FullFineTuning {
    fn parameters(&self, config: &T5Config) -> Vec<Parameter> {
        Backbone::shapes(config).into_iter().map(|(name, shape)| Parameter::backbone(name, shape)).collect()
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::NETWORK, self.learning_rate)]
    }

    fn side_by_side(&self) -> bool {
        false
    }
}
