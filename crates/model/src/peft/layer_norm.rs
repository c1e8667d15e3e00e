//! LayerNorm tuning (Zhao et al. 2024): the norms are all that trains.
//!
//! T5's norms have a scale and no bias: `d` parameters for each, the final ones included, 47,616 on T5-base. Merged, they
//! are a backbone of their own.
//!
//! What goes wrong: little can be learned that the backbone does not nearly do already.

use serde::{Deserialize, Serialize};

use super::{Registered, Validate, learning_rate};
use crate::layout::Layout;
use crate::{Group, Method, Parameter};

pub(super) const REGISTERED: Registered =
    Registered::new::<LayerNormTuning>("layer-norm", "LayerNorm", "Zhao et al. 2024")
        .as_in_peft::<LayerNormTuning>();

/// The scale of every norm trains, the final ones included; T5's norms have no bias.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LayerNormTuning {
    /// Learning rate of the scales.
    pub learning_rate: f64,
}

impl Default for LayerNormTuning {
    fn default() -> Self {
        Self { learning_rate: 1e-3 }
    }
}

impl Validate for LayerNormTuning {
    fn validate(&self) -> Result<(), String> {
        learning_rate("learning_rate", self.learning_rate)
    }
}

impl Method for LayerNormTuning {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let scales = layout.norms.iter().map(|norm| Parameter::backbone(&norm.weight, [1, layout.d_model]));
        Ok(scales.collect())
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::NETWORK, self.learning_rate)]
    }

    fn merges(&self) -> Result<(), String> {
        Ok(())
    }

    fn starts_at_backbone(&self) -> bool {
        true
    }
}
