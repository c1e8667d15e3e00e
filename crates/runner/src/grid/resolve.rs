//! From a plan to its cells: all that decides a result is known before weights are loaded.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, anyhow, bail};
use peft_model::{SourceSpec, peft};

use super::check;
use super::execution::Hardware;
use super::flops::Flops;
use super::group::{Group, PlannedCell, TrainedOn};
use super::instance::Instance;
use super::memory_plan::Demand;
use super::plan::{Plan, PlannedSources};
use super::rows::{Library, TaskRows};
use super::shard::{Shard, Unit};
use super::slices::Estimate;
use super::sources::{InitFrom, SourceCell};
use super::suite::Suite;
use crate::data::{Source, TaskData};
use crate::host::device::DeviceName;
use crate::model::ModelFiles;
use crate::results::Cell;
use crate::task::{Reference, Task};
use crate::terminal::progress::say;
use crate::train::TrainSettings;

/// A suite with all of its cells.
#[derive(Debug)]
pub struct Resolved {
    pub suite: Suite,
    /// What is trained before the tasks: what methods start from, and then what they are on tasks where they do not
    /// train.
    pub(super) sources: Vec<ResolvedTask>,
    pub(super) tasks: Vec<ResolvedTask>,
    /// What all cells start from, where the command line says so.
    pub(super) init_from: Option<InitFrom>,
}

/// A task and what trains on it.
#[derive(Debug)]
pub(super) struct ResolvedTask {
    /// At most one for each of the texts that methods read; those without the task's name first.
    pub rows: Vec<TaskRows>,
    pub methods: Vec<ResolvedMethod>,
}

/// A method on a task.
#[derive(Debug)]
pub(super) struct ResolvedMethod {
    pub instance: Instance,
    /// As the suite has them, before epochs are turned into updates.
    pub training: TrainSettings,
    /// Which of the task's rows it reads.
    pub rows: usize,
    /// One for each number of shots.
    pub groups: Vec<Group>,
}

impl Resolved {
    /// All cells, in order, but for those that only others start from.
    pub fn cells(&self) -> Vec<PlannedCell> {
        planned(&self.tasks)
    }

    /// The cells that others start from, in order.
    pub fn source_cells(&self) -> Vec<PlannedCell> {
        planned(&self.sources)
    }

    /// Keeps a share of the cells, and what these start from.
    pub fn keep(&mut self, shard: Shard) {
        let own = shard.cells(&self.units());
        retain(&mut self.tasks, |cell| own.contains(&cell.id()));
        let needed = self.started_from(|_| true);
        retain(&mut self.sources, |cell| needed.contains(&cell.id()));
    }

    /// Leaves out what nothing starts from any more: the sources that have no result, of cells that all have theirs.
    pub fn keep_needed_sources(&mut self, done: &BTreeSet<String>) {
        let needed = self.started_from(|cell| !done.contains(&cell.id()));
        retain(&mut self.sources, |cell| done.contains(&cell.id()) || needed.contains(&cell.id()));
    }

    /// Seeds of a method on a task, sources included, that are not all done: each is trained in one process.
    pub fn groups_to_train(&self, done: &BTreeSet<String>) -> usize {
        let methods = self.sources.iter().chain(&self.tasks).flat_map(|task| &task.methods);
        let groups = methods.flat_map(|method| &method.groups);
        groups.filter(|group| group.cells.iter().any(|cell| !done.contains(&cell.id()))).count()
    }

    /// What some of the cells start from, and what that starts from itself where it is meant, too.
    fn started_from(&self, is_meant: impl Fn(&Cell) -> bool) -> BTreeSet<String> {
        let needed = |cell: &&Cell| is_meant(cell);
        let mut found: BTreeSet<String> =
            cells(&self.tasks).filter(needed).flat_map(|cell| cell.sources.clone()).collect();
        let sources: Vec<&Cell> = cells(&self.sources).filter(needed).collect();
        // Each comes after those that it starts from.
        for cell in sources.into_iter().rev() {
            if found.contains(&cell.id()) {
                found.extend(cell.sources.clone());
            }
        }
        found
    }

