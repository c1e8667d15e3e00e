//! Statistics against scipy and statsmodels, whose results fixtures/make_statistics.py writes.

use peft_bench::statistics::{
    Interval, SignedRank, detectable_difference, deviation, hierarchical_bootstrap, holm, interquartile_mean,
    mcnemar_exact, mean, probability_of_improvement, quantile, stratified_bootstrap, t_interval, wilcoxon,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

/// Relative to the expected value, or to `FLOOR` for smaller ones.
const TOLERANCE: f64 = 1e-9;
const FLOOR: f64 = 1e-6;
/// The levels in the fixture leave this many resamples no chance of another bound.
const RESAMPLES: usize = 20_000;

/// Both methods' scores.
type Task = (Vec<f64>, Vec<f64>);

#[derive(Deserialize)]
struct Cases {
    interval: Vec<IntervalCase>,
    /// The two counts and p.
    mcnemar: Vec<(u64, u64, f64)>,
    wilcoxon: Vec<WilcoxonCase>,
    /// The p values and the adjusted ones.
    holm: Vec<(Vec<f64>, Vec<f64>)>,
    interquartile_mean: Vec<(Vec<f64>, Option<f64>)>,
    probability_of_improvement: Vec<(Vec<Task>, f64)>,
    /// The values, the probability and the quantile.
    quantile: Vec<(Vec<f64>, f64, f64)>,
    paired_bootstrap: Vec<PairedCase>,
    stratified_bootstrap: Vec<StratifiedCase>,
    /// The deviation, the number of pairs and the difference.
    detectable: Vec<(f64, usize, f64)>,
}

#[derive(Deserialize)]
struct IntervalCase {
    values: Vec<f64>,
    repeats: usize,
    level: f64,
    mean: Option<f64>,
    deviation: Option<f64>,
    interval: Option<(f64, f64)>,
}

#[derive(Deserialize)]
struct WilcoxonCase {
    differences: Vec<f64>,
    repeats: usize,
    /// The statistic, p, the pairs and whether p is exact.
    result: Option<(f64, f64, usize, bool)>,
}

#[derive(Deserialize)]
struct PairedCase {
    differences: Vec<Vec<i8>>,
    level: f64,
    interval: (f64, f64),
}

#[derive(Deserialize)]
struct StratifiedCase {
    strata: Vec<Vec<f64>>,
    level: f64,
    interval: (f64, f64),
}

fn cases() -> Cases {
    serde_json::from_str(include_str!("fixtures/statistics.json")).unwrap()
}

/// The largest error of one function, printed at the end.
struct Errors {
    name: &'static str,
    largest: f64,
    count: usize,
}

impl Errors {
    fn new(name: &'static str) -> Self {
        Self { name, largest: 0.0, count: 0 }
    }

    fn check(&mut self, value: f64, expected: f64, case: impl std::fmt::Debug) {
        let error = (value - expected).abs() / expected.abs().max(FLOOR);
        assert!(error <= TOLERANCE, "{}: {case:?} gives {value}, expected {expected}", self.name);
        (self.largest, self.count) = (self.largest.max(error), self.count + 1);
    }

    /// Both must have a value, or neither.
    fn check_option(&mut self, value: Option<f64>, expected: Option<f64>, case: impl std::fmt::Debug) {
        assert_eq!(value.is_some(), expected.is_some(), "{}: {case:?} gives {value:?}", self.name);
        if let (Some(value), Some(expected)) = (value, expected) {
            self.check(value, expected, case);
        }
    }
}

impl Drop for Errors {
    fn drop(&mut self) {
        println!("{:26} {:3} values, largest error {:.1e}", self.name, self.count, self.largest);
    }
}

fn bounds(interval: Option<Interval>) -> [Option<f64>; 2] {
    [interval.map(|interval| interval.low), interval.map(|interval| interval.high)]
}

#[test]
fn intervals_agree_with_numpy_and_scipy() {
    let [mut means, mut deviations, mut intervals] = ["mean", "deviation", "t_interval"].map(Errors::new);
    for IntervalCase { values, repeats, level, mean: m, deviation: d, interval } in cases().interval {
        let data = values.repeat(repeats);
        let case = (&values, repeats, level);
        means.check_option(mean(&data), m, case);
        deviations.check_option(deviation(&data), d, case);
        let expected = [interval.map(|(low, _)| low), interval.map(|(_, high)| high)];
        for (bound, expected) in bounds(t_interval(&data, level)).into_iter().zip(expected) {
            intervals.check_option(bound, expected, case);
        }
    }
}

#[test]
fn mcnemars_test_agrees_with_statsmodels() {
    let [mut errors, mut logarithms] = ["mcnemar_exact", "mcnemar_exact, ln p"].map(Errors::new);
    for (only_a, only_b, p) in cases().mcnemar {
        let value = mcnemar_exact(only_a, only_b);
        errors.check(value, p, (only_a, only_b));
        if (1e-300..0.5).contains(&p) {
            logarithms.check(value.ln(), p.ln(), (only_a, only_b));
        }
    }
}

#[test]
fn wilcoxons_test_agrees_with_scipy() {
    let [mut statistics, mut ps, mut logarithms] =
        ["wilcoxon, statistic", "wilcoxon, p", "wilcoxon, ln p"].map(Errors::new);
    for WilcoxonCase { differences, repeats, result } in cases().wilcoxon {
        let case = (&differences, repeats);
        let found = wilcoxon(&differences.repeat(repeats));
        assert_eq!(found.is_some(), result.is_some(), "{case:?}");
        let (Some(SignedRank { statistic, p, pairs, exact }), Some(expected)) = (found, result) else {
            continue;
        };
        statistics.check(statistic, expected.0, case);
        ps.check(p, expected.1, case);
        if expected.1 < 0.5 {
            logarithms.check(p.ln(), expected.1.ln(), case);
        }
        assert_eq!((pairs, exact), (expected.2, expected.3), "{case:?}");
    }
}

#[test]
fn holms_p_values_agree_with_statsmodels() {
    let mut errors = Errors::new("holm");
    for (p_values, expected) in cases().holm {
        let adjusted = holm(&p_values);
        assert_eq!(adjusted.len(), expected.len());
        adjusted
            .iter()
            .zip(&expected)
            .for_each(|(value, expected)| errors.check(*value, *expected, &p_values));
    }
}

#[test]
fn aggregates_agree_with_scipy() {
    let mut errors = Errors::new("interquartile_mean");
    for (values, expected) in cases().interquartile_mean {
        errors.check_option(interquartile_mean(&values), expected, &values);
    }
    let mut errors = Errors::new("probability_of_improvement");
    for (tasks, expected) in cases().probability_of_improvement {
        errors.check_option(probability_of_improvement(&tasks), Some(expected), &tasks);
    }
}

#[test]
fn quantiles_agree_with_numpy() {
    let mut errors = Errors::new("quantile");
    for (values, probability, expected) in cases().quantile {
        errors.check_option(quantile(&values, probability), Some(expected), (&values, probability));
    }
}

#[test]
fn paired_bootstraps_agree_with_all_resamples() {
    let mut errors = Errors::new("paired_bootstrap");
    for (seed, PairedCase { differences, level, interval }) in (0..).zip(cases().paired_bootstrap) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let found = hierarchical_bootstrap(&differences, RESAMPLES, level, &mut rng).unwrap();
        errors.check(found.low, interval.0, &differences);
        errors.check(found.high, interval.1, &differences);
    }
}

#[test]
fn stratified_bootstraps_agree_with_all_resamples() {
    let mut errors = Errors::new("stratified_bootstrap");
    for (seed, StratifiedCase { strata, level, interval }) in (0..).zip(cases().stratified_bootstrap) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let sizes: Vec<usize> = strata.iter().map(Vec::len).collect();
        let statistic = |drawn: &[Vec<usize>]| {
            let drawn = strata.iter().zip(drawn);
            let values: Vec<f64> =
                drawn.flat_map(|(values, drawn)| drawn.iter().map(|&i| values[i])).collect();
            interquartile_mean(&values).unwrap()
        };
        let found = stratified_bootstrap(&sizes, RESAMPLES, level, &mut rng, statistic).unwrap();
        errors.check(found.low, interval.0, &strata);
        errors.check(found.high, interval.1, &strata);
    }
}

#[test]
fn detectable_differences_agree_with_statsmodels() {
    let mut errors = Errors::new("detectable_difference");
    for (deviation, pairs, expected) in cases().detectable {
        errors.check_option(detectable_difference(deviation, pairs), Some(expected), (deviation, pairs));
    }
}
