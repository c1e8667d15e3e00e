//! What is wrong with runs, told from their answers and their curves.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Serialize;

use super::answers::{CellAnswers, Distribution};
use crate::results::{CellStatus, Record};

/// Something that a reader of a score must know.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diagnosis {
    pub task: String,
    pub method: String,
    pub seed: u64,
    /// One of `collapsed`, `outside-labels`, `majority`, `no-gradient`, `diverged`, `truncated`, `empty`.
    pub kind: &'static str,
    /// What it is, in words.
    pub text: String,
}

/// Share of answers from which those that are no label, or empty, are told.
const SOME: f64 = 0.01;

/// Share of truncated sources from which they are told.
const MANY_TRUNCATED: f64 = 0.05;

/// The diagnoses of all cells, in their order.
pub(super) fn diagnose(records: &[Record], answers: &BTreeMap<String, CellAnswers>) -> Vec<Diagnosis> {
    let of_cell = |record: &Record| {
        let mut found = of_record(record);
        if let Some(answers) = answers.get(&record.cell) {
            found.extend(of_answers(&answers.distribution, right(answers)));
        }
        let cell = (record.task_title.clone(), record.method.clone(), record.seed);
        found
            .into_iter()
            .map(move |(kind, text)| {
                let (task, method, seed) = cell.clone();
                Diagnosis { task, method, seed, kind, text }
            })
            .collect::<Vec<_>>()
    };
    records.iter().flat_map(of_cell).collect()
}

/// Number of right answers; `None` where answers are neither right nor wrong.
fn right(answers: &CellAnswers) -> Option<usize> {
    let known: Vec<bool> = answers.right.iter().flatten().copied().collect();
    (!known.is_empty() && known.len() == answers.right.len())
        .then(|| known.iter().filter(|right| **right).count())
}

type Found = Vec<(&'static str, String)>;

fn of_record(record: &Record) -> Found {
    let mut found = Vec::new();
    if let CellStatus::Diverged(problem) = &record.status {
        found.push(("diverged", problem.clone()));
    }
    let norms = record.evidence.as_ref().map(|evidence| &evidence.gradient_norms);
    if norms.is_some_and(|norms| !norms.is_empty() && norms.iter().all(|(_, norm)| *norm == 0.0)) {
        found.push(("no-gradient", "every recorded gradient is zero: nothing was trained".into()));
    }
    let sources = record.train_rows + record.validation_rows + record.test_rows;
    let share = record.truncated_sources as f64 / sources.max(1) as f64;
    if share >= MANY_TRUNCATED {
        found.push(("truncated", format!("{:.0} % of all sources were truncated", 100.0 * share)));
    }
    found
}

fn of_answers(answers: &Distribution, right: Option<usize>) -> Found {
    let mut found = Vec::new();
    let items = answers.items;
    let share = |count: usize| count as f64 / items.max(1) as f64;
    let (text, count) = &answers.most_frequent;
    let is_collapsed = items > 1 && *count == items && answers.distinct_targets > 1;
    if is_collapsed {
        found.push(("collapsed", format!("it answers \"{text}\" to every one of {items} items")));
    }
    if let Some(outside) = answers.outside_labels.filter(|outside| share(*outside) >= SOME) {
        found
            .push(("outside-labels", format!("{:.1} % of its answers are no label", 100.0 * share(outside))));
    } else if share(answers.empty) >= SOME && answers.outside_labels.is_none() {
        found.push(("empty", format!("{:.1} % of its answers are empty", 100.0 * share(answers.empty))));
    }
    let baseline = answers.most_frequent_target;
    if let Some(right) = right.filter(|_| answers.outside_labels.is_some() && answers.distinct_targets > 1) {
        let right_share = 100.0 * share(right);
        let verdict = match right.cmp(&baseline) {
            Ordering::Less => {
                format!("below the {:.1} % of always giving the most frequent label", 100.0 * share(baseline))
            }
            Ordering::Equal => "which is that of always giving the most frequent label".into(),
            Ordering::Greater => return found,
        };
        found.push(("majority", format!("{right_share:.1} % of its answers are right, {verdict}")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(found: &Found) -> Vec<&'static str> {
        found.iter().map(|(kind, _)| *kind).collect()
    }

    fn answers(count: usize, outside: Option<usize>) -> Distribution {
        Distribution {
            items: 104,
            most_frequent: ("0".into(), count),
            most_frequent_target: 70,
            distinct_targets: 2,
            outside_labels: outside,
            empty: 0,
        }
    }

    #[test]
    fn a_model_that_always_says_the_same_is_told() {
        let found = of_answers(&answers(104, Some(0)), Some(70));
        assert_eq!(kinds(&found), ["collapsed", "majority"]);
        assert!(
            found[1].1.contains("67.3 % of its answers are right, which is that of always giving"),
            "{found:?}"
        );
        assert_eq!(kinds(&of_answers(&answers(60, Some(0)), Some(69))), ["majority"]);
        assert_eq!(kinds(&of_answers(&answers(60, Some(0)), Some(71))), [""; 0]);
        let one_target = Distribution { distinct_targets: 1, ..answers(104, Some(0)) };
        assert_eq!(kinds(&of_answers(&one_target, Some(104))), [""; 0], "it is right");
    }

    #[test]
    fn answers_that_are_no_label_are_told_from_one_percent_on() {
        assert_eq!(kinds(&of_answers(&answers(60, Some(1)), Some(80))), [""; 0]);
        assert_eq!(kinds(&of_answers(&answers(60, Some(2)), Some(80))), ["outside-labels"]);
        let free_text = Distribution { empty: 50, ..answers(50, None) };
        assert_eq!(kinds(&of_answers(&free_text, Some(10))), ["empty"]);
    }
}
