//! What LoRA, rsLoRA and DoRA share: their settings, and `B A x` beside a frozen `W x`.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::targets::Targets;
use super::{Validate, factor, learning_rate, positive, probability};
use crate::layout::{Layout, Linear};
use crate::ops::linear_per_run;
use crate::{Context, Group, Init, Parameter};

/// The settings of a low-rank update. Left out, they are LoRA's.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowRank {
    /// Rows of A and columns of B.
    pub rank: usize,
    /// What the update is multiplied by, before a method divides by a function of the rank.
    pub alpha: f64,
    /// Dropout on the low-rank branch's input.
    pub dropout: f64,
    /// Projections that are adapted, by their names in the checkpoint.
    pub targets: Targets,
    /// Learning rate of all that trains.
    pub learning_rate: f64,
}

impl Default for LowRank {
    fn default() -> Self {
        Self { rank: 32, alpha: 32.0, dropout: 0.0, targets: Targets::default(), learning_rate: 3e-4 }
    }
}

impl Validate for LowRank {
    fn validate(&self) -> Result<(), String> {
        positive("rank", self.rank)?;
        factor("alpha", self.alpha)?;
        probability("dropout", self.dropout)?;
        self.targets.validate()?;
        learning_rate("learning_rate", self.learning_rate)
    }
}

impl LowRank {
    /// A `[rank, in]` and B `[out, rank]` of every adapted map.
    pub(super) fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let factors = |linear: &Linear| {
            let [out, input] = linear.shape;
            // Kaiming uniform with a = sqrt(5), as peft and the authors' code have it.
            let a = Init::Uniform((input as f64).powf(-0.5));
            [
                Parameter::new(lora_a(linear), &[self.rank, input], a),
                Parameter::new(lora_b(linear), &[out, self.rank], Init::Zeros),
            ]
        };
        Ok(self.targets.adapted(layout)?.into_iter().flat_map(factors).collect())
    }

    pub(super) fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::NETWORK, self.learning_rate)]
    }

    /// The input of a map's low-rank branch, after dropout: `[runs, batch, length, in]`.
    pub(super) fn dropped(&self, context: &Context, linear: &Linear, input: &Tensor<4>) -> Tensor<4> {
        context.dropout(&lora_a(linear), input.clone(), self.dropout)
    }

    /// `output + scaling B A input` where the map is adapted: `[runs, batch, length, out]`.
    pub(super) fn add(
        &self,
        context: &Context,
        linear: &Linear,
        input: &Tensor<4>,
        output: Tensor<4>,
        scaling: f64,
    ) -> Tensor<4> {
        match self.targets.adapt(linear) {
            true => output + update(context, linear, self.dropped(context, linear, input)) * scaling,
            false => output,
        }
    }

    /// `weight + scaling B A` of a single run where the map is adapted: `[out, in]`.
    pub(super) fn merged(
        &self,
        context: &Context,
        linear: &Linear,
        weight: Tensor<2>,
        scaling: f64,
    ) -> Tensor<2> {
        if !self.targets.adapt(linear) {
            return weight;
        }
        let a: Tensor<3> = context.parameters.get(&lora_a(linear));
        let b: Tensor<3> = context.parameters.get(&lora_b(linear));
        weight + b.matmul(a).squeeze_dim(0) * scaling
    }
}

/// `B A input`: `[runs, batch, length, in]` to `[runs, batch, length, out]`. The product of A and B is never formed.
pub(super) fn update(context: &Context, linear: &Linear, input: Tensor<4>) -> Tensor<4> {
    let a: Tensor<3> = context.parameters.get(&lora_a(linear));
    let b: Tensor<3> = context.parameters.get(&lora_b(linear));
    linear_per_run(linear_per_run(input, a), b)
}

pub(super) fn lora_a(linear: &Linear) -> String {
    format!("{}.lora_A", linear.path)
}

pub(super) fn lora_b(linear: &Linear) -> String {
    format!("{}.lora_B", linear.path)
}
