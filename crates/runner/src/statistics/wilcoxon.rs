use super::student::normal;

/// More differences than this use the normal approximation.
const EXACT: usize = 50;
/// More differences than this use the normal approximation if some are zero or have the same size.
const EXACT_WITH_TIES: usize = 13;

/// What Wilcoxon's signed-rank test found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignedRank {
    /// The smaller one of the sums of ranks of positive and of negative differences.
    pub statistic: f64,
    /// Two-sided p value.
    pub p: f64,
    /// Differences other than zero; the others are left out.
    pub pairs: usize,
    /// Whether p is from the distribution of the statistic over all signs rather than its normal approximation.
    pub exact: bool,
}

/// Wilcoxon's (1945) signed-rank test of paired differences, two-sided, as scipy 1.17's `wilcoxon` with
/// `zero_method="wilcox"`, `correction=False` and `method="auto"`. Zeros are left out, equal sizes share their mean
/// rank. p is exact for up to 50 differences, zeros counted, without zeros and ties, and for up to 13 with any.
/// Sizes are equal only if they are the same number: round differences whose ties rounding errors would break.
/// `None` if all differences are zero, or there is none.
pub fn wilcoxon(differences: &[f64]) -> Option<SignedRank> {
    let mut nonzero: Vec<f64> = differences.iter().copied().filter(|difference| *difference != 0.0).collect();
    if nonzero.is_empty() {
        return None;
    }
    nonzero.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let ties = tie_sizes(&nonzero);
    let ranks = doubled_ranks(&ties);
    let positive =
        ranks.iter().zip(&nonzero).filter(|(_, difference)| **difference > 0.0).map(|(rank, _)| rank);
    let positive: usize = positive.sum();
    let total: usize = ranks.iter().sum();
    let plain = ties.len() == differences.len();
    let exact = differences.len() <= if plain { EXACT } else { EXACT_WITH_TIES };
    Some(SignedRank {
        statistic: positive.min(total - positive) as f64 / 2.0,
        p: if exact { exact_p(&ranks, positive) } else { approximate_p(&ties, positive) },
        pairs: nonzero.len(),
        exact,
    })
}

/// How many differences have each size, in the order of sizes.
fn tie_sizes(by_size: &[f64]) -> Vec<usize> {
    by_size.chunk_by(|a, b| a.abs() == b.abs()).map(<[f64]>::len).collect()
}

/// Twice the mean ranks, which are whole numbers.
fn doubled_ranks(ties: &[usize]) -> Vec<usize> {
    let mut ranks = Vec::new();
    for &size in ties {
        let before = ranks.len();
        ranks.resize(before + size, 2 * before + size + 1);
    }
    ranks
}

/// From the distribution of the doubled sum over all signs, each as likely.
fn exact_p(ranks: &[usize], positive: usize) -> f64 {
    let mut probabilities = vec![0.0; ranks.iter().sum::<usize>() + 1];
    probabilities[0] = 1.0;
    for &rank in ranks {
        for sum in (0..probabilities.len()).rev() {
            let without = probabilities[sum];
            let with = sum.checked_sub(rank).map_or(0.0, |rest| probabilities[rest]);
            probabilities[sum] = (without + with) / 2.0;
        }
    }
    let at_most: f64 = probabilities[..=positive].iter().sum();
    let at_least: f64 = probabilities[positive..].iter().sum();
    (2.0 * at_most.min(at_least)).min(1.0)
}

/// From the normal distribution with the variance that ties leave.
fn approximate_p(ties: &[usize], positive: usize) -> f64 {
    let count = ties.iter().sum::<usize>() as f64;
    let mean = count * (count + 1.0) / 4.0;
    let lost: f64 = ties.iter().map(|&size| (size as f64).powi(3) - size as f64).sum();
    let variance = (count * (count + 1.0) * (2.0 * count + 1.0) - lost / 2.0) / 24.0;
    let z = (positive as f64 / 2.0 - mean) / variance.sqrt();
    2.0 * normal(-z.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tied_sizes_share_their_mean_rank() {
        assert_eq!(doubled_ranks(&tie_sizes(&[1.0, -2.0, 2.0, -3.0, 3.0, 3.0])), [2, 5, 5, 10, 10, 10]);
    }

    #[test]
    fn the_exact_p_counts_signs() {
        let result = wilcoxon(&[1.0, 2.0, -3.0, 4.0]).unwrap();
        // Of 16 sign choices, the sums of ranks at most 3 are 0, 1, 2, 3 and 1 + 2.
        assert_eq!(result, SignedRank { statistic: 3.0, p: 2.0 * 5.0 / 16.0, pairs: 4, exact: true });
    }

    #[test]
    fn opposite_signs_and_any_scale_give_the_same_p() {
        let differences = [0.5, -1.25, 2.0, 0.0, 3.0, 0.5, -0.5];
        let result = wilcoxon(&differences);
        assert_eq!(wilcoxon(&differences.map(|difference| -8.0 * difference)), result);
    }

    #[test]
    fn the_approximation_is_near_the_exact_p() {
        let differences: Vec<f64> = (1..=50).map(|i| f64::from(if i % 3 == 0 { -i } else { i })).collect();
        let exact = wilcoxon(&differences).unwrap();
        let ranks = doubled_ranks(&[1; 50]);
        let positive: usize =
            ranks.iter().zip(&differences).filter(|(_, d)| **d > 0.0).map(|(rank, _)| rank).sum();
        let approximate = approximate_p(&[1; 50], positive);
        assert!(exact.exact && exact.p != approximate);
        assert!((exact.p / approximate - 1.0).abs() < 0.05, "{} and {approximate}", exact.p);
    }
}
