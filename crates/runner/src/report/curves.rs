//! Learning curves: the mean over seeds, and how far seeds lie apart.

use std::collections::BTreeMap;

use serde::Serialize;

use super::formats::csv;
use super::sheet::TaskSheet;
use crate::results::{Curve, Record};

/// A curve of one method on one task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MethodCurve {
    pub task: String,
    pub method: String,
    /// One of `loss`, `validation`, `gradient_norm`, `learning_rate`.
    pub kind: &'static str,
    /// Step, mean, lowest and highest of the seeds, and their number.
    pub points: Vec<(u64, f64, f64, f64, usize)>,
}

/// Most points of a curve: more cannot be told apart on a screen.
const MOST_POINTS: usize = 60;

/// How a curve is read from a record.
type Read = fn(&Record) -> Curve;

const KINDS: [(&str, Read); 4] = [
    ("loss", |record| record.losses.clone()),
    ("validation", |record| record.validation_curve.clone()),
    ("gradient_norm", |record| {
        record.evidence.as_ref().map(|e| e.gradient_norms.clone()).unwrap_or_default()
    }),
    ("learning_rate", schedule),
];

/// The schedule's factor on every learning rate.
fn schedule(record: &Record) -> Curve {
    let factors = record.evidence.as_ref().map(|evidence| evidence.schedule.as_slice()).unwrap_or_default();
    record.losses.iter().map(|(step, _)| *step).zip(factors.iter().copied()).collect()
}

/// All curves that have points.
pub(super) fn curves(sheets: &[TaskSheet]) -> Vec<MethodCurve> {
    let methods = sheets.iter().flat_map(|sheet| sheet.methods.iter().map(move |method| (sheet, method)));
    let curves = methods.flat_map(|(sheet, method)| {
        KINDS.into_iter().map(move |(kind, read)| {
            let seeds = method.runs.iter().map(|run| read(run.record));
            MethodCurve {
                task: sheet.task.into(),
                method: method.method.into(),
                kind,
                points: thinned(over_seeds(seeds)),
            }
        })
    });
    curves.filter(|curve| !curve.points.is_empty()).collect()
}

/// The curves of all cells as CSV, each point on its line.
pub fn curves_to_csv(records: &[Record]) -> String {
    let mut text = String::from("suite,task,method,seed,cell,curve,step,value\n");
    for record in records {
        let Record { suite, task_title, method, seed, cell, .. } = record;
        let names = [suite, task_title, method].map(|name| csv(name)).join(",");
        for (kind, read) in KINDS {
            for (step, value) in read(record) {
                text += &format!("{names},{seed},{cell},{kind},{step},{value}\n");
            }
        }
    }
    text
}

fn over_seeds(seeds: impl Iterator<Item = Curve>) -> Vec<(u64, f64, f64, f64, usize)> {
    let mut steps: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (step, value) in seeds.flatten() {
        steps.entry(step).or_default().push(value);
    }
    let point = |(step, values): (u64, Vec<f64>)| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (step, mean, low, high, values.len())
    };
    steps.into_iter().map(point).collect()
}

/// Every so many points, the last one among them.
fn thinned<T>(points: Vec<T>) -> Vec<T> {
    let every = points.len().div_ceil(MOST_POINTS).max(1);
    let last = points.len().saturating_sub(1);
    let kept = points.into_iter().enumerate().filter(|(place, _)| (last - place).is_multiple_of(every));
    kept.map(|(_, point)| point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_joined_by_step() {
        let seeds = [vec![(10, 1.0), (20, 2.0)], vec![(10, 3.0)]];
        assert_eq!(over_seeds(seeds.into_iter()), [(10, 2.0, 1.0, 3.0, 2), (20, 2.0, 2.0, 2.0, 1)]);
    }

    #[test]
    fn long_curves_keep_their_end() {
        let kept = thinned((0..1000).collect());
        assert!(kept.len() <= MOST_POINTS && kept.last() == Some(&999), "{}", kept.len());
        assert_eq!(thinned((0..MOST_POINTS).collect()).len(), MOST_POINTS);
        assert!(thinned(Vec::<u8>::new()).is_empty());
    }
}
