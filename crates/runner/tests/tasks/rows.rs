//! Rows of files, and the examples that a task makes of them.

use std::fs;
use std::path::Path;

use peft_bench::task::{Dialect, Rows, Task, Value};

/// A task over a column `label` with these words.
pub(crate) fn labeled(words: &str) -> Task {
    let text = format!(
        "title = \"Labelled\"\ngroup = \"Tests\"\n\
         [data]\nfiles = {{ all = \"rows.csv\" }}\n\
         [split]\nrule = \"random\"\nfrom = \"all\"\n\
         [text]\nsource = \"{{text}}\"\n\
         [labels]\nwords = {words}\n\
         [metrics]\nselect = \"accuracy\"\n"
    );
    Task::parse("labeled", &text, "labeled.toml", Path::new(".")).unwrap()
}

pub(crate) fn targets(task: &Task, rows: &Rows) -> Result<Vec<String>, String> {
    let indices: Vec<u32> = (0..rows.len() as u32).collect();
    let examples = task.examples(rows, &indices).map_err(|e| e.to_string())?;
    Ok(examples.into_iter().map(|example| example.target).collect())
}

/// These columns of files with these names and bytes.
pub(crate) fn columns_of(
    files: &[(&str, impl AsRef<[u8]>)],
    columns: &[&str],
    dialect: Dialect,
) -> Result<Rows, String> {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = files.iter().map(|(name, _)| folder.path().join(name)).collect();
    files.iter().zip(&paths).for_each(|((_, bytes), path)| fs::write(path, bytes).unwrap());
    let columns: Vec<String> = columns.iter().map(|column| column.to_string()).collect();
    Rows::read(&paths, &columns, dialect).map_err(|e| e.to_string())
}

/// The columns that tests use, of a file with this name and these bytes.
pub(crate) fn rows_of(name: &str, bytes: impl AsRef<[u8]>) -> Result<Rows, String> {
    columns_of(&[(name, bytes)], &["text", "label", "n", "id"], Dialect::default())
}

pub(crate) fn cells(rows: &Rows, column: &str) -> Vec<Value> {
    (0..rows.len()).map(|row| rows.row(row).value(column).unwrap()).collect()
}
