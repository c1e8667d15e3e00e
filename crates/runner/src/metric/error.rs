/// Why there is no score.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// A name that is none of [`super::Metric::ALL`].
    #[error("unknown metric `{name}`{}; known metrics: {known}", suggestion.map(|s| format!(", did you mean `{s}`?")).unwrap_or_default())]
    Unknown { name: String, suggestion: Option<&'static str>, known: String },
    /// A score of nothing.
    #[error("there are no rows to score; a metric needs at least one")]
    Empty,
    /// A row that the metric cannot score; counts from 0.
    #[error("row {} has {problem}", row + 1)]
    Row { row: usize, problem: RowProblem },
}

/// What a row has that a metric cannot score.
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
    /// A target that is none of the declared classes.
    #[error("the target `{target}`, which is none of the classes {classes}")]
    NotAClass { target: String, classes: String },
    /// A target that no correlation can be computed with.
    #[error("the target `{target}`; a correlation needs a finite number")]
    NotANumber { target: String },
    /// Nobody knows the question.
    #[error("no group; this metric needs the id of the row's question")]
    NoGroup,
}
