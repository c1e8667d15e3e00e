//! Rows as text: what the model reads, and what the metrics compare.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::catalog::{RoleRows, RowSource, Task};
use super::error::{TaskError, shown};
use super::mixture;
use super::rows::{Row, Rows};
use super::spec::{ANSWERS, GROUP, Labels, SOURCE, TARGET, TaskSpec, Templates};
use super::split::Role;
use super::template::Template;
use super::value::Value;

/// One row as the model and the metrics see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// Index in the dataset's split.
    pub row: u32,
    /// The line on which the row begins, from 1, if its file has lines.
    pub line: Option<u32>,
    pub source: String,
    pub target: String,
    /// Every accepted answer, the row's own target first.
    pub answers: Vec<String>,
    /// Id by which rows are grouped for scoring.
    pub group: Option<String>,
    /// The raw class, for tasks with classes: labels, or the two sides of `few_shot_threshold`.
    pub class: Option<String>,
    /// The place of its task in a mixture.
    pub part: Option<u32>,
}

impl Example {
    /// Where the row is, for messages: its line, or its number from 1 if the file has no lines.
    pub fn place(&self) -> String {
        match self.line {
            Some(line) => format!("line {line}"),
            None => format!("row {}", self.row + 1),
        }
    }
}

/// Rows that one thread turns into examples at a time.
const CHUNK: usize = 1024;

impl Task {
    /// Makes examples of the rows with these indices.
    ///
    /// # Errors
    /// When a column is missing, a cell does not fit the template, or a class is not in `labels.words`.
    pub fn examples(&self, rows: &Rows, indices: &[u32]) -> Result<Vec<Example>, TaskError> {
        self.check_columns(rows)?;
        let of_chunk = |chunk: &[u32]| -> Result<Vec<Example>, TaskError> {
            let mut examples = Vec::with_capacity(chunk.len());
            for &index in chunk {
                let row = rows.row(index as usize);
                let made = examples_of_row(&self.spec, &self.templates, row).map_err(|problem| {
                    TaskError::Row { file: self.file.clone(), place: rows.place(index as usize), problem }
                })?;
                examples.extend(made);
            }
            Ok(examples)
        };
        let made: Vec<_> = indices.par_chunks(CHUNK).map(of_chunk).collect::<Result<_, _>>()?;
        Ok(made.into_iter().flatten().collect())
    }

    /// Number of a role's examples; reads no more of the rows than that takes.
    ///
    /// # Errors
    /// When files are missing or malformed, or a target's list does not fit the task's specification.
    pub fn count(&self, role: Role, source: &RowSource) -> Result<usize, TaskError> {
        if let RowSource::Mixture(sources) = source {
            return self.parts.iter().zip(sources).map(|(part, source)| part.count(role, source)).sum();
        }
        let target = self.templates.target.as_ref().filter(|_| self.spec.text.expand);
        let Some(target) = target else { return Ok(self.read_columns(role, source, &[])?.indices.len()) };
        let RoleRows { rows, indices } = self.read_columns(role, source, &target.column_names())?;
        let count = |&index: &u32| {
            let targets = expanded(&self.spec, target, rows.row(index as usize));
            targets.map(|targets| targets.len()).map_err(|problem| TaskError::Row {
                file: self.file.clone(),
                place: rows.place(index as usize),
                problem: format!("`{TARGET}`: {problem}"),
            })
        };
        indices.iter().map(count).sum()
    }

    fn check_columns(&self, rows: &Rows) -> Result<(), TaskError> {
        for (source, present) in rows.files() {
            let missing = |key: String, column: &str| TaskError::Column {
                file: self.file.clone(),
                key,
                problem: format!(
                    "no column `{column}` in {source}; the columns are {}",
                    shown(&present.join(", "))
                ),
            };
            for (key, template) in self.templates.by_key() {
                if let Some(path) = template.columns().into_iter().find(|path| !path.is_in(present)) {
                    return Err(missing(key, path.column()));
                }
            }
            match &self.spec.labels {
                Some(labels) if !present.contains(&labels.column) => {
                    return Err(missing("labels.column".into(), &labels.column));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn examples_of_row(spec: &TaskSpec, templates: &Templates, row: Row) -> Result<Vec<Example>, String> {
    let under = |key: &'static str| move |problem: String| format!("`{key}`: {problem}");
    let source = templates.source.render(&row).map_err(under(SOURCE))?;
    let (targets, class) = match (&spec.labels, &templates.target) {
        (Some(labels), _) => {
            let (word, class) = label(labels, row)?;
            (vec![word], Some(class))
        }
        (None, Some(target)) if spec.text.expand => {
            (expanded(spec, target, row).map_err(under(TARGET))?, None)
        }
        (None, Some(target)) => {
            let target = target.render(&row).map_err(under(TARGET))?;
            let class = side(spec.few_shot_threshold, &target);
            (vec![target], class)
        }
        (None, None) => unreachable!("checked when the specification was read"),
    };
    let answers =
        templates.answers.as_ref().map(|t| t.render_all(&row)).transpose().map_err(under(ANSWERS))?;
    let (group, part) = match spec.mixture.is_empty() {
        true => (templates.group.as_ref().map(|t| t.render(&row)).transpose().map_err(under(GROUP))?, None),
        false => (mixture::group(row), mixture::part(row)),
    };
    Ok(targets
        .into_iter()
        .map(|target| Example {
            row: row.index() as u32,
            line: row.line().map(|line| line as u32),
            source: source.clone(),
            answers: own_answer_first(&target, answers.as_deref()),
            target,
            group: group.clone(),
            class: class.clone(),
            part,
        })
        .collect())
}

/// The side of a threshold on which a number lies; the threshold itself counts as below, as in the reference.
fn side(threshold: Option<f64>, target: &str) -> Option<String> {
    let above = target.parse::<f64>().ok()? > threshold?;
    Some(if above { "above" } else { "below" }.into())
}

/// The row's own answer, then the other accepted ones.
fn own_answer_first(target: &str, answers: Option<&[String]>) -> Vec<String> {
    let others = answers.unwrap_or_default().iter().filter(|answer| *answer != target);
    std::iter::once(target.to_string()).chain(others.cloned()).collect()
}

fn expanded(spec: &TaskSpec, target: &Template, row: Row) -> Result<Vec<String>, String> {
    let targets = target.render_all(&row)?;
    match (&spec.text.empty, targets.is_empty()) {
        (Some(empty), true) => Ok(vec![empty.clone()]),
        (None, true) => Err("the target's list is empty; set `text.empty` to the target of such rows".into()),
        _ => Ok(targets),
    }
}

/// The label word and the class of a row.
fn label(labels: &Labels, row: Row) -> Result<(String, String), String> {
    let value = row.value(&labels.column)?;
    if let Value::List(_) = value {
        return Err(format!("column `{}` holds a list; multi-label tasks are not supported", labels.column));
    }
    let raw = value.into_text(&labels.column)?;
    match labels.class(&raw) {
        Some((class, word)) => Ok((word.to_string(), class)),
        None => Err(format!(
            "column `{}` holds `{}`, which is not in `labels.words`; known classes: {}",
            labels.column,
            shown(&raw),
            labels.classes().join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_itself_is_in_the_lower_class() {
        let sides = ["0.0", "2.4", "2.5", "2.6", "5.0"].map(|target| side(Some(2.5), target).unwrap());
        assert_eq!(sides, ["below", "below", "below", "above", "above"]);
        assert_eq!((side(None, "2.5"), side(Some(2.5), "x")), (None, None));
    }
}