    /// What can be computed apart, each once: two names can ask for the same cells. All that one training is scored on
    /// stays together, with the work of the training, so that one process trains it.
    pub(super) fn units(&self) -> Vec<Unit> {
        let (scored, trained): (Vec<&Group>, Vec<&Group>) =
            groups(&self.tasks).partition(|group| group.scores.is_some());
        let units = trained.into_iter().flat_map(Group::units).map(|unit| (unit.cells.clone(), unit));
        let units: BTreeMap<Vec<String>, Unit> = units.collect();
        let trainings: BTreeMap<String, u64> =
            groups(&self.sources).flat_map(Group::units).flat_map(Unit::work_of_cells).collect();
        let mut of_trainings: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
        for group in scored {
            let training = &group.sources[0].id;
            let own = of_trainings.entry(training).or_default();
            own.extend(group.units().into_iter().flat_map(Unit::work_of_cells));
        }
        let scored = of_trainings.into_iter().map(|(training, cells)| {
            let work = trainings.get(training).copied().unwrap_or_default() + cells.values().sum::<u64>();
            Unit { cells: cells.into_keys().collect(), work }
        });
        units.into_values().chain(scored).collect()
    }

    /// As [`units`](Self::units), of what others start from.
    pub(super) fn source_units(&self) -> Vec<Unit> {
        groups(&self.sources).flat_map(Group::units).collect()
    }

    /// Between which scores those of a task are to be read, by the task's title, where its TOML says so.
    pub fn references(&self) -> BTreeMap<String, Reference> {
        let specs = self.tasks.iter().filter_map(|task| Some(&task.rows.first()?.task.spec));
        specs.filter_map(|spec| Some((spec.title.clone(), spec.reference?))).collect()
    }
}

fn groups(tasks: &[ResolvedTask]) -> impl DoubleEndedIterator<Item = &Group> {
    tasks.iter().flat_map(|task| &task.methods).flat_map(|method| &method.groups)
}

fn cells(tasks: &[ResolvedTask]) -> impl DoubleEndedIterator<Item = &Cell> {
    groups(tasks).flat_map(|group| &group.cells)
}

fn planned(tasks: &[ResolvedTask]) -> Vec<PlannedCell> {
    let methods = tasks.iter().flat_map(|task| &task.methods);
    let groups = methods.flat_map(|method| method.groups.iter().map(move |group| (method, group)));
    let planned = |(method, group): (&ResolvedMethod, &Group)| {
        let cells = group.cells.iter().map(|cell| group.planned(cell, &method.instance));
        cells.collect::<Vec<PlannedCell>>()
    };
    groups.flat_map(planned).collect()
}

/// Keeps some cells, and the groups that have one.
fn retain(tasks: &mut [ResolvedTask], is_kept: impl Fn(&Cell) -> bool) {
    for method in tasks.iter_mut().flat_map(|task| &mut task.methods) {
        method.groups.iter_mut().for_each(|group| group.cells.retain(|cell| is_kept(cell)));
        method.groups.retain(|group| !group.cells.is_empty());
    }
}

/// Reads every task's rows and checks what scores of them would mean, so that what is wrong with the last
/// task is known before the first one trains.
///
/// # Errors
/// When a method asks for what the backbone does not have, a task's rows cannot be loaded, or no score of them would
/// mean anything.
pub fn resolve(plan: Plan, model: &ModelFiles, library: Library, hardware: Hardware) -> Result<Resolved> {
    resolve_to(Depth::Rows, plan, model, library, hardware)
}

/// How much of a suite is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Which cells there are.
    Cells,
    /// What they compute, too: how long all texts are, which the cache knows after the first time.
    Work,
    /// All that is needed to train them: rows are read and checked, and the memory for them.
    Rows,
}

