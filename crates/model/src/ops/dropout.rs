use burn::backend::Dispatch;
use burn::tensor::{Tensor, TensorData, activation};

use super::cpu::{self, CpuOps};
use crate::dropout::Dropout;

/// Drops elements with probability `rate` and scales the others by `1 / (1 - rate)`.
pub fn dropout(input: Tensor<4>, dropout: &Dropout, rate: f64) -> Tensor<4> {
    if rate == 0.0 {
        return input;
    }
    if !cpu::takes(&input) {
        return dropout_composed(input, dropout, rate);
    }
    let mask = dropout.mask(&input.dims(), rate);
    Tensor::from_dispatch(Dispatch::dropout(input.into_dispatch(), mask))
}

/// `residual + dropout(update)`.
pub fn add_dropout(residual: Tensor<4>, update: Tensor<4>, dropout: &Dropout, rate: f64) -> Tensor<4> {
    if rate == 0.0 {
        return residual + update;
    }
    if !cpu::takes(&residual) {
        return residual + dropout_composed(update, dropout, rate);
    }
    let mask = dropout.mask(&update.dims(), rate);
    Tensor::from_dispatch(Dispatch::add_dropout(residual.into_dispatch(), update.into_dispatch(), mask))
}

/// `dropout(max(input, 0))`.
pub fn relu_dropout(input: Tensor<4>, dropout: &Dropout, rate: f64) -> Tensor<4> {
    if rate == 0.0 {
        return activation::relu(input);
    }
    if !cpu::takes(&input) {
        return dropout_composed(activation::relu(input), dropout, rate);
    }
    let mask = dropout.mask(&input.dims(), rate);
    Tensor::from_dispatch(Dispatch::relu_dropout(input.into_dispatch(), mask))
}

/// Dropout as a product with a mask, for every device and rank.
pub fn dropout_composed<const D: usize>(input: Tensor<D>, dropout: &Dropout, rate: f64) -> Tensor<D> {
    if rate == 0.0 {
        return input;
    }
    let dims = input.dims();
    let factors = dropout.mask(&dims, rate).factors();
    let mask = Tensor::<D>::from_data(TensorData::new(factors, dims), &input.device().inner());
    input.clone() * mask.cast(input.dtype())
}
