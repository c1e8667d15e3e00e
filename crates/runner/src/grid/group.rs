use super::instance::Instance;
use crate::host::device::DeviceName;
use crate::results::Cell;

/// Cells that differ in their seed alone.
#[derive(Debug)]
pub(super) struct Group {
    /// One for each seed of the suite, in its order; at least one.
    pub cells: Vec<Cell>,
    /// Whether seeds train side by side.
    pub together: bool,
}

/// A cell that a plan has, trained or not.
#[derive(Debug, Clone)]
pub struct PlannedCell {
    pub id: String,
    pub group: String,
    pub task: String,
    /// Title of the task in tables.
    pub task_title: String,
    /// Metrics of the task, the one in tables first.
    pub metrics: Vec<String>,
    /// Number of training rows, where not all of them train.
    pub shots: Option<usize>,
    /// Name of the method in tables.
    pub method: String,
    pub seed: u64,
    /// Rows that it trains on, again and again, in all: what its training time goes by.
    pub work: u64,
}

impl Group {
    /// The cell of a seed, which need not be the suite's: a state on disk may be of an earlier run with others.
    pub(super) fn cell(&self, seed: u64) -> Cell {
        let own = self.cells.iter().find(|cell| cell.seed == seed);
        own.cloned().unwrap_or_else(|| Cell { seed, ..self.cells[0].clone() })
    }

    /// How many seeds train side by side: on a GPU those whose company is part of what a cell is, on the CPU as many
    /// of all as `fitting` says.
    pub(super) fn runs_at_once(&self, device: DeviceName, fitting: impl FnOnce(usize) -> usize) -> usize {
        match self.together {
            false => 1,
            true if device == DeviceName::CPU => fitting(self.cells.len()),
            true => self.cells.len(),
        }
    }

    /// Numbers of training rows; `None` for all of them.
    pub(super) fn shots(&self) -> Option<usize> {
        self.cells[0].shots
    }
}

impl PlannedCell {
    /// A cell as a method's name asks for it.
    pub fn new(cell: &Cell, instance: &Instance) -> Self {
        let metrics = &cell.spec.metrics;
        let mut names: Vec<String> = metrics.all().iter().map(ToString::to_string).collect();
        names.sort_by_key(|name| *name != metrics.reported().to_string());
        Self {
            id: cell.id(),
            group: cell.spec.group.clone(),
            task: cell.task.clone(),
            task_title: cell.title(),
            metrics: names,
            shots: cell.shots,
            method: instance.name.clone(),
            seed: cell.seed,
            work: cell.training.steps * cell.training.batch_size as u64,
        }
    }
}