/// As [`resolve`], but reads no more than must be known for something else than training.
///
/// # Errors
/// As [`resolve`], as far as it is resolved.
pub fn resolve_to(
    depth: Depth,
    plan: Plan,
    model: &ModelFiles,
    library: Library,
    hardware: Hardware,
) -> Result<Resolved> {
    let Plan { suite, sources, trainings, tasks } = plan;
    let init_from = suite.init_from.as_deref().map(|folder| InitFrom::load(folder, model)).transpose()?;
    for (instance, _) in tasks.iter().flat_map(|(_, methods)| methods) {
        let fits = instance.built.method.parameters(model.config.layout());
        fits.map_err(|problem| suite.wrong(format!("methods.{}: {problem}", instance.name)))?;
        init_from.as_ref().map(|init_from| init_from.check(instance, model)).transpose()?;
    }
    let source_seed = [suite.source_seed()?];
    let (mut resolved_sources, mut cells) = (Vec::new(), Vec::new());
    for PlannedSources { task, specs, methods } in sources {
        let runs = Runs {
            seeds: &source_seed,
            shots: &[],
            sources: &cells,
            trainings: &[],
            init_from: None,
            are_sources: true,
        };
        let resolver = Resolver { suite: &suite, runs, model, library, hardware, depth };
        let resolved = resolver.task(task, methods)?;
        let found = resolved.methods.iter().map(|method| method.source_cell(&method.groups[0].cells[0]));
        cells.extend(specs.into_iter().zip(found));
        resolved_sources.push(resolved);
    }
    let runs = Runs {
        seeds: &suite.seeds,
        shots: &suite.shots,
        sources: &cells,
        trainings: &[],
        init_from: init_from.as_ref(),
        are_sources: true,
    };
    let resolver = Resolver { suite: &suite, runs, model, library, hardware, depth };
    let trainings = trainings.into_iter().map(|(task, methods)| resolver.task(task, methods));
    let trainings = trainings.collect::<Result<Vec<_>>>()?;
    let runs = Runs { trainings: &trainings, are_sources: false, ..runs };
    let resolver = Resolver { runs, ..resolver };
    let tasks = tasks.into_iter().map(|(task, methods)| resolver.task(task, methods));
    let tasks = tasks.collect::<Result<_>>()?;
    resolved_sources.extend(trainings);
    Ok(Resolved { suite, sources: resolved_sources, tasks, init_from })
}

/// What all tasks are resolved by.
struct Resolver<'a> {
    suite: &'a Suite,
    runs: Runs<'a>,
    model: &'a ModelFiles,
    library: Library<'a>,
    hardware: Hardware,
    depth: Depth,
}

/// Which runs each method has on each task.
#[derive(Clone, Copy)]
struct Runs<'a> {
    seeds: &'a [u64],
    shots: &'a [usize],
    /// What methods can start from.
    sources: &'a [(SourceSpec, SourceCell)],
    /// What is trained on other rows than those of the task on which it is scored.
    trainings: &'a [ResolvedTask],
    init_from: Option<&'a InitFrom>,
    /// Whether others start from them.
    are_sources: bool,
}

/// Numbers of rows that train: one for each seed.
struct TrainingRows {
    /// What was asked for; `None` for all rows.
    shots: Option<usize>,
    by_seed: Vec<usize>,
}

