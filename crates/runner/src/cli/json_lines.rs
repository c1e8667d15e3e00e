//! Files with one JSON object per line, the format of commands' input and output.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use anyhow::{Context, Error, Result};
use serde::de::DeserializeOwned;

use super::output;
use crate::files::atomic;
use crate::files::{parse_json, read_text};

/// Reads a file; each object comes with the number of its line, from 1. `fields` names the required fields, for messages.
pub(super) fn read_numbered<T: DeserializeOwned>(path: &Path, fields: &str) -> Result<Vec<(usize, T)>> {
    let text = read_text(path)?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let expected = || format!("{}, line {number}: expected an object with {fields}", path.display());
            let object = parse_json(line.as_bytes()).map_err(Error::msg).with_context(expected)?;
            Ok((number, object))
        })
        .collect()
}

/// Writes lines to a file, or to standard output if `path` is `None`.
pub(super) fn write(path: Option<&Path>, lines: &[u8]) -> Result<()> {
    match path {
        Some(path) => write_file(path, lines).with_context(|| format!("cannot write {}", path.display())),
        None => output::write(lines),
    }
}

/// Replaces a regular file atomically; writes into a device, a FIFO or a link, such as `/dev/stdout`.
fn write_file(path: &Path, lines: &[u8]) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => output::write_to(&mut File::create(path)?, lines),
        _ => atomic::write(path, lines),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{FileTypeExt, symlink};

    use super::*;

    #[test]
    fn a_link_is_kept_and_its_target_written() {
        let folder = tempfile::tempdir().unwrap();
        let (link, target) = (folder.path().join("link"), folder.path().join("target"));
        symlink("target", &link).unwrap();
        for lines in ["one\ntwo\n", "three\n"] {
            write(Some(&link), lines.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&target).unwrap(), lines);
            assert!(link.is_symlink());
        }
    }

    #[test]
    fn a_device_is_written_into_and_its_error_reported() {
        write(Some(Path::new("/dev/null")), b"{}\n").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("full");
        symlink("/dev/full", &link).unwrap();
        let full = write(Some(&link), b"{}\n").unwrap_err();
        assert!(format!("{full:#}").contains("No space left"), "{full:#}");
    }
}
