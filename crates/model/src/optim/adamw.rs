use std::collections::HashMap;

use crate::ops::{AdamWNumbers, Moments, RunSteps, adamw, clip_factors, sum_of_squares};
use crate::{Gradients, Group, Parameters, select_runs};
use burn::tensor::{Tensor, TensorData};

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
    /// Of the last update, `[runs]`: read only when somebody asks.
    squared_norms: Option<Tensor<1>>,
}

/// What the optimizer can be told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWSettings {
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay, multiplied by the learning rate.
    pub weight_decay: f64,
    /// Largest gradient norm of a run, over all its parameters.
    pub max_gradient_norm: f64,
}

/// The learning rates of one run.
pub type Rates = Vec<(Group, f64)>;

impl AdamW {
    /// An optimizer that has seen no gradient yet.
    pub fn new(parameters: &Parameters, settings: AdamWSettings) -> Self {
        let zeros = || parameters.values().iter().map(Tensor::zeros_like).collect();
        Self { first: zeros(), second: zeros(), settings, squared_norms: None }
    }

    /// First and second moments in the order of the parameters, `[runs, elements]`.
    pub fn moments(&self) -> (&[Tensor<2>], &[Tensor<2>]) {
        (&self.first, &self.second)
    }

    /// Puts moments back, to resume.
    pub fn with_moments(self, first: Vec<Tensor<2>>, second: Vec<Tensor<2>>) -> Self {
        Self { first, second, ..self }
    }

    /// The optimizer of some of the runs, in this order.
    pub fn select(&self, runs: &[usize]) -> Self {
        Self {
            first: select_runs(&self.first, runs),
            second: select_runs(&self.second, runs),
            settings: self.settings,
            squared_norms: None,
        }
    }

    /// Squared norm of each run's gradients over all its parameters in the last update, before clipping: `[runs]`.
    /// `None` before the first update, after [`select`](Self::select), and where nothing had a gradient.
    pub fn squared_gradient_norms(&self) -> Option<Tensor<1>> {
        self.squared_norms.clone()
    }

    /// One update; `step` counts from 1, `factor` is the schedule's. Nothing is read from the device.
    pub fn step(
        &mut self,
        parameters: Parameters,
        gradients: &Gradients,
        step: u64,
        rates: &[Rates],
        factor: f64,
    ) -> Parameters {
        let Some(clip) = self.clip_factors(gradients) else { return parameters };
        let correction = (1.0 - BETA2.powi(step as i32)).sqrt() / (1.0 - BETA1.powi(step as i32));
        let numbers = AdamWNumbers { beta1: BETA1, beta2: BETA2, epsilon: self.settings.epsilon as f32 };
        let declared: Vec<Group> = parameters.declared().iter().map(|p| p.group).collect();
        let mut groups: HashMap<Group, RunSteps> = HashMap::new();
        parameters.map_values(|i, value| {
            let Some(gradient) = &gradients[i] else { return value };
            let runs = groups.entry(declared[i]).or_insert_with(|| {
                let rates = rates.iter().map(|rates| rate_of(rates, declared[i]) * factor).collect();
                self.run_steps(rates, correction, &clip)
            });
            // Taken out, so that the update can work in place.
            let (first, second) = (take(&mut self.first[i]), take(&mut self.second[i]));
            let updated = adamw(Moments { value, first, second }, gradient.clone(), runs, numbers);
            (self.first[i], self.second[i]) = (updated.first, updated.second);
            updated.value
        })
    }

    /// The numbers of each run of a group, sent to the device together.
    fn run_steps(&self, rates: Vec<f64>, correction: f64, clip: &Tensor<1>) -> RunSteps {
        let runs = rates.len();
        let corrected = rates.iter().map(|rate| (rate * correction) as f32);
        let decays = rates.iter().map(|rate| (rate * self.settings.weight_decay) as f32);
        let values: Vec<f32> = corrected.chain(decays).collect();
        let both = Tensor::<1>::from_data(TensorData::new(values, [2 * runs]), &clip.device());
        RunSteps {
            rate: both.clone().narrow(0, 0, runs),
            decay: both.narrow(0, runs, runs),
            clip: clip.clone(),
        }
    }

    /// What each run's gradients are multiplied by so that their norm is at most the limit, `[runs]`; `None` where
    /// nothing has a gradient.
    fn clip_factors(&mut self, gradients: &Gradients) -> Option<Tensor<1>> {
        let squares = gradients.iter().flatten().map(|gradient| sum_of_squares(gradient.clone()));
        self.squared_norms = squares.reduce(|sum, more| sum + more);
        let squares = self.squared_norms.clone()?;
        Some(clip_factors(squares, self.settings.max_gradient_norm as f32))
    }
}

