//! Files with one JSON object per line, as commands take and give them.

use std::path::Path;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use super::output;
use crate::atomic;
use crate::task::read_text;

/// Reads a file; `fields` names what its objects must have, for messages.
pub fn read<T: DeserializeOwned>(path: &Path, fields: &str) -> Result<Vec<T>> {
    Ok(read_numbered(path, fields)?.into_iter().map(|(_, object)| object).collect())
}

/// Reads a file; each object comes with the number of its line, from 1.
pub fn read_numbered<T: DeserializeOwned>(path: &Path, fields: &str) -> Result<Vec<(usize, T)>> {
    let text = read_text(path)?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let expected = || format!("{}, line {number}: expected an object with {fields}", path.display());
            Ok((number, serde_json::from_str(line).with_context(expected)?))
        })
        .collect()
}

/// Writes lines to a file, or to standard output where there is none.
pub fn write(path: Option<&Path>, lines: &[u8]) -> Result<()> {
    match path {
        Some(path) => atomic::write(path, lines).with_context(|| format!("cannot write {}", path.display())),
        None => output::write(lines),
    }
}
