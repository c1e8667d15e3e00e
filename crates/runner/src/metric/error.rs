/// Why there is no score.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// A name that is not in [`super::Metric::ALL`].
    #[error("unknown metric `{name}`{}; known metrics: {known}", suggestion.map(|s| format!(", did you mean `{s}`?")).unwrap_or_default())]
    Unknown { name: String, suggestion: Option<&'static str>, known: String },
    /// An empty set of rows.
    #[error("no rows to score; a metric needs at least one")]
    Empty,
    /// A row that the metric cannot score; `row` counts from 0.
    #[error("row {} has {problem}", row + 1)]
    Row { row: usize, problem: RowProblem },
}

/// Why a metric cannot score a row; completes "the row has ...".
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowProblem {
    /// No accepted answer.
    #[error("no target; it needs at least one accepted answer")]
    NoTarget,
    /// More accepted answers than the metric can use.
    #[error(
        "{found} targets, but this metric compares with exactly one; `exact-match` and `squad-f1` take several"
    )]
    SeveralTargets { found: usize },
    /// A target that is not a label of a binary task.
    #[error("the target `{target}`; this metric needs `0` or `1`")]
    NotBinary { target: String },
    /// A target that is not one of the declared classes.
    #[error("the target `{target}`, which is not one of the classes {classes}")]
    NotAClass { target: String, classes: String },
    /// A target that is not a finite number.
    #[error("the target `{target}`; this metric needs a finite number")]
    NotANumber { target: String },
    /// A row without the id of its question.
    #[error("no group; this metric needs the id of the row's question")]
    NoGroup,
}
