use std::collections::BTreeSet;
use std::time::Instant;

use crate::grid::PlannedCell;
use crate::results::{CellStatus, Record, ReportedSplit, score_text, seeds_text};
use crate::terminal::progress::{self, Overall, Part, Progress, duration, say};

/// Counts the cells of a run and reports each one that is done.
pub(super) struct Tally {
    split: ReportedSplit,
    total: usize,
    /// Cells that were done before the run.
    before: BTreeSet<String>,
    /// Cells that have been reported, each under the method's and the task's name in tables.
    reported: BTreeSet<[String; 3]>,
    done: usize,
    started: Instant,
    /// Work of the cells that were missing at the start, and how much of it is done.
    work: u64,
    work_done: u64,
}

impl Tally {
    /// Reports how many of a plan's cells are done and how many are missing.
    pub(super) fn start(
        title: &str,
        split: ReportedSplit,
        cells: &[PlannedCell],
        records: &[Record],
    ) -> Self {
        let known: BTreeSet<&String> = records.iter().map(|record| &record.cell).collect();
        let (done, missing): (Vec<_>, Vec<_>) = cells.iter().partition(|cell| known.contains(&cell.id));
        say!("{title}: {} cells, {} already done, {} to run", cells.len(), done.len(), missing.len());
        Self {
            split,
            total: cells.len(),
            done: done.len(),
            before: done.into_iter().map(|cell| cell.id.clone()).collect(),
            reported: BTreeSet::new(),
            started: Instant::now(),
            work: missing.iter().map(|cell| cell.work).sum(),
            work_done: 0,
        }
    }

    /// Whether no cell is missing.
    pub(super) fn is_done(&self) -> bool {
        self.done == self.total
    }

    /// Whether a cell was done before the run, or has been reported.
    pub(super) fn knows(&self, record: &Record) -> bool {
        self.before.contains(&record.cell) || self.reported.contains(&key(record))
    }

    /// Progress of cells that train in one batched pass.
    pub(super) fn training(&self, cells: &[PlannedCell]) -> Box<dyn Progress> {
        let (first, last) = (self.done + 1, self.done + cells.len());
        let place = match cells.len() {
            1 => format!("cell {first} of {}", self.total),
            _ => format!("cells {first}-{last} of {}", self.total),
        };
        let seeds: Vec<u64> = cells.iter().map(|cell| cell.seed).collect();
        let name = cells.first().map(|cell| format!("{} on {}", cell.method, cell.task_title));
        progress::for_part(Part {
            name: name.unwrap_or_default(),
            place,
            detail: seeds_text(&seeds),
            overall: Overall {
                started: self.started,
                before: self.work_done,
                own: cells.iter().map(|cell| cell.work).sum(),
                total: self.work,
            },
        })
    }

    /// Reports a cell that is done, unless it was before.
    pub(super) fn finished(&mut self, record: &Record, work: u64) {
        if self.knows(record) {
            return;
        }
        self.reported.insert(key(record));
        self.done += 1;
        self.work_done += work;
        let Record { method, task_title, seed, best_step, .. } = record;
        let result = match (&record.status, record.score_on(self.split)) {
            (CellStatus::Completed, Some(score)) => {
                let step = best_step.map(|step| format!(" (best step {step})")).unwrap_or_default();
                score_text(record.metric_on(self.split), score) + &step
            }
            (CellStatus::Completed, None) => "no score".into(),
            (CellStatus::Diverged(problem), _) => format!("diverged: {problem}"),
        };
        let seconds = duration(record.train_seconds + record.evaluate_seconds);
        say!("{}/{} {method} on {task_title}, seed {seed}: {result}, {seconds}", self.done, self.total);
    }
}

fn key(record: &Record) -> [String; 3] {
    [&record.method, &record.task_title, &record.cell].map(String::clone)
}
