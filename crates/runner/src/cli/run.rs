use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use super::choice::Choice;
use super::helpers::{self, Helpers};
use super::tally::Tally;
use super::{output, sweep};
use crate::data::TokenCache;
use crate::grid::{self, Executed, Execution, Hardware, Library, PlannedCell, Shard, Suite, Watcher};
use crate::host::device::DeviceName;
use crate::host::{self, threads};
use crate::hub::{Hub, Progress};
use crate::model::{LoadedOnce, ModelFiles};
use crate::report::{ReportData, summary};
use crate::results::{CellStatus, Record, Report, Roster, Store, outdated};
use crate::terminal::progress::{self, say};

/// Exit code when some cells diverged, or the device failed at them; the others have scores.
const SOME_LACKING: u8 = 1;

/// Above this, somebody has mistaken `--jobs` for something else.
const MOST_JOBS: i64 = 1024;

/// Seconds in a year: the longest interval, for running without checkpoints.
const YEAR: u64 = 366 * 24 * 60 * 60;

#[derive(Debug, Args, Default)]
#[command(after_help = super::examples::RUN)]
pub(super) struct Run {
    #[command(flatten)]
    choice: Choice,
    /// GiB that a training may take on the device: larger batches are split into slices, to the same result but for
    /// rounding [default: nine tenths of a GPU's memory]
    #[arg(long, value_name = "GIB", allow_negative_numbers = true, value_parser = gibibytes)]
    memory_limit: Option<u64>,
    /// Seconds between the checkpoints from which an interrupted run resumes
    #[arg(long, value_name = "SECONDS", default_value = "60", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u64).range(..=YEAR))]
    checkpoint_every: Option<u64>,
    /// Processes that train at once, on the processor [default: one for each core where the model is small, else one]
    #[arg(long, value_name = "N", env = "PEFT_BENCH_JOBS", hide_env_values = true, allow_negative_numbers = true,
          value_parser = clap::value_parser!(u16).range(1..=MOST_JOBS))]
    jobs: Option<u16>,
}

impl Run {
    /// The `fetch` command for the model and the datasets.
    pub(super) fn fetch(&self) -> String {
        self.choice.fetch()
    }

    pub(super) fn execute(self) -> Result<ExitCode> {
        let suite = self.choice.suite()?;
        if helpers::is_one() {
            helpers::end_with_parent();
        }
        let mut runner = Runner {
            folder: self.choice.folder(&suite),
            device: self.choice.device(),
            shard: self.choice.shard,
            memory_limit: self.memory_limit,
            checkpoint_interval: Duration::from_secs(self.checkpoint_every.unwrap_or(60)),
            jobs: self.jobs.map(usize::from),
            helpers: None,
        };
        if runner.jobs.is_some_and(|jobs| jobs > 1) && runner.device != DeviceName::CPU {
            bail!("--jobs: several processes share the cores of the processor, not `{}`", runner.device);
        }
        let is_complete = match suite.trials()? {
            Some(trials) => sweep::run(suite, &trials, |suite| runner.run(suite))?,
            None => runner.run(suite)?.is_complete,
        };
        runner.helpers.map(Helpers::join).transpose()?;
        Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::from(SOME_LACKING) })
    }
}

/// Where and how suites run.
struct Runner {
    folder: PathBuf,
    device: DeviceName,
    shard: Option<Shard>,
    memory_limit: Option<u64>,
    checkpoint_interval: Duration,
    /// Processes that the user wants, this one included.
    jobs: Option<usize>,
    helpers: Option<Helpers>,
}

/// What came of a suite.
pub(super) struct Ran {
    /// All cells of the suite, and the records that there are of them.
    pub cells: Vec<PlannedCell>,
    pub records: Vec<Record>,
    /// Cells that are left to other shards.
    pub left: usize,
    /// Whether every cell that was to be computed here has a score.
    pub is_complete: bool,
}

