use anyhow::{Context, Result};

use super::execution::{Execution, Watcher};
use super::group::{Group, PlannedCell};
use super::record::Making;
use super::reported::Reported;
use super::resolve::ResolvedMethod;
use super::rows::TaskRows;
use super::slices::Estimate;
use super::sources::{self, Beginning, Found, InitFrom};
use super::suite::Suite;
use crate::data::TaskData;
use crate::host::device::DeviceName;
use crate::host::{interrupt, memory, panics};
use crate::results::{Cell, Claimed, Record};
use crate::terminal::progress::{Progress, say};
use crate::train::{Job, Outcome, RunSettings, train};

/// A group of cells that is executed.
pub(super) struct GroupRun<'a> {
    pub suite: &'a Suite,
    pub rows: &'a TaskRows,
    pub method: &'a ResolvedMethod,
    pub group: &'a Group,
    pub init_from: Option<&'a InitFrom>,
    pub execution: Execution<'a>,
}

/// How far a group has come.
pub(super) enum Progressed {
    Done(Vec<Record>),
    /// Another process computes this cell of it.
    Busy(String),
    /// The device failed, for this reason.
    Failed(String),
    /// What it starts from came to nothing, for this reason.
    Blocked(String),
}

impl GroupRun<'_> {
    /// Trains the cells that lack a result, as many side by side as can be.
    pub(super) fn run(&self, watcher: &mut dyn Watcher) -> Result<Progressed> {
        loop {
            let (records, missing) = self.done()?;
            watcher.finished(&records)?;
            if missing.is_empty() {
                return Ok(Progressed::Done(records));
            }
            interrupt::check()?;
            let beginning = match self.beginning()? {
                Found::Ready(beginning) => beginning,
                Found::Missing(cell) => return Ok(Progressed::Busy(cell)),
                Found::Failed(problem) => return Ok(Progressed::Blocked(problem)),
            };
            let cells = self.next(&missing)?;
            let _claim = match self.execution.store.claim(&cells)? {
                Claimed::Mine(claim) => claim,
                Claimed::Busy(cell) => return Ok(Progressed::Busy(cell)),
            };
            // Before it was claimed, somebody may have finished a part.
            if self.done()?.1 == missing {
                match self.train(&cells, &beginning, watcher)? {
                    Ok(trained) => watcher.finished(&trained)?,
                    Err(problem) => return Ok(Progressed::Failed(problem)),
                }
            }
        }
    }

    pub(super) fn title(&self) -> String {
        self.method.title(&self.rows.task)
    }

    /// What the cells start from.
    fn beginning(&self) -> Result<Found> {
        let Execution { model, store, .. } = self.execution;
        let group = self.group;
        match self.init_from.filter(|_| group.cells[0].init_from.is_some()) {
            Some(adapter) => Ok(Found::Ready(adapter.beginning().clone())),
            None if group.scores.is_some() => sources::load_to_score(&group.sources[0], model, store),
            None => sources::load(&group.sources, model, store),
        }
    }

    /// The suite that records name: none for those of sources, which no suite shows as its results.
    fn suite(&self) -> String {
        match self.group.is_source {
            true => String::new(),
            false => self.suite.name.clone(),
        }
    }

    /// The records that there are, and the seeds that have none.
    fn done(&self) -> Result<(Vec<Record>, Vec<u64>)> {
        let (mut records, mut missing) = (Vec::new(), Vec::new());
        for cell in &self.group.cells {
            match self.execution.store.read(&cell.id())? {
                // Another suite, or another name in this one, may have asked for the same cell before.
                Some(record) => records.push(Record {
                    method: self.method.instance.name.clone(),
                    suite: self.suite(),
                    task_title: cell.title(),
                    group: cell.spec.group.clone(),
                    ..record
                }),
                None => missing.push(cell.seed),
            }
        }
        Ok((records, missing))
    }

    /// The cells to train next, side by side: those of a state on disk as they are in it, else as many as can be.
    fn next(&self, missing: &[u64]) -> Result<Vec<Cell>> {
        let first = &self.group.cells[0];
        let seeds = match () {
            () if !self.group.together => &missing[..1],
            () if !first.company.is_empty() => &first.company,
            () if self.execution.hardware.device == DeviceName::CPU => {
                &missing[..self.side_by_side(missing.len())?]
            }
            () => missing,
        };
        let cells: Vec<Cell> = seeds.iter().map(|&seed| self.group.cell(seed)).collect();
        let Some(begun) = self.execution.store.on_their_way(&cells) else { return Ok(cells) };
        let own: Vec<Cell> = begun.iter().map(|(_, seed)| self.group.cell(*seed)).collect();
        // A state of other cells is theirs.
        let is_own = own.iter().map(Cell::id).eq(begun.into_iter().map(|(id, _)| id));
        Ok(if is_own && !own.is_empty() { own } else { cells })
    }

    /// How many of so many runs fit into memory together.
    fn side_by_side(&self, runs: usize) -> Result<usize> {
        let (data, shots) = (self.data()?, self.group.shots());
        Ok(match self.execution.hardware.memory_limit {
            Some(limit) => self.estimate()?.runs(limit, runs),
            None => {
                self.method.demand(&self.rows.task, data, shots, self.execution.model)?.side_by_side(runs)
            }
        })
    }

    /// Rows of each of so many runs that the device takes at once; `None` for whole batches.
    fn rows_at_once(&self, runs: usize) -> Result<Option<usize>> {
        let limit = self.execution.hardware.memory_limit;
        limit.map(|limit| Ok(self.estimate()?.rows_at_once(limit, runs)?)).transpose()
    }

    fn estimate(&self) -> Result<Estimate> {
        self.method.estimate(self.rows, self.group, self.execution.model, self.execution.library)
    }

    fn data(&self) -> Result<&TaskData> {
        self.rows.data(self.execution.library)
    }

    /// Trains cells side by side and writes their results, or says why the device failed.
    fn train(
        &self,
        cells: &[Cell],
        beginning: &Beginning,
        watcher: &mut dyn Watcher,
    ) -> Result<Result<Vec<Record>, String>> {
        let Execution { backbone, library, store, hardware, .. } = self.execution;
        let (backbone, whole) = (backbone.get()?, self.data()?);
        let method = self.method.instance.built.method.as_ref();
        let rates = method.learning_rates();
        let runs: Vec<RunSettings> =
            cells.iter().map(|cell| RunSettings { seed: cell.seed, rates: rates.clone() }).collect();
        let changed = match (self.group.shots(), self.group.scores.and_then(|scores| scores.place)) {
            (Some(shots), _) => {
                Some(whole.with_rows(&whole.shots(shots, self.suite.shots_rule, cells[0].seed)))
            }
            // To a method that tells tasks apart, rows say which one they are of.
            (_, Some(place)) if method.tasks().is_some() => Some(whole.at_place(place)),
            _ => None,
        };
        let data = changed.as_ref().unwrap_or(whole);
        let metrics = &self.rows.task.spec.metrics;
        let job = Job {
            backbone,
            tokenizer: library.tokenizer,
            method,
            data,
            metrics: &metrics.all(),
            criterion: &self.method.training.selection.criterion(&self.rows.task.spec),
            // Those of a group differ in nothing else, unless each is trained apart.
            settings: &cells[0].training,
            rows_at_once: self.rows_at_once(runs.len())?,
            runs: &runs,
            start: &beginning.start,
        };
        memory::reset_peak();
        let planned: Vec<PlannedCell> =
            cells.iter().map(|cell| self.group.planned(cell, &self.method.instance)).collect();
        let shown = watcher.training(&planned);
        let mut progress = Reported::new(shown, store.progress_file(cells), &planned);
        let _deferred = interrupt::defer();
        let outcome = match self.train_within_memory(job, cells, &mut progress)? {
            Ok(outcome) => outcome,
            Err(problem) => return Ok(Err(problem)),
        };
        drop(progress);
        let making = Making {
            suite: &self.suite(),
            instance: &self.method.instance,
            started_from: &beginning.origins,
            trained: beginning.trained.as_deref().zip(self.group.scores.map(|scores| scores.tasks)),
            backbone,
            tokenizer: library.tokenizer,
            weights: self.execution.model.weights_digest()?,
            data,
            outcome: &outcome,
            device: hardware.device,
        };
        let records = making.write(cells, store)?;
        store.remove_finished_states();
        Ok(Ok(records))
    }

    /// Trains; where a GPU's memory runs out, again from the last checkpoint in slices of half as many rows.
    fn train_within_memory(
        &self,
        mut job: Job,
        cells: &[Cell],
        progress: &mut dyn Progress,
    ) -> Result<Result<Outcome, String>> {
        let Execution { store, hardware, checkpoint_interval, .. } = self.execution;
        loop {
            let state = store.state_file(cells, checkpoint_interval);
            if hardware.device == DeviceName::CPU {
                return train(&job, state, progress).with_context(|| self.title()).map(Ok);
            }
            let problem = match panics::catch_whole(|| train(&job, state, progress)) {
                Ok(trained) => return trained.with_context(|| self.title()).map(Ok),
                Err(problem) => problem,
            };
            let rows = job.rows_at_once.unwrap_or(usize::MAX).min(job.settings.rows_per_batch());
            if !is_out_of_memory(&problem) || rows == 1 {
                return Ok(Err(panics::shortened(&problem)));
            }
            job.backbone.device().memory_cleanup();
            let fewer = rows.div_ceil(2);
            job.rows_at_once = Some(fewer);
            let (title, device) = (self.title(), hardware.device);
            say!("note: {title}: the memory of {device} ran out; it goes on with {fewer} rows at once");
        }
    }
}

/// How CubeCL says that there is no memory, by the names of its errors and in words.
const OUT_OF_MEMORY: [&str; 5] =
    ["OutOfMemory", "BufferTooBig", "out of device memory", "out of memory", "can't allocate buffer of size"];

fn is_out_of_memory(problem: &str) -> bool {
    OUT_OF_MEMORY.iter().any(|words| problem.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_memory_is_told_from_other_failures_of_a_device() {
        // As CUDA's allocator ended a training, behind what it left undone.
        let failed = "values are floats: Execution(An error happened during execution Caused by: Several failures at \
                      once Caused by: The bytes were never written (failure #375) skipped `ElemwiseFuse` Caused by: An \
                      IO error happened Caused by: out of device memory allocating 2097152 bytes No backtrace)";
        assert!(is_out_of_memory(failed));
        assert!(is_out_of_memory("can't allocate buffer of size: 17179869184"));
        assert!(!is_out_of_memory(
            "Execution(An error happened during execution Caused by: illegal address)"
        ));
    }
}
