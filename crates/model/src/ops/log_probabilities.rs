use burn::backend::Dispatch;
use burn::tensor::{DType, Int, Tensor, activation};

use super::fused::{FusedOps, takes};

/// Log-probability of each target id: logits `[runs, batch, length, vocabulary]` and ids
/// `[runs, batch, length]` to `[runs, batch, length]`, in f32.
pub fn log_probabilities(logits: Tensor<4>, targets: Tensor<3, Int>) -> Tensor<3> {
    if !takes(&logits) {
        return log_probabilities_composed(logits, targets);
    }
    let shape @ [runs, batch, length] = targets.dims();
    let vocabulary = logits.dims()[3];
    let logits: Tensor<2> = logits.reshape([runs * batch * length, vocabulary]);
    let targets: Tensor<1, Int> = targets.reshape([-1]);
    let out = Dispatch::log_probabilities(logits.into_dispatch(), targets.into_dispatch());
    Tensor::<1>::from_dispatch(out).reshape(shape)
}

/// [`log_probabilities`] from Burn's own operations, for every device.
pub fn log_probabilities_composed(logits: Tensor<4>, targets: Tensor<3, Int>) -> Tensor<3> {
    let shape = targets.dims();
    let all = activation::log_softmax(logits.cast(DType::F32), 3);
    all.gather(3, targets.unsqueeze_dim(3)).reshape(shape)
}
