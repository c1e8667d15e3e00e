use burn::backend::Dispatch;
use burn::tensor::{Tensor, TensorData, activation};

use super::fused::{FusedOps, takes};
use crate::dropout::Mask;

/// Drops elements and scales the others, as the mask says.
pub fn dropout(input: Tensor<4>, mask: Mask) -> Tensor<4> {
    if !takes(&input) {
        return dropout_composed(input, &mask);
    }
    Tensor::from_dispatch(Dispatch::dropout(input.into_dispatch(), mask))
}

/// `residual + dropout(update)`.
pub fn add_dropout(residual: Tensor<4>, update: Tensor<4>, mask: Mask) -> Tensor<4> {
    if !takes(&residual) {
        return residual + dropout_composed(update, &mask);
    }
    Tensor::from_dispatch(Dispatch::add_dropout(residual.into_dispatch(), update.into_dispatch(), mask))
}

/// `dropout(max(input, 0))`.
pub fn relu_dropout(input: Tensor<4>, mask: Mask) -> Tensor<4> {
    if !takes(&input) {
        return dropout_composed(activation::relu(input), &mask);
    }
    Tensor::from_dispatch(Dispatch::relu_dropout(input.into_dispatch(), mask))
}

/// Dropout as a product with a mask, for every device and rank.
pub fn dropout_composed<const D: usize>(input: Tensor<D>, mask: &Mask) -> Tensor<D> {
    let factors = TensorData::new(mask.factors(), input.dims());
    let factors = Tensor::<D>::from_data(factors, &input.device().inner());
    input.clone() * factors.cast(input.dtype())
}
