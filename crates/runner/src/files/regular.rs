//! Files that users name: only regular ones are opened and sizes are bounded, so that no read blocks or never ends.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use peft_model::files::open_regular as open;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: not readable ({problem})", path.display())]
    Content { path: PathBuf, problem: String },
}

impl FileError {
    /// What is wrong with the content of a file.
    pub fn content(path: &Path, problem: String) -> Self {
        Self::Content { path: path.into(), problem }
    }
}

/// All bytes of a regular file.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// All bytes of a file that has at most `most`; `bound` says why not more.
pub(super) fn read(path: &Path, most: u64, bound: impl Fn() -> String) -> Result<Vec<u8>, FileError> {
    let cannot = |source| FileError::Read { path: path.into(), source };
    let file = open(path).map_err(cannot)?;
    let size = file.metadata().map_err(cannot)?.len();
    let mut bytes = Vec::new();
    if size <= most {
        // Files of the system say that they are empty, and others can grow meanwhile.
        file.take(most + 1).read_to_end(&mut bytes).map_err(cannot)?;
    }
    match size.max(bytes.len() as u64) {
        size if size > most => Err(FileError::content(path, format!("it has {size} bytes, but {}", bound()))),
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        assert!(open(folder.path()).unwrap_err().to_string().contains("directory"));
        assert!(open(&folder.path().join("none")).is_err());
        #[cfg(unix)]
        {
            let socket = folder.path().join("socket");
            let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            let link = folder.path().join("zero");
            std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
            for path in [&socket, &link] {
                assert!(open(path).unwrap_err().to_string().contains("regular file"), "{}", path.display());
            }
        }
    }
}
