//! Rows of a dataset as the template language sees them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use polars::prelude::*;
use serde_json::Value as Json;

use super::TaskError;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// What a cell of a dataset holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Text(String),
    Boolean(bool),
    Integer(i64),
    Number(f64),
    List(Vec<Value>),
    Record(Vec<(String, Value)>),
    /// A type that has no text, such as a date: its name.
    Other(String),
}

impl Value {
    /// What kind of value this is, for messages.
    pub fn kind(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Value::Null => "an empty cell",
            Value::Text(_) => "text",
            Value::Boolean(_) => "true or false",
            Value::Integer(_) => "an integer",
            Value::Number(_) => "a number",
            Value::List(_) => "a list",
            Value::Record(_) => "a record",
            Value::Other(name) => return format!("the type `{name}`").into(),
        })
    }

    /// The value as text; lists and records have none.
    pub(super) fn into_text(self, path: &impl std::fmt::Display) -> Result<String, String> {
        match self {
            Value::Text(text) => Ok(text),
            Value::Boolean(b) => Ok(b.to_string()),
            Value::Integer(i) => Ok(i.to_string()),
            Value::Number(x) => Ok(x.to_string()),
            Value::Null => Err(format!("column `{path}` is empty")),
            other @ Value::Other(_) => {
                Err(format!("column `{path}` holds {}, which has no text; store it as text", other.kind()))
            }
            other => Err(format!(
                "column `{path}` holds {}; use a text function such as `first` or `join`",
                other.kind()
            )),
        }
    }

    fn from_any(value: AnyValue) -> Self {
        if let Some(text) = value.get_str() {
            return Value::Text(text.into());
        }
        match value {
            AnyValue::Null => Value::Null,
            AnyValue::Boolean(b) => Value::Boolean(b),
            AnyValue::List(series) => Value::List(series.iter().map(Value::from_any).collect()),
            AnyValue::Struct(..) | AnyValue::StructOwned(_) => Self::from_struct(value),
            other if other.is_integer() => other.extract().map_or_else(|| large(&other), Value::Integer),
            other if other.is_float() => Value::Number(other.extract().unwrap_or_default()),
            other => Value::Other(other.dtype().to_string()),
        }
    }

    fn from_struct(value: AnyValue) -> Self {
        let record = |names: &[Field], values: Vec<Value>| {
            Value::Record(names.iter().map(|f| f.name().to_string()).zip(values).collect())
        };
        match &value {
            AnyValue::Struct(_, _, fields) => {
                record(fields, value._iter_struct_av().map(Value::from_any).collect())
            }
            AnyValue::StructOwned(owned) => {
                record(&owned.1, owned.0.iter().cloned().map(Value::from_any).collect())
            }
            _ => Value::Null,
        }
    }
}

/// An integer of more than 64 bits with sign, such as a hash that serves as an id.
fn large(integer: &AnyValue) -> Value {
    match integer.extract::<i128>() {
        Some(integer) => Value::Text(integer.to_string()),
        None => Value::Other(integer.dtype().to_string()),
    }
}

/// A table of rows, read from one or more files.
#[derive(Debug, Clone)]
pub struct Rows {
    frame: DataFrame,
    source: Arc<str>,
}

/// One row of a table.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    rows: &'a Rows,
    index: usize,
}

impl Rows {
    /// Reads files of one split, in order. The ending says the format: parquet, csv, tsv, jsonl.
    ///
    /// # Errors
    /// When a file is missing, truncated, of an unknown kind, or its columns differ from the first's.
    pub fn read(paths: &[PathBuf]) -> Result<Self, TaskError> {
        let mut frames = Vec::new();
        for path in paths {
            frames.push(read_file(path)?);
        }
        let source = paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ");
        let mut frames = frames.into_iter();
        let mut frame = frames.next().unwrap_or_default();
        for (next, path) in frames.zip(&paths[1..]) {
            frame.vstack_mut(&next).map_err(|e| unreadable(path, brief(&e)))?;
        }
        frame.rechunk_mut();
        Ok(Self { frame, source: source.into() })
    }

    /// A table from a frame that is already in memory; `source` names it in messages.
    pub fn new(frame: DataFrame, source: &str) -> Self {
        Self { frame, source: source.into() }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.frame.height()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names of the columns.
    pub fn columns(&self) -> Vec<String> {
        self.frame.get_column_names().iter().map(|n| n.to_string()).collect()
    }

    /// The files that the rows came from, for messages.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// One row.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, index: usize) -> Row<'_> {
        assert!(index < self.len());
        Row { rows: self, index }
    }
}

