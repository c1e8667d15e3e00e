//! (IA)^3 (Liu et al. 2022, section 3.3): learned vectors rescale keys, values and the hidden units of the feed-forward
//! layers: `softmax(q (l_k * K)) (l_v * V)` and `W (l_ff * activation(x))`.
//!
//! Parameters: `2 i` for each attention, `i` being the width of all heads, and `d_ff` for each feed-forward layer: 129,024
//! on T5-base. All start from 1, which is the backbone; they merge into its weights.
//!
//! What goes wrong: so few factors learn slowly, at ten times LoRA's learning rate.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Registered, Validate, learning_rate};
use crate::layout::{Layout, Linear, Projection, Site};
use crate::ops::per_run;
use crate::{Context, Group, Init, Method, Parameter};

pub(super) const REGISTERED: Registered =
    Registered::new::<Ia3>("ia3", "(IA)^3", "Liu et al. 2022").as_in_peft::<Ia3>();

/// One factor per key, value and hidden unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ia3 {
    /// Learning rate of the factors.
    pub learning_rate: f64,
}

impl Default for Ia3 {
    fn default() -> Self {
        Self { learning_rate: 3e-3 }
    }
}

impl Validate for Ia3 {
    fn validate(&self) -> Result<(), String> {
        learning_rate("learning_rate", self.learning_rate)
    }
}

impl Method for Ia3 {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let scaled = |linear: &Linear| {
            let [out, input] = linear.shape;
            let width = match side(linear)? {
                Side::Input => input,
                Side::Output => out,
            };
            Some(Parameter::new(factors(linear), &[width], Init::Ones))
        };
        Ok(layout.linears.iter().filter_map(scaled).collect())
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::NETWORK, self.learning_rate)]
    }

    fn starts_at_backbone(&self) -> bool {
        true
    }

    /// `[runs, batch, length, in]` in and out; each run has factors of its own.
    fn projection_input(&self, context: &Context, linear: &Linear, input: Tensor<4>) -> Tensor<4> {
        rescale(context, linear, Side::Input, input)
    }

    /// `[runs, batch, length, out]` in and out.
    fn projection(
        &self,
        context: &Context,
        linear: &Linear,
        _input: &Tensor<4>,
        output: Tensor<4>,
    ) -> Tensor<4> {
        rescale(context, linear, Side::Output, output)
    }

    fn merges(&self) -> Result<(), String> {
        Ok(())
    }

    /// Each factor goes into its row or column of the weight `[out, in]`.
    fn merged(&self, context: &Context, linear: &Linear, weight: Tensor<2>) -> Tensor<2> {
        let row = || context.parameters.get::<2>(&factors(linear));
        match side(linear) {
            Some(Side::Input) => weight * row(),
            Some(Side::Output) => weight * row().transpose(),
            None => weight,
        }
    }
}

/// What of a linear map is rescaled.
#[derive(PartialEq)]
pub(super) enum Side {
    Input,
    Output,
}

pub(super) fn side(linear: &Linear) -> Option<Side> {
    match linear.site {
        Site::Projection(_, Projection::Key | Projection::Value) => Some(Side::Output),
        Site::Projection(_, Projection::Down) => Some(Side::Input),
        _ => None,
    }
}

fn rescale(context: &Context, linear: &Linear, own: Side, values: Tensor<4>) -> Tensor<4> {
    if side(linear) != Some(own) {
        return values;
    }
    let factors = per_run(context.parameters.get(&factors(linear)), &values);
    values * factors
}

pub(super) fn factors(linear: &Linear) -> String {
    format!("{}.ia3", linear.path)
}
