use std::cell::OnceCell;

use burn::tensor::Device;
use peft_model::t5::Backbone;

use super::error::ModelError;
use super::files::ModelFiles;

/// A backbone whose weights are loaded when somebody asks for them: where all results are there, nobody does.
#[derive(Debug)]
pub struct LazyBackbone<'a> {
    files: &'a ModelFiles,
    device: Device,
    loaded: OnceCell<Backbone>,
}

impl<'a> LazyBackbone<'a> {
    /// The backbone of a model's files on a device.
    pub fn new(files: &'a ModelFiles, device: Device) -> Self {
        Self { files, device, loaded: OnceCell::new() }
    }

    /// The backbone.
    ///
    /// # Errors
    /// When its weights cannot be loaded.
    pub fn get(&self) -> Result<&Backbone, ModelError> {
        if let Some(backbone) = self.loaded.get() {
            return Ok(backbone);
        }
        let backbone = self.files.load(&self.device)?;
        Ok(self.loaded.get_or_init(|| backbone))
    }
}