impl Row<'_> {
    /// Position in the table.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The value of a column.
    ///
    /// # Errors
    /// When there is no such column; the message lists those present.
    pub fn value(&self, column: &str) -> Result<Value, String> {
        let series = self.rows.frame.column(column).map_err(|_| {
            format!("there is no column `{column}`; the columns are {}", self.rows.columns().join(", "))
        })?;
        // The index was checked when the row was made.
        Ok(series.get(self.index).map_or(Value::Null, Value::from_any))
    }
}

fn read_file(path: &Path) -> Result<DataFrame, TaskError> {
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

fn read_text(path: &Path) -> Result<String, TaskError> {
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

/// Every cell is text as the file has it: nothing is guessed from what it looks like.
fn delimited(text: &str, separator: char, quotes: bool) -> Result<DataFrame, String> {
    let mut records = Records { text, rest: text, separator, quotes };
    let names = column_names(records.record()?)?;
    let mut columns = vec![Vec::new(); names.len()];
    while !records.rest.is_empty() {
        let start = records.rest;
        let record = records.record()?;
        if record == [None] {
            continue;
        }
        if record.len() != names.len() {
            let line = records.line_of(start);
            return Err(format!("line {line}: {} field(s), the header has {}", record.len(), names.len()));
        }
        columns.iter_mut().zip(record).for_each(|(column, field)| column.push(field));
    }
    let rows = columns.first().map_or(0, Vec::len);
    let column = |(name, fields): (String, _)| Column::new(name.into(), fields);
    DataFrame::new(rows, names.into_iter().zip(columns).map(column).collect()).map_err(|e| brief(&e))
}

fn column_names(header: Vec<Option<String>>) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::new();
    for name in header {
        let name = name.ok_or("line 1: a column has no name")?;
        if names.contains(&name) {
            return Err(format!("line 1: two columns have the name `{name}`"));
        }
        names.push(name);
    }
    Ok(names)
}

/// Reads delimited text record by record.
struct Records<'a> {
    text: &'a str,
    rest: &'a str,
    separator: char,
    /// Whether a field may stand in quotes; where not, they are characters like others.
    quotes: bool,
}

impl Records<'_> {
    /// The line on which a rest of the text starts.
    fn line_of(&self, rest: &str) -> usize {
        let before = &self.text[..self.text.len() - rest.len()];
        1 + before.matches('\n').count()
    }

    fn record(&mut self) -> Result<Vec<Option<String>>, String> {
        let mut fields = Vec::new();
        loop {
            let (field, more) = self.field()?;
            fields.push(field);
            if !more {
                return Ok(fields);
            }
        }
    }

    /// A field, none where it is empty, and whether the record has more.
    fn field(&mut self) -> Result<(Option<String>, bool), String> {
        let quoted = self.quoted()?;
        let end = self.rest.find([self.separator, '\n']).unwrap_or(self.rest.len());
        let (plain, rest) = self.rest.split_at(end);
        let more = rest.starts_with(self.separator);
        let plain = if more { plain } else { plain.strip_suffix('\r').unwrap_or(plain) };
        if quoted.is_some() && !plain.is_empty() {
            return Err(format!("line {}: `{plain}` follows a closing quote", self.line_of(self.rest)));
        }
        self.rest = rest.get(1..).unwrap_or_default();
        Ok((quoted.or_else(|| (!plain.is_empty()).then(|| plain.into())), more))
    }

    /// The text of a field that stands in quotes; a quote in it is written twice.
    fn quoted(&mut self) -> Result<Option<String>, String> {
        let Some(mut rest) = self.rest.strip_prefix('"').filter(|_| self.quotes) else { return Ok(None) };
        let mut field = String::new();
        loop {
            let Some((inner, after)) = rest.split_once('"') else {
                return Err(format!("line {}: a quote is never closed", self.line_of(self.rest)));
            };
            field.push_str(inner);
            let Some(after_two) = after.strip_prefix('"') else {
                self.rest = after;
                return Ok(Some(field));
            };
            field.push('"');
            rest = after_two;
        }
    }
}

/// What polars says, without its advice on how to call it.
fn brief(error: &PolarsError) -> String {
    error.to_string().lines().next().unwrap_or_default().into()
}

fn unreadable(path: &Path, problem: String) -> TaskError {
    TaskError::Unreadable { path: path.into(), problem }
}
