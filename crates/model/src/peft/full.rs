//! Full fine-tuning (Raffel et al. 2020): every backbone tensor trains, the embedding table included.
//!
//! Parameters: all of the backbone's, 222,903,552 on T5-base. Each run has its own copy, its gradient and two moments, so
//! runs side by side save nothing.
//!
//! What goes wrong: at learning rates that suit PEFT methods it diverges; few rows are learned by heart.

use serde::{Deserialize, Serialize};

use super::{Registered, Validate, learning_rate};
use crate::layout::Layout;
use crate::{Group, Method, Parameter};

pub(super) const REGISTERED: Registered =
    Registered::new::<FullFineTuning>("full", "Full fine-tuning", "Raffel et al. 2020");

/// Full fine-tuning. Runs side by side share no backbone: each has its own copy of every tensor.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FullFineTuning {
    /// Learning rate of all that trains.
    pub learning_rate: f64,
}

impl Default for FullFineTuning {
    fn default() -> Self {
        Self { learning_rate: 3e-4 }
    }
}

impl Validate for FullFineTuning {
    fn validate(&self) -> Result<(), String> {
        learning_rate("learning_rate", self.learning_rate)
    }
}

impl Method for FullFineTuning {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let tensors = layout.tensors.iter();
        Ok(tensors.map(|tensor| Parameter::backbone(&tensor.name, tensor.shape)).collect())
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::NETWORK, self.learning_rate)]
    }

    fn starts_at_backbone(&self) -> bool {
        true
    }

    fn side_by_side(&self) -> bool {
        false
    }

    fn merges(&self) -> Result<(), String> {
        Ok(())
    }
}
