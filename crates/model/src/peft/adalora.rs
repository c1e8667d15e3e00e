//! AdaLoRA (Zhang et al. 2023, equation 3): `W x + (alpha / r) P L Q x` with a frozen `W` and a diagonal L, whose entries
//! are pruned to a budget while training runs: maps that matter more keep a higher rank.
//!
//! It trains `r (in + out + 1)` parameters for each adapted map, r being the initial rank. A triplet is an entry of L
//! with its column of P and row of Q. After each update the sensitivity `|w g|` of every weight w with gradient g is
//! smoothed, as is its distance from the smoothed one (equations 9 and 10); the product of the two, averaged over a
//! column or row, is its importance, and a triplet's is the sum of its three (equations 7 and 11). At set updates the entries of
//! the least important triplets of all maps together are set to 0, so many that the rest fit the budget; until the last
//! of these they may grow again. The budget falls with a cubic schedule (equation 12).
//!
//! Names and constants are those of the authors' code and of peft: `lora_A` is Q, `lora_B` is P, `lora_E` is L, which
//! starts from 0, and the scaling is `alpha / (r + 1e-5)`. The penalty that keeps P and Q orthogonal is the mean norm of
//! `Q Q' - I` and `P' P - I` there, the sum of their squared norms in the paper's equation 4 (`regularizer`). The warm-ups
//! are shares of all updates here, where both have counts that differ by task: 8,000 and 50,000 of some 85,900 updates on
//! MNLI, 0.09 and 0.58. They adapt every linear map; the default here is LoRA's queries and values. Gradients are taken before
//! clipping here, after it in the authors' code.
//!
//! What goes wrong: a checkpoint from before the last allocation has more entries than the budget. Triplets of equal
//! importance are pruned together.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::allocation::{Schedule, TENSORS, allocate, observe, prune};
use super::targets::Targets;
use super::{Registered, Validate, factor, learning_rate, positive, probability};
use crate::layout::{Layout, Linear};
use crate::ops::{linear_per_run, per_run, sum_rows};
use crate::{Context, Gradients, Group, Init, Method, Parameter, Parameters, StepCount};

pub(super) const REGISTERED: Registered =
    Registered::new::<AdaLora>("adalora", "AdaLoRA", "Zhang et al. 2023").as_in_peft::<AdaLora>();

/// Low-rank updates in the form of a singular value decomposition, of a rank that training allocates.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdaLora {
    /// The rank of every adapted map before anything is pruned.
    pub initial_rank: usize,
    /// The mean rank of the adapted maps in the end.
    pub target_rank: usize,
    /// The update is scaled by `alpha` over the initial rank.
    pub alpha: f64,
    /// Dropout on the input of Q.
    pub dropout: f64,
    /// Projections that are adapted, by their names in the checkpoint.
    pub targets: Targets,
    /// What the penalty is multiplied by; 0 is none.
    pub orthogonality: f64,
    /// How far from orthogonal P and Q are.
    pub regularizer: Regularizer,
    /// Smoothing of sensitivities.
    pub beta1: f64,
    /// Smoothing of their distances from the smoothed ones.
    pub beta2: f64,
    /// Share of the updates before the budget falls.
    pub initial_warmup: f64,
    /// Share of the updates after the last allocation.
    pub final_warmup: f64,
    /// Updates between allocations.
    pub interval: u64,
    /// Learning rate of P, L and Q.
    pub learning_rate: f64,
}

/// How far from orthogonal P and Q are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Regularizer {
    /// The mean of Frobenius norms, as in the authors' code and in peft.
    MeanNorm,
    /// The sum of their squares, as published.
    SumOfSquares,
}

impl Default for AdaLora {
    fn default() -> Self {
        Self {
            initial_rank: 12,
            target_rank: 8,
            alpha: 32.0,
            dropout: 0.0,
            targets: Targets::default(),
            orthogonality: 0.5,
            regularizer: Regularizer::MeanNorm,
            beta1: 0.85,
            beta2: 0.85,
            initial_warmup: 0.1,
            final_warmup: 0.5,
            interval: 10,
            learning_rate: 1e-3,
        }
    }
}

/// A rank that no map of a model has.
const LARGEST_RANK: usize = 1 << 14;

/// Updates between allocations that no training reaches.
const LONGEST_INTERVAL: u64 = 1_000_000;

/// What the authors' code adds to the rank that it divides by.
const EPSILON: f64 = 1e-5;

/// Standard deviation of P and Q where training starts.
const INITIAL_DEVIATION: f64 = 0.02;

impl Validate for AdaLora {
    fn validate(&self) -> Result<(), String> {
        let &Self { initial_rank, target_rank, initial_warmup, final_warmup, interval, .. } = self;
        if !(1..=LARGEST_RANK).contains(&initial_rank) {
            return Err(format!(
                "`initial_rank` is {initial_rank}; it must be at least 1 and at most {LARGEST_RANK}"
            ));
        }
        positive("target_rank", target_rank)?;
        if target_rank > initial_rank {
            return Err(format!(
                "`target_rank` is {target_rank}; it must be at most `initial_rank`, which is {initial_rank}"
            ));
        }
        factor("alpha", self.alpha)?;
        probability("dropout", self.dropout)?;
        self.targets.validate()?;
        if !(self.orthogonality.is_finite() && self.orthogonality >= 0.0) {
            return Err(format!(
                "`orthogonality` is {}; it must be 0 or a positive number",
                self.orthogonality
            ));
        }
        probability("beta1", self.beta1)?;
        probability("beta2", self.beta2)?;
        probability("initial_warmup", initial_warmup)?;
        probability("final_warmup", final_warmup)?;
        if initial_warmup + final_warmup >= 1.0 {
            return Err(format!(
                "`initial_warmup` {initial_warmup} and `final_warmup` {final_warmup} leave no updates between them; \
                 their sum must be below 1"
            ));
        }
        if !(1..=LONGEST_INTERVAL).contains(&interval) {
            return Err(format!(
                "`interval` is {interval}; it must be at least 1 and at most {LONGEST_INTERVAL}"
            ));
        }
        learning_rate("learning_rate", self.learning_rate)
    }
}

