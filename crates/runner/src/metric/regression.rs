//! Errors of predicted numbers, in the targets' units.

use super::answer::{Answer, mean};
use super::error::MetricError;
use super::numbers::{UNREADABLE, numbers};

pub(super) fn mean_absolute_error(answers: &[Answer]) -> Result<f64, MetricError> {
    Ok(scaled(&differences(answers)?, mean))
}

pub(super) fn root_mean_squared_error(answers: &[Answer]) -> Result<f64, MetricError> {
    let root = |shares: &[f64]| mean(&shares.iter().map(|share| share * share).collect::<Vec<_>>()).sqrt();
    Ok(scaled(&differences(answers)?, root))
}

/// Absolute differences. A correlation is 0 where a prediction is infinite or NaN; an error of 0 would be perfect.
fn differences(answers: &[Answer]) -> Result<Vec<f64>, MetricError> {
    let (predictions, targets) = numbers(answers)?;
    let readable = |prediction: f64| if prediction.is_finite() { prediction } else { UNREADABLE };
    let difference = |(prediction, target): (f64, f64)| (readable(prediction) - target).abs();
    Ok(predictions.into_iter().zip(targets).map(difference).collect())
}

/// A mean of values, computed from their shares of the largest so that neither sums nor squares overflow.
fn scaled(values: &[f64], mean_of: impl Fn(&[f64]) -> f64) -> f64 {
    let largest = values.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 {
        return 0.0;
    }
    largest * mean_of(&values.iter().map(|value| value / largest).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(rows: &[(&str, &str)]) -> Vec<Answer> {
        let answer = |(prediction, target): &(&str, &str)| Answer {
            prediction: prediction.to_string(),
            targets: vec![target.to_string()],
            group: None,
        };
        rows.iter().map(answer).collect()
    }

    #[test]
    fn what_is_no_finite_number_counts_as_one_below_zero() {
        for prediction in ["", "x", "nan", "inf", "-Infinity", "1e400"] {
            let rows = answers(&[(prediction, "4"), ("2", "2")]);
            assert_eq!(mean_absolute_error(&rows), Ok(2.5), "{prediction}");
            let squared = root_mean_squared_error(&rows).unwrap();
            assert!((squared - 12.5_f64.sqrt()).abs() < 1e-12, "{prediction}: {squared}");
        }
    }

    #[test]
    fn large_differences_do_not_overflow() {
        let rows = answers(&[("1e300", "0"), ("1e300", "0")]);
        assert_eq!((mean_absolute_error(&rows), root_mean_squared_error(&rows)), (Ok(1e300), Ok(1e300)));
    }
}
