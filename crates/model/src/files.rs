//! Opening the files of a model folder, which may be anything.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::Error;

/// What a Git LFS pointer begins with.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Opens a regular file, or a link to one: a FIFO would block, a device never ends.
///
/// # Errors
/// When there is none; a directory, a device, a pipe and a socket are none.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let found = std::fs::metadata(path)?;
    if found.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory, not a file"));
    }
    if !found.is_file() {
        let problem = "it is a device, a pipe or a socket, not a regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    File::open(path)
}

/// Opens a regular file of a model folder.
///
/// # Errors
/// As [`open_regular`], and when it is a Git LFS pointer in place of the file.
pub fn open(path: &Path) -> Result<File, Error> {
    let failed = |source| Error::Read { path: path.into(), source };
    let mut start = Vec::new();
    let file = open_regular(path).map_err(failed)?;
    (&file).take(LFS_POINTER.len() as u64).read_to_end(&mut start).map_err(failed)?;
    if start == LFS_POINTER {
        return Err(Error::GitLfsPointer { path: path.into() });
    }
    File::open(path).map_err(failed)
}

/// Reads a whole regular file of at most so many bytes.
///
/// # Errors
/// As [`open`], and when the file is larger.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read { path: path.into(), source };
    let mut bytes = Vec::new();
    open(path)?.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(failed(io::Error::other(format!("it is larger than {} MiB", most >> 20))));
    }
    Ok(bytes)
}

/// Reads a whole regular text file of at most so many bytes.
///
/// # Errors
/// As [`read`], and when the bytes are not UTF-8.
pub fn read_text(path: &Path, most: u64) -> Result<String, Error> {
    String::from_utf8(read(path, most)?)
        .map_err(|_| Error::Read { path: path.into(), source: io::Error::other("it is not UTF-8 text") })
}

/// Floats as files hold them, little-endian.
pub fn floats(bytes: &[u8]) -> Vec<f32> {
    let floats = bytes.chunks_exact(size_of::<f32>());
    floats.map(|float| f32::from_le_bytes(float.try_into().expect("exact chunks"))).collect()
}

/// The bytes of floats, little-endian.
pub fn float_bytes(floats: &[f32]) -> Vec<u8> {
    floats.iter().flat_map(|float| float.to_le_bytes()).collect()
}

/// Refuses a folder that Python's peft wrote: transformers would load another model for it, and put the adapter on
/// that.
///
/// # Errors
/// When there is an `adapter_config.json`; the message names the base model that it asks for.
pub fn refuse_peft_adapter(folder: &Path) -> Result<(), Error> {
    let path = folder.join("adapter_config.json");
    if !path.exists() {
        return Ok(());
    }
    let base = read_text(&path, 1 << 20).ok().and_then(|text| {
        let fields: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(fields.get("base_model_name_or_path")?.as_str()?.to_string())
    });
    Err(Error::PeftAdapter { path: folder.into(), base })
}