impl Method for AdaLora {
    /// For each adapted map the tensors of [`super::allocation`], in its order.
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let rank = self.initial_rank;
        let of_map = |linear: &Linear| {
            let [out, input] = linear.shape;
            let normal = Init::Normal(INITIAL_DEVIATION);
            let trained = [
                Parameter::new(q(linear), &[rank, input], normal.clone()),
                Parameter::new(lambda(linear), &[rank], Init::Zeros),
                Parameter::new(p(linear), &[out, rank], normal),
            ];
            let remembered = |of: &str| {
                let zeros = |like: &Parameter| {
                    Parameter::new(format!("{}.{of}", like.name), &like.shape, Init::Zeros).frozen()
                };
                trained.each_ref().map(zeros)
            };
            let (sensitivity, uncertainty) = (remembered("sensitivity"), remembered("uncertainty"));
            let pruned = Parameter::new(format!("{}.pruned", lambda(linear)), &[rank], Init::Zeros).frozen();
            trained.into_iter().chain(sensitivity).chain(uncertainty).chain([pruned])
        };
        Ok(self.targets.adapted(layout)?.into_iter().flat_map(of_map).collect())
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
        let input = context.dropout(&q(linear), input.clone(), self.dropout);
        let hidden = linear_per_run(input, context.parameters.get(&q(linear)));
        let lambda = per_run(context.parameters.get(&lambda(linear)), &hidden);
        let update = linear_per_run(hidden * lambda, context.parameters.get(&p(linear)));
        output + update * self.scaling()
    }

    fn penalty(&self, context: &Context) -> Option<Tensor<1>> {
        let adapted = context.layout.linears.iter().filter(|linear| self.targets.adapt(linear));
        let rows = adapted.flat_map(|linear| {
            let p: Tensor<3> = context.parameters.get_f32(&p(linear));
            [context.parameters.get_f32(&q(linear)), p.transpose()]
        });
        let each: Vec<Tensor<1>> = rows.map(|rows| self.regularizer.of(rows)).collect();
        let weight = match self.regularizer {
            Regularizer::MeanNorm => self.orthogonality / each.len() as f64,
            Regularizer::SumOfSquares => self.orthogonality,
        };
        let sum = each.into_iter().reduce(|sum, more| sum + more)?;
        (weight > 0.0).then(|| sum * weight)
    }

    fn after_update(&self, parameters: Parameters, gradients: &Gradients, count: StepCount) -> Parameters {
        let schedule = Schedule::new(count.steps, self.initial_warmup, self.final_warmup, self.interval);
        let mut values = parameters.values().to_vec();
        if schedule.observes(count.step) {
            let maps = values.chunks_mut(TENSORS).zip(gradients.chunks(TENSORS));
            maps.for_each(|(map, gradients)| observe(map, gradients, [self.beta1, self.beta2]));
        }
        if schedule.allocates(count.step) {
            let maps = values.len() / TENSORS;
            let (all, target) = (maps * self.initial_rank, maps * self.target_rank);
            allocate(&mut values, self.initial_rank, all - schedule.budget(count.step, all, target));
        }
        if schedule.allocates(count.step) || schedule.is_over(count.step) {
            values.chunks_mut(TENSORS).for_each(prune);
        }
        parameters.with_values(values)
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
        let matrix = |name: String| context.parameters.get::<3>(&name).squeeze_dim::<2>(0);
        let lambda: Tensor<2> = context.parameters.get(&lambda(linear));
        weight + (matrix(p(linear)) * lambda).matmul(matrix(q(linear))) * self.scaling()
    }
}

impl AdaLora {
    fn scaling(&self) -> f64 {
        self.alpha / (self.initial_rank as f64 + EPSILON)
    }
}

impl Regularizer {
    /// How far from orthonormal the rows of a matrix are, `[runs, rows, columns]` to `[runs]`.
    fn of(self, rows: Tensor<3>) -> Tensor<1> {
        let [runs, count, _] = rows.dims();
        let gram: Tensor<3> = linear_per_run(rows.clone().unsqueeze_dim(1), rows).squeeze_dim(1);
        let difference = gram.clone() - Tensor::eye(count, &gram.device()).unsqueeze();
        let squares = sum_rows((difference.clone() * difference).reshape([runs, count * count]));
        match self {
            // The root of exactly 0 would have no gradient.
            Self::MeanNorm => (squares + f32::MIN_POSITIVE).sqrt(),
            Self::SumOfSquares => squares,
        }
    }
}

pub(super) fn q(linear: &Linear) -> String {
    format!("{}.lora_A", linear.path)
}

pub(super) fn lambda(linear: &Linear) -> String {
    format!("{}.lora_E", linear.path)
}

pub(super) fn p(linear: &Linear) -> String {
    format!("{}.lora_B", linear.path)
}
