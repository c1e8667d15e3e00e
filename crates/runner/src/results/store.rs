use std::fs::{self, File};
use std::path::{Path, PathBuf};

use polars::prelude::*;
use sha2::{Digest, Sha256};

use super::Record;
use super::parquet::to_parquet;
use crate::atomic;

/// What can go wrong with a results folder.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("cannot read {}: {problem}", path.display())]
    Read { path: PathBuf, problem: String },
    #[error("cannot make {}: {problem}", path.display())]
    Make { path: PathBuf, problem: String },
    #[error("{} holds no results: there is no cell in `cells/`; give a folder that `peft-bench run` has written", path.display())]
    NoCells { path: PathBuf },
}

/// A results folder: `cells/<id>.parquet`, `adapters/<id>/`, `comparison.parquet`.
///
/// Files are whole or absent, so any number of processes may share a folder.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Opens a results folder, making it where needed.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let cells = folder.join("cells");
        fs::create_dir_all(&cells)
            .and_then(|()| tempfile::Builder::new().prefix(".writing-").tempfile_in(&cells).map(drop))
            .map_err(|source| StoreError::Write { path: cells, source })?;
        Ok(Self { folder: folder.into() })
    }

    /// Opens a results folder to read it, and nothing else.
    ///
    /// # Errors
    /// When there are no results in it.
    pub fn read_only(folder: &Path) -> Result<Self, StoreError> {
        let store = Self { folder: folder.into() };
        match store.ids() {
            Ok(ids) if !ids.is_empty() => Ok(store),
            Err(StoreError::Read { path, problem }) => Err(StoreError::Read { path, problem }),
            _ => Err(StoreError::NoCells { path: folder.into() }),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the adapter of a cell goes.
    pub fn adapter_folder(&self, cell: &str) -> PathBuf {
        self.folder.join("adapters").join(cell)
    }

    /// Where the cells that train side by side keep their state on the way.
    pub fn state_path(&self, cells: &[String]) -> PathBuf {
        let digest = Sha256::digest(cells.join(" "));
        let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        self.folder.join("state").join(format!("{name}.safetensors"))
    }

    /// Removes the state of cells that are done.
    pub fn remove_state(&self, cells: &[String]) {
        atomic::remove(&self.state_path(cells));
        // Other cells may have theirs.
        let _ = fs::remove_dir(self.folder.join("state"));
    }

    fn cell_path(&self, cell: &str) -> PathBuf {
        self.folder.join("cells").join(format!("{cell}.parquet"))
    }

    /// Reads the result of a cell, if there is one.
    ///
    /// # Errors
    /// When the file is broken: the message names it, so that it can be removed.
    pub fn read(&self, cell: &str) -> Result<Option<Record>, StoreError> {
        let path = self.cell_path(cell);
        if !path.exists() {
            return Ok(None);
        }
        let broken = |problem: String| StoreError::Read { path: path.clone(), problem };
        let file = File::open(&path).map_err(|e| broken(e.to_string()))?;
        let frame = ParquetReader::new(file).finish().map_err(|e| broken(e.to_string()))?;
        Record::from_frame(&frame).map(Some).map_err(|e| broken(e.to_string()))
    }

    /// Reads the results of all cells that have one, in the order of their names.
    ///
    /// # Errors
    /// When a file is broken: the message names it.
    pub fn records(&self) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::new();
        for id in self.ids()? {
            records.extend(self.read(&id)?);
        }
        Ok(records)
    }

    /// Names of the cells that have a result.
    fn ids(&self) -> Result<Vec<String>, StoreError> {
        let path = self.folder.join("cells");
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(StoreError::Read { path, problem: e.to_string() }),
        };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let is_id = |id: &str| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let ids = names.filter_map(|name| name.strip_suffix(".parquet").map(String::from));
        let mut ids: Vec<String> = ids.filter(|id| is_id(id)).collect();
        ids.sort();
        Ok(ids)
    }

    /// Writes the result of a cell.
    ///
    /// # Errors
    /// When the disk is full or the folder not writable.
    pub fn write(&self, record: &Record) -> Result<(), StoreError> {
        let path = self.cell_path(&record.cell);
        let frame =
            record.to_frame().map_err(|e| StoreError::Read { path: path.clone(), problem: e.to_string() })?;
        self.write_frame(&path, frame)
    }

    /// Writes a table beside the cells.
    ///
    /// # Errors
    /// When the disk is full or the folder not writable.
    pub fn write_table(&self, name: &str, frame: DataFrame) -> Result<PathBuf, StoreError> {
        let path = self.folder.join(name);
        self.write_frame(&path, frame)?;
        Ok(path)
    }

    /// Writes a text file beside the cells.
    ///
    /// # Errors
    /// When the disk is full or the folder not writable.
    pub fn write_text(&self, name: &str, text: &str) -> Result<PathBuf, StoreError> {
        let path = self.folder.join(name);
        atomic::write(&path, text.as_bytes())
            .map_err(|source| StoreError::Write { path: path.clone(), source })?;
        Ok(path)
    }

    fn write_frame(&self, path: &Path, mut frame: DataFrame) -> Result<(), StoreError> {
        let bytes = to_parquet(&mut frame)
            .map_err(|e| StoreError::Read { path: path.into(), problem: e.to_string() })?;
        atomic::write(path, &bytes).map_err(|source| StoreError::Write { path: path.into(), source })
    }
}