impl Runner {
    /// Trains what is missing of a suite, and prints its table.
    fn run(&mut self, suite: Suite) -> Result<Ran> {
        let plan = grid::plan(suite)?;
        let hub = Hub::from_env(Progress::detect())?;
        let device = self.device;
        let opened = device.open()?;
        plan.suite.precision.ensure(&opened, device)?;
        let (model, tokens) = (ModelFiles::find(&plan.suite.model, &hub)?, TokenCache::from_env());
        let library = Library { hub: &hub, tokenizer: &model.tokenizer, tokens: &tokens };
        let of_device = || peft_model::device::total_memory(&opened).map(|total| total / 10 * 9);
        let hardware = Hardware { device, memory_limit: self.memory_limit.or_else(of_device) };
        let mut resolved = grid::resolve(plan, &model, library, hardware)?;
        let all = resolved.cells();
        if let Some(shard) = self.shard {
            resolved.keep(shard);
        }
        let cells = resolved.cells();
        let backbone = LoadedOnce::new(&model, opened, resolved.suite.precision);
        // Weights that cannot be loaded leave no results folder behind.
        if !cells.iter().all(|cell| Store::has(&self.folder, &cell.id)) {
            backbone.get()?;
        }
        let store = open(&self.folder, &cells)?;
        let records = store.records()?;
        let done: BTreeSet<String> = records.iter().map(|record| record.cell.clone()).collect();
        resolved.keep_needed_sources(&done);
        let sources = resolved.source_cells();
        // Tables say what is missing of the whole suite.
        let roster = grid::roster(&resolved.suite, resolved.references(), &model.revision, &all, &sources);
        let counted = [sources, cells.clone()].concat();
        let mut collector = Collector::new(&store, records, roster, &counted, self.shard)?;
        let execution = Execution {
            model: &model,
            backbone: &backbone,
            library,
            store: &store,
            hardware,
            checkpoint_interval: self.checkpoint_interval,
        };
        let parameters = model.config.layout().num_parameters();
        let threads = self.share(parameters, resolved.groups_to_train(&done))?;
        let Executed { records, failed } =
            threads::with(threads, || grid::execute(resolved, execution, &mut collector))??;
        let known = collector.close()?;
        let is_complete = failed == 0 && records.iter().all(|record| record.status == CellStatus::Completed);
        let known: BTreeMap<String, Record> =
            known.into_iter().map(|record| (record.cell.clone(), record)).collect();
        let own: BTreeSet<&String> = cells.iter().map(|cell| &cell.id).collect();
        let is_left = |cell: &&PlannedCell| !own.contains(&cell.id) && !known.contains_key(&cell.id);
        let left = all.iter().filter(is_left).count();
        let records = all.iter().filter_map(|cell| known.get(&cell.id)).cloned().collect();
        Ok(Ran { cells: all, records, left, is_complete })
    }
}

impl Runner {
    /// Threads of this process, when it and its helpers train so many groups; starts the helpers that are worth it.
    fn share(&mut self, parameters: usize, groups: usize) -> io::Result<usize> {
        let processes = match self.jobs {
            _ if helpers::is_one() || self.device != DeviceName::CPU => 1,
            Some(jobs) => jobs.min(groups).max(1),
            None => helpers::processes(parameters, groups),
        };
        if self.helpers.is_none() && processes > 1 {
            self.helpers = Some(Helpers::start(processes - 1, share_of(processes))?);
        }
        Ok(share_of(self.helpers.as_ref().map_or(1, Helpers::processes)))
    }
}

/// Threads of one of so many processes.
fn share_of(processes: usize) -> usize {
    (host::threads() / processes).max(1)
}

/// A number of GiB, in bytes.
fn gibibytes(text: &str) -> Result<u64, String> {
    let number: Option<f64> = text.parse().ok().filter(|number: &f64| *number > 0.0 && *number < 1e6);
    let number = number.ok_or("it must be a number of GiB above 0 and below a million")?;
    Ok((number * f64::from(1u32 << 30)) as u64)
}

