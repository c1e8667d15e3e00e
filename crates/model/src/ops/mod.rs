//! The arithmetic that T5 is made of.

mod attention;
mod linear;
mod log_probabilities;
mod rms_norm;

pub use attention::{Attention, attention};
pub use linear::{linear, linear_per_run, per_run_bias};
pub use log_probabilities::log_probabilities;
pub use rms_norm::rms_norm;
