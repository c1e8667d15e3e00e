//! DoRA, weight-decomposed low-rank adaptation (Liu et al. 2024, equation 5): `m V / |V|` with `V = W + (alpha / r) B A`,
//! where the magnitude m has one factor for each output and `|V|` is the norm of the weights that lead to it.
//!
//! It trains `r (in + out) + out` parameters for each adapted map, and starts from `m = |W|`, which is the pretrained
//! model. The norm counts as a constant in the gradient, as section 4.3 of the paper, the authors' code and peft have it.
//! Dropout acts on the input of the whole change, low-rank or not, as in the authors' code and in peft. The paper's
//! settings for LLaMA are rank 32, alpha 64 and dropout 0.05 on queries, keys, values and the feed-forward layers; the
//! defaults here are LoRA's.
//!
//! The norm depends on A and B, so that it is computed anew for every forward pass; decoding computes it once. A
//! backbone with an output whose weights are all 0 gives NaN.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::low_rank::{LowRank, lora_a, lora_b, update};
use super::{Registered, Validate};
use crate::layout::{Layout, Linear};
use crate::ops::{linear, linear_per_run, per_run, sum_rows, sum_tokens};
use crate::weights::Weights;
use crate::{Computed, Context, Group, Init, Method, Parameter};

pub(super) const REGISTERED: Registered =
    Registered::new::<Dora>("dora", "DoRA", "Liu et al. 2024").as_in_peft::<Dora>();

/// Low-rank updates of a weight's direction, and a magnitude for each output.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Dora(pub(super) LowRank);

impl Validate for Dora {
    fn validate(&self) -> Result<(), String> {
        self.0.validate()
    }
}

impl Dora {
    fn scaling(&self) -> f64 {
        self.0.alpha / self.0.rank as f64
    }

    /// `m / |V|`, `[runs, out]` in f32; decoding computes it once.
    fn factors(&self, context: &Context, linear: &Linear) -> Tensor<2> {
        let new = || self.new_factors(context, linear);
        match context.memory {
            Some(memory) => {
                let factors = memory.once(&magnitude(linear), || new().unsqueeze_dims(&[1, 1]));
                let [runs, .., out] = factors.dims();
                factors.reshape([runs, out])
            }
            None => new(),
        }
    }

    fn new_factors(&self, context: &Context, linear: &Linear) -> Tensor<2> {
        let constant = |name: String| context.parameters.get_f32::<3>(&name).inner();
        let (a, b) = (constant(lora_a(linear)), constant(lora_b(linear)));
        let weight = context.weights.get(&linear.weight).clone().cast(DType::F32);
        context.parameters.get_f32::<2>(&magnitude(linear)) / direction_norms(weight, a, b, self.scaling())
    }
}

impl Method for Dora {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let mut parameters = self.0.parameters(layout)?;
        for linear in self.0.targets.adapted(layout)? {
            let weight = linear.weight.clone();
            let norms = Computed::new(move |weights| row_norms(weights, &weight));
            parameters.push(Parameter::new(magnitude(linear), &linear.shape[..1], Init::Computed(norms)));
        }
        Ok(parameters)
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        self.0.learning_rates()
    }

    fn projection(&self, context: &Context, map: &Linear, input: &Tensor<4>, output: Tensor<4>) -> Tensor<4> {
        if !self.0.targets.adapt(map) {
            return output;
        }
        let factors = per_run(self.factors(context, map).cast(output.dtype()), &output);
        let dropped = self.0.dropped(context, map, input);
        let update = update(context, map, dropped.clone()) * self.scaling();
        match context.dropout.is_some() && self.0.dropout > 0.0 {
            true => {
                let base = linear(dropped, context.weights.get(&map.weight).clone());
                output - base.clone() + (base + update) * factors
            }
            false => (output + update) * factors,
        }
    }

    fn starts_at_backbone(&self) -> bool {
        true
    }

    fn merges(&self) -> Result<(), String> {
        Ok(())
    }

    fn merged(&self, context: &Context, linear: &Linear, weight: Tensor<2>) -> Tensor<2> {
        if !self.0.targets.adapt(linear) {
            return weight;
        }
        let direction = self.0.merged(context, linear, weight, self.scaling());
        let norms = (direction.clone() * direction.clone()).sum_dim(1).sqrt();
        let magnitudes: Tensor<2> = context.parameters.get(&magnitude(linear));
        direction * (magnitudes.transpose() / norms)
    }
}

/// Norm of each row of `W + s B A`, `[runs, out]`, for W `[out, in]`, A `[runs, rank, in]` and B `[runs, out, rank]`.
///
/// The sum itself, which would have the size of a weight for each run, is not formed: for row w of W and b of B, the
/// square of the norm is `w w' + b (2 s A w' + s^2 A A' b')`.
fn direction_norms(weight: Tensor<2>, a: Tensor<3>, b: Tensor<3>, scaling: f64) -> Tensor<2> {
    let squares = sum_rows(weight.clone() * weight.clone());
    let rows: Tensor<4> = a.clone().unsqueeze_dim(1);
    let products: Tensor<3> = linear(rows.clone(), weight).squeeze_dim(1);
    let gram: Tensor<3> = linear_per_run(rows, a).squeeze_dim(1);
    let quadratic: Tensor<3> = linear_per_run(b.clone().unsqueeze_dim(1), gram).squeeze_dim(1);
    let change = products.transpose() * (2.0 * scaling) + quadratic * (scaling * scaling);
    (squares.unsqueeze() + sum_tokens(b * change)).sqrt()
}

/// Norm of each row of a backbone's weight.
fn row_norms(weights: &Weights, name: &str) -> Vec<f32> {
    let weight = weights.get(name).clone().cast(DType::F32);
    let norms = sum_rows(weight.clone() * weight).sqrt();
    norms.try_into_vec_as().expect("norms in f32")
}

pub(super) fn magnitude(linear: &Linear) -> String {
    format!("{}.lora_magnitude", linear.path)
}
