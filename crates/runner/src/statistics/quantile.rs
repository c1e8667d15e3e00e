/// The quantile with linear interpolation, as numpy's `quantile` by default (type 7 of Hyndman and Fan 1996);
/// `None` without values.
///
/// # Panics
///
/// If the probability is not between 0 and 1.
pub fn quantile(values: &[f64], probability: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile_of_sorted(&sorted, probability)
}

pub(super) fn quantile_of_sorted(sorted: &[f64], probability: f64) -> Option<f64> {
    assert!((0.0..=1.0).contains(&probability), "{probability} is not a probability");
    let position = sorted.len().checked_sub(1)? as f64 * probability;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    Some(below + (above - below) * position.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_the_smallest_and_the_largest_value() {
        let values = [3.0, -1.0, 2.0];
        assert_eq!(quantile(&values, 0.0), Some(-1.0));
        assert_eq!(quantile(&values, 0.5), Some(2.0));
        assert_eq!(quantile(&values, 1.0), Some(3.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
