//! Rows of a dataset as the template language sees them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use polars::prelude::*;

use super::TaskError;

/// What a cell of a dataset holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Text(String),
    Integer(i64),
    Number(f64),
    List(Vec<Value>),
    Record(Vec<(String, Value)>),
}

impl Value {
    /// What kind of value this is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "an empty cell",
            Value::Text(_) => "text",
            Value::Integer(_) => "an integer",
            Value::Number(_) => "a number",
            Value::List(_) => "a list",
            Value::Record(_) => "a record",
        }
    }

    /// The value as text; lists and records have none.
    pub(super) fn into_text(self, path: &impl std::fmt::Display) -> Result<String, String> {
        match self {
            Value::Text(text) => Ok(text),
            Value::Integer(i) => Ok(i.to_string()),
            Value::Number(x) => Ok(x.to_string()),
            Value::Null => Err(format!("column `{path}` is empty")),
            other => Err(format!(
                "column `{path}` holds {}; use a text function such as `first` or `join`",
                other.kind()
            )),
        }
    }

    fn from_any(value: AnyValue) -> Self {
        match value {
            AnyValue::Null => Value::Null,
            AnyValue::String(text) => Value::Text(text.to_string()),
            AnyValue::StringOwned(text) => Value::Text(text.to_string()),
            AnyValue::Boolean(b) => Value::Integer(i64::from(b)),
            AnyValue::List(series) => Value::List(series.iter().map(Value::from_any).collect()),
            AnyValue::Struct(..) | AnyValue::StructOwned(_) => Self::from_struct(value),
            other if other.is_integer() => Value::Integer(other.extract().unwrap_or_default()),
            other if other.is_float() => Value::Number(other.extract().unwrap_or_default()),
            other => Value::Text(other.to_string()),
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
            frame.vstack_mut(&next).map_err(|e| unreadable(path, e))?;
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
    let open = || File::open(path).map_err(|source| TaskError::Read { path: path.into(), source });
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let frame = match ending {
        "parquet" => ParquetReader::new(open()?).finish(),
        "csv" => read_delimited(open()?, b','),
        "tsv" => read_delimited(open()?, b'\t'),
        "jsonl" | "ndjson" => {
            JsonReader::new(open()?).with_json_format(JsonFormat::JsonLines).infer_schema_len(None).finish()
        }
        other => {
            return Err(TaskError::Format { path: path.into(), ending: other.into() });
        }
    };
    frame.map_err(|e| unreadable(path, e))
}

fn read_delimited(file: File, separator: u8) -> PolarsResult<DataFrame> {
    CsvReadOptions::default()
        .with_infer_schema_length(None)
        .with_parse_options(CsvParseOptions::default().with_separator(separator))
        .into_reader_with_file_handle(file)
        .finish()
}

fn unreadable(path: &Path, error: PolarsError) -> TaskError {
    TaskError::Unreadable { path: path.into(), problem: error.to_string() }
}
