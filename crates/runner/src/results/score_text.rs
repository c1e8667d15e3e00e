//! How tables write scores: percentages with one decimal, errors, which have the units of a task's targets, with more.

use crate::train::Criterion;

/// Whether the score of a metric, or of the mean of several, is an error rather than a percentage.
pub(super) fn is_error(metric: &str) -> bool {
    Criterion::parse(metric).is_some_and(|criterion| criterion.is_error())
}

/// A score as tables write it.
pub fn score_text(metric: &str, score: f64) -> String {
    format!("{score:.*}", decimals(metric))
}

/// A mean and, where it is known, its standard deviation.
pub(super) fn mean_text(metric: &str, mean: f64, deviation: Option<f64>) -> String {
    let deviation = deviation.map(|deviation| format!(" ±{}", score_text(metric, deviation)));
    score_text(metric, mean) + &deviation.unwrap_or_default()
}

fn decimals(metric: &str) -> usize {
    if is_error(metric) { 3 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_three_decimals() {
        assert_eq!(mean_text("accuracy", 81.25, Some(0.04)), "81.2 ±0.0");
        assert_eq!(mean_text("root-mean-squared-error", 0.4567, Some(0.04)), "0.457 ±0.040");
        assert_eq!(score_text("mean of mean-absolute-error and root-mean-squared-error", 1.0), "1.000");
        assert_eq!(
            (score_text("average", 50.0), score_text("unheard-of", 50.0)),
            ("50.0".into(), "50.0".into())
        );
    }
}
