//! Correlations of predictions and targets, which are numbers written as text.

use super::answer::{Answer, mean};
use super::error::MetricError;
use super::numbers::numbers;

pub(super) fn pearson(answers: &[Answer]) -> Result<f64, MetricError> {
    let (predictions, targets) = numbers(answers)?;
    Ok(correlation(&predictions, &targets))
}

pub(super) fn spearman(answers: &[Answer]) -> Result<f64, MetricError> {
    let (predictions, targets) = numbers(answers)?;
    Ok(correlation(&ranks(&predictions), &ranks(&targets)))
}

/// Pearson's r; 0 if it is undefined because one side is constant or not all finite.
fn correlation(x: &[f64], y: &[f64]) -> f64 {
    match (standardized(x), standardized(y)) {
        (Some(x), Some(y)) => x.iter().zip(&y).map(|(x, y)| x * y).sum::<f64>().clamp(-1.0, 1.0),
        _ => 0.0,
    }
}

/// The values centered, then scaled to length 1; `None` if that is impossible.
fn standardized(values: &[f64]) -> Option<Vec<f64>> {
    // The mean of constant values can be off by rounding, which would leave noise of length 1.
    if values.iter().all(|value| *value == values[0]) {
        return None;
    }
    let mean = mean(values);
    let mut centered: Vec<f64> = values.iter().map(|value| value - mean).collect();
    // Dividing by the largest first keeps the squares from overflowing.
    let largest = centered.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    centered.iter_mut().for_each(|value| *value /= largest);
    let length = centered.iter().map(|value| value * value).sum::<f64>().sqrt();
    centered.iter_mut().for_each(|value| *value /= length);
    centered.iter().all(|value| value.is_finite()).then_some(centered)
}

/// Ranks from 1, where equal values share their mean rank; all NaN if any value is.
fn ranks(values: &[f64]) -> Vec<f64> {
    if values.iter().any(|value| value.is_nan()) {
        return vec![f64::NAN; values.len()];
    }
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for ties in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let shared = before as f64 + (ties.len() + 1) as f64 / 2.0;
        ties.iter().for_each(|&at| ranks[at] = shared);
        before += ties.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_their_mean_rank() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, -0.0, 0.0, 3.0]), [5.0, 3.0, 5.0, 1.5, 1.5, 5.0]);
    }

    #[test]
    fn a_large_offset_loses_no_precision() {
        let small: Vec<f64> = (0..1000).map(|i| f64::from(i * i % 97)).collect();
        let large: Vec<f64> = small.iter().map(|value| value + 1e12).collect();
        let other: Vec<f64> = (0..1000).map(|i| f64::from(i % 89)).collect();
        assert!((correlation(&small, &other) - correlation(&large, &other)).abs() < 1e-12);
    }
}
