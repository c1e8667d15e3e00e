//! VeRA, vector-based random matrix adaptation (Kopiczko et al. 2024, equation 2): `W x + b * B (d * A x)`, where random
//! A and B are the same for all maps and only the vectors d and b train.
//!
//! It trains `r + out` parameters for each adapted map. A `[r, in]` and B `[out, r]` are sized by the largest maps that
//! are adapted; smaller ones use their first columns and rows, as in peft. They are Kaiming uniform draws from a run's
//! own seed, and are kept with the vectors, so that an adapter needs nothing else. b starts from 0, which is the
//! pretrained model, and d from 0.1. The paper's rank is 1,024 for RoBERTa-base and 256 for RoBERTa-large, its learning
//! rates are many times LoRA's.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::targets::Targets;
use super::{Registered, Validate, factor, learning_rate, positive, probability};
use crate::layout::{Layout, Linear};
use crate::ops::{linear_per_run, per_run};
use crate::{Computed, Context, Group, Init, Method, Parameter};

pub(super) const REGISTERED: Registered =
    Registered::new::<Vera>("vera", "VeRA", "Kopiczko et al. 2024").as_in_peft::<Vera>();

pub(super) const A: &str = "vera_A";
pub(super) const B: &str = "vera_B";

/// Vectors that scale the rows of two random matrices.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vera {
    /// Rows of A and columns of B.
    pub rank: usize,
    /// Where d starts.
    pub initial_d: f64,
    /// Dropout on the input of A.
    pub dropout: f64,
    /// Projections that are adapted, by their names in the checkpoint.
    pub targets: Targets,
    /// Learning rate of d and b.
    pub learning_rate: f64,
}

impl Default for Vera {
    fn default() -> Self {
        Self { rank: 256, initial_d: 0.1, dropout: 0.0, targets: Targets::default(), learning_rate: 4e-3 }
    }
}

impl Validate for Vera {
    fn validate(&self) -> Result<(), String> {
        positive("rank", self.rank)?;
        factor("initial_d", self.initial_d)?;
        probability("dropout", self.dropout)?;
        self.targets.validate()?;
        learning_rate("learning_rate", self.learning_rate)
    }
}

impl Vera {
    /// Most outputs and inputs of an adapted map.
    pub(super) fn largest(&self, layout: &Layout) -> [usize; 2] {
        let adapted = || layout.linears.iter().filter(|linear| self.targets.adapt(linear));
        [0, 1].map(|side| adapted().map(|linear| linear.shape[side]).max().unwrap_or(1))
    }

    /// The parts of A and B that belong to a map: `[runs, rank, in]` and `[runs, out, rank]`.
    fn projections(&self, context: &Context, linear: &Linear) -> [Tensor<3>; 2] {
        let [out, input] = linear.shape;
        [context.parameters.get(A).narrow(2, 0, input), context.parameters.get(B).narrow(1, 0, out)]
    }
}

impl Method for Vera {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let adapted = self.targets.adapted(layout)?;
        let [out, input] = self.largest(layout);
        let kaiming = |inputs: usize| Init::Uniform((6.0 / inputs as f64).sqrt());
        let mut parameters = vec![
            Parameter::new(A, &[self.rank, input], kaiming(input)).frozen(),
            Parameter::new(B, &[out, self.rank], kaiming(self.rank)).frozen(),
        ];
        for linear in adapted {
            let start = vec![self.initial_d as f32; self.rank];
            let d = Init::Computed(Computed::new(move |_| start.clone()));
            parameters.push(Parameter::new(vector_d(linear), &[self.rank], d));
            parameters.push(Parameter::new(vector_b(linear), &linear.shape[..1], Init::Zeros));
        }
        Ok(parameters)
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::NETWORK, self.learning_rate)]
    }

    fn projection(
        &self,
        context: &Context,
        linear: &Linear,
        input: &Tensor<4>,
        output: Tensor<4>,
    ) -> Tensor<4> {
        if !self.targets.adapt(linear) {
            return output;
        }
        let [a, b] = self.projections(context, linear);
        let scaled = |name: String, values: Tensor<4>| {
            let vector = per_run(context.parameters.get(&name), &values);
            values * vector
        };
        let input = context.dropout(&vector_d(linear), input.clone(), self.dropout);
        let hidden = scaled(vector_d(linear), linear_per_run(input, a));
        output + scaled(vector_b(linear), linear_per_run(hidden, b))
    }

    fn starts_at_backbone(&self) -> bool {
        true
    }

    fn merges(&self) -> Result<(), String> {
        Ok(())
    }

    fn merged(&self, context: &Context, linear: &Linear, weight: Tensor<2>) -> Tensor<2> {
        if !self.targets.adapt(linear) {
            return weight;
        }
        let [a, b] = self.projections(context, linear).map(|projection| projection.squeeze_dim::<2>(0));
        let d: Tensor<2> = context.parameters.get(&vector_d(linear));
        let scale: Tensor<2> = context.parameters.get(&vector_b(linear));
        weight + (b * d).matmul(a) * scale.transpose()
    }
}

pub(super) fn vector_d(linear: &Linear) -> String {
    format!("{}.vera_d", linear.path)
}

pub(super) fn vector_b(linear: &Linear) -> String {
    format!("{}.vera_b", linear.path)
}
