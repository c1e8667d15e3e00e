//! Metrics over labels that are compared as text.

use std::collections::{BTreeMap, BTreeSet};

use super::{Answer, MetricError, each, mean};

/// A prediction and its target.
type Pair<'a> = (&'a str, &'a str);

pub(super) fn accuracy(answers: &[Answer]) -> Result<f64, MetricError> {
    let pairs = pairs(answers)?;
    let right = pairs.iter().filter(|(prediction, target)| prediction == target).count();
    Ok(right as f64 / pairs.len() as f64)
}

pub(super) fn binary_f1(answers: &[Answer]) -> Result<f64, MetricError> {
    let valid: Vec<Pair> = binary_pairs(answers)?
        .into_iter()
        .map(|(prediction, target)| match (prediction, target) {
            ("0" | "1", _) => (prediction, target),
            (_, "1") => ("0", target),
            _ => ("1", target),
        })
        .collect();
    Ok(class_f1(&valid, "1"))
}

pub(super) fn macro_f1(answers: &[Answer]) -> Result<f64, MetricError> {
    let pairs = pairs(answers)?;
    let classes: BTreeSet<&str> = pairs.iter().map(|&(_, target)| target).collect();
    let scores: Vec<f64> = classes.into_iter().map(|class| class_f1(&pairs, class)).collect();
    Ok(mean(&scores))
}

/// Gorodkin's R_K from the label counts; 0 where predictions or targets are all one label.
pub(super) fn matthews(answers: &[Answer]) -> Result<f64, MetricError> {
    let pairs = pairs(answers)?;
    let mut counts: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for &(prediction, target) in &pairs {
        counts.entry(prediction).or_default().0 += 1.0;
        counts.entry(target).or_default().1 += 1.0;
    }
    let total = pairs.len() as f64;
    let right = pairs.iter().filter(|(prediction, target)| prediction == target).count() as f64;
    let sum = |term: fn(&(f64, f64)) -> f64| counts.values().map(term).sum::<f64>();
    let covariance = right * total - sum(|(predicted, wanted)| predicted * wanted);
    let variance_of_predictions = total * total - sum(|(predicted, _)| predicted * predicted);
    let variance_of_targets = total * total - sum(|(_, wanted)| wanted * wanted);
    let product = variance_of_predictions * variance_of_targets;
    Ok(if product == 0.0 { 0.0 } else { covariance / product.sqrt() })
}

/// Share of groups in which every row is right.
pub(super) fn whole_groups(answers: &[Answer]) -> Result<f64, MetricError> {
    let mut whole: BTreeMap<&str, bool> = BTreeMap::new();
    for (row, (prediction, target)) in binary_pairs(answers)?.into_iter().enumerate() {
        *whole.entry(answers[row].group(row)?).or_insert(true) &= prediction == target;
    }
    Ok(whole.values().filter(|&&right| right).count() as f64 / whole.len() as f64)
}

fn pairs(answers: &[Answer]) -> Result<Vec<Pair<'_>>, MetricError> {
    each(answers, |row, answer| Ok((&*answer.prediction, answer.target(row)?)))
}

fn binary_pairs(answers: &[Answer]) -> Result<Vec<Pair<'_>>, MetricError> {
    each(answers, |row, answer| match answer.target(row)? {
        target @ ("0" | "1") => Ok((&*answer.prediction, target)),
        target => Err(MetricError::NotBinary { row, target: target.into() }),
    })
}

/// F1 of one class; 0 where it is neither predicted nor wanted.
fn class_f1(pairs: &[Pair], class: &str) -> f64 {
    let count = |holds: &dyn Fn(&Pair) -> bool| pairs.iter().filter(|pair| holds(pair)).count();
    let predicted = count(&|(prediction, _)| *prediction == class);
    let wanted = count(&|(_, target)| *target == class);
    let hit = count(&|pair| *pair == (class, class));
    if predicted + wanted == 0 { 0.0 } else { 2.0 * hit as f64 / (predicted + wanted) as f64 }
}