fn rate_of(rates: &Rates, group: Group) -> f64 {
    rates.iter().find(|(g, _)| *g == group).map_or(0.0, |(_, rate)| *rate)
}

fn take(tensor: &mut Tensor<2>) -> Tensor<2> {
    let device = tensor.device();
    std::mem::replace(tensor, Tensor::zeros([1, 1], &device))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};

    use super::*;
    use crate::{Init, Parameter};

    /// The values of each run after four updates, and the norms of the last.
    fn train(values: &[Vec<f32>], gradients: [[f32; 3]; 4], factors: [f64; 4]) -> (Vec<Vec<f32>>, Vec<f64>) {
        let declared = vec![Parameter::new("p", &[3], Init::Zeros)];
        let runs: Vec<&[Vec<f32>]> = values.iter().map(std::slice::from_ref).collect();
        let mut parameters = Parameters::from_host(declared, &runs, &Device::flex(), DType::F32);
        let settings = AdamWSettings { epsilon: 1e-12, weight_decay: 0.0, max_gradient_norm: 1.0 };
        let mut optimizer = AdamW::new(&parameters, settings);
        let rates = vec![vec![(Group::NETWORK, 0.1)]; runs.len()];
        for (i, (gradient, factor)) in gradients.into_iter().zip(factors).enumerate() {
            let gradient = Tensor::<1>::from_floats(gradient, &Device::flex()).unsqueeze::<2>();
            let gradient = gradient.repeat_dim(0, runs.len());
            parameters = optimizer.step(parameters, &vec![Some(gradient)], i as u64 + 1, &rates, factor);
        }
        let values = (0..runs.len()).map(|run| parameters.run_to_host(run).remove(0)).collect();
        let squares = optimizer.squared_gradient_norms().unwrap().try_into_vec_as::<f32>().unwrap();
        (values, squares.into_iter().map(|square| f64::from(square).sqrt()).collect())
    }

    #[test]
    fn each_run_is_clipped_by_its_own_gradient() {
        let step = |gradients: &[[f32; 3]]| {
            let declared = vec![Parameter::new("p", &[3], Init::Zeros)];
            let zeros = vec![vec![0.0; 3]];
            let device = Device::flex();
            let runs: Vec<&[Vec<f32>]> = gradients.iter().map(|_| zeros.as_slice()).collect();
            let parameters = Parameters::from_host(declared, &runs, &device, DType::F32);
            let rows =
                gradients.iter().map(|gradient| Tensor::<1>::from_floats(*gradient, &device).unsqueeze());
            let gradient: Tensor<2> = Tensor::cat(rows.collect(), 0);
            // An epsilon beside which sizes count.
            let settings = AdamWSettings { epsilon: 1.0, weight_decay: 0.0, max_gradient_norm: 0.5 };
            let rates = vec![vec![(Group::NETWORK, 0.1)]; gradients.len()];
            let mut optimizer = AdamW::new(&parameters, settings);
            let updated = optimizer.step(parameters, &vec![Some(gradient)], 1, &rates, 1.0);
            (0..gradients.len()).map(|run| updated.run_to_host(run).remove(0)).collect::<Vec<_>>()
        };
        let (small, large) = ([0.1, 0.2, -0.1], [30.0, -40.0, 5.0]);
        let together = step(&[small, large]);
        assert_eq!(together, [step(&[small]), step(&[large])].concat());
        // Beyond the limit, only the direction counts.
        let scaled = step(&[[300.0, -400.0, 50.0]]).remove(0);
        assert!(
            together[1].iter().zip(&scaled).all(|(a, b)| (a - b).abs() < 1e-6),
            "{together:?} {scaled:?}"
        );
        assert_ne!(together[1], step(&[[0.3, -0.4, 0.05]]).remove(0));
    }

    /// Expected values from `torch.optim.AdamW` after `clip_grad_norm_(1.0)`.
    #[test]
    fn four_clipped_updates_agree_with_torch() {
        let gradients = [[0.3, -0.2, 0.1], [3.0, 4.0, 0.0], [-0.1, 0.05, 0.2], [0.0, 0.0, 1.0]];
        let factors = [1.0, 0.75, 0.5, 0.25];
        let (runs, norms) = train(&[vec![0.5, -1.0, 2.0], vec![0.0; 3]], gradients, factors);
        assert!(norms.iter().all(|norm| (norm - 1.0).abs() < 1e-6), "that of the last, unclipped: {norms:?}");
        let expected = [0.282_245_67, -0.975_114_9, 1.791_834_4];
        for (found, expected) in runs[0].iter().zip(expected) {
            assert!((found - expected).abs() < 3e-7, "{runs:?}");
        }
        for ((a, b), start) in runs[0].iter().zip(&runs[1]).zip([0.5, -1.0, 2.0]) {
            assert!((a - start - b).abs() < 1e-6, "runs start apart and move alike");
        }
    }
}
