//! What methods share that tell the tasks of a mixture apart.

use burn::tensor::{Int, Tensor};

/// What each row has of its task, `[runs, tasks, width]` and `[runs, batch]` to `[runs x batch, width]`.
pub(super) fn of_rows(tables: Tensor<3>, tasks: &Tensor<2, Int>) -> Tensor<2> {
    let [runs, count, width] = tables.dims();
    let first = Tensor::<1, Int>::arange(0..runs as i64, &tasks.device()) * count as i64;
    let places = (tasks.clone() + first.unsqueeze_dim(1)).reshape([-1]);
    tables.reshape([runs * count, width]).select(0, places)
}
