//! What methods share that tell the tasks of a mixture apart.

use burn::tensor::{Int, Tensor};

use crate::Context;
use crate::ops::per_sentence;

/// What each row has of its task, `[runs, tasks, width]` and `[runs, batch]` to `[runs x batch, width]`.
pub(super) fn of_rows(tables: Tensor<3>, tasks: &Tensor<2, Int>) -> Tensor<2> {
    let [runs, count, width] = tables.dims();
    let first = Tensor::<1, Int>::arange(0..runs as i64, &tasks.device()) * count as i64;
    let places = (tasks.clone() + first.unsqueeze_dim(1)).reshape([-1]);
    tables.reshape([runs * count, width]).select(0, places)
}

/// The prompt of each row's task, `[runs, tasks, length, d_model]` to `[runs, batch, length, d_model]`; rows that do not
/// say are of the first.
pub(super) fn prompts_of_rows(context: &Context, prompts: Tensor<4>, batch: usize) -> Tensor<4> {
    let [runs, count, length, d] = prompts.dims();
    match context.tasks {
        Some(tasks) => {
            let rows = of_rows(prompts.reshape([runs, count, length * d]), tasks);
            rows.reshape([runs, batch, length, d])
        }
        None => per_sentence(prompts.narrow(1, 0, 1).reshape([runs, length, d]), batch),
    }
}
