//! A suite's cells that have results, in the suite's words.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{CellStatus, Record};
use super::roster::{Entry, Roster, task_name};
use super::shown::{Order, ReportedSplit};

/// A cell of the suite that has a result, and the one that asked for it.
pub(super) struct Member<'a> {
    pub entry: Entry,
    pub record: &'a Record,
}

/// The cells of a suite that have results, in the order of its tasks and methods.
pub(super) fn members<'a>(roster: &Roster, records: &'a [Record]) -> Vec<Member<'a>> {
    let by_id: BTreeMap<&str, &Record> = records.iter().map(|r| (r.cell.as_str(), r)).collect();
    let known: BTreeSet<&str> = roster.cells.iter().map(|entry| entry.cell.as_str()).collect();
    let listed = roster
        .cells
        .iter()
        .filter_map(|entry| Some(Member { entry: entry.clone(), record: by_id.get(entry.cell.as_str())? }));
    // Of a process that wrote its result, and whose entry another one's overwrote.
    let unlisted = records.iter().filter(|r| r.suite == roster.suite && !known.contains(r.cell.as_str()));
    let unlisted = unlisted.map(|record| Member { entry: Entry::of(record), record });
    let mut members: Vec<Member> = listed.chain(unlisted).collect();
    in_order(&mut members, &roster.order);
    members
}

impl Entry {
    /// What a record itself says of who asked for it.
    fn of(record: &Record) -> Self {
        Self {
            cell: record.cell.clone(),
            group: record.group.clone(),
            task: record.task.clone(),
            task_title: record.task_title.clone(),
            method: record.method.clone(),
            seed: record.seed,
            shots: None,
            limit: record.limit,
            metrics: Vec::new(),
            work: 0,
            changes: String::new(),
            configuration: String::new(),
            run: 0,
        }
    }
}

/// Sorts by the suite's own order of tasks and methods, what is not in it last.
fn in_order(members: &mut [Member], order: &Order) {
    let place = |names: &[String], name: &str| names.iter().position(|n| n == name).unwrap_or(names.len());
    let tasks: Vec<String> = order.tasks.iter().map(|task| task_name(task)).collect();
    members.sort_by_key(|m| (place(&tasks, &m.entry.task), place(&order.methods, &m.entry.method)));
}

impl Member<'_> {
    /// The record in the suite's words, with the score that its table shows, under this name of the method.
    pub(super) fn shown(&self, method: String, split: ReportedSplit) -> Record {
        let Self { entry, record } = self;
        let Record { status, score, selection_score, selection_metric, .. } = record;
        let (metric, score) = match (split, entry.metrics.first()) {
            (ReportedSplit::Validation, _) => (selection_metric, *score),
            (ReportedSplit::Test, Some(metric)) if *metric != record.metric => {
                let scores = record.test_scores();
                (metric, scores.get(metric).copied().filter(|_| *status == CellStatus::Completed))
            }
            (ReportedSplit::Test, _) => (&record.metric, *score),
        };
        Record {
            method,
            group: entry.group.clone(),
            task_title: entry.task_title.clone(),
            metric: metric.clone(),
            score,
            selection_score: *selection_score,
            ..(*record).clone()
        }
    }

    /// Metrics that its task names today, and that the result was made without.
    pub(super) fn lacks(&self) -> Vec<&str> {
        let scores = self.record.test_scores();
        let named = self.entry.metrics.iter().filter(|metric| !scores.contains_key(*metric));
        // What diverged before its first checkpoint has no scores at all.
        named.map(String::as_str).filter(|_| self.record.best_step.is_some()).collect()
    }

    /// All that makes the record but its seed.
    pub(super) fn kind(&self) -> String {
        match self.record.kind.as_str() {
            "" => described(self.record),
            kind => kind.into(),
        }
    }
}

/// All that a record itself tells of what makes it but its seed.
fn described(record: &Record) -> String {
    let Record { model_revision, dataset_revision, settings, training, task_spec, .. } = record;
    [model_revision, dataset_revision, settings, training, task_spec].map(String::as_str).join("\n")
}
