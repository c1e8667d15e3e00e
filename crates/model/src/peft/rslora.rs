//! rsLoRA, rank-stabilized LoRA (Kalajdzievski 2023, theorem 3.2): `W x + (alpha / sqrt(r)) B A x` with a frozen `W`.
//!
//! All else is LoRA, its `r (in + out)` parameters for each adapted map included, and its settings, so that a comparison
//! of the two at equal settings is one of the scaling. At equal `alpha` and learning rate the update is `sqrt(r)` times
//! LoRA's: a learning rate found for LoRA at a high rank may be too high here.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::low_rank::LowRank;
use super::{Registered, Validate};
use crate::layout::{Layout, Linear};
use crate::{Context, Group, Method, Parameter};

pub(super) const REGISTERED: Registered =
    Registered::new::<RsLora>("rslora", "rsLoRA", "Kalajdzievski 2023").as_in_peft::<RsLora>();

/// Low-rank updates, scaled by `alpha / sqrt(r)`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct RsLora(pub(super) LowRank);

impl Validate for RsLora {
    fn validate(&self) -> Result<(), String> {
        self.0.validate()
    }
}

impl RsLora {
    fn scaling(&self) -> f64 {
        self.0.alpha / (self.0.rank as f64).sqrt()
    }
}

impl Method for RsLora {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        self.0.parameters(layout)
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        self.0.learning_rates()
    }

    fn projection(
        &self,
        context: &Context,
        linear: &Linear,
        input: &Tensor<4>,
        output: Tensor<4>,
    ) -> Tensor<4> {
        self.0.add(context, linear, input, output, self.scaling())
    }

    fn starts_at_backbone(&self) -> bool {
        true
    }

    fn merges(&self) -> Result<(), String> {
        Ok(())
    }

    fn merged(&self, context: &Context, linear: &Linear, weight: Tensor<2>) -> Tensor<2> {
        self.0.merged(context, linear, weight, self.scaling())
    }
}
