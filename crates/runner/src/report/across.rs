//! Methods compared over tasks and seeds.

use peft_model::random::keyed_rng;
use rayon::prelude::*;
use serde::Serialize;

use super::pairwise::{LEVEL, Pair};
use super::sheet::{TaskSheet, method_names, pairs};
use crate::statistics::{
    compact_letters, detectable_difference, deviation, holm, interquartile_mean, mean,
    probability_of_improvement, stratified_bootstrap, wilcoxon,
};

/// Comparisons over all tasks of a report.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Across {
    pub wins: Vec<Wins>,
    pub wilcoxon: Vec<SignedRankPair>,
    pub interquartile_mean: Vec<MethodInterval>,
    pub improvement: Vec<Improvement>,
    pub letters: Vec<MethodLetters>,
    pub detectable: Vec<Detectable>,
}

/// On how many tasks one method is separably better than another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wins {
    pub method_a: String,
    pub method_b: String,
    pub wins: u32,
    pub ties: u32,
    pub losses: u32,
}

/// Wilcoxon's signed-rank test over the scores of the same tasks and seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SignedRankPair {
    pub method_a: String,
    pub method_b: String,
    /// Tasks and seeds that both have.
    pub pairs: usize,
    pub p: f64,
    /// Adjusted for all pairs (Holm 1979).
    pub holm_p: f64,
}

/// A number of a method with its 95 % interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MethodInterval {
    pub method: String,
    pub value: f64,
    pub low: Option<f64>,
    pub high: Option<f64>,
}

/// How probable it is that a run of the first method beats one of the second on a task (Agarwal et al. 2021).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Improvement {
    pub method_a: String,
    pub method_b: String,
    pub probability: f64,
    pub low: Option<f64>,
    pub high: Option<f64>,
}

/// Methods that share a letter are not separable.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MethodLetters {
    pub method: String,
    pub letters: String,
}

/// The smallest mean difference that so many tasks and seeds could have shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Detectable {
    pub method_a: String,
    pub method_b: String,
    pub difference: f64,
}

/// Resamples of a bootstrap over seeds, and about how many scores may be compared in all.
const RESAMPLES: usize = 2000;
const COMPARISONS: usize = 500_000_000;

/// Compares all methods.
pub(super) fn compare(sheets: &[TaskSheet], pairwise: &[Pair]) -> Across {
    let methods = method_names(sheets);
    let wilcoxon = signed_ranks(sheets, &methods);
    Across {
        wins: pairs(&methods)
            .map(|(a, b)| wins(pairwise, a, b))
            .filter(|w| w.wins + w.ties + w.losses > 0)
            .collect(),
        letters: letters(&by_mean(sheets, &methods), &wilcoxon),
        wilcoxon,
        interquartile_mean: methods.par_iter().filter_map(|method| interquartile(sheets, method)).collect(),
        improvement: improvements(sheets, &methods),
        detectable: pairs(&methods).filter_map(|(a, b)| detectable(sheets, a, b)).collect(),
    }
}

/// The letters of the methods over tasks and seeds.
pub(super) fn letters_over_tasks(sheets: &[TaskSheet]) -> Vec<MethodLetters> {
    let methods = method_names(sheets);
    letters(&by_mean(sheets, &methods), &signed_ranks(sheets, &methods))
}

/// The letters of the methods on one task, by its pairs; `None` where they were not compared.
pub(super) fn letters_on_task(sheet: &TaskSheet, pairwise: &[Pair]) -> Option<Vec<MethodLetters>> {
    let own: Vec<&Pair> = pairwise.iter().filter(|pair| pair.task == sheet.task).collect();
    let names: Vec<&str> = sheet.methods.iter().map(|method| method.method).collect();
    let pair = |a: &str, b: &str| own.iter().find(|pair| is_of(pair, a, b));
    if names.len() < 2 || !pairs(&names).all(|(a, b)| pair(a, b).is_some()) {
        return None;
    }
    let ordered = by_mean(std::slice::from_ref(sheet), &names);
    let letters = compact_letters(ordered.len(), |a, b| {
        pair(ordered[a], ordered[b]).is_some_and(|pair| pair.is_separable())
    });
    Some(named(&ordered, letters))
}