impl Resolver<'_> {
    fn task(&self, task: Task, methods: Vec<(Instance, TrainSettings)>) -> Result<ResolvedTask> {
        let mut rows = self.rows(&task, &methods)?;
        if self.depth == Depth::Rows {
            self.read(&mut rows)?;
        }
        let training_rows = self.training_rows(&task.name, &rows[0])?;
        let methods = methods.into_iter().map(|(instance, training)| {
            let read = if training.task_prefix { rows.len() - 1 } else { 0 };
            let groups = match &instance.train_on {
                Some(train_on) => self.scored(&rows[read], &instance, &training, train_on),
                None => {
                    let group = |numbers| self.group(&rows[read], &instance, &training, numbers);
                    training_rows.iter().map(group).collect()
                }
            };
            let groups = groups.with_context(|| format!("{} on {}", instance.name, task.name))?;
            Ok(ResolvedMethod { instance, training, rows: read, groups })
        });
        let mut resolved = ResolvedTask { methods: methods.collect::<Result<_>>()?, rows };
        if self.depth == Depth::Rows {
            self.check_memory(&resolved)?;
        }
        resolved.rows.iter_mut().for_each(TaskRows::release);
        Ok(resolved)
    }

    /// Reads a task's rows and checks what scores of them would mean.
    fn read(&self, rows: &mut [TaskRows]) -> Result<()> {
        for rows in rows.iter_mut() {
            rows.read(self.library)?;
        }
        // The longest: a name before the source only adds to it.
        let Some(longest) = rows.last() else { return Ok(()) };
        let data = longest.data(self.library)?;
        let (is_trial, is_shown) = (self.suite.limit.is_some(), !self.runs.are_sources);
        check::check(&longest.task, data, self.library.tokenizer, is_trial, is_shown)
    }

    /// The rows in the texts that the methods read: without the task's name before the source, and with it.
    fn rows(&self, task: &Task, methods: &[(Instance, TrainSettings)]) -> Result<Vec<TaskRows>> {
        let source = Source::find(task, self.library.hub, self.suite.limit)?;
        let texts = [(false, task.clone()), (true, task.with_prefix())].into_iter();
        let wanted = texts.filter(|(prefix, _)| methods.iter().any(|(_, t)| t.task_prefix == *prefix));
        Ok(wanted.map(|(_, task)| TaskRows::new(task, source.clone())).collect())
    }

    /// How many rows the runs of a task train on: all, or what each number of shots comes to.
    fn training_rows(&self, name: &str, source: &TaskRows) -> Result<Vec<TrainingRows>> {
        let (suite, rows) = (self.suite, source.training_rows()?);
        let Runs { seeds, shots, .. } = self.runs;
        if shots.is_empty() {
            return Ok(vec![TrainingRows { shots: None, by_seed: vec![rows; seeds.len()] }]);
        }
        if let Some(shots) = shots.iter().find(|&&shots| shots > rows) {
            bail!("`shots` has {shots}, but task `{name}` has only {rows} rows to train on");
        }
        // Which rows are chosen depends on their classes.
        let data = source.data(self.library)?;
        let mut numbers = Vec::new();
        for &shots in shots {
            let chosen = seeds.iter().map(|&seed| data.shots(shots, suite.shots_rule, seed).len());
            let by_seed: Vec<usize> = chosen.collect();
            match by_seed.iter().min() {
                Some(0) => bail!(
                    "`shots` has {shots}, of which the reference's rule gives the classes of task `{name}` none each \
                     and so chooses no row; give more, or set `shots_rule = \"balanced\"`"
                ),
                Some(&fewest) if fewest < shots => say!(
                    "note: {name}: of {shots} shots the reference's rule chooses only {fewest} rows, \
                     for it gives every class the same number"
                ),
                _ => {}
            }
            numbers.push(TrainingRows { shots: Some(shots), by_seed });
        }
        Ok(numbers)
    }

    fn group(
        &self,
        rows: &TaskRows,
        instance: &Instance,
        training: &TrainSettings,
        numbers: &TrainingRows,
    ) -> Result<Group> {
        // Few-shot runs have rows of their own, so their batches have no common width.
        let together = numbers.shots.is_none() && instance.built.method.side_by_side();
        let Runs { seeds, are_sources, init_from, .. } = self.runs;
        let sources = self.sources(instance)?;
        let company = match self.hardware.device {
            // Here a run has the same bits alone and in company.
            DeviceName::CPU => Vec::new(),
            _ if !together || seeds.len() == 1 => Vec::new(),
            _ => seeds.to_vec(),
        };
        let cell = |(&seed, &number): (&u64, &usize)| -> Result<Cell> {
            Ok(Cell {
                task: rows.task.name.clone(),
                spec: rows.task.spec.clone(),
                rows: rows.source.revisions(),
                limit: self.suite.limit,
                shots: numbers.shots,
                shots_rule: numbers.shots.map(|_| self.suite.shots_rule),
                model: self.model.id.clone(),
                model_revision: self.model.revision.clone(),
                precision: self.suite.precision,
                method: instance.method.clone(),
                settings: instance.built.settings.clone(),
                training: training.for_rows(number).map_err(|problem| self.suite.wrong(problem))?,
                seed,
                company: company.clone(),
                sources: sources.iter().map(|source| source.id.clone()).collect(),
                scores: None,
                init_from: init_from.map(|adapter| adapter.sha256().into()),
            })
        };
        let cells = seeds.iter().zip(&numbers.by_seed).map(cell).collect::<Result<_>>()?;
        let flops = self.flops(rows, instance, training, numbers.shots)?;
        let (is_source, trainable) = (are_sources, self.trainable(instance)?);
        Ok(Group { cells, sources, is_source, scores: None, together, flops, trainable })
    }

    /// The cells of a method on a task that it does not train on: one for each training.
    fn scored(
        &self,
        rows: &TaskRows,
        instance: &Instance,
        training: &TrainSettings,
        train_on: &str,
    ) -> Result<Vec<Group>> {
        let trainings = self
            .runs
            .trainings
            .iter()
            .flat_map(|task| task.methods.iter().map(|method| (&task.rows[method.rows].task, method)));
        let trained = trainings
            .into_iter()
            .find(|(task, method)| task.name == train_on && method.instance.name == instance.name);
        let (trained_on, method) = trained.context("its training is not planned")?;
        let place = trained_on.place_of(&rows.task).map(|place| place as u32);
        let scores = Some(TrainedOn { tasks: trained_on.parts().len().max(1), place });
        let flops = self.flops(rows, instance, training, None)?.map(Flops::of_scoring);
        let trainable = self.trainable(instance)?;
        let group = |trained: &Cell| {
            let cell = Cell {
                task: rows.task.name.clone(),
                spec: rows.task.spec.clone(),
                rows: rows.source.revisions(),
                company: Vec::new(),
                sources: vec![trained.id()],
                scores: Some(trained.kind()),
                init_from: None,
                ..trained.clone()
            };
            let sources = vec![method.source_cell(trained)];
            Group { cells: vec![cell], sources, is_source: false, scores, together: false, flops, trainable }
        };
        Ok(method.groups.iter().flat_map(|group| &group.cells).map(group).collect())
    }

    /// What a method computes on a task, where it is to be known.
    fn flops(
        &self,
        rows: &TaskRows,
        instance: &Instance,
        training: &TrainSettings,
        shots: Option<usize>,
    ) -> Result<Option<Flops>> {
        if self.depth == Depth::Cells {
            return Ok(None);
        }
        let (lengths, layout) = (rows.lengths(self.library)?, self.model.config.layout());
        let flops = Flops::new(instance, training, lengths, shots, layout);
        flops.map(Some).map_err(|problem| anyhow!("methods.{}: {problem}", instance.name))
    }

    fn trainable(&self, instance: &Instance) -> Result<u64> {
        let trainable = peft::num_trainable(instance.built.method.as_ref(), self.model.config.layout());
        trainable.map(|count| count as u64).map_err(|problem| anyhow!("methods.{}: {problem}", instance.name))
    }

    /// The cells that a method starts from.
    fn sources(&self, instance: &Instance) -> Result<Vec<SourceCell>> {
        let find = |spec: &SourceSpec| {
            let found = self.runs.sources.iter().find(|(planned, _)| planned == spec);
            let found =
                found.with_context(|| format!("the source {} on {} is not planned", spec.method, spec.task));
            Ok(found?.1.clone())
        };
        instance.sources.iter().map(find).collect()
    }

    /// Refuses trainings that do not fit into memory, and says how the others will where there is a limit.
    fn check_memory(&self, task: &ResolvedTask) -> Result<()> {
        // What is only scored has been checked where it trains.
        for method in task.methods.iter().filter(|method| method.instance.train_on.is_none()) {
            let rows = &task.rows[method.rows];
            let data = rows.data(self.library)?;
            if self.hardware.device == DeviceName::CPU {
                let fewest = self.runs.shots.iter().min().copied();
                method.demand(&rows.task, data, fewest, self.model)?.ensure()?;
            }
            let Some(limit) = self.hardware.memory_limit else { continue };
            for group in &method.groups {
                let estimate = method.estimate(rows, group, self.model, self.library)?;
                let runs = group.runs_at_once(self.hardware.device, |runs| estimate.runs(limit, runs));
                say!("{}", estimate.describe(limit, runs)?);
            }
        }
        Ok(())
    }
}

