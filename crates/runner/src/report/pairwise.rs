//! Methods compared item by item on one task: `pairwise.parquet`.

use std::collections::BTreeMap;

use peft_model::random::keyed_rng;
use polars::prelude::*;
use rayon::prelude::*;
use serde::Serialize;

use super::answers::CellAnswers;
use super::data::ReportData;
use super::sheet::{MethodSheet, TaskSheet, pairs};
use crate::statistics::{hierarchical_bootstrap, holm, mcnemar_exact};

/// Two methods on one task, over the items of all seeds that both have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    pub task: String,
    pub method_a: String,
    pub method_b: String,
    /// Seeds that both have.
    pub seeds: u32,
    /// Items of all these seeds together.
    pub items: u64,
    /// Items that only one of the methods has right.
    pub only_a: u64,
    pub only_b: u64,
    /// Exact McNemar test, two-sided.
    pub mcnemar_p: f64,
    /// The same adjusted for all pairs of the task (Holm 1979).
    pub holm_p: f64,
    /// Accuracy of the first method less that of the second, in percentage points, and its 95 % interval by the paired
    /// bootstrap over seeds and items.
    pub difference: f64,
    pub low: Option<f64>,
    pub high: Option<f64>,
}

impl Pair {
    /// Whether the two methods differ at 5 %.
    pub fn is_separable(&self) -> bool {
        self.holm_p < LEVEL
    }
}

/// Significance level of all tests.
pub const LEVEL: f64 = 0.05;

/// Most and fewest resamples of a bootstrap, and about how many answers may be looked at in all.
const MOST_RESAMPLES: usize = 2000;
const FEWEST_RESAMPLES: usize = 100;
const DRAWS: usize = 2_000_000_000;

/// Resamples of each of several bootstraps that draw from so many answers in all.
pub(super) fn resamples(answers: usize) -> usize {
    (DRAWS / answers.max(1)).clamp(FEWEST_RESAMPLES, MOST_RESAMPLES)
}

/// Compares every pair of methods on every task whose items are right or wrong.
pub(super) fn compare(sheets: &[TaskSheet], answers: &BTreeMap<String, CellAnswers>) -> Vec<Pair> {
    let matched: Vec<(&TaskSheet, Matched)> = sheets
        .par_iter()
        .flat_map_iter(|sheet| {
            let methods: Vec<&MethodSheet> = sheet.methods.iter().collect();
            let found = pairs(&methods).filter_map(|(a, b)| Matched::new(a, b, answers));
            found.map(|matched| (sheet, matched)).collect::<Vec<_>>()
        })
        .collect();
    let items: usize = matched.iter().map(|(_, matched)| matched.items()).sum();
    let resamples = resamples(items);
    let all = matched.par_iter().map(|(sheet, matched)| matched.compare(sheet.task, resamples));
    let mut all: Vec<Pair> = all.collect();
    for of_task in all.chunk_by_mut(|a, b| a.task == b.task) {
        let adjusted = holm(&of_task.iter().map(|pair| pair.mcnemar_p).collect::<Vec<_>>());
        of_task.iter_mut().zip(adjusted).for_each(|(pair, p)| pair.holm_p = p);
    }
    all
}

