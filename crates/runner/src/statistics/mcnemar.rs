/// McNemar's (1947) test in its exact form: the two-sided p value of the counts of items that only the one and
/// only the other method got right, which under equality are draws of a fair coin. As statsmodels'
/// `mcnemar(exact=True)`; 1 when both counts are 0.
///
/// It takes about the square root of the counts' sum in steps.
pub fn mcnemar_exact(only_a: u64, only_b: u64) -> f64 {
    let smaller = only_a.min(only_b);
    let count = only_a + only_b;
    let middle = count / 2;
    // Weights relative to the middle one: their sum replaces powers of 2 and factorials, which would overflow.
    let mut weight = 1.0;
    let (mut below, mut tail) = (0.0, 0.0);
    for successes in (0..=middle).rev() {
        if weight == 0.0 {
            break;
        }
        below += weight;
        if successes <= smaller {
            tail += weight;
        }
        weight *= successes as f64 / (count - successes + 1) as f64;
    }
    let shared_middle = if count.is_multiple_of(2) { 1.0 } else { 0.0 };
    (2.0 * tail / (2.0 * below - shared_middle)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_counts_follow_from_the_definition() {
        for (only_a, only_b, p) in
            [(0, 0, 1.0), (1, 0, 1.0), (0, 2, 0.5), (5, 0, 2.0 / 32.0), (4, 1, 12.0 / 32.0)]
        {
            let value = mcnemar_exact(only_a, only_b);
            assert!((value - p).abs() < 1e-15, "{only_a} and {only_b}: {value}");
        }
    }

    #[test]
    fn the_methods_are_exchangeable() {
        for only_a in 0..30 {
            for only_b in 0..30 {
                assert_eq!(mcnemar_exact(only_a, only_b), mcnemar_exact(only_b, only_a));
            }
        }
    }

    #[test]
    fn p_falls_as_the_counts_part() {
        for count in [10, 11, 1000, 1001] {
            let values: Vec<f64> =
                (0..=count / 2).map(|only_a| mcnemar_exact(only_a, count - only_a)).collect();
            assert!(values.is_sorted() && values[0] < values[1], "{count}: {values:?}");
        }
    }
}
