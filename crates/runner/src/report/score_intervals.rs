//! How far each score of the table may be from that of other seeds and other items.

use std::collections::BTreeMap;

use peft_model::random::keyed_rng;
use rayon::prelude::*;

use super::answers::CellAnswers;
use super::pairwise::{LEVEL, resamples};
use super::sheet::{MethodSheet, TaskSheet};
use crate::statistics::{Interval, hierarchical_bootstrap};

/// The 95 % intervals of scores by group, task and method.
pub(super) type ScoreIntervals<'a> = BTreeMap<[&'a str; 3], Interval>;

/// The interval of every score that is a mean over items, by the bootstrap over seeds and items.
pub(super) fn score_intervals<'a>(
    sheets: &'a [TaskSheet],
    answers: &BTreeMap<String, CellAnswers>,
) -> ScoreIntervals<'a> {
    let methods = sheets.iter().flat_map(|sheet| sheet.methods.iter().map(move |method| (sheet, method)));
    let known = methods.filter_map(|(sheet, method)| {
        Some(([sheet.group, sheet.task, method.method], item_scores(method, answers)?))
    });
    let known: Vec<_> = known.collect();
    let items: usize = known.iter().flat_map(|(_, seeds)| seeds).map(|scores| scores.len()).sum();
    let interval =
        |(key, seeds): &([&'a str; 3], Vec<&[i16]>)| Some((*key, interval(*key, seeds, resamples(items))?));
    known.par_iter().filter_map(interval).collect()
}

/// In percent, of scores in hundredths of a percent.
fn interval(key: [&str; 3], seeds: &[&[i16]], resamples: usize) -> Option<Interval> {
    let mut rng = keyed_rng(3, &key.join("/"));
    let interval = hierarchical_bootstrap(seeds, resamples, 1.0 - LEVEL, &mut rng)?;
    Some(Interval { low: interval.low / 100.0, high: interval.high / 100.0 })
}

/// The scores of the items of each seed; `None` where some seed has none, or others.
fn item_scores<'a>(
    method: &MethodSheet,
    answers: &'a BTreeMap<String, CellAnswers>,
) -> Option<Vec<&'a [i16]>> {
    let scored = method.runs.iter().filter(|run| run.score.is_some());
    let seeds: Vec<&CellAnswers> = scored.map(|run| answers.get(&run.record.cell)).collect::<Option<_>>()?;
    let first = seeds.first()?;
    let scores: Vec<&[i16]> = seeds.iter().map(|seed| seed.scores.as_deref()).collect::<Option<_>>()?;
    let is_same = |(seed, scores): (&&CellAnswers, &&[i16])| {
        seed.items == first.items && scores.len() == first.right.iter().flatten().count()
    };
    seeds.iter().zip(&scores).all(is_same).then_some(scores)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(seeds: &[&[i16]]) -> [f64; 2] {
        let found = interval(["group", "task", "method"], seeds, 2000).unwrap();
        [found.low, found.high]
    }

    #[test]
    fn one_seed_has_the_spread_of_its_items_and_others_widen_it() {
        let half: Vec<i16> = (0..100).map(|item| item % 2 * 10_000).collect();
        // Of a share of one half over 100 items: 9.8 points to either side.
        let [low, high] = of(&[&half]);
        assert!((low - 40.2).abs() < 1.5 && (high - 59.8).abs() < 1.5, "{low} to {high}");
        let [low, high] = of(&[&half, &[10_000; 100], &[0; 100]]);
        assert!(low < 20.0 && high > 80.0, "{low} to {high}");
        assert_eq!(of(&[&[10_000; 10]]), [100.0, 100.0]);
    }
}