fn is_of(pair: &Pair, a: &str, b: &str) -> bool {
    let names = (pair.method_a.as_str(), pair.method_b.as_str());
    names == (a, b) || names == (b, a)
}

/// The letters of methods that were compared over tasks and seeds; one that some pair lacks has none.
fn letters(ordered: &[&str], tests: &[SignedRankPair]) -> Vec<MethodLetters> {
    let test = |a: &str, b: &str| {
        let is_of =
            |t: &&SignedRankPair| [(a, b), (b, a)].contains(&(t.method_a.as_str(), t.method_b.as_str()));
        tests.iter().find(is_of)
    };
    let compared =
        |name: &&&str| ordered.iter().filter(|other| other != name).all(|other| test(name, other).is_some());
    let known: Vec<&str> = ordered.iter().filter(compared).copied().collect();
    if known.len() < 2 {
        return Vec::new();
    }
    let separable = |a: usize, b: usize| test(known[a], known[b]).is_some_and(|test| test.holm_p < LEVEL);
    named(&known, compact_letters(known.len(), separable))
}

fn named(methods: &[&str], letters: Vec<String>) -> Vec<MethodLetters> {
    let pairs = methods.iter().zip(letters);
    pairs.map(|(method, letters)| MethodLetters { method: method.to_string(), letters }).collect()
}

/// Methods in the order of falling mean over tasks; those without scores last.
fn by_mean<'a>(sheets: &[TaskSheet], methods: &[&'a str]) -> Vec<&'a str> {
    let average = |method: &str| {
        let means = sheets.iter().filter_map(|sheet| mean(&sheet.method(method)?.scores()));
        mean(&means.collect::<Vec<_>>()).unwrap_or(f64::NEG_INFINITY)
    };
    let mut ordered: Vec<(f64, &str)> = methods.iter().map(|method| (average(method), *method)).collect();
    ordered.sort_by(|a, b| b.0.total_cmp(&a.0));
    ordered.into_iter().map(|(_, method)| method).collect()
}

fn wins(pairwise: &[Pair], a: &str, b: &str) -> Wins {
    let mut found = Wins { method_a: a.into(), method_b: b.into(), wins: 0, ties: 0, losses: 0 };
    for pair in pairwise.iter().filter(|pair| pair.method_a == a && pair.method_b == b) {
        match pair.is_separable() {
            false => found.ties += 1,
            true if pair.difference > 0.0 => found.wins += 1,
            true => found.losses += 1,
        }
    }
    found
}

/// Differences of the scores of two methods on the same tasks with the same seeds.
fn differences(sheets: &[TaskSheet], a: &str, b: &str) -> Vec<f64> {
    let of_task = |sheet: &TaskSheet| -> Vec<f64> {
        let (Some(a), Some(b)) = (sheet.method(a), sheet.method(b)) else { return Vec::new() };
        let scores = a.matched(b).filter_map(|(a, b)| Some(a.score? - b.score?));
        // Scores that are equal as fractions must be ties, whatever their last bits are.
        scores.map(|difference| (difference * 1e9).round() / 1e9).collect()
    };
    sheets.iter().flat_map(of_task).collect()
}

fn signed_ranks(sheets: &[TaskSheet], methods: &[&str]) -> Vec<SignedRankPair> {
    let test = |(a, b): (&str, &str)| {
        let differences = differences(sheets, a, b);
        // Fewer can never differ at 5 %.
        (differences.len() >= 2).then(|| SignedRankPair {
            method_a: a.into(),
            method_b: b.into(),
            pairs: differences.len(),
            // All equal: nothing speaks for a difference.
            p: wilcoxon(&differences).map_or(1.0, |test| test.p),
            holm_p: 1.0,
        })
    };
    let mut tests: Vec<SignedRankPair> = pairs(methods).filter_map(test).collect();
    let adjusted = holm(&tests.iter().map(|test| test.p).collect::<Vec<_>>());
    tests.iter_mut().zip(adjusted).for_each(|(test, p)| test.holm_p = p);
    tests
}

