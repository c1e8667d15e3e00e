//! A backbone with its tokenizer, from a folder or from the hub.

use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};
use peft_model::t5::{Backbone, T5Config};

use crate::hub::{Hub, HubError};
use crate::tokenizer::{Tokenizer, TokenizerError};

/// What can go wrong when a model is opened.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error(transparent)]
    Hub(#[from] HubError),
    #[error(transparent)]
    Weights(#[from] peft_model::Error),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

/// A pretrained model.
#[derive(Debug)]
pub struct Model {
    /// As the user named it: a folder or a hub id.
    pub id: String,
    /// Commit on the hub, or a digest of the weights of a local folder.
    pub revision: String,
    pub backbone: Backbone,
    pub tokenizer: Tokenizer,
}

impl Model {
    /// Opens a folder in the hub's layout, or fetches a model from the hub.
    ///
    /// # Errors
    /// When files are missing or broken, or do not fit each other.
    pub fn open(id: &str, hub: &Hub, device: &Device) -> Result<Self, ModelError> {
        let (folder, revision) = if Path::new(id).is_dir() {
            let folder = PathBuf::from(id);
            let revision = digest(&folder)?;
            (folder, revision)
        } else {
            let files = hub.model_files(id, None)?;
            (files.folder, files.commit)
        };
        let backbone = Backbone::load(&folder, device, DType::F32)?;
        let config = backbone.config();
        let tokenizer =
            Tokenizer::load(&folder.join("tokenizer.json"), config.eos_token_id, config.vocab_size)?;
        Ok(Self { id: id.into(), revision, backbone, tokenizer })
    }
}

/// Reads a model's configuration without its weights.
///
/// # Errors
/// When there is no readable `config.json`.
pub fn config(id: &str, hub: &Hub) -> Result<T5Config, ModelError> {
    let path =
        if Path::new(id).is_dir() { Path::new(id).join("config.json") } else { hub.model_config(id, None)? };
    Ok(T5Config::from_file(&path)?)
}

/// SHA-256 over the configuration and the weights of a local folder, shortened.
fn digest(folder: &Path) -> Result<String, ModelError> {
    use sha2::{Digest, Sha256};
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|source| peft_model::Error::Read { path: folder.into(), source })?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name == "config.json" || name.ends_with(".safetensors") || name == "pytorch_model.bin"
        })
        .collect();
    files.sort();
    let mut hash = Sha256::new();
    for path in files {
        let mut file = std::fs::File::open(&path)
            .map_err(|source| peft_model::Error::Read { path: path.clone(), source })?;
        std::io::copy(&mut file, &mut hash).map_err(|source| peft_model::Error::Read { path, source })?;
    }
    let hex: String = hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect();
    Ok(format!("sha256:{hex}"))
}
