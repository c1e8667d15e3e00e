//! A backbone with its tokenizer: embedded, from a folder, or from the hub.

mod embedded;
mod error;
mod files;
pub mod footprint;
mod loaded_once;
mod parts;
mod place;
mod precision;

use burn::tensor::Device;
use peft_model::Backbone;

pub use error::ModelError;
pub use files::ModelFiles;
pub use loaded_once::LoadedOnce;
pub use parts::{config, fetch, tokenizer, tokenizer_file};
pub use precision::{Precision, PrecisionError};

use crate::hub::Hub;
use crate::tokenizer::Tokenizer;

/// A pretrained model.
#[derive(Debug)]
pub struct Model {
    /// As the user named it.
    pub id: String,
    /// Commit on the hub, or a digest of the weights.
    pub revision: String,
    pub backbone: Box<dyn Backbone>,
    pub tokenizer: Tokenizer,
}

impl Model {
    /// Opens a model that [`ModelFiles::find`] finds.
    ///
    /// # Errors
    /// When files are missing or broken, or do not fit each other.
    pub fn open(id: &str, hub: &Hub, device: &Device, precision: Precision) -> Result<Self, ModelError> {
        let files = ModelFiles::find(id, hub)?;
        let backbone = files.load(device, precision)?;
        let ModelFiles { id, revision, tokenizer, .. } = files;
        Ok(Self { id, revision, backbone, tokenizer })
    }
}
