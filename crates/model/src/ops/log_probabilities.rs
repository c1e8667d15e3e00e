use burn::tensor::{DType, Int, Tensor, activation};

/// Log-probability of each target id: logits `[runs, batch, length, vocabulary]` and ids
/// `[runs, batch, length]` to `[runs, batch, length]`, in f32.
pub fn log_probabilities(logits: Tensor<4>, targets: Tensor<3, Int>) -> Tensor<3> {
    let shape = targets.dims();
    let all = activation::log_softmax(logits.cast(DType::F32), 3);
    all.gather(3, targets.unsqueeze_dim(3)).reshape(shape)
}
