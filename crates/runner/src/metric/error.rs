/// Why there is no score. Rows count from 0.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// A name that is none of [`super::Metric::ALL`].
    #[error("unknown metric `{name}`{}; known metrics: {known}", suggestion.map(|s| format!(", did you mean `{s}`?")).unwrap_or_default())]
    Unknown { name: String, suggestion: Option<&'static str>, known: String },
    /// A score of nothing.
    #[error("there are no rows to score; a metric needs at least one")]
    Empty,
    /// A row without an accepted answer.
    #[error("row {row} (from 0) has no target; it needs at least one accepted answer")]
    NoTarget { row: usize },
    /// A row with more accepted answers than the metric can use.
    #[error(
        "row {row} (from 0) has {found} targets, but this metric compares with exactly one; \
         `exact-match` and `squad-f1` take several"
    )]
    SeveralTargets { row: usize, found: usize },
    /// A target that is not a label of a binary task.
    #[error("row {row} (from 0) has the target `{target}`; this metric needs `0` or `1`")]
    NotBinary { row: usize, target: String },
    /// A target that no correlation can be computed with.
    #[error("row {row} (from 0) has the target `{target}`; a correlation needs a finite number")]
    NotANumber { row: usize, target: String },
    /// A row of which nobody knows the question.
    #[error("row {row} (from 0) has no group; this metric needs the id of the row's question")]
    NoGroup { row: usize },
}
