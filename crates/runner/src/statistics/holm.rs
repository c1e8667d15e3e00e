/// Holm's (1979) step-down adjusted p values, in the order of the p values: each is significant at a level that
/// then holds for the whole family. As statsmodels' `multipletests(method="holm")`.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        let factor = (p_values.len() - rank) as f64;
        largest = largest.max(factor * p_values[index]).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_family_stays_empty() {
        assert_eq!(holm(&[]), Vec::<f64>::new());
    }

    #[test]
    fn adjusted_values_lie_between_the_value_and_bonferronis() {
        let p_values = [0.2, 0.001, 0.04, 0.04, 0.9, 0.013];
        for (p, adjusted) in p_values.iter().zip(holm(&p_values)) {
            assert!(*p <= adjusted && adjusted <= (6.0 * p).min(1.0), "{p}: {adjusted}");
        }
    }

    #[test]
    fn a_smaller_p_value_never_gets_a_larger_adjusted_one() {
        let sorted = [0.001, 0.01, 0.011, 0.011, 0.3, 0.31, 1.0];
        let adjusted = holm(&sorted);
        assert!(adjusted.is_sorted(), "{adjusted:?}");
        assert_eq!(adjusted[1], 0.06);
        assert_eq!(adjusted[2], 0.06);
    }
}
