//! Backbones and parameter-efficient fine-tuning (PEFT) methods in Burn.
//!
//! Tensors in, tensors out: this crate reads weights and computes losses, log-probabilities and
//! greedy generations; it knows no task and no command line.
//!
//! Every tensor that depends on trainable parameters carries a leading `runs` axis: several seeds
//! (or learning rates) of one method train side by side over one frozen backbone.
//!
//! ```
//! use burn::tensor::{DType, Device};
//! use peft_model::t5::{T5Config, T5Configuration};
//! use peft_model::{Adaptation, Batch, Configuration, peft};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sizes = T5Config { vocab_size: 32, d_model: 16, d_kv: 4, d_ff: 32, num_layers: 1, ..T5Config::t5_small() };
//! let backbone = T5Configuration::new(T5Config { num_decoder_layers: None, ..sizes })?.random(1, &Device::flex(), DType::F32);
//! let ia3 = peft::build("ia3", &serde_json::Map::new())?.method;
//! assert_eq!(peft::num_trainable(ia3.as_ref(), backbone.layout())?, 3 * 2 * 32 + 2 * 32);
//!
//! // Two seeds side by side, each with one row: source and target.
//! let parameters = backbone.start(ia3.as_ref(), &[1, 2], &|_| Vec::new())?;
//! let row: (&[u32], &[u32]) = (&[5, 8, 1], &[13, 1]);
//! let batch = Batch::new(&[vec![row], vec![row]], backbone.layout().tokens.pad, backbone.device());
//! let adaptation = Adaptation::new(ia3.as_ref(), &parameters);
//! let losses = backbone.target_loss(&adaptation, &batch);
//! assert_eq!(losses.dims(), [2]);
//! let answers = backbone.generate(&adaptation, batch.source, 4);
//! assert!(answers[0] == answers[1] && answers[0][0].len() <= 4);
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

mod activation;
pub mod adapter;
mod backbone;
mod batch;
mod context;
pub mod device;
mod distillation;
pub mod dropout;
mod error;
pub mod families;
pub mod files;
mod generation_config;
pub mod layout;
mod loss;
mod merge;
mod method;
pub mod ops;
pub mod optim;
mod parameters;
mod pass;
pub mod peft;
pub mod settings;
pub mod source;
pub mod source_stages;
mod stage;
pub mod t5;
mod weights;

pub use activation::Activation;
pub use backbone::{Adaptation, Backbone, Configuration, Decoding};
pub use batch::{Batch, Padding, Rows, Slice, Widths};
pub use context::{Context, Memory, Weight};
pub use error::Error;
pub use method::{Input, KeysValues, Ladder, Method, StepCount, Teacher};
pub use parameters::{Computed, Gradients, Group, Init, Parameter, Parameters, select_runs};
pub use pass::Pass;
pub use peft_random as random;
pub use source::{FromSources, SourceSpec, SourceTensors};
pub use stage::State;
pub use weights::{Checkpoint, Weights};

/// The framework that computes, for the record of a result.
pub const BURN_VERSION: &str = "0.22.1";
