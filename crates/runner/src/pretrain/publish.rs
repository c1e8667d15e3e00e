//! The folder of a pretrained model: its files belong to one model, or it has no weights.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use burn::tensor::DType;
use peft_model::Backbone;

use super::error::PretrainError;
use crate::files::atomic::death;

/// Prefix of the folders in which a model is written before it is moved.
const STAGING: &str = ".writing-model-";

const WEIGHTS: &str = "model.safetensors";

/// The files of a model; the weights come last, since a folder without them is not a model.
const FILES: [&str; 4] = [TOKENIZER, "config.json", REPORT, WEIGHTS];

const TOKENIZER: &str = "tokenizer.json";

/// The report of the pretraining.
const REPORT: &str = "pretraining.json";

/// Creates a folder and checks that it is writable, so that this does not fail only after the training.
///
/// # Errors
/// When it cannot be created or written.
pub(super) fn prepare(folder: &Path) -> Result<(), PretrainError> {
    fs::create_dir_all(folder).map_err(cannot_write(folder))?;
    remove_staging(folder);
    tempfile::Builder::new().prefix(STAGING).tempdir_in(folder).map(drop).map_err(cannot_write(folder))
}

/// A model in a temporary folder inside the target folder.
pub(super) struct Staged(tempfile::TempDir);

impl Staged {
    /// Writes the configuration, the tokenizer and the weights in f16; an existing model is not touched.
    ///
    /// # Errors
    /// When the folder cannot be written or the disk is full.
    pub(super) fn write(
        backbone: &dyn Backbone,
        tokenizer: &[u8],
        folder: &Path,
    ) -> Result<Self, PretrainError> {
        let staging = tempfile::Builder::new().prefix(STAGING).tempdir_in(folder);
        let staged = Self(staging.map_err(cannot_write(folder))?);
        backbone.save(staged.folder(), DType::F16)?;
        staged.write_file(TOKENIZER, tokenizer)?;
        Ok(staged)
    }

    /// Path of the temporary folder.
    pub(super) fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Moves it to its place, together with a report.
    ///
    /// # Errors
    /// When the folder cannot be written or the disk is full.
    pub(super) fn publish(self, report: &[u8], folder: &Path) -> Result<(), PretrainError> {
        self.write_file(REPORT, report)?;
        for name in FILES {
            let path = self.folder().join(name);
            File::open(&path).and_then(|file| file.sync_all()).map_err(cannot_write(&path))?;
        }
        // A kill must not leave old weights with a new configuration.
        death::step();
        let weights = folder.join(WEIGHTS);
        match fs::remove_file(&weights) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(cannot_write(&weights)(e)),
            _ => {}
        }
        for name in FILES {
            death::step();
            let path = folder.join(name);
            fs::rename(self.folder().join(name), &path).map_err(cannot_write(&path))?;
        }
        death::step();
        // The renames themselves must survive a crash.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(cannot_write(folder))
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> Result<(), PretrainError> {
        let path = self.folder().join(name);
        fs::write(&path, bytes).map_err(cannot_write(&path))
    }
}

fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> PretrainError {
    let path = PathBuf::from(path);
    |source| PretrainError::Write { path, source }
}

/// Removes the temporary folders of a pretraining that was killed while writing.
fn remove_staging(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(STAGING) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
