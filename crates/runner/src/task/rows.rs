//! Rows of a dataset as the template language sees them.

use std::path::PathBuf;

use super::error::{TaskError, shown};
use super::files::{Dialect, read_file};
use super::table::{Column, Table};
use super::value::Value;
use crate::files::FileError;

/// A table of rows, read from one or more files.
#[derive(Debug, Clone)]
pub struct Rows {
    columns: Vec<Column>,
    files: Vec<Part>,
    len: usize,
}

/// The rows of one file.
#[derive(Debug, Clone)]
struct Part {
    source: String,
    /// Every column of the file, read or not.
    names: Vec<String>,
    /// Number of rows in the files before it.
    start: usize,
    /// The line on which each row begins, for files with lines.
    lines: Option<Vec<usize>>,
}

impl Part {
    /// The line on which a row begins.
    fn line(&self, row: usize) -> Option<usize> {
        self.lines.as_ref()?.get(row - self.start).copied()
    }
}

/// One row of a table.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    rows: &'a Rows,
    index: usize,
}

impl Rows {
    /// Reads these columns of the files of one split, in order; a column that a file lacks is empty there. The
    /// extension gives the format: parquet, csv, tsv, jsonl.
    ///
    /// # Errors
    /// When a file is missing, damaged or of an unknown format, or a column changes its kind between files.
    pub fn read(paths: &[PathBuf], columns: &[String], dialect: Dialect) -> Result<Self, TaskError> {
        let mut rows = Self { columns: Vec::new(), files: Vec::new(), len: 0 };
        for path in paths {
            let table = read_file(path, columns, dialect)?;
            rows.append(table, path.display().to_string())
                .map_err(|problem| FileError::content(path, problem))?;
        }
        Ok(rows)
    }

    /// A table from columns of equal length; `source` names it in messages.
    pub fn new(columns: Vec<(String, Vec<Value>)>, source: &str) -> Self {
        let names = columns.iter().map(|(name, _)| name.clone()).collect();
        let len = columns.first().map_or(0, |(_, values)| values.len());
        let column = |(name, values)| {
            let mut column = Column::new(name);
            column.values = values;
            column
        };
        Self {
            columns: columns.into_iter().map(column).collect(),
            files: vec![Part { source: source.into(), names, start: 0, lines: None }],
            len,
        }
    }

    fn append(&mut self, table: Table, source: String) -> Result<(), String> {
        for column in table.columns {
            let known = self.columns.iter().position(|known| known.name == column.name);
            let place = known.unwrap_or_else(|| {
                let mut new = Column::new(column.name.clone());
                new.values.resize(self.len, Value::Null);
                self.columns.push(new);
                self.columns.len() - 1
            });
            self.columns[place].append(column)?;
        }
        self.files.push(Part { source, names: table.names, start: self.len, lines: table.lines });
        self.len += table.rows;
        self.columns.iter_mut().for_each(|column| column.values.resize(self.len, Value::Null));
        Ok(())
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Each file and the names of all its columns.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.files.iter().map(|file| (file.source.as_str(), file.names.as_slice()))
    }

    /// The files that the rows came from, for messages.
    pub fn source(&self) -> String {
        match &self.files[..] {
            [] => "no file".into(),
            [only] => only.source.clone(),
            [first, others @ ..] => format!("{} and {} more", first.source, others.len()),
        }
    }

    /// Where a row is, for messages: its file and line, or its number from 1 if the file has no lines.
    pub fn place(&self, row: usize) -> String {
        let Some(file) = self.file(row) else { return self.source() };
        match file.line(row) {
            Some(line) => format!("{}, line {line}", file.source),
            None => format!("{}, row {}", file.source, row - file.start + 1),
        }
    }

    /// The file that a row came from.
    fn file(&self, row: usize) -> Option<&Part> {
        self.files.iter().rev().find(|file| file.start <= row)
    }

    /// One row.
    ///
    /// # Panics
    /// When `index` is out of range.
    pub fn row(&self, index: usize) -> Row<'_> {
        assert!(index < self.len);
        Row { rows: self, index }
    }

    fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl Row<'_> {
    /// Position in the table.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The line of its file on which it begins, for files with lines.
    pub fn line(&self) -> Option<usize> {
        self.rows.file(self.index)?.line(self.index)
    }

    /// Whether the column exists.
    pub fn has(&self, column: &str) -> bool {
        self.rows.column(column).is_some()
    }

    /// The value of a column.
    ///
    /// # Errors
    /// When the column does not exist.
    pub fn value(&self, column: &str) -> Result<Value, String> {
        let found = self.rows.column(column).ok_or_else(|| format!("no column `{}`", shown(column)))?;
        Ok(found.values[self.index].clone())
    }
}
