use burn::backend::Dispatch;
use burn::tensor::{Tensor, TensorData};

use super::cpu::{self, CpuOptimizer};

/// One update's numbers.
#[derive(Debug, Clone)]
pub struct AdamWStep {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// What differs between runs.
    pub runs: Vec<RunStep>,
}

/// What differs between runs.
#[derive(Debug, Clone, Copy)]
pub struct RunStep {
    /// Learning rate, bias correction included.
    pub rate: f32,
    /// Factor on the gradient that keeps its norm within the limit.
    pub clip: f32,
    /// Share of the updated value that weight decay takes.
    pub decay: f32,
}

/// A parameter with its first and second moments, each `[runs, elements]`.
pub struct Moments {
    /// The parameter, `[runs, elements]`.
    pub value: Tensor<2>,
    /// Running mean of the gradient, `[runs, elements]`.
    pub first: Tensor<2>,
    /// Running mean of the squared gradient, `[runs, elements]`.
    pub second: Tensor<2>,
}

/// AdamW (Loshchilov and Hutter 2019): `value - rate m / (sqrt(v) + epsilon)`, then decay.
pub fn adamw(state: Moments, gradient: Tensor<2>, step: &AdamWStep) -> Moments {
    if !cpu::takes(&state.value) {
        return adamw_composed(state, gradient, step);
    }
    let [value, first, second, gradient] =
        [state.value, state.first, state.second, gradient].map(Tensor::into_dispatch);
    let (value, first, second) = Dispatch::adamw(value, first, second, gradient, step.clone());
    Moments {
        value: Tensor::from_dispatch(value),
        first: Tensor::from_dispatch(first),
        second: Tensor::from_dispatch(second),
    }
}

/// [`adamw`] from Burn's own operations, for every device.
pub fn adamw_composed(state: Moments, gradient: Tensor<2>, step: &AdamWStep) -> Moments {
    let column = |f: fn(&RunStep) -> f32| {
        let values: Vec<f32> = step.runs.iter().map(f).collect();
        let runs = values.len();
        Tensor::<2>::from_data(TensorData::new(values, [runs, 1]), &gradient.device())
    };
    let (rate, clip, decay) = (column(|r| r.rate), column(|r| r.clip), column(|r| r.decay));
    let gradient = gradient * clip;
    let first = state.first * step.beta1 + gradient.clone() * (1.0 - step.beta1);
    let second = state.second * step.beta2 + gradient.square() * (1.0 - step.beta2);
    let updated = state.value - first.clone() / (second.clone().sqrt() + step.epsilon) * rate;
    Moments { value: updated.clone() - updated * decay, first, second }
}

/// Sum of squares of each run's elements: `[runs, elements]` to one number per run.
pub fn sum_of_squares(gradient: &Tensor<2>) -> Vec<f32> {
    let sums = if cpu::takes(gradient) {
        Tensor::<1>::from_dispatch(Dispatch::sum_of_squares(gradient.clone().into_dispatch()))
    } else {
        gradient.clone().square().sum_dim(1).squeeze_dim(1)
    };
    sums.try_into_vec_as().expect("gradients are floats")
}
