use std::path::Path;

use serde::{Deserialize, Serialize};

use super::adapter::{self, AdapterConfig, AdapterError};
use super::portable::portable;
use crate::files::digest::Digest;

/// A trained adapter that a cell started from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub role: Role,
    pub method: String,
    /// The cell that trained it, its task and its seed, where a run of this program did.
    pub cell: Option<String>,
    pub task: Option<String>,
    pub seed: Option<u64>,
    /// SHA-256 of the file with its tensors.
    pub sha256: String,
}

/// What an adapter is to the cell that starts from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// One of the method's sources.
    Source,
    /// The cell goes on where it ended.
    InitFrom,
    /// The cell scores it as it is.
    Scored,
}

/// Files that hold the tensors of an adapter; a folder has one of them.
const TENSORS: [&str; 3] = [adapter::TENSORS, "adapter_model.safetensors", "adapter_model.bin"];

impl Origin {
    /// The adapter of a method in a folder.
    ///
    /// # Errors
    /// When its description or the file with its tensors cannot be read.
    pub fn read(role: Role, method: &str, folder: &Path) -> Result<Self, AdapterError> {
        let unreadable = |problem: String| AdapterError::Unreadable { path: folder.into(), problem };
        let file = TENSORS.map(|name| folder.join(name)).into_iter().find(|path| path.is_file());
        let file = file.ok_or_else(|| unreadable(format!("it has no {}", TENSORS.join(" or "))))?;
        let sha256 = Digest::of_file(&file).map_err(|e| unreadable(e.to_string()))?.hex();
        let described = adapter::is_adapter(folder).then(|| adapter::description(folder)).transpose()?;
        let (cell, task, seed) = match described {
            Some(AdapterConfig { cell, task, seed, .. }) => (Some(cell), Some(portable(&task)), Some(seed)),
            None => (None, None, None),
        };
        Ok(Self { role, method: method.into(), cell, task, seed, sha256 })
    }

    /// `prompt-tuning on mnli`
    pub fn title(&self) -> String {
        match &self.task {
            Some(task) => format!("{} on {task}", self.method),
            None => format!("an adapter of {}", self.method),
        }
    }

    /// `prompt-tuning on mnli, seed 42 (cell 0123456789abcdef, adapter SHA-256 ...)`
    pub fn text(&self) -> String {
        let seed = self.seed.map(|seed| format!(", seed {seed}")).unwrap_or_default();
        let cell = self.cell.as_ref().map(|cell| format!("cell {cell}, ")).unwrap_or_default();
        format!("{}{seed} ({cell}adapter SHA-256 {})", self.title(), self.sha256)
    }
}
