use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::cpu::{self, CpuOps};
use super::per_run;

/// One weight `[out, in]` for all runs: `[runs, batch, length, in]` to `[runs, batch, length, out]`.
pub fn linear(input: Tensor<4>, weight: Tensor<2>) -> Tensor<4> {
    map(input, weight.unsqueeze_dim(0))
}

/// One weight per run, `[runs, out, in]`: `[runs, batch, length, in]` to `[runs, batch, length, out]`.
pub fn linear_per_run(input: Tensor<4>, weight: Tensor<3>) -> Tensor<4> {
    map(input, weight)
}

/// [`linear_per_run`] and one bias per run, `[runs, out]`.
pub fn affine_per_run(input: Tensor<4>, weight: Tensor<3>, bias: Tensor<2>) -> Tensor<4> {
    let output = linear_per_run(input, weight);
    let bias = per_run(bias, &output);
    output + bias
}

/// `weight` is `[1 or runs, out, in]`.
fn map(input: Tensor<4>, weight: Tensor<3>) -> Tensor<4> {
    let [runs, batch, length, width] = input.dims();
    let [weights, out, _] = weight.dims();
    let rows = if cpu::takes(&input) {
        let rows: Tensor<3> = input.reshape([runs, batch * length, width]);
        Tensor::<3>::from_dispatch(Dispatch::linear(rows.into_dispatch(), weight.into_dispatch()))
    } else {
        // One matrix product over all rows of a weight; on 4-D input Burn would run one small product per sentence.
        let rows: Tensor<3> = input.reshape([weights, runs * batch * length / weights, width]);
        rows.matmul(weight.transpose())
    };
    rows.reshape([runs, batch, length, out])
}