/// The answers of two methods to the same items.
struct Matched<'a> {
    methods: [&'a str; 2],
    /// By seed.
    right: Vec<[&'a [Option<bool>]; 2]>,
}

impl<'a> Matched<'a> {
    /// `None` where no seed has both, to the same items.
    fn new(
        a: &'a MethodSheet,
        b: &'a MethodSheet,
        answers: &'a BTreeMap<String, CellAnswers>,
    ) -> Option<Self> {
        let of_seed = a.matched(b).filter_map(|(a, b)| {
            let (a, b) = (answers.get(&a.record.cell)?, answers.get(&b.record.cell)?);
            let is_same = a.items == b.items && a.right.len() == b.right.len();
            let is_known = [a, b].iter().all(|answers| answers.right.iter().any(Option::is_some));
            (is_same && is_known).then_some([a.right.as_slice(), b.right.as_slice()])
        });
        let right: Vec<_> = of_seed.collect();
        (!right.is_empty()).then_some(Self { methods: [a.method, b.method], right })
    }

    /// Items of all seeds, those included that are neither right nor wrong.
    fn items(&self) -> usize {
        self.right.iter().map(|[a, _]| a.len()).sum()
    }

    fn compare(&self, task: &str, resamples: usize) -> Pair {
        let differences: Vec<Vec<i8>> = self.right.iter().map(|pair| differences(*pair)).collect();
        let count = |sign: i8| differences.iter().flatten().filter(|d| **d == sign).count() as u64;
        let (only_a, only_b) = (count(1), count(-1));
        let items = differences.iter().map(Vec::len).sum::<usize>() as u64;
        let [a, b] = self.methods;
        let mut rng = keyed_rng(0, &format!("{task}/{a}/{b}"));
        // Seeds of one task have one test set; where an item's answer is unknown in one of them, the pooled counts stand.
        let is_rectangular = differences.iter().all(|seed| seed.len() == differences[0].len());
        let interval = match is_rectangular {
            true => hierarchical_bootstrap(&differences, resamples, 1.0 - LEVEL, &mut rng),
            false => None,
        };
        let p = mcnemar_exact(only_a, only_b);
        Pair {
            task: task.into(),
            method_a: a.into(),
            method_b: b.into(),
            seeds: self.right.len() as u32,
            items,
            only_a,
            only_b,
            mcnemar_p: p,
            holm_p: p,
            difference: 100.0 * (only_a as f64 - only_b as f64) / items as f64,
            low: interval.map(|interval| 100.0 * interval.low),
            high: interval.map(|interval| 100.0 * interval.high),
        }
    }
}

/// For each item that is right or wrong in both: 1 where only the first has it right, -1 where only the second has.
fn differences([a, b]: [&[Option<bool>]; 2]) -> Vec<i8> {
    let both = a.iter().zip(b).filter_map(|(a, b)| Some(((*a)?, (*b)?)));
    both.map(|(a, b)| i8::from(a) - i8::from(b)).collect()
}

/// The comparisons of all reports as a table for Parquet.
///
/// # Errors
/// Never in practice: the columns have one length.
pub fn to_frame(reports: &[ReportData]) -> PolarsResult<DataFrame> {
    let rows = || reports.iter().flat_map(|report| report.pairwise.iter().map(move |pair| (report, pair)));
    let pairs: Vec<&Pair> = rows().map(|(_, pair)| pair).collect();
    let texts = |f: fn(&Pair) -> &str| pairs.iter().map(|pair| f(pair)).collect::<Vec<&str>>();
    let whole = |f: fn(&Pair) -> u64| pairs.iter().map(|pair| f(pair)).collect::<Vec<u64>>();
    df!(
        "suite" => rows().map(|(report, _)| report.suite.as_str()).collect::<Vec<_>>(),
        "task" => texts(|p| &p.task),
        "method_a" => texts(|p| &p.method_a),
        "method_b" => texts(|p| &p.method_b),
        "seeds" => pairs.iter().map(|p| p.seeds).collect::<Vec<_>>(),
        "items" => whole(|p| p.items),
        "only_a" => whole(|p| p.only_a),
        "only_b" => whole(|p| p.only_b),
        "mcnemar_p" => pairs.iter().map(|p| p.mcnemar_p).collect::<Vec<_>>(),
        "holm_p" => pairs.iter().map(|p| p.holm_p).collect::<Vec<_>>(),
        "difference" => pairs.iter().map(|p| p.difference).collect::<Vec<_>>(),
        "low" => pairs.iter().map(|p| p.low).collect::<Vec<_>>(),
        "high" => pairs.iter().map(|p| p.high).collect::<Vec<_>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_that_one_method_alone_has_right_are_counted_over_all_seeds() {
        let [yes, no] = [Some(true), Some(false)];
        let (a, b) = ([yes, yes, None, no], [no, yes, None, yes]);
        let (c, d) = ([yes; 4], [no, yes, no, yes]);
        let matched = Matched { methods: ["a", "b"], right: vec![[&a, &b], [&c, &d]] };
        let pair = matched.compare("task", 100);
        assert_eq!((pair.seeds, pair.items, pair.only_a, pair.only_b), (2, 7, 3, 1));
        assert_eq!(pair.difference, 200.0 / 7.0);
        assert_eq!((pair.mcnemar_p, pair.low), (0.625, None), "three and four items");
        let same = Matched { methods: ["a", "b"], right: vec![[&a, &a]] }.compare("task", 100);
        assert_eq!((same.difference, same.low, same.high, same.mcnemar_p), (0.0, Some(0.0), Some(0.0), 1.0));
    }
}
