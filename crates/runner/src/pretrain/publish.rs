//! The folder of a pretrained model: its files are those of one model, or there are no weights in it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use burn::tensor::DType;
use peft_model::t5::Backbone;

use super::PretrainError;

/// How the names of folders begin in which a model is written before it is moved.
const STAGING: &str = ".writing-model-";

const WEIGHTS: &str = "model.safetensors";

/// The files of a model; the weights come last, for a folder without them is no model.
const FILES: [&str; 3] = ["tokenizer.json", "config.json", WEIGHTS];

/// Makes a folder and tries whether files can be made in it, so that no training ends in front of a closed door.
///
/// # Errors
/// When it cannot be made or written.
pub fn prepare(folder: &Path) -> Result<(), PretrainError> {
    let write = |source| PretrainError::Write { path: folder.into(), source };
    fs::create_dir_all(folder).map_err(write)?;
    remove_staging(folder);
    tempfile::Builder::new().prefix(STAGING).tempdir_in(folder).map(drop).map_err(write)
}

/// Writes the configuration, the tokenizer and the weights in f16.
///
/// # Errors
/// When the folder cannot be written or the disk is full; the model that was there stays as it was.
pub fn publish(backbone: &Backbone, tokenizer: &[u8], folder: &Path) -> Result<(), PretrainError> {
    let write = |path: &Path| {
        let path = PathBuf::from(path);
        |source: io::Error| PretrainError::Write { path, source }
    };
    let staging = tempfile::Builder::new().prefix(STAGING).tempdir_in(folder).map_err(write(folder))?;
    backbone.save(staging.path(), DType::F16)?;
    let [tokenizer_path, ..] = FILES.map(|name| staging.path().join(name));
    fs::write(&tokenizer_path, tokenizer).map_err(write(&tokenizer_path))?;
    for name in FILES {
        File::open(staging.path().join(name)).and_then(|file| file.sync_all()).map_err(write(folder))?;
    }
    // A kill must not leave old weights beside a new configuration.
    match fs::remove_file(folder.join(WEIGHTS)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(write(&folder.join(WEIGHTS))(e)),
        _ => {}
    }
    for name in FILES {
        let path = folder.join(name);
        fs::rename(staging.path().join(name), &path).map_err(write(&path))?;
    }
    // The renames themselves must survive a crash.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(write(folder))
}

/// Removes what a pretraining that was killed while it wrote has left.
fn remove_staging(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(STAGING) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
