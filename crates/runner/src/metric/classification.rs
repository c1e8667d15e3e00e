//! Metrics over labels that are compared as text.

use std::collections::{BTreeMap, HashSet};

use super::answer::{Answer, each, mean};
use super::error::{MetricError, RowProblem};

/// A prediction and its target.
type Pair<'a> = (&'a str, &'a str);

pub(super) fn accuracy(answers: &[Answer]) -> Result<f64, MetricError> {
    let pairs = pairs(answers)?;
    let right = pairs.iter().filter(|(prediction, target)| prediction == target).count();
    Ok(right as f64 / pairs.len() as f64)
}

pub(super) fn binary_f1(answers: &[Answer]) -> Result<f64, MetricError> {
    let mut counts = Counts::default();
    for (prediction, target) in binary_pairs(answers)? {
        let predicted = binary(prediction, target) == "1";
        counts.predicted += usize::from(predicted);
        counts.expected += usize::from(target == "1");
        counts.hit += usize::from(predicted && target == "1");
    }
    Ok(counts.f1())
}

pub(super) fn macro_f1(answers: &[Answer], classes: Option<&[String]>) -> Result<f64, MetricError> {
    let pairs = match classes {
        Some(classes) => pairs_of(answers, classes)?,
        None => pairs(answers)?,
    };
    let mut counts: BTreeMap<&str, Counts> = BTreeMap::new();
    for &(prediction, target) in &pairs {
        count(&mut counts, prediction, target);
    }
    let scores: Vec<f64> = match classes {
        Some(classes) => classes.iter().map(|class| counts.get(&**class).map_or(0.0, Counts::f1)).collect(),
        None => counts.values().map(Counts::f1).collect(),
    };
    Ok(mean(&scores))
}

/// Gorodkin's R_K from the label counts; 0 if the predictions or the targets are all one label.
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
    let covariance = right * total - sum(|(predicted, expected)| predicted * expected);
    let variance_of_predictions = total * total - sum(|(predicted, _)| predicted * predicted);
    let variance_of_targets = total * total - sum(|(_, expected)| expected * expected);
    let product = variance_of_predictions * variance_of_targets;
    Ok(if product == 0.0 { 0.0 } else { covariance / product.sqrt() })
}

/// Share of groups in which every row is right.
pub(super) fn whole_groups(answers: &[Answer]) -> Result<f64, MetricError> {
    let mut whole: BTreeMap<&str, bool> = BTreeMap::new();
    let groups = each(answers, Answer::group)?;
    for ((prediction, target), group) in binary_pairs(answers)?.into_iter().zip(groups) {
        *whole.entry(group).or_insert(true) &= prediction == target;
    }
    Ok(whole.values().filter(|&&right| right).count() as f64 / whole.len() as f64)
}

/// Mean over groups of each one's macro-F1 over the labels that occur in it.
pub(super) fn f1_of_groups(answers: &[Answer]) -> Result<f64, MetricError> {
    let mut counts: BTreeMap<&str, BTreeMap<&str, Counts>> = BTreeMap::new();
    let groups = each(answers, Answer::group)?;
    for ((prediction, target), group) in binary_pairs(answers)?.into_iter().zip(groups) {
        count(counts.entry(group).or_default(), binary(prediction, target), target);
    }
    let of_group =
        |counts: &BTreeMap<&str, Counts>| mean(&counts.values().map(Counts::f1).collect::<Vec<_>>());
    Ok(mean(&counts.values().map(of_group).collect::<Vec<_>>()))
}

/// A prediction as one of the two labels; one that is neither counts as the wrong one.
fn binary<'a>(prediction: &'a str, target: &str) -> &'a str {
    match (prediction, target) {
        ("0" | "1", _) => prediction,
        (_, "0") => "1",
        _ => "0",
    }
}

fn count<'a>(counts: &mut BTreeMap<&'a str, Counts>, prediction: &'a str, target: &'a str) {
    counts.entry(prediction).or_default().predicted += 1;
    let expected = counts.entry(target).or_default();
    expected.expected += 1;
    expected.hit += usize::from(prediction == target);
}

fn pairs(answers: &[Answer]) -> Result<Vec<Pair<'_>>, MetricError> {
    each(answers, |answer| Ok((&*answer.prediction, answer.target()?)))
}

fn pairs_of<'a>(answers: &'a [Answer], classes: &[String]) -> Result<Vec<Pair<'a>>, MetricError> {
    let known: HashSet<&str> = classes.iter().map(String::as_str).collect();
    each(answers, |answer| match answer.target()? {
        target if known.contains(target) => Ok((&*answer.prediction, target)),
        target => Err(RowProblem::NotAClass {
            target: target.into(),
            classes: format!("`{}`", classes.join("`, `")),
        }),
    })
}

fn binary_pairs(answers: &[Answer]) -> Result<Vec<Pair<'_>>, MetricError> {
    each(answers, |answer| match answer.target()? {
        target @ ("0" | "1") => Ok((&*answer.prediction, target)),
        target => Err(RowProblem::NotBinary { target: target.into() }),
    })
}

/// How often a class is predicted, expected, and both at once.
#[derive(Debug, Default)]
struct Counts {
    predicted: usize,
    expected: usize,
    hit: usize,
}

impl Counts {
    /// F1; 0 if the class is neither predicted nor expected.
    fn f1(&self) -> f64 {
        match self.predicted + self.expected {
            0 => 0.0,
            sum => 2.0 * self.hit as f64 / sum as f64,
        }
    }
}
