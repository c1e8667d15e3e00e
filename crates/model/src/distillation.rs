//! What a training learns from a teacher: the same backbone under another method, whose answers and states it comes near.
//!
//! The distance is the Kullback-Leibler divergence of the teacher's distribution of each target token from the student's,
//! and the mean squared difference of what the encoders make of the sources (Wang et al. 2023, section 3.3, after
//! Hinton et al. 2015 and Jiao et al. 2020); both in f32, whatever the backbone computes in.

use burn::tensor::{DType, Tensor, activation};

use crate::Batch;
use crate::loss::mean_over_tokens;
use crate::stage::State;

/// How far the student's last state is from the teacher's, `[runs]`; of a slice, its share.
pub(crate) fn distance(student: &State, teacher: &State, batch: &Batch, temperature: f64) -> Tensor<1> {
    let divergence = divergence(student.states.clone(), teacher.states.clone(), temperature);
    let mask = batch.target.mask.clone();
    let of_tokens = match (&student.encoded, &teacher.encoded) {
        (Some(own), Some(theirs)) => {
            let [runs, rows, length] = mask.dims();
            let of_rows = squared_difference(own.clone(), theirs.clone(), &batch.source.mask);
            // Each row counts as much as its target tokens do.
            divergence + of_rows.unsqueeze_dim::<3>(2).expand([runs, rows, length])
        }
        _ => divergence,
    };
    mean_over_tokens(of_tokens * mask, batch)
}

/// Of the teacher's distribution of each target token from the student's, from their logits
/// `[runs, batch, target length, vocab_size]`: `[runs, batch, target length]`.
fn divergence(student: Tensor<4>, teacher: Tensor<4>, temperature: f64) -> Tensor<3> {
    let log_softmax = |logits: Tensor<4>| activation::log_softmax(logits.cast(DType::F32) / temperature, 3);
    let [own, theirs] = [student, teacher].map(log_softmax);
    (theirs.clone().exp() * (theirs - own)).sum_dim(3).squeeze_dim(3)
}

/// The mean squared difference of the states of each source, `[runs, batch, length, d_model]`, over its tokens and the
/// positions before them, which `mask` of the tokens `[runs, batch, tokens]` leaves out: `[runs, batch]`.
fn squared_difference(student: Tensor<4>, teacher: Tensor<4>, mask: &Tensor<3>) -> Tensor<2> {
    let [runs, batch, length, width] = student.dims();
    let before = length - mask.dims()[2];
    let visible = Tensor::ones([runs, batch, before], &mask.device());
    let mask: Tensor<3> = Tensor::cat(vec![visible, mask.clone()], 2);
    let difference = student.cast(DType::F32) - teacher.cast(DType::F32);
    let squares: Tensor<3> = difference.powi_scalar(2).sum_dim(3).squeeze_dim(3) / width as f64;
    let positions: Tensor<2> = mask.clone().sum_dim(2).squeeze_dim(2);
    (squares * mask).sum_dim(2).squeeze_dim::<2>(2) / positions
}
