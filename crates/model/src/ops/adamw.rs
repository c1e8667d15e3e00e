use burn::backend::Dispatch;
use burn::tensor::Tensor;

pub use super::arguments::AdamWNumbers;
use super::arguments::{AdamWRuns, AdamWState};
use super::fused::{Kernels, takes};

/// What differs between runs in an update: `[runs]` each.
#[derive(Debug, Clone)]
pub struct RunSteps {
    /// Learning rate, bias correction included.
    pub rate: Tensor<1>,
    /// Factor on the gradient that keeps its norm within the limit.
    pub clip: Tensor<1>,
    /// Share of the updated value that weight decay takes.
    pub decay: Tensor<1>,
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
pub fn adamw(state: Moments, gradient: Tensor<2>, runs: &RunSteps, numbers: AdamWNumbers) -> Moments {
    if !takes(&state.value) {
        return adamw_composed(state, gradient, runs, numbers);
    }
    let [value, first, second] = [state.value, state.first, state.second].map(Tensor::into_dispatch);
    let [rate, clip, decay] =
        [&runs.rate, &runs.clip, &runs.decay].map(|tensor| tensor.clone().into_dispatch());
    let (state, runs) = (AdamWState { value, first, second }, AdamWRuns { rate, clip, decay });
    let AdamWState { value, first, second } = Dispatch::adamw(state, gradient.into_dispatch(), runs, numbers);
    Moments {
        value: Tensor::from_dispatch(value),
        first: Tensor::from_dispatch(first),
        second: Tensor::from_dispatch(second),
    }
}

/// [`adamw`] from Burn's own operations, for every device.
pub fn adamw_composed(
    state: Moments,
    gradient: Tensor<2>,
    runs: &RunSteps,
    numbers: AdamWNumbers,
) -> Moments {
    let column = |tensor: &Tensor<1>| tensor.clone().unsqueeze_dim::<2>(1);
    let (rate, clip, decay) = (column(&runs.rate), column(&runs.clip), column(&runs.decay));
    let AdamWNumbers { beta1, beta2, epsilon } = numbers;
    let gradient = gradient * clip;
    let first = state.first * beta1 + gradient.clone() * (1.0 - beta1);
    let second = state.second * beta2 + gradient.square() * (1.0 - beta2);
    let updated = state.value - first.clone() / (second.clone().sqrt() + epsilon) * rate;
    Moments { value: updated.clone() - updated * decay, first, second }
}

/// Sum of squares of each run's elements: `[runs, elements]` to `[runs]`.
pub fn sum_of_squares(gradient: Tensor<2>) -> Tensor<1> {
    if takes(&gradient) {
        return Tensor::from_dispatch(Dispatch::sum_of_squares(gradient.into_dispatch()));
    }
    gradient.square().sum_dim(1).squeeze_dim(1)
}

/// What each run's gradients are multiplied by so that their norm is at most the limit, on the device; from the sum
/// of squares over all parameters, `[runs]`.
pub fn clip_factors(squares: Tensor<1>, limit: f32) -> Tensor<1> {
    let factors = squares.full_like(limit) / (squares.sqrt() + 1e-6);
    // Not a minimum: a norm that is no number must stay none.
    factors.clone().mask_fill(factors.greater_elem(1.0), 1.0)
}
