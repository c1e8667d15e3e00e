//! Commands' standard output.

use std::io::{self, ErrorKind, Write};

use anyhow::{Context, Result};

use crate::terminal::printable;

/// Writes to standard output.
pub(super) fn write(bytes: &[u8]) -> Result<()> {
    write_to(&mut std::io::stdout().lock(), bytes).context("cannot write to standard output")
}

/// Writes a line to standard output, with terminal control characters escaped.
pub(super) fn line(text: impl std::fmt::Display) -> Result<()> {
    write(format!("{}\n", printable(&text.to_string())).as_bytes())
}

/// Writes to a stream whose reader may be gone, as after `| head`, which is not an error.
pub(super) fn write_to(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
