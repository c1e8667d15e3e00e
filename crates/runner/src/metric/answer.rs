//! What is scored: predictions beside accepted answers.

use super::error::{MetricError, RowProblem};

/// A prediction and the answers that the task accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The generated text.
    pub prediction: String,
    /// The accepted answers, at least one.
    pub targets: Vec<String>,
    /// Id shared by the rows of one question: the question's in MultiRC, the query's in ReCoRD.
    pub group: Option<String>,
}

impl Answer {
    /// Every accepted answer.
    pub(super) fn targets(&self) -> Result<&[String], RowProblem> {
        if self.targets.is_empty() {
            return Err(RowProblem::NoTarget);
        }
        Ok(&self.targets)
    }

    /// The one accepted answer.
    pub(super) fn target(&self) -> Result<&str, RowProblem> {
        match self.targets()? {
            [target] => Ok(target),
            several => Err(RowProblem::SeveralTargets { found: several.len() }),
        }
    }

    pub(super) fn group(&self) -> Result<&str, RowProblem> {
        self.group.as_deref().ok_or(RowProblem::NoGroup)
    }
}

/// Reads a value from every row; the error names the row.
pub(super) fn each<'a, T>(
    answers: &'a [Answer],
    read: impl Fn(&'a Answer) -> Result<T, RowProblem>,
) -> Result<Vec<T>, MetricError> {
    let rows = answers.iter().enumerate();
    rows.map(|(row, answer)| read(answer).map_err(|problem| MetricError::Row { row, problem })).collect()
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
