//! Single items and what every method answered: those about which methods disagree most.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use super::answers::CellAnswers;
use super::sheet::{Run, TaskSheet};
use crate::results::{ReportedSplit, SplitPredictions, Store, StoreError, of_split};
use crate::task::Role;

/// An item and the answers to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportedItem {
    pub task: String,
    pub item: usize,
    pub source: String,
    pub target: String,
    pub answers: Vec<ReportedAnswer>,
}

/// What the first seed of a method answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportedAnswer {
    pub method: String,
    pub seed: u64,
    pub text: String,
    pub right: Option<bool>,
}

/// Most items of a task and of a report.
const MOST_OF_TASK: usize = 60;
const MOST: usize = 1200;

/// Most characters of a text.
const MOST_CHARACTERS: usize = 3000;

/// The most disputed items of all tasks.
///
/// # Errors
/// When a file is there and cannot be read.
pub(super) fn disputed(
    store: &Store,
    sheets: &[TaskSheet],
    answers: &BTreeMap<String, CellAnswers>,
    split: ReportedSplit,
) -> Result<Vec<ReportedItem>, StoreError> {
    let most = (MOST / sheets.len().max(1)).clamp(1, MOST_OF_TASK);
    let of_tasks: Result<Vec<_>, _> =
        sheets.par_iter().map(|sheet| of_task(store, sheet, answers, split, most)).collect();
    Ok(of_tasks?.concat())
}

fn of_task(
    store: &Store,
    sheet: &TaskSheet,
    answers: &BTreeMap<String, CellAnswers>,
    split: ReportedSplit,
    most: usize,
) -> Result<Vec<ReportedItem>, StoreError> {
    let answered = |run: &&Run| answers.contains_key(&run.record.cell);
    let runs: Vec<Run> =
        sheet.methods.iter().filter_map(|method| method.runs.iter().find(answered)).copied().collect();
    let Some(name) = runs.first().map(|run| answers[&run.record.cell].items.clone()) else {
        return Ok(Vec::new());
    };
    // Answers to other items cannot stand beside these.
    let runs: Vec<Run> = runs.into_iter().filter(|run| answers[&run.record.cell].items == name).collect();
    let Some(items) = store.items(&name)? else { return Ok(Vec::new()) };
    let right: Vec<&[Option<bool>]> =
        runs.iter().map(|run| answers[&run.record.cell].right.as_slice()).collect();
    let chosen = most_disputed(&right, most);
    let mut reported: Vec<ReportedItem> = Vec::new();
    for (run, right) in runs.iter().zip(right) {
        let Some(frame) = store.predictions(&run.record.cell)? else { continue };
        let Ok(read) = of_split(&items, &frame, role(split)) else { continue };
        if reported.is_empty() {
            reported = chosen.iter().filter_map(|&item| without_answers(sheet.task, item, &read)).collect();
        }
        for item in &mut reported {
            item.answers.push(ReportedAnswer {
                method: run.record.method.clone(),
                seed: run.record.seed,
                text: shortened(&read.predictions[item.item]),
                right: right[item.item],
            });
        }
    }
    Ok(reported)
}

fn role(split: ReportedSplit) -> Role {
    match split {
        ReportedSplit::Test => Role::Test,
        ReportedSplit::Validation => Role::Validation,
    }
}

fn without_answers(task: &str, place: usize, read: &SplitPredictions) -> Option<ReportedItem> {
    let item = read.items.get(place)?;
    Some(ReportedItem {
        task: task.into(),
        item: place,
        source: shortened(&item.source),
        target: shortened(&item.target),
        answers: Vec::new(),
    })
}

/// The items about which the methods are most evenly divided, in their order; where nothing is right or wrong, the
/// first ones.
fn most_disputed(right: &[&[Option<bool>]], most: usize) -> Vec<usize> {
    let items = right.iter().map(|right| right.len()).min().unwrap_or(0);
    let votes = |item: usize| {
        let known = right.iter().filter_map(|right| right[item]);
        let (yes, no): (Vec<bool>, Vec<bool>) = known.partition(|right| *right);
        (yes.len().min(no.len()), no.len())
    };
    let mut ordered: Vec<usize> = (0..items).collect();
    ordered.sort_by_key(|&item| std::cmp::Reverse(votes(item)));
    ordered.truncate(most);
    ordered.sort_unstable();
    ordered
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_that_divide_methods_come_first() {
        let [yes, no] = [Some(true), Some(false)];
        let (a, b, c) = ([yes, yes, no, no], [yes, no, no, yes], [yes, no, no, None]);
        assert_eq!(most_disputed(&[&a, &b, &c], 2), [1, 3]);
        assert_eq!(
            most_disputed(&[&a, &b, &c], 3),
            [1, 2, 3],
            "what all have wrong comes before what all have right"
        );
        assert_eq!(most_disputed(&[&[None, None]], 1), [0]);
        assert!(most_disputed(&[], 3).is_empty());
    }
}
