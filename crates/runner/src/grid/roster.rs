//! What a run enters into the results folder's list of a suite's cells.

use std::collections::BTreeMap;

use serde_json::json;

use super::group::PlannedCell;
use super::suite::Suite;
use crate::files::digest::Digest;
use crate::results::{Entry, Roster};
use crate::task::Reference;

impl Suite {
    /// A list of no cells, with what tables say of the suite.
    pub fn roster(&self) -> Roster {
        let mut roster = Roster::new(&self.name, &self.title, self.report, self.order.clone());
        roster.sweep.clone_from(&self.choices);
        roster
    }
}

/// The list of the cells that a run of a suite is about, and of those that they start from.
pub fn roster(
    suite: &Suite,
    references: BTreeMap<String, Reference>,
    model_revision: &str,
    cells: &[PlannedCell],
    sources: &[PlannedCell],
) -> Roster {
    let entry = |cell: &PlannedCell| Entry {
        cell: cell.id.clone(),
        group: cell.group.clone(),
        task: cell.task.clone(),
        task_title: cell.task_title.clone(),
        method: cell.method.clone(),
        seed: cell.seed,
        shots: cell.shots,
        limit: cell.limit.map(|limit| limit as u64),
        metrics: cell.metrics.clone(),
        work: cell.work,
        changes: suite.changes(&cell.method),
        configuration: Digest::of_json(&json!([model_revision, suite.configuration(&cell.method)])).short(),
        run: 0,
    };
    let mut roster = suite.roster();
    (roster.cells, roster.sources) = (cells.iter().map(entry).collect(), sources.iter().map(entry).collect());
    roster.references = references;
    roster
}
