use super::interval::{Interval, tail};
use super::quantile::quantile_of_sorted;
use rand::Rng;
use rand::distr::{Distribution, Uniform};

/// The stratified bootstrap's percentile interval (Efron 1979; over runs of tasks, Agarwal et al. 2021) of a
/// statistic: every resample draws from each stratum as many of its indices as it has, with replacement.
/// `statistic` gets the drawn indices of each stratum. `None` without resamples or strata, or if a stratum is empty.
///
/// # Panics
///
/// If the level is not between 0 and 1, both excluded.
pub fn stratified_bootstrap(
    strata: &[usize],
    resamples: usize,
    level: f64,
    rng: &mut impl Rng,
    mut statistic: impl FnMut(&[Vec<usize>]) -> f64,
) -> Option<Interval> {
    if strata.is_empty() || strata.contains(&0) {
        return None;
    }
    let mut drawn: Vec<Vec<usize>> = strata.iter().map(|&size| vec![0; size]).collect();
    let statistics = (0..resamples).map(|_| {
        drawn.iter_mut().for_each(|indices| draw(indices, rng));
        statistic(&drawn)
    });
    percentile_interval(statistics.collect(), level)
}

/// The hierarchical bootstrap's percentile interval of a mean over the items of all seeds: every resample draws seeds,
/// then items, the same for all its seeds, since seeds share the test set. It so covers new seeds and new items. Values
/// are whole numbers: of one method, what each item is worth; of a pair of methods, say, 1 where only the first is right
/// and -1 where only the second is. `None` without resamples, seeds or items.
///
/// # Panics
///
/// If seeds differ in their number of items, or the level is not between 0 and 1, both excluded.
pub fn hierarchical_bootstrap<V: Copy + Into<i32>>(
    seeds: &[impl AsRef<[V]>],
    resamples: usize,
    level: f64,
    rng: &mut impl Rng,
) -> Option<Interval> {
    let items = seeds.first()?.as_ref().len();
    assert!(seeds.iter().all(|seed| seed.as_ref().len() == items), "every seed needs the same items");
    if items == 0 {
        return None;
    }
    let item = below(items);
    let mut drawn = vec![0; seeds.len()];
    let mut sums = vec![0_i32; items];
    let means = (0..resamples).map(|_| {
        draw(&mut drawn, rng);
        // Adding up the drawn seeds first leaves one look-up per drawn item, whatever the values are.
        sums.fill(0);
        for &seed in &drawn {
            sums.iter_mut().zip(seeds[seed].as_ref()).for_each(|(sum, value)| *sum += (*value).into());
        }
        let total: i64 = (0..items).map(|_| i64::from(sums[item.sample(rng) as usize])).sum();
        total as f64 / (items * seeds.len()) as f64
    });
    percentile_interval(means.collect(), level)
}

/// Fills with indices below the length, each as likely.
fn draw(indices: &mut [usize], rng: &mut impl Rng) {
    let below = below(indices.len());
    indices.iter_mut().for_each(|index| *index = below.sample(rng) as usize);
}

/// Numbers below the size; `u32` takes half of `usize`'s time.
fn below(size: usize) -> Uniform<u32> {
    let size = u32::try_from(size).expect("a sample has fewer than 2^32 values");
    Uniform::new(0, size).expect("a sample is not empty")
}

fn percentile_interval(mut statistics: Vec<f64>, level: f64) -> Option<Interval> {
    let tail = tail(level);
    statistics.sort_by(f64::total_cmp);
    let low = quantile_of_sorted(&statistics, tail)?;
    let high = quantile_of_sorted(&statistics, 1.0 - tail)?;
    Some(Interval { low, high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn rng() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(3)
    }

    /// Half the width of a 95 % interval, in normal deviations.
    fn spread(interval: Interval) -> f64 {
        (interval.high - interval.low) / 2.0 / 1.959_963_984_540_054
    }

    #[test]
    fn strata_keep_their_sizes_and_draw_all_their_indices() {
        let strata = [1, 4, 2];
        let mut counts = strata.map(|size| vec![0; size]);
        let record = |drawn: &[Vec<usize>]| {
            for (counts, indices) in counts.iter_mut().zip(drawn) {
                assert_eq!(counts.len(), indices.len());
                indices.iter().for_each(|&index| counts[index] += 1);
            }
            0.0
        };
        stratified_bootstrap(&strata, 4000, 0.95, &mut rng(), record).unwrap();
        assert!(counts.iter().flatten().all(|count| (3700..4300).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_interval_of_a_mean_has_its_standard_error() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 20)).collect();
        let mean = |drawn: &[Vec<usize>]| drawn[0].iter().map(|&index| values[index]).sum::<f64>() / 400.0;
        let interval = stratified_bootstrap(&[400], 20_000, 0.95, &mut rng(), mean).unwrap();
        let error = ((20.0 * 20.0 - 1.0) / 12.0_f64).sqrt() / 20.0;
        assert!((spread(interval) / error - 1.0).abs() < 0.03, "{interval:?}");
        assert!(((interval.low + interval.high) / 2.0 - 9.5).abs() < 0.03, "{interval:?}");
    }

    #[test]
    fn shared_items_do_not_average_out_over_seeds() {
        let items: Vec<i8> = (0..400_i16).map(|i| (i % 3 - 1) as i8).collect();
        let one = hierarchical_bootstrap(&[&items], 20_000, 0.95, &mut rng()).unwrap();
        let copies =
            hierarchical_bootstrap(&[&items, &items, &items, &items], 20_000, 0.95, &mut rng()).unwrap();
        assert!((spread(copies) / spread(one) - 1.0).abs() < 0.05, "{one:?} and {copies:?}");
    }

    #[test]
    fn seeds_that_differ_widen_the_interval() {
        let seeds: Vec<Vec<i8>> = (0..20).map(|seed| vec![seed; 50]).collect();
        let interval = hierarchical_bootstrap(&seeds, 20_000, 0.95, &mut rng()).unwrap();
        let error = ((20.0 * 20.0 - 1.0) / 12.0 / 20.0_f64).sqrt();
        assert!((spread(interval) / error - 1.0).abs() < 0.05, "{interval:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let items: Vec<i8> = (0..50).collect();
        let interval =
            |seed| hierarchical_bootstrap(&[&items], 200, 0.9, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
        assert_eq!(interval(1), interval(1));
        assert_ne!(interval(1), interval(2));
    }

    #[test]
    fn nothing_to_draw_from_gives_no_interval() {
        assert_eq!(stratified_bootstrap(&[], 10, 0.95, &mut rng(), |_| 1.0), None);
        assert_eq!(stratified_bootstrap(&[2, 0], 10, 0.95, &mut rng(), |_| 1.0), None);
        assert_eq!(stratified_bootstrap(&[2], 0, 0.95, &mut rng(), |_| 1.0), None);
        assert_eq!(hierarchical_bootstrap::<i8>(&[[]; 0], 10, 0.95, &mut rng()), None);
        assert_eq!(hierarchical_bootstrap::<i8>(&[[], []], 10, 0.95, &mut rng()), None);
        assert_eq!(hierarchical_bootstrap(&[[1_i8]], 0, 0.95, &mut rng()), None);
    }

    #[test]
    #[should_panic(expected = "every seed needs the same items")]
    fn seeds_with_different_items_are_refused() {
        hierarchical_bootstrap(&[vec![1_i8, 2], vec![1]], 10, 0.95, &mut rng());
    }
}
