//! Reading files of rows: Parquet, CSV, TSV and JSON lines.

use std::path::Path;

use super::delimited::{Quote, delimited};
use super::error::TaskError;
use super::json::json_lines;
use super::parquet::parquet;
use super::table::Table;
use crate::files::{FileError, read_text};

/// How delimited text is written, where a task says so.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dialect {
    pub quote: Option<Quote>,
    pub separator: Option<char>,
}

/// Whether a file is delimited text, by its ending.
pub(super) fn is_delimited(path: &Path) -> bool {
    matches!(&*ending(path), "csv" | "tsv")
}

/// Reads the wanted columns of a file, by its ending.
///
/// # Errors
/// When it is missing, broken, or of an unknown kind.
pub(super) fn read_file(path: &Path, wanted: &[String], dialect: Dialect) -> Result<Table, TaskError> {
    let separated = |separator, quote| -> Result<_, FileError> {
        let (separator, quote) = (dialect.separator.unwrap_or(separator), dialect.quote.unwrap_or(quote));
        Ok(delimited(&lines(path)?, separator, quote, wanted))
    };
    let table = match &*ending(path) {
        "parquet" => parquet(path, wanted),
        "csv" => separated(',', Quote::Enclosing)?,
        // Datasets come both ways.
        "tsv" => separated('\t', Quote::Auto)?,
        "jsonl" | "ndjson" => json_lines(&lines(path)?, wanted),
        other => return Err(TaskError::Format { path: path.into(), ending: other.into() }),
    };
    table.map_err(|problem| FileError::content(path, problem).into())
}

fn ending(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// The text of a file whose lines are rows.
fn lines(path: &Path) -> Result<String, FileError> {
    let text = read_text(path)?;
    if text.contains('\r') && !text.contains('\n') {
        let problem = "its lines end with CR alone, as on old Macs; save it with line ends LF or CRLF";
        return Err(FileError::content(path, problem.into()));
    }
    Ok(text)
}
