use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::cpu::{self, CpuOps};

/// Sum over the last axis: `[runs, batch, length]` to `[runs, batch]`. Zeros at the end change nothing.
pub fn sum_tokens(values: Tensor<3>) -> Tensor<2> {
    let [runs, batch, length] = values.dims();
    sum_rows(values.reshape([runs * batch, length])).reshape([runs, batch])
}

/// Sum of each row: `[rows, columns]` to `[rows]`.
pub fn sum_rows(values: Tensor<2>) -> Tensor<1> {
    if cpu::takes(&values) {
        return Tensor::from_dispatch(Dispatch::sum_rows(values.into_dispatch()));
    }
    values.sum_dim(1).squeeze_dim(1)
}
