//! The arithmetic that T5 is made of. Each operation has a form composed of Burn's own operations,
//! which runs on every device, and a fused one for the CPU and for GPUs.

mod adamw;
mod arguments;
mod attention;
mod autodiff;
mod cpu;
#[cfg(feature = "cube")]
mod cube;
mod dropout;
mod fused;
mod gate;
mod layer_norm;
mod linear;
mod log_probabilities;
#[cfg(feature = "cube")]
mod metadata;
mod rms_norm;
mod spread;
mod sum;

pub use adamw::{AdamWNumbers, Moments, RunSteps, adamw, adamw_composed, clip_factors, sum_of_squares};
pub use attention::{Attention, attention, attention_composed};
pub use dropout::{add_dropout, dropout, dropout_composed, relu_dropout};
pub use gate::gelu_gate_dropout;
pub use layer_norm::layer_norm_per_run;
pub use linear::{affine_per_run, linear, linear_per_run};
pub use log_probabilities::{log_probabilities, log_probabilities_composed};
pub use rms_norm::{rms_norm, rms_norm_composed};
pub use spread::{per_run, per_sentence};
pub use sum::{sum_rows, sum_tokens};
