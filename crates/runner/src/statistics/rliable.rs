use super::interval::mean;

/// The mean of the middle half, as scipy's `trim_mean(values, 0.25)`: n / 4 values, rounded down, are left out at
/// either end. It aggregates all seeds of all tasks in Agarwal et al. (2021), "Deep reinforcement learning at the
/// edge of the statistical precipice". `None` without values.
pub fn interquartile_mean(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cut = sorted.len() / 4;
    mean(&sorted[cut..sorted.len() - cut])
}

/// The probability that the first method improves on the second on a random task (Agarwal et al. 2021, section
/// 4.3): the mean over tasks of the share of pairs of scores in which the first method's is higher, ties counting
/// half, which is Mann and Whitney's U / (n m). A task holds either method's scores. `None` without tasks or if a
/// method has no score on one.
pub fn probability_of_improvement<S: AsRef<[f64]>>(tasks: &[(S, S)]) -> Option<f64> {
    let shares: Option<Vec<f64>> = tasks.iter().map(|(a, b)| share_of_wins(a.as_ref(), b.as_ref())).collect();
    mean(&shares?)
}

fn share_of_wins(a: &[f64], b: &[f64]) -> Option<f64> {
    let pairs = a.len() * b.len();
    let wins = a.iter().flat_map(|a| b.iter().map(move |b| win(*a, *b)));
    (pairs > 0).then(|| wins.sum::<f64>() / pairs as f64)
}

fn win(a: f64, b: f64) -> f64 {
    if a > b {
        1.0
    } else if a == b {
        0.5
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_do_not_move_the_interquartile_mean() {
        assert_eq!(interquartile_mean(&[1e9, 3.0, 5.0, -1e9]), Some(4.0));
    }

    #[test]
    fn improvements_of_either_method_add_up_to_one() {
        let tasks = [([1.0, 2.0, 2.0], [2.0, 0.0, 5.0]), ([0.0, 0.0, 1.0], [0.0, 7.0, 1.0])];
        let reversed = tasks.map(|(a, b)| (b, a));
        let forward = probability_of_improvement(&tasks).unwrap();
        assert!((forward + probability_of_improvement(&reversed).unwrap() - 1.0).abs() < 1e-12);
        assert!(forward < 0.5, "{forward}");
    }

    #[test]
    fn every_task_needs_scores_of_both_methods() {
        assert_eq!(probability_of_improvement::<Vec<f64>>(&[]), None);
        assert_eq!(probability_of_improvement(&[(vec![1.0], vec![0.0]), (vec![1.0], vec![])]), None);
    }
}
