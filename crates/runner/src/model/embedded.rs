use std::path::{Path, PathBuf};
use std::sync::Arc;

use peft_model::{Configuration, families};

use crate::files::embedded;

/// The files of a model that the program carries with it.
#[derive(Debug)]
pub(super) struct EmbeddedModel {
    pub folder: PathBuf,
    pub config: &'static str,
    pub weights: &'static [u8],
    pub tokenizer: &'static [u8],
}

impl EmbeddedModel {
    pub(super) fn find(name: &str) -> Option<Self> {
        let folder = format!("models/{name}");
        Some(Self {
            config: embedded::text(&format!("{folder}/config.json"))?,
            weights: embedded::bytes(&format!("{folder}/model.safetensors"))?,
            tokenizer: embedded::bytes(&format!("{folder}/tokenizer.json"))?,
            folder: Path::new("datasets").join(folder),
        })
    }

    pub(super) fn config(&self) -> Result<Arc<dyn Configuration>, peft_model::Error> {
        let path = self.folder.join("config.json");
        families::parse_configuration(self.config)
            .map_err(|problem| peft_model::Error::Config { path, problem })
    }
}
