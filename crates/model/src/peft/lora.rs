//! LoRA (Hu et al. 2022): `W x + (alpha / r) B A x` with a frozen `W`.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Registered, Validate, factor, learning_rate, positive, probability};
use crate::layout::{Layout, Linear, Site};
use crate::ops::linear_per_run;
use crate::{Context, Group, Init, Method, Parameter};

pub(super) const REGISTERED: Registered =
    Registered::new::<Lora>("lora", "LoRA", "Hu et al. 2022").as_in_peft::<Lora>();

/// Low-rank updates of the query and value projections of every attention.
///
/// The products with A and B stay apart: the merged weight is never formed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lora {
    pub rank: usize,
    pub alpha: f64,
    /// Dropout on the low-rank branch's input.
    pub dropout: f64,
    /// Projections that are adapted, by their names in the checkpoint.
    pub targets: Vec<String>,
    pub learning_rate: f64,
}

impl Default for Lora {
    fn default() -> Self {
        Self {
            rank: 32,
            alpha: 32.0,
            dropout: 0.0,
            targets: vec!["q".into(), "v".into()],
            learning_rate: 3e-4,
        }
    }
}

impl Validate for Lora {
    fn validate(&self) -> Result<(), String> {
        positive("rank", self.rank)?;
        factor("alpha", self.alpha)?;
        probability("dropout", self.dropout)?;
        if self.targets.is_empty() {
            return Err("`targets` is empty".into());
        }
        learning_rate("learning_rate", self.learning_rate)
    }
}

impl Lora {
    pub(super) fn adapts(&self, linear: &Linear) -> bool {
        linear.site != Site::Head && self.targets.iter().any(|target| target == linear.name())
    }

    /// Refuses a target that no projection of the backbone has as its name.
    fn check_targets(&self, layout: &Layout) -> Result<(), String> {
        let projections = layout.linears.iter().filter(|linear| linear.site != Site::Head);
        let mut known: Vec<&str> = Vec::new();
        for name in projections.map(Linear::name) {
            if !known.contains(&name) {
                known.push(name);
            }
        }
        match self.targets.iter().find(|target| !known.contains(&target.as_str())) {
            Some(bad) => Err(format!("`targets` has `{bad}`; the backbone has {}", known.join(", "))),
            None => Ok(()),
        }
    }
}

impl Method for Lora {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        self.check_targets(layout)?;
        let adapted = layout.linears.iter().filter(|linear| self.adapts(linear));
        let low_rank = |linear: &Linear| {
            let [out, input] = linear.shape;
            // Kaiming uniform with a = sqrt(5), as peft and the authors' code have it.
            let a = Init::Uniform((input as f64).powf(-0.5));
            [
                Parameter::new(lora_a(linear), &[self.rank, input], a),
                Parameter::new(lora_b(linear), &[out, self.rank], Init::Zeros),
            ]
        };
        Ok(adapted.flat_map(low_rank).collect())
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::NETWORK, self.learning_rate)]
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
        if !self.adapts(linear) {
            return output;
        }
        let a: Tensor<3> = context.parameters.get(&lora_a(linear));
        let b: Tensor<3> = context.parameters.get(&lora_b(linear));
        let input = context.dropout(&lora_a(linear), input.clone(), self.dropout);
        let update = linear_per_run(linear_per_run(input, a), b);
        output + update * (self.alpha / self.rank as f64)
    }
}

pub(super) fn lora_a(linear: &Linear) -> String {
    format!("{}.lora_A", linear.path)
}

pub(super) fn lora_b(linear: &Linear) -> String {
    format!("{}.lora_B", linear.path)
}