/// A method's scores by task, where it has them.
fn scores(sheets: &[TaskSheet], method: &str) -> Vec<Vec<f64>> {
    let of_task = sheets.iter().filter_map(|sheet| Some(sheet.method(method)?.scores()));
    of_task.filter(|scores| !scores.is_empty()).collect()
}

/// Over all tasks and seeds, with a bootstrap over the seeds of each task.
fn interquartile(sheets: &[TaskSheet], method: &str) -> Option<MethodInterval> {
    let scores = scores(sheets, method);
    let value = interquartile_mean(&scores.concat())?;
    let sizes: Vec<usize> = scores.iter().map(Vec::len).collect();
    let drawn = |indices: &[Vec<usize>]| {
        let all =
            indices.iter().zip(&scores).flat_map(|(indices, scores)| indices.iter().map(|i| scores[*i]));
        interquartile_mean(&all.collect::<Vec<_>>()).unwrap_or(value)
    };
    let interval = has_several(&sizes)
        .then(|| stratified_bootstrap(&sizes, RESAMPLES, 1.0 - LEVEL, &mut keyed_rng(1, method), drawn));
    let interval = interval.flatten();
    let (low, high) = (interval.map(|i| i.low), interval.map(|i| i.high));
    Some(MethodInterval { method: method.into(), value, low, high })
}

/// One seed per task tells nothing of the spread over seeds.
fn has_several(sizes: &[usize]) -> bool {
    sizes.iter().any(|size| *size > 1)
}

fn improvements(sheets: &[TaskSheet], methods: &[&str]) -> Vec<Improvement> {
    let all: Vec<(&str, &str)> = pairs(methods).collect();
    let seeds =
        sheets.iter().flat_map(|sheet| &sheet.methods).map(|sheet| sheet.runs.len()).max().unwrap_or(0);
    let comparisons = all.len() * sheets.len() * seeds * seeds;
    let resamples = (COMPARISONS / comparisons.max(1)).clamp(200, RESAMPLES);
    all.par_iter().filter_map(|(a, b)| improvement(sheets, a, b, resamples)).collect()
}

fn improvement(sheets: &[TaskSheet], a: &str, b: &str, resamples: usize) -> Option<Improvement> {
    let both = sheets.iter().filter_map(|sheet| Some((sheet.method(a)?.scores(), sheet.method(b)?.scores())));
    let tasks: Vec<(Vec<f64>, Vec<f64>)> = both.filter(|(a, b)| !a.is_empty() && !b.is_empty()).collect();
    let probability = probability_of_improvement(&tasks)?;
    let sizes: Vec<usize> = tasks.iter().flat_map(|(a, b)| [a.len(), b.len()]).collect();
    let drawn = |indices: &[Vec<usize>]| {
        let pick =
            |indices: &[usize], scores: &[f64]| -> Vec<f64> { indices.iter().map(|i| scores[*i]).collect() };
        let resampled = indices.chunks(2).zip(&tasks);
        let resampled: Vec<(Vec<f64>, Vec<f64>)> =
            resampled.map(|(drawn, (a, b))| (pick(&drawn[0], a), pick(&drawn[1], b))).collect();
        probability_of_improvement(&resampled).unwrap_or(probability)
    };
    let mut rng = keyed_rng(2, &format!("{a}/{b}"));
    let interval = has_several(&sizes)
        .then(|| stratified_bootstrap(&sizes, resamples, 1.0 - LEVEL, &mut rng, drawn))
        .flatten();
    Some(Improvement {
        method_a: a.into(),
        method_b: b.into(),
        probability,
        low: interval.map(|interval| interval.low),
        high: interval.map(|interval| interval.high),
    })
}

fn detectable(sheets: &[TaskSheet], a: &str, b: &str) -> Option<Detectable> {
    let differences = differences(sheets, a, b);
    let difference = detectable_difference(deviation(&differences)?, differences.len())?;
    Some(Detectable { method_a: a.into(), method_b: b.into(), difference })
}
