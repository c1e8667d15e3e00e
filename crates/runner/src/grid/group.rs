use super::flops::Flops;
use super::instance::Instance;
use super::shard::Unit;
use super::sources::SourceCell;
use crate::host::device::DeviceName;
use crate::results::Cell;

/// Cells that differ in their seed alone.
#[derive(Debug)]
pub(super) struct Group {
    /// One for each seed of the suite, in its order; at least one.
    pub cells: Vec<Cell>,
    /// What they start from.
    pub sources: Vec<SourceCell>,
    /// Whether others start from them.
    pub is_source: bool,
    /// For a single cell that scores what its only source has trained: on what.
    pub scores: Option<TrainedOn>,
    /// Whether seeds train side by side.
    pub together: bool,
    /// What each of them computes, where it is known.
    pub flops: Option<Flops>,
    /// Parameters that each of them trains.
    pub trainable: u64,
}

/// The rows on which a scored method was trained.
#[derive(Debug, Clone, Copy)]
pub(super) struct TrainedOn {
    /// Number of tasks.
    pub tasks: usize,
    /// The place among them of the task that is scored; `None` where it is not there.
    pub place: Option<u32>,
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
    /// Most rows of each split, in a trial run.
    pub limit: Option<usize>,
    /// Number of training rows, where not all of them train.
    pub shots: Option<usize>,
    /// Name of the method in tables.
    pub method: String,
    pub seed: u64,
    /// Parameters that it trains.
    pub trainable: u64,
    /// Millions of floating-point operations of its training and its scoring, about: what its time goes by. 0 where they
    /// are not counted.
    pub work: u64,
    /// Ids of the cells that it starts from.
    pub sources: Vec<String>,
    /// Whether it is there for others that start from it.
    pub is_source: bool,
    /// Whether it trains, rather than to score what its only source has trained.
    pub trains: bool,
}

/// Work of a cell that nobody could compute; sums of less cannot overflow.
const MOST_WORK: f64 = 1e15;

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

    /// The units of which a process computes all or nothing: seeds whose company decides their bits, or single cells.
    pub(super) fn units(&self) -> Vec<Unit> {
        let unit = |cells: &[Cell]| Unit {
            cells: cells.iter().map(Cell::id).collect(),
            work: cells.iter().map(|cell| self.work(cell)).sum(),
        };
        match self.cells.first() {
            Some(first) if !first.company.is_empty() => vec![unit(&self.cells)],
            _ => self.cells.chunks(1).map(unit).collect(),
        }
    }

    fn work(&self, cell: &Cell) -> u64 {
        self.flops.map_or(0, |flops| (flops.total(&cell.training) / 1e6).clamp(1.0, MOST_WORK) as u64)
    }

    /// A cell as a method's name asks for it.
    pub(super) fn planned(&self, cell: &Cell, instance: &Instance) -> PlannedCell {
        let metrics = &cell.spec.metrics;
        let mut names: Vec<String> = metrics.all().iter().map(ToString::to_string).collect();
        names.sort_by_key(|name| *name != metrics.reported().to_string());
        PlannedCell {
            id: cell.id(),
            group: cell.spec.group.clone(),
            task: cell.task.clone(),
            task_title: cell.title(),
            metrics: names,
            limit: cell.limit,
            shots: cell.shots,
            method: instance.name.clone(),
            seed: cell.seed,
            trainable: self.trainable,
            work: self.work(cell),
            sources: cell.sources.clone(),
            is_source: self.is_source,
            trains: cell.scores.is_none(),
        }
    }

    /// Numbers of training rows; `None` for all of them.
    pub(super) fn shots(&self) -> Option<usize> {
        self.cells[0].shots
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::super::flops::Scoring;
    use super::*;
    use crate::model::Precision;
    use crate::task;
    use crate::train::TrainSettings;

    fn group(company: &[u64]) -> Group {
        let cell = |seed| Cell {
            task: "rte".into(),
            spec: task::find("rte").unwrap().spec,
            rows: ["commit"; 3].map(String::from),
            limit: None,
            shots: None,
            shots_rule: None,
            model: "owner/model".into(),
            model_revision: "commit".into(),
            precision: Precision::F32,
            method: "lora".into(),
            settings: Map::new(),
            training: TrainSettings { steps: 3, ..TrainSettings::default() },
            seed,
            company: company.to_vec(),
            sources: Vec::new(),
            scores: None,
            init_from: None,
        };
        let flops =
            Flops { step: 2e6, validation: Scoring::default(), test: Scoring { flops: 1e6, steps: 1.0 } };
        let (cells, sources) = ([1, 2].map(cell).into(), Vec::new());
        let (is_source, scores, flops) = (false, None, Some(flops));
        Group { cells, sources, is_source, scores, together: true, flops, trainable: 7 }
    }

    #[test]
    fn seeds_whose_company_decides_their_bits_stay_together() {
        let (gpu, cpu) = (group(&[1, 2]), group(&[]));
        let ids = |group: &Group| group.cells.iter().map(Cell::id).collect::<Vec<_>>();
        assert_eq!(gpu.units(), [Unit { cells: ids(&gpu), work: 14 }]);
        let [first, second] = <[String; 2]>::try_from(ids(&cpu)).unwrap();
        assert_eq!(
            cpu.units(),
            [Unit { cells: vec![first], work: 7 }, Unit { cells: vec![second], work: 7 }]
        );
    }
}
