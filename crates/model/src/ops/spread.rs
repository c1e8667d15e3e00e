use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::cpu::{self, CpuOps};

/// A vector for each run, `[runs, width]`, in every place of its run: the shape of `like`,
/// `[runs, batch, length, width]`.
///
/// Use it rather than broadcasting: the gradient of what is broadcast is summed in an order that depends on the
/// runs beside it.
pub fn per_run(vectors: Tensor<2>, like: &Tensor<4>) -> Tensor<4> {
    let [runs, batch, length, width] = like.dims();
    spread(vectors.reshape([runs, 1, 1, width]), batch, length)
}

/// A table for each run, `[runs, length, width]`, in every sentence of its run: `[runs, batch, length, width]`.
pub fn per_sentence(tables: Tensor<3>, batch: usize) -> Tensor<4> {
    let [_, length, _] = tables.dims();
    spread(tables.unsqueeze_dim(1), batch, length)
}

fn spread(values: Tensor<4>, batch: usize, length: usize) -> Tensor<4> {
    if cpu::takes(&values) {
        return Tensor::from_dispatch(Dispatch::spread(values.into_dispatch(), batch, length));
    }
    let [runs, _, _, width] = values.dims();
    values.expand([runs, batch, length, width])
}
