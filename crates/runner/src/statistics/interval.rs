use super::student::upper_quantile;

/// A two-sided interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// The arithmetic mean; `None` without values.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The sample standard deviation, with n - 1 in the denominator; `None` for fewer than two values.
pub fn deviation(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// Student's (1908) interval of the mean, at a confidence level such as 0.95: mean ± t s / √n, with n - 1 degrees
/// of freedom. `None` for fewer than two values.
///
/// # Panics
///
/// If the level is not between 0 and 1, both excluded.
pub fn t_interval(values: &[f64], level: f64) -> Option<Interval> {
    let tail = tail(level);
    let (mean, deviation) = (mean(values)?, deviation(values)?);
    let count = values.len() as f64;
    let half = upper_quantile(tail, count - 1.0) * deviation / count.sqrt();
    Some(Interval { low: mean - half, high: mean + half })
}

/// The probability on either side of an interval.
pub(super) fn tail(level: f64) -> f64 {
    assert!(level > 0.0 && level < 1.0, "{level} is not a confidence level: it must be between 0 and 1");
    (1.0 - level) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_levels_give_wider_intervals_around_the_same_mean() {
        let values = [80.1, 81.7, 79.9, 83.0];
        let mut last = 0.0;
        for level in [0.01, 0.5, 0.9, 0.95, 0.999] {
            let Interval { low, high } = t_interval(&values, level).unwrap();
            assert!((low + high - 2.0 * mean(&values).unwrap()).abs() < 1e-9);
            assert!(high - low > last, "{level}: {}", high - low);
            last = high - low;
        }
    }

    #[test]
    fn the_deviation_does_not_depend_on_the_offset() {
        let values = [1.0, 2.0, 4.0];
        let shifted = values.map(|value| value + 1e9);
        assert!((deviation(&values).unwrap() - deviation(&shifted).unwrap()).abs() < 1e-9);
    }

    #[test]
    #[should_panic(expected = "95 is not a confidence level")]
    fn a_level_in_percent_is_refused() {
        t_interval(&[1.0, 2.0], 95.0);
    }
}
