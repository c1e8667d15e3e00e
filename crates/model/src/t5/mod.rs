//! The T5 encoder-decoder (Raffel et al. 2020), with the hooks at which PEFT methods act.

mod attention;
mod config;
mod config_file;
mod configuration;
mod decoder;
mod encoder;
mod feed_forward;
mod layout;
mod load;
mod model;
mod position;

pub use crate::activation::Activation;
pub use config::{FeedForward, T5Config};
pub use config_file::read;
pub use configuration::T5Configuration;
pub use model::T5;
pub use position::relative_position_bucket;
