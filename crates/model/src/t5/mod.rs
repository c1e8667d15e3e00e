//! The T5 encoder-decoder (Raffel et al. 2020), with the hooks at which PEFT methods act.

pub mod attention;
mod backbone;
mod checkpoint;
mod config;
mod config_file;
mod decoder;
mod encoder;
mod feed_forward;
mod generate;
mod load;
mod loss;
mod pass;
mod position;
mod save;
mod site;

pub use backbone::Backbone;
pub use config::{Activation, T5Config};
pub use decoder::{Cache, decode};
pub use encoder::{Encoded, encode};
pub use generate::generate;
pub use loss::{Batch, TargetLoss, pad_ids, target_log_probabilities, target_logits, target_loss};
pub use pass::{Pass, Weight};
pub use position::relative_position_bucket;
pub use site::{Projection, Site, Stack, Sublayer, SublayerKind};
