use std::sync::OnceLock;

use burn::tensor::Device;
use peft_model::Backbone;

use super::error::ModelError;
use super::files::ModelFiles;
use super::precision::Precision;

/// A backbone whose weights are loaded when somebody asks for them: where all results are there, nobody does.
#[derive(Debug)]
pub struct LoadedOnce<'a> {
    files: &'a ModelFiles,
    device: Device,
    precision: Precision,
    loaded: OnceLock<Box<dyn Backbone>>,
}

impl<'a> LoadedOnce<'a> {
    /// The backbone of a model's files on a device.
    pub fn new(files: &'a ModelFiles, device: Device, precision: Precision) -> Self {
        Self { files, device, precision, loaded: OnceLock::new() }
    }

    /// The backbone.
    ///
    /// # Errors
    /// When its weights cannot be loaded.
    pub fn get(&self) -> Result<&dyn Backbone, ModelError> {
        if let Some(backbone) = self.loaded.get() {
            return Ok(backbone.as_ref());
        }
        let backbone = self.files.load(&self.device, self.precision)?;
        Ok(self.loaded.get_or_init(|| backbone).as_ref())
    }
}
