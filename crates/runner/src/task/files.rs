//! Reads files of rows: Parquet, CSV, TSV and JSON lines.

use std::path::Path;

use super::delimited::{Quote, delimited};
use super::error::TaskError;
use super::json::json_lines;
use super::parquet::parquet;
use super::table::Table;
use crate::files::{FileError, read_text};

/// The format of delimited text, if a task specifies it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dialect {
    pub quote: Option<Quote>,
    pub separator: Option<char>,
}

/// Whether a file is delimited text, by its extension.
pub(super) fn is_delimited(path: &Path) -> bool {
    matches!(&*extension(path), "csv" | "tsv")
}

/// Reads the requested columns of a file, in the format of its extension.
///
/// # Errors
/// When it is missing, malformed, or of an unknown format.
pub(super) fn read_file(path: &Path, wanted: &[String], dialect: Dialect) -> Result<Table, TaskError> {
    let separated = |separator, quote| -> Result<_, FileError> {
        let (separator, quote) = (dialect.separator.unwrap_or(separator), dialect.quote.unwrap_or(quote));
        Ok(delimited(&lines(path)?, separator, quote, wanted))
    };
    let table = match &*extension(path) {
        "parquet" => parquet(path, wanted),
        "csv" => separated(',', Quote::Enclosing)?,
        // Both conventions are common.
        "tsv" => separated('\t', Quote::Auto)?,
        "jsonl" | "ndjson" => json_lines(&lines(path)?, wanted),
        other => return Err(TaskError::Format { path: path.into(), extension: other.into() }),
    };
    table.map_err(|problem| FileError::content(path, problem).into())
}

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// The text of a file whose lines are rows.
fn lines(path: &Path) -> Result<String, FileError> {
    let text = read_text(path)?;
    if text.contains('\r') && !text.contains('\n') {
        let problem = "the lines end with CR alone; save the file with LF or CRLF line endings";
        return Err(FileError::content(path, problem.into()));
    }
    Ok(text)
}
