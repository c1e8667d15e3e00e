//! Numbers written as text.

use super::answer::{Answer, each};
use super::error::{MetricError, RowProblem};

/// Value of a prediction that is not a number; the scales that are scored start at 0.
pub const UNREADABLE: f64 = -1.0;

/// Predictions and targets as numbers.
pub(super) fn numbers(answers: &[Answer]) -> Result<(Vec<f64>, Vec<f64>), MetricError> {
    let pairs = each(answers, |answer| {
        let text = answer.target()?;
        match number(text) {
            Some(target) if target.is_finite() => {
                Ok((number(&answer.prediction).unwrap_or(UNREADABLE), target))
            }
            _ => Err(RowProblem::NotANumber { target: text.into() }),
        }
    })?;
    Ok(pairs.into_iter().unzip())
}

/// Reads what Python's `float` reads, except digit groups (`1_000`) and non-ASCII digits.
fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}
