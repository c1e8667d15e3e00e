//! The parts of a model that can be had without its weights.

use std::path::PathBuf;
use std::sync::Arc;

use peft_model::{Configuration, families, files};

use super::error::ModelError;
use super::place::{Place, shape};
use crate::hub::{Fetched, Hub, HubError, Repo};
use crate::tokenizer::Tokenizer;

/// Fetches a model's files, without the weights where they are drawn at random; none if it is not on the hub.
///
/// # Errors
/// When the hub lacks some of them, or they cannot be had.
pub fn fetch(id: &str, hub: &Hub) -> Result<Option<Fetched>, HubError> {
    let name = shape(id);
    match Place::of(name) {
        Place::Hub if name == id => hub.model_files(&Repo::model(name)).map(Some),
        Place::Hub => hub.model_shape(&Repo::model(name)).map(Some),
        Place::Folder(_) | Place::Embedded(_) => Ok(None),
    }
}

/// Reads a model's tokenizer without its weights.
///
/// # Errors
/// When there is no readable `tokenizer.json`.
pub fn tokenizer(id: &str, hub: &Hub) -> Result<Tokenizer, ModelError> {
    let (path, bytes) = tokenizer_file(id, hub)?;
    Ok(Tokenizer::from_bytes(&bytes, &path, families::reference().layout().tokens.eos, usize::MAX)?)
}

/// Where a model's `tokenizer.json` is, and its bytes.
///
/// # Errors
/// When there is none.
pub fn tokenizer_file(id: &str, hub: &Hub) -> Result<(PathBuf, Vec<u8>), ModelError> {
    let name = shape(id);
    let path = match Place::of(name) {
        Place::Folder(folder) => folder.join("tokenizer.json"),
        Place::Embedded(files) => return Ok((files.folder.join("tokenizer.json"), files.tokenizer.to_vec())),
        Place::Hub => hub.model_tokenizer(&Repo::model(name))?,
    };
    read_tokenizer(path)
}

/// No tokenizer is larger.
const LARGEST_TOKENIZER: u64 = 256 << 20;

pub(super) fn read_tokenizer(path: PathBuf) -> Result<(PathBuf, Vec<u8>), ModelError> {
    let bytes = files::read(&path, LARGEST_TOKENIZER)?;
    Ok((path, bytes))
}

/// Reads a model's configuration without its weights.
///
/// # Errors
/// When there is no readable `config.json`.
pub fn config(id: &str, hub: &Hub) -> Result<Arc<dyn Configuration>, ModelError> {
    let name = shape(id);
    match Place::of(name) {
        Place::Folder(folder) => Ok(families::configuration(&folder)?),
        Place::Embedded(files) => Ok(files.config()?),
        Place::Hub => {
            let path = hub.model_config(&Repo::model(name))?;
            Ok(families::configuration(path.parent().unwrap_or(&path))?)
        }
    }
}
