//! Rows of a dataset as the template language sees them.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use polars::prelude::*;

use super::TaskError;
use super::files::{brief, read_file, unreadable};

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

    /// Whether there is such a column.
    pub fn has(&self, column: &str) -> bool {
        self.rows.frame.get_column_index(column).is_some()
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
