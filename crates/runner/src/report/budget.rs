//! Prompt length against rank, for methods that divide one budget of parameters among a prompt and offsets.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::sheet::{MethodSheet, TaskSheet};
use crate::statistics::mean;

/// One split of the budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BudgetSplit {
    pub task: String,
    /// The method, whatever its name in the suite.
    pub method: &'static str,
    /// m: the prompt's length.
    pub length: u64,
    /// r: the rank or the bottleneck of the offsets.
    pub rank: u64,
    pub score: f64,
    pub trainable_parameters: u64,
}

/// The setting that holds the rank, by method.
const METHODS: [(&str, &str); 2] = [("DePT", "rank"), ("ADePT", "bottleneck")];

/// The splits of every task on which a method has several prompt lengths.
pub(super) fn splits(sheets: &[TaskSheet]) -> Vec<BudgetSplit> {
    let all: Vec<BudgetSplit> =
        sheets.iter().flat_map(|sheet| sheet.methods.iter().filter_map(|m| split(sheet.task, m))).collect();
    let lengths = |task: &str, method: &str| -> BTreeSet<u64> {
        all.iter()
            .filter(|split| split.task == task && split.method == method)
            .map(|split| split.length)
            .collect()
    };
    all.iter().filter(|split| lengths(&split.task, split.method).len() > 1).cloned().collect()
}

fn split(task: &str, sheet: &MethodSheet) -> Option<BudgetSplit> {
    let record = sheet.runs.first()?.record;
    let settings: Value = serde_json::from_str(&record.settings).ok()?;
    let length = settings.get("prompt")?.get("length")?.as_u64()?;
    let of_method = METHODS.iter().find_map(|(method, key)| Some((*method, settings.get(*key)?.as_u64()?)));
    let (method, rank) = of_method?;
    Some(BudgetSplit {
        task: task.into(),
        method,
        length,
        rank,
        score: mean(&sheet.scores())?,
        trainable_parameters: record.trainable_parameters,
    })
}
