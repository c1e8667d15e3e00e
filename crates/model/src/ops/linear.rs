use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::cpu::{self, CpuOps};

/// One weight `[out, in]` for all runs: `[runs, batch, length, in]` to `[runs, batch, length, out]`.
pub fn linear(input: Tensor<4>, weight: Tensor<2>) -> Tensor<4> {
    let [runs, batch, length, width] = input.dims();
    let out = weight.dims()[0];
    // One matrix product over all rows; on 4-D input Burn would run one small product per sentence.
    let rows: Tensor<2> = input.reshape([runs * batch * length, width]);
    let rows = if cpu::takes(&rows) {
        Tensor::from_dispatch(Dispatch::linear(rows.into_dispatch(), weight.into_dispatch()))
    } else {
        rows.matmul(weight.transpose())
    };
    rows.reshape([runs, batch, length, out])
}

/// One weight per run, `[runs, out, in]`: `[runs, batch, length, in]` to `[runs, batch, length, out]`.
pub fn linear_per_run(input: Tensor<4>, weight: Tensor<3>) -> Tensor<4> {
    let [runs, batch, length, width] = input.dims();
    let out = weight.dims()[1];
    if runs == 1 {
        return linear(input, weight.squeeze_dim(0));
    }
    let rows = input.reshape([runs, batch * length, width]);
    rows.matmul(weight.transpose()).reshape([runs, batch, length, out])
}

/// Shapes a bias `[runs, width]` to add it to `[runs, batch, length, width]`.
pub fn per_run_bias(bias: Tensor<2>) -> Tensor<4> {
    let [runs, width] = bias.dims();
    bias.reshape([runs, 1, 1, width])
}