impl ResolvedMethod {
    /// What its training on a task is called in messages.
    pub(super) fn title(&self, task: &Task) -> String {
        format!("{} on {}", self.instance.name, task.name)
    }

    /// One of its cells, as what others start from.
    fn source_cell(&self, cell: &Cell) -> SourceCell {
        SourceCell { title: format!("{} on {}, seed {}", cell.method, cell.task, cell.seed), id: cell.id() }
    }

    fn wrong(&self, problem: &str) -> anyhow::Error {
        anyhow!("methods.{}: {problem}", self.instance.name)
    }

    /// What its training must have in memory, where `shots` rows train if it is given.
    ///
    /// # Errors
    /// When a setting of the method asks for what the backbone does not have.
    pub(super) fn demand(
        &self,
        task: &Task,
        data: &TaskData,
        shots: Option<usize>,
        model: &ModelFiles,
    ) -> Result<Demand> {
        let layout = model.config.layout();
        Demand::new(self.title(task), &self.instance, &self.training, data, shots, layout)
            .map_err(|problem| self.wrong(&problem))
    }

    /// What the training of a group is taken to have in the memory of a device.
    ///
    /// # Errors
    /// When a setting of the method asks for what the backbone does not have.
    pub(super) fn estimate(
        &self,
        rows: &TaskRows,
        group: &Group,
        model: &ModelFiles,
        library: Library,
    ) -> Result<Estimate> {
        let (layout, precision) = (model.config.layout(), group.cells[0].precision);
        Estimate::new(
            self.title(&rows.task),
            &self.instance,
            &self.training,
            &rows.lengths(library)?.train,
            group.shots(),
            layout,
            precision,
        )
        .map_err(|problem| self.wrong(&problem))
    }
}
