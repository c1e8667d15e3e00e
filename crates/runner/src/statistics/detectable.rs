use super::student::{exceedance, smallest, upper_quantile};

/// Two-sided significance level.
const LEVEL: f64 = 0.05;
const POWER: f64 = 0.8;

/// The smallest difference of paired means that a two-sided t test at 5 % finds with 80 % power (Cohen 1988), from
/// the sample deviation of the differences of that many pairs. Exact for normal differences: it solves for the
/// noncentrality of the t distribution, as statsmodels' `TTestPower`. `None` for fewer than two pairs.
pub fn detectable_difference(deviation: f64, pairs: usize) -> Option<f64> {
    if pairs < 2 {
        return None;
    }
    let count = pairs as f64;
    let critical = upper_quantile(LEVEL / 2.0, count - 1.0);
    let noncentrality = smallest(|noncentrality| power(noncentrality, critical, count - 1.0) >= POWER);
    Some(noncentrality * deviation / count.sqrt())
}

/// The probability that noncentral t is beyond the critical value in either direction.
fn power(noncentrality: f64, critical: f64, freedom: f64) -> f64 {
    exceedance(critical, noncentrality, freedom) + exceedance(critical, -noncentrality, freedom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_pairs_come_to_the_normal_limit() {
        let limit = 1.959_963_984_540_054 + 0.841_621_233_572_914;
        let difference = detectable_difference(3.0, 1_000_000).unwrap();
        assert!((difference * 1000.0 / 3.0 / limit - 1.0).abs() < 1e-5, "{difference}");
    }

    #[test]
    fn more_pairs_detect_smaller_differences() {
        let differences: Vec<f64> = (2..40).map(|pairs| detectable_difference(1.0, pairs).unwrap()).collect();
        assert!(differences.is_sorted_by(|a, b| a > b), "{differences:?}");
        assert_eq!(detectable_difference(1.0, 1), None);
    }
}
