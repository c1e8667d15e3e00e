//! LoRA (Hu et al. 2022, equation 3): `W x + (alpha / r) B A x` with a frozen `W`.
//!
//! It trains `r (in + out)` parameters for each adapted map: by default the queries and values of every attention.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::low_rank::LowRank;
use super::{Registered, Validate};
use crate::layout::{Layout, Linear};
use crate::{Context, Group, Method, Parameter};

pub(super) const REGISTERED: Registered =
    Registered::new::<Lora>("lora", "LoRA", "Hu et al. 2022").as_in_peft::<Lora>();

/// Low-rank updates, scaled by `alpha / r`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Lora(pub(super) LowRank);

impl Validate for Lora {
    fn validate(&self) -> Result<(), String> {
        self.0.validate()
    }
}

impl Lora {
    fn scaling(&self) -> f64 {
        self.0.alpha / self.0.rank as f64
    }
}

impl Method for Lora {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        self.0.parameters(layout)
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        self.0.learning_rates()
    }

    fn starts_at_backbone(&self) -> bool {
        true
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

    fn merges(&self) -> Result<(), String> {
        Ok(())
    }

    fn merged(&self, context: &Context, linear: &Linear, weight: Tensor<2>) -> Tensor<2> {
        self.0.merged(context, linear, weight, self.scaling())
    }
}
