//! The fairness ledger: what each method was given.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::sheet::{TaskSheet, method_names};
use crate::results::{Origin, Record};
use crate::train::TrainSettings;

/// What one method was given, over all tasks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LedgerRow {
    pub method: String,
    /// Settings that were tried and selected among; 1 where settings were given.
    pub trials: u32,
    /// The settings that were tried.
    pub grid: String,
    /// Which metric on the validation split chose the checkpoint.
    pub selection: String,
    pub steps: String,
    pub batch_size: String,
    /// Training rows that were seen in a run.
    pub examples: String,
    pub seeds: u32,
    pub trainable_parameters: String,
    /// Trainings on other tasks that came before, whose steps are not counted above; `None` where no method has any.
    pub sources: Option<String>,
}

/// The ledger of all methods; `trials` are those of a sweep, by method.
pub(super) fn ledger(sheets: &[TaskSheet], trials: &BTreeMap<&str, (u32, String)>) -> Vec<LedgerRow> {
    let rows = method_names(sheets).into_iter().map(|method| row(sheets, method, trials.get(method)));
    let mut rows: Vec<LedgerRow> = rows.collect();
    if rows.iter().all(|row| row.sources.as_deref() == Some(NO_SOURCES)) {
        rows.iter_mut().for_each(|row| row.sources = None);
    }
    rows
}

const NO_SOURCES: &str = "none";

/// What runs started from: `prompt-tuning on mnli, prompt-tuning on qqp`.
fn sources(records: &[&Record]) -> String {
    let origins = records.iter().flat_map(|record| &record.started_from);
    let texts: BTreeSet<String> = origins.map(Origin::title).collect();
    match texts.is_empty() {
        true => NO_SOURCES.into(),
        false => texts.into_iter().collect::<Vec<_>>().join(", "),
    }
}

fn row(sheets: &[TaskSheet], method: &str, trials: Option<&(u32, String)>) -> LedgerRow {
    let own: Vec<&Record> = sheets
        .iter()
        .filter_map(|sheet| sheet.method(method))
        .flat_map(|sheet| sheet.runs.iter().map(|run| run.record))
        .collect();
    let trainings: Vec<TrainSettings> =
        own.iter().filter_map(|record| serde_json::from_str(&record.training).ok()).collect();
    let span = |value: fn(&TrainSettings) -> u64| range(trainings.iter().map(value));
    let seeds: BTreeSet<u64> = own.iter().map(|record| record.seed).collect();
    let selection: BTreeSet<&str> = own.iter().map(|record| record.selection_metric.as_str()).collect();
    LedgerRow {
        method: method.into(),
        trials: trials.map_or(1, |(count, _)| *count),
        grid: trials.map_or("given".into(), |(_, grid)| grid.clone()),
        selection: selection.into_iter().collect::<Vec<_>>().join(", "),
        steps: span(|training| training.steps),
        batch_size: span(|training| training.batch_size as u64),
        examples: span(|training| training.steps * training.batch_size as u64),
        seeds: seeds.len() as u32,
        sources: Some(sources(&own)),
        trainable_parameters: range(own.iter().map(|record| record.trainable_parameters)),
    }
}

/// `7`, or `7 to 12` where values differ.
fn range(values: impl Iterator<Item = u64>) -> String {
    let values: BTreeSet<u64> = values.collect();
    match (values.first(), values.last()) {
        (Some(low), Some(high)) if low != high => format!("{low} to {high}"),
        (Some(one), _) => one.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_differ_are_a_range() {
        assert_eq!(range([3, 1, 2].into_iter()), "1 to 3");
        assert_eq!(range([2, 2].into_iter()), "2");
        assert_eq!(range([].into_iter()), "");
    }
}
