//! T5 and parameter-efficient fine-tuning (PEFT) methods in Burn.
//!
//! Tensors in, tensors out: this crate reads weights and computes losses, log-probabilities and
//! greedy generations; it knows no task and no command line.
//!
//! Every tensor that depends on trainable parameters carries a leading `runs` axis: several seeds
//! (or learning rates) of one method train side by side over one frozen backbone.

#![warn(missing_docs)]

pub mod dropout;
mod error;
pub mod files;
pub mod ops;
pub mod optim;
pub mod peft;
pub mod settings;
pub mod t5;

pub use error::Error;
pub use peft_random as random;

/// The framework that computes, for the record of a result.
pub const BURN_VERSION: &str = "0.22.1";