/// Opens the results folder; a read-only one is enough if no cell is missing.
fn open(folder: &Path, cells: &[PlannedCell]) -> Result<Store> {
    let problem = match Store::open(folder) {
        Ok(store) => return Ok(store),
        Err(problem) => problem,
    };
    let Ok(store) = Store::read_only(folder) else { return Err(problem.into()) };
    let records = store.records()?;
    match cells.iter().all(|cell| records.iter().any(|record| record.cell == cell.id)) {
        true => Ok(store),
        false => Err(problem.into()),
    }
}

/// Collects the results of a run: reports them, and keeps the suite's table up to date.
struct Collector<'a> {
    store: &'a Store,
    roster: Roster,
    work: BTreeMap<String, u64>,
    records: Vec<Record>,
    tally: Tally,
    /// Whether this run has trained a cell.
    trained: bool,
}

impl<'a> Collector<'a> {
    fn new(
        store: &'a Store,
        records: Vec<Record>,
        mut roster: Roster,
        cells: &[PlannedCell],
        shard: Option<Shard>,
    ) -> Result<Self> {
        outdated(&records).iter().for_each(|note| say!("{note}"));
        let share = shard.map(|shard| format!(", shard {shard}")).unwrap_or_default();
        let title = format!("{}{share}", roster.title);
        let tally = Tally::start(&title, roster.report, cells, &records);
        roster.join_others(store.folder())?;
        let collector = Self {
            store,
            roster,
            work: cells.iter().map(|cell| (cell.id.clone(), cell.work)).collect(),
            records,
            tally,
            trained: false,
        };
        // Written first, so that missing cells are known however the run ends.
        if !collector.tally.is_done() {
            collector.roster.write(store.folder())?;
        }
        Ok(collector)
    }

    /// Reads all results again, since other processes may have added some; prints and writes the report, and gives the
    /// results.
    fn close(mut self) -> Result<Vec<Record>> {
        self.records = self.store.records()?;
        self.roster.join_others(self.store.folder())?;
        let report = Report::new(&self.roster, &self.records);
        output::line(report.to_text())?;
        let summary = summary(&ReportData::read(self.store, &self.roster, &report, &[])?);
        if !summary.is_empty() {
            output::line(summary)?;
        }
        let written = self.roster.write(self.store.folder()).and_then(|()| report.write(self.store));
        let written = match written {
            // Nothing is new, so the report need not be written.
            Err(problem) if !self.trained => {
                say!("note: {problem}");
                return Ok(self.records);
            }
            written => written?,
        };
        let cells = self.store.folder().join("cells");
        let table = written[0].display();
        output::line(format_args!("table: {table}; one Parquet file per cell in {}", cells.display()))?;
        if let Some(picture) = written.get(1) {
            output::line(format_args!("picture: {}", picture.display()))?;
        }
        Ok(self.records)
    }
}

impl Watcher for Collector<'_> {
    fn training(&mut self, cells: &[PlannedCell]) -> Box<dyn progress::Progress> {
        let planned: Vec<PlannedCell> =
            cells.iter().filter(|cell| self.work.contains_key(&cell.id)).cloned().collect();
        self.tally.training(&planned)
    }

    fn finished(&mut self, records: &[Record]) -> Result<()> {
        let new: Vec<&Record> = records.iter().filter(|record| !self.tally.knows(record)).collect();
        // Cells that an earlier run with more seeds had begun are finished too, but not counted.
        for record in &new {
            if let Some(&work) = self.work.get(&record.cell) {
                self.tally.finished(record, work);
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        self.trained = true;
        self.records.extend(new.into_iter().cloned());
        Report::new(&self.roster, &self.records).write(self.store)?;
        Ok(())
    }
}
