//! A trained method on disk: `adapter.json` says what it is, `adapter.safetensors` holds its tensors.

use std::path::{Path, PathBuf};

use peft_model::layout::Layout;
use peft_model::{Parameter, adapter};
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::cell::Cell;
use super::portable::portable;
use super::trained::Trained;
use crate::files;
use crate::files::atomic;
use crate::files::checksum::{self, Damage};
use crate::files::tensors::{self, TensorEntry};
use crate::host::memory;

/// What can go wrong with an adapter's folder.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{}: {problem}", path.display())]
    Unreadable { path: PathBuf, problem: String },
    #[error(transparent)]
    Model(#[from] peft_model::Error),
}

/// What `adapter.json` says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AdapterConfig {
    pub method: String,
    pub settings: Map<String, Value>,
    /// The backbone that the adapter belongs to.
    pub model: String,
    pub model_revision: String,
    pub task: String,
    pub seed: u64,
    /// Identity of the cell that trained it.
    pub cell: String,
}

/// A trained method.
#[derive(Debug)]
pub struct Adapter<'a> {
    pub config: AdapterConfig,
    tensors: Vec<(&'a Parameter, &'a [f32])>,
}

const CONFIG: &str = "adapter.json";
pub(super) const TENSORS: &str = "adapter.safetensors";

/// The key in the description of the tensors that says which cell trained them.
const CELL: &str = "cell";

impl<'a> Adapter<'a> {
    /// The adapter that a cell trained; values in the order of the declared parameters.
    pub fn new(cell: &Cell, declared: &'a [Parameter], values: &'a [Vec<f32>]) -> Self {
        let config = AdapterConfig {
            method: cell.method.clone(),
            settings: cell.settings.clone(),
            model: portable(&cell.model),
            model_revision: cell.model_revision.clone(),
            task: portable(&cell.task),
            seed: cell.seed,
            cell: cell.id(),
        };
        let tensors = declared.iter().zip(values.iter().map(Vec::as_slice)).collect();
        Self { config, tensors }
    }

    /// Writes the two files.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), AdapterError> {
        let path = folder.join(TENSORS);
        let tensors: Vec<TensorEntry> = self
            .tensors
            .iter()
            .map(|(parameter, values)| TensorEntry::of(&parameter.name, &parameter.shape, values))
            .collect();
        tensors::write(&path, &tensors, &[(CELL, self.config.cell.clone())])
            .map_err(|source| AdapterError::Write { path, source })?;
        // The description comes last: a folder that has one is complete.
        let mut config = json!(self.config);
        config[checksum::KEY] = checksum::blank().into();
        let mut config = format!("{config:#}").into_bytes();
        checksum::fill_in(&mut config);
        let path = folder.join(CONFIG);
        atomic::write(&path, &config).map_err(|source| AdapterError::Write { path, source })
    }
}

/// Whether a folder holds an adapter of this program.
pub(super) fn is_adapter(folder: &Path) -> bool {
    folder.join(CONFIG).exists()
}

/// Reads an adapter and builds its method for a model. One that was made elsewhere may lack checksums, which is noted.
///
/// # Errors
/// When a file is missing, broken, or another than was written, or the tensors do not fit the model.
pub(super) fn read(folder: &Path, layout: &Layout) -> Result<Trained, AdapterError> {
    let described = |problem: String| AdapterError::Unreadable { path: folder.join(CONFIG), problem };
    let config = description(folder)?;
    let built = peft_model::peft::build(&config.method, &config.settings);
    let built = built.map_err(|e| described(e.to_string()))?;
    let declared = built.method.parameters(layout).map_err(described)?;
    let (path, bytes) = checked(folder, TENSORS)?;
    check_cell(&path, &bytes, &config.cell)?;
    let values = adapter::read(&declared, &bytes, &path)?;
    let AdapterConfig { method, model, model_revision, .. } = config;
    Ok(Trained { method, built, declared, values, model: Some(model), revision: Some(model_revision) })
}

/// The backbone that the adapter in a folder was trained over.
pub(super) fn backbone_of(folder: &Path) -> Result<String, AdapterError> {
    Ok(description(folder)?.model)
}

/// What `adapter.json` says.
pub(super) fn description(folder: &Path) -> Result<AdapterConfig, AdapterError> {
    let (path, bytes) = checked(folder, CONFIG)?;
    files::parse_json(&bytes).map_err(|problem| AdapterError::Unreadable { path, problem })
}

/// A file of an adapter that is as it was written.
fn checked(folder: &Path, name: &str) -> Result<(PathBuf, Vec<u8>), AdapterError> {
    let path = folder.join(name);
    let bytes = peft_model::files::read(&path, memory::available_bytes())?;
    check(path.clone(), &bytes)?;
    Ok((path, bytes))
}

/// Refuses a file that is another than was written.
fn check(path: PathBuf, bytes: &[u8]) -> Result<(), AdapterError> {
    match checksum::check(bytes) {
        Ok(()) => Ok(()),
        Err(Damage::Missing) => {
            crate::terminal::progress::say!("note: {}: {}", path.display(), Damage::Missing);
            Ok(())
        }
        Err(Damage::Wrong) => Err(AdapterError::Unreadable { path, problem: Damage::Wrong.to_string() }),
    }
}

/// Refuses the tensors of another cell than the description is of.
fn check_cell(path: &Path, bytes: &[u8], cell: &str) -> Result<(), AdapterError> {
    let header = SafeTensors::read_metadata(bytes).ok();
    let described = header.and_then(|(_, header)| header.metadata().clone()).unwrap_or_default();
    match described.get(CELL) {
        Some(other) if other != cell => {
            let problem = format!("its tensors are of cell {other}, but {CONFIG} beside it is of {cell}");
            Err(AdapterError::Unreadable { path: path.into(), problem })
        }
        _ => Ok(()),
    }
}
