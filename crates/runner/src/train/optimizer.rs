use burn::tensor::{Tensor, TensorData};
use peft_model::peft::{Gradients, Group, Parameters, select_runs};
use serde::{Deserialize, Serialize};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;

/// AdamW (Loshchilov and Hutter 2019) as the reference runs it, with learning rates per parameter
/// group and per run.
///
/// Epsilon joins the uncorrected second moment, as in transformers' own AdamW; torch's adds it after
/// the correction.
#[derive(Debug, Clone)]
pub struct AdamW {
    first: Vec<Tensor<2>>,
    second: Vec<Tensor<2>>,
    settings: AdamWSettings,
}

/// What the optimiser can be told.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdamWSettings {
    pub epsilon: f64,
    pub weight_decay: f64,
    /// Largest gradient norm of a run, over all its parameters.
    pub max_gradient_norm: f64,
}

/// The learning rates of one run.
pub type Rates = Vec<(Group, f64)>;

impl AdamW {
    /// An optimiser that has seen no gradient yet.
    pub fn new(parameters: &Parameters, settings: AdamWSettings) -> Self {
        let zeros: Vec<Tensor<2>> = parameters.values().iter().map(Tensor::zeros_like).collect();
        Self { first: zeros.clone(), second: zeros, settings }
    }

    /// First and second moments in the order of the parameters, `[runs, elements]`.
    pub fn moments(&self) -> (&[Tensor<2>], &[Tensor<2>]) {
        (&self.first, &self.second)
    }

    /// The optimiser of some of the runs, in this order.
    pub fn select(&self, runs: &[usize]) -> Self {
        Self {
            first: select_runs(&self.first, runs),
            second: select_runs(&self.second, runs),
            settings: self.settings,
        }
    }

    /// Puts moments back, to resume.
    pub fn with_moments(self, first: Vec<Tensor<2>>, second: Vec<Tensor<2>>) -> Self {
        Self { first, second, ..self }
    }

    /// One update; `step` counts from 1, `factor` is the schedule's.
    pub fn step(
        &mut self,
        parameters: &Parameters,
        gradients: Gradients,
        step: u64,
        rates: &[Rates],
        factor: f64,
    ) -> Parameters {
        let clip = clip_factors(&gradients, self.settings.max_gradient_norm);
        let correction = (1.0 - BETA2.powi(step as i32)).sqrt() / (1.0 - BETA1.powi(step as i32));
        let mut values = parameters.values().to_vec();
        for (i, gradient) in gradients.into_iter().enumerate() {
            let Some(gradient) = gradient else { continue };
            let gradient = match &clip {
                Some(clip) => gradient * clip.clone(),
                None => gradient,
            };
            let group = parameters.declared()[i].group;
            let device = gradient.device();
            let rate = column(rates.iter().map(|r| rate_of(r, group) * factor), &device);
            let first = self.first[i].clone() * BETA1 + gradient.clone() * (1.0 - BETA1);
            let second = self.second[i].clone() * BETA2 + gradient.square() * (1.0 - BETA2);
            let update = first.clone() / (second.clone().sqrt() + self.settings.epsilon);
            let mut value = values[i].clone();
            value = value - update * (rate.clone() * correction);
            if self.settings.weight_decay > 0.0 {
                value = value.clone() - value * (rate * self.settings.weight_decay);
            }
            values[i] = value;
            (self.first[i], self.second[i]) = (first, second);
        }
        parameters.with_values(values)
    }
}

fn rate_of(rates: &Rates, group: Group) -> f64 {
    rates.iter().find(|(g, _)| *g == group).map_or(0.0, |(_, rate)| *rate)
}

/// What each run's gradients are multiplied by so that their norm is at most `limit`: `[runs, 1]`.
fn clip_factors(gradients: &Gradients, limit: f64) -> Option<Tensor<2>> {
    let squares = gradients.iter().flatten().map(|g| g.clone().square().sum_dim(1));
    let norm = squares.reduce(|a, b| a + b)?.sqrt();
    Some(((norm + 1e-6).recip() * limit).clamp_max(1.0))
}

fn column(values: impl Iterator<Item = f64>, device: &burn::tensor::Device) -> Tensor<2> {
    let values: Vec<f32> = values.map(|v| v as f32).collect();
    let runs = values.len();
    Tensor::from_data(TensorData::new(values, [runs, 1]), device)
}
