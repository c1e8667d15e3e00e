//! Reading files of rows: Parquet, CSV, TSV and JSON lines.

use std::collections::HashMap;
use std::fs::File;
use std::io::Cursor;
use std::path::Path;

use polars::prelude::*;
use serde_json::Value as Json;

use super::TaskError;
use super::delimited::delimited;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads a file by its ending.
///
/// # Errors
/// When it is missing, broken, or of an unknown kind.
pub(super) fn read_file(path: &Path) -> Result<DataFrame, TaskError> {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let frame = match ending {
        "parquet" => {
            let file = File::open(path).map_err(|source| TaskError::Read { path: path.into(), source })?;
            ParquetReader::new(file).finish().map_err(|e| brief(&e))
        }
        "csv" => delimited(&read_text(path)?, ',', true),
        "tsv" => delimited(&read_text(path)?, '\t', false),
        "jsonl" | "ndjson" => json_lines(&read_text(path)?),
        other => {
            return Err(TaskError::Format { path: path.into(), ending: other.into() });
        }
    };
    frame.map_err(|problem| unreadable(path, problem))
}

/// The text of a file, without a byte order mark.
///
/// # Errors
/// When it is missing or not UTF-8; the message names the line.
pub(crate) fn read_text(path: &Path) -> Result<String, TaskError> {
    let bytes = std::fs::read(path).map_err(|source| TaskError::Read { path: path.into(), source })?;
    let mut text = String::from_utf8(bytes).map_err(|e| {
        let valid = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|&&byte| byte == b'\n').count();
        unreadable(path, format!("line {line} is not UTF-8"))
    })?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len_utf8());
    }
    Ok(text)
}

fn json_lines(text: &str) -> Result<DataFrame, String> {
    check_json(text)?;
    let reader = JsonReader::new(Cursor::new(text)).with_json_format(JsonFormat::JsonLines);
    reader.infer_schema_len(None).finish().map_err(|e| brief(&e))
}

/// Refuses the first line that cannot be a row like those before it: polars does not say which it is,
/// panics at large numbers, and writes a list as text where another row has text.
fn check_json(text: &str) -> Result<(), String> {
    let mut kinds = HashMap::new();
    for (before, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        json_row(line, &mut kinds).map_err(|problem| format!("line {}: {problem}", before + 1))?;
    }
    Ok(())
}

/// Checks one line against the kinds of the columns so far.
fn json_row(line: &str, kinds: &mut HashMap<String, &'static str>) -> Result<(), String> {
    let row: serde_json::Map<String, Json> = serde_json::from_str(line)
        // The position that it ends with counts lines from this one.
        .map_err(|e| e.to_string().split(" at line ").next().unwrap_or_default().to_string())?;
    for (column, value) in row {
        if let Some(number) = too_large(&value) {
            return Err(format!("column `{column}`: {number} is too large a number; write it as text"));
        }
        let Some(kind) = json_kind(&value) else { continue };
        let first = *kinds.entry(column.clone()).or_insert(kind);
        if kind != first {
            return Err(format!("column `{column}` holds {kind}, but {first} on an earlier line"));
        }
    }
    Ok(())
}

fn json_kind(value: &Json) -> Option<&'static str> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "a list",
        Json::Object(_) => "a record",
    })
}

/// A number that 64 bits cannot hold.
fn too_large(value: &Json) -> Option<&serde_json::Number> {
    match value {
        Json::Number(number) => (number.as_f64()?.abs() >= 2f64.powi(63)).then_some(number),
        Json::Array(values) => values.iter().find_map(too_large),
        Json::Object(fields) => fields.values().find_map(too_large),
        _ => None,
    }
}

/// What polars says, without its advice on how to call it.
pub(super) fn brief(error: &PolarsError) -> String {
    error.to_string().lines().next().unwrap_or_default().into()
}

pub(super) fn unreadable(path: &Path, problem: String) -> TaskError {
    TaskError::Unreadable { path: path.into(), problem }
}
