//! What commands say on standard output.

use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};

/// Writes to standard output. Nobody listening any more, as after `| head`, is no error.
pub fn write(bytes: &[u8]) -> Result<()> {
    match std::io::stdout().lock().write_all(bytes) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

/// Writes a line to standard output.
pub fn line(text: impl std::fmt::Display) -> Result<()> {
    write(format!("{text}\n").as_bytes())
}
