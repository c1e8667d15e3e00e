//! The columns of one file that a task names.

use super::value::Value;

/// The rows of a file.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Every column of the file, read or not.
    pub names: Vec<String>,
    /// The requested columns that exist, one value per row.
    pub columns: Vec<Column>,
    pub rows: usize,
    /// The line on which each row begins, for files with lines.
    pub lines: Option<Vec<usize>>,
}

/// A column of values of one kind.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub name: String,
    pub values: Vec<Value>,
    kind: Option<&'static str>,
}

impl Table {
    /// An empty table with these column names, of which those in `wanted` are read.
    ///
    /// # Errors
    /// When a requested column occurs twice.
    pub(super) fn new(names: Vec<String>, wanted: &[String]) -> Result<Self, String> {
        let mut columns: Vec<Column> = Vec::new();
        for name in names.iter().filter(|name| wanted.contains(name)) {
            if columns.iter().any(|column| column.name == *name) {
                return Err(format!("two columns are named `{name}`"));
            }
            columns.push(Column::new(name.clone()));
        }
        Ok(Self { names, columns, rows: 0, lines: None })
    }
}

impl Column {
    pub(super) fn new(name: String) -> Self {
        Self { name, values: Vec::new(), kind: None }
    }

    /// # Errors
    /// When the value is of another kind than the earlier ones.
    pub(super) fn push(&mut self, value: Value) -> Result<(), String> {
        self.hold(value.kind_of_column())?;
        self.values.push(value);
        Ok(())
    }

    /// Adds the rows of another file.
    ///
    /// # Errors
    /// When they are of another kind.
    pub(super) fn append(&mut self, other: Column) -> Result<(), String> {
        self.hold(other.kind)?;
        self.values.extend(other.values);
        Ok(())
    }

    fn hold(&mut self, kind: Option<&'static str>) -> Result<(), String> {
        match (self.kind, kind) {
            (Some(first), Some(kind)) if kind != first => {
                Err(format!("column `{}` holds {kind}, but {first} in an earlier row", self.name))
            }
            (first, kind) => {
                self.kind = first.or(kind);
                Ok(())
            }
        }
    }
}
