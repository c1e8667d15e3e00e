use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use peft_model::peft::{self, Parameter};

use super::{Cell, Demand, Instance, Suite, check};
use crate::data::TaskData;
use crate::data::TokenCache;
use crate::host::device::{DeviceName, is_host};
use crate::host::interrupt;
use crate::host::memory;
use crate::hub::Hub;
use crate::model::Model;
use crate::progress::{Progress, say};
use crate::results::{Adapter, Claimed, Record, Store};
use crate::task::{self, Reference, Task};
use crate::train::{Job, Outcome, RunSettings, TrainSettings, train};

/// A suite whose tasks, methods and settings have been checked.
#[derive(Debug)]
pub struct Plan {
    pub suite: Suite,
    tasks: Vec<(Task, Vec<(Instance, TrainSettings)>)>,
}

impl Plan {
    /// Between which scores those of a task are to be read, by the task's title, where its TOML says so.
    pub fn references(&self) -> BTreeMap<String, Reference> {
        let specs = self.tasks.iter().map(|(task, _)| &task.spec);
        specs.filter_map(|spec| Some((spec.title.clone(), spec.reference?))).collect()
    }
}

/// A cell that a plan has, trained or not.
#[derive(Debug, Clone)]
pub struct PlannedCell {
    pub id: String,
    pub group: String,
    pub task: String,
    /// Title of the task in tables.
    pub task_title: String,
    /// Name of the method in tables.
    pub method: String,
    pub seed: u64,
    /// Rows that it trains on, again and again, in all: what its training time goes by.
    pub work: u64,
}

/// Listens to the cells of a plan.
pub trait Watcher {
    /// Runs of one method on one task are about to train, side by side.
    fn training(&mut self, cells: &[PlannedCell]) -> Box<dyn Progress>;

    /// Cells have their results, whether they have just been trained or were there before.
    ///
    /// # Errors
    /// When what is made of the results cannot be written.
    fn finished(&mut self, records: &[Record]) -> Result<()>;
}

/// How a plan is run: no part of what a cell is.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub device: DeviceName,
    /// Time between checkpoints from which an interrupted run goes on.
    pub checkpoint_interval: Duration,
}

/// Checks everything that can be checked before anything is loaded.
///
/// # Errors
/// When a task or method is unknown, a setting is wrong, or a method cannot take a task's sources.
pub fn plan(suite: Suite) -> Result<Plan> {
    if suite.tasks.is_empty() {
        bail!("no tasks: name some in the suite or with --task");
    }
    if suite.methods().next().is_none() {
        bail!("no methods: name some in the suite or with --method");
    }
    if suite.seeds.is_empty() {
        bail!("no seeds: name some in the suite or with --seed");
    }
    if let Some(seed) = twice(&suite.seeds) {
        bail!("seed {seed} is named twice; a second run would count the same result again");
    }
    if let Some(task) = twice(&suite.tasks) {
        bail!("task `{task}` is named twice");
    }
    if let Some(shots) = twice(&suite.shots) {
        bail!("`shots` has {shots} twice; a second run would count the same result again");
    }
    if suite.shots.contains(&0) {
        bail!("`shots` has 0; at least one row must train");
    }
    let mut tasks: Vec<(Task, Vec<(Instance, TrainSettings)>)> = Vec::new();
    for name in &suite.tasks {
        let task = task::find(name)?;
        let same =
            |other: &&Task| (&other.spec.group, &other.spec.title) == (&task.spec.group, &task.spec.title);
        if let Some(other) = tasks.iter().map(|(other, _)| other).find(same) {
            let (group, title) = (&task.spec.group, &task.spec.title);
            bail!(
                "tasks `{}` and `{name}` are both titled `{title}` in group `{group}`, so that tables would take \
                 one for a seed of the other; name one of them, or give one another `title`",
                other.name
            );
        }
        let mut methods = Vec::new();
        for method in suite.methods() {
            let limit = task.spec.limits.source_tokens;
            let instance = suite.instance(method, name, limit)?;
            if let Some(most) = instance.built.method.max_source_length().filter(|&most| most < limit) {
                let setting = peft::find(&instance.method)?.length_setting.unwrap_or_default();
                bail!(
                    "method `{method}` takes up to {most} source tokens, but task `{name}` has sources of up to \
                     {limit}; leave out `{setting}`, which then follows the task, or give it {limit}: --set \
                     methods.{method}.{setting}={limit}"
                );
            }
            methods.push((instance, suite.training(method, name)?));
        }
        tasks.push((task, methods));
    }
    Ok(Plan { suite, tasks })
}

/// Reads every task's rows and checks what scores of them would mean, so that what is wrong with the last
/// task is known before the first one trains. Gives all cells of the plan, in order.
///
/// # Errors
/// When a task's rows cannot be loaded, or no score of them would mean anything.
pub fn check_rows(
    plan: &Plan,
    model: &Model,
    hub: &Hub,
    tokens: &TokenCache,
    device: DeviceName,
) -> Result<Vec<PlannedCell>> {
    let mut cells = Vec::new();
    for (task, methods) in &plan.tasks {
        let texts = Texts::load(task, methods, model, hub, tokens)?;
        // The longest: a name before the source only adds to it.
        if let Some((task, data)) = texts.all().last() {
            check::check(task, data, &model.tokenizer)?;
        }
        let (task, data) = texts.any();
        for rows in numbers_of_rows(&plan.suite, task, data)? {
            for (instance, training) in methods {
                let resolved = training.for_rows(rows).map_err(|problem| plan.suite.wrong(problem));
                resolved.with_context(|| format!("{} on {}", instance.name, task.name))?;
            }
        }
        let fewest = plan.suite.shots.iter().min().copied();
        // What a GPU has in memory is not counted.
        for (instance, training) in methods.iter().filter(|_| is_host(model.backbone.device())) {
            let (task, data) = texts.of(training);
            demand(task, instance, training, data, fewest, model).ensure()?;
        }
        for (instance, training) in methods {
            let (task, data) = texts.of(training);
            for shots in shots(&plan.suite) {
                let group =
                    Group { suite: &plan.suite, task, data, shots, instance, training, model, device };
                for &seed in &plan.suite.seeds {
                    cells.push(group.planned(&group.cell(seed)?));
                }
            }
        }
    }
    Ok(cells)
}

/// Numbers of training rows; `None` for all of them.
fn shots(suite: &Suite) -> Vec<Option<usize>> {
    match &suite.shots[..] {
        [] => vec![None],
        some => some.iter().map(|&shots| Some(shots)).collect(),
    }
}

/// How many rows the runs of a task train on: all, or what each number of shots comes to.
fn numbers_of_rows(suite: &Suite, task: &Task, data: &TaskData) -> Result<Vec<usize>> {
    let (name, rows) = (&task.name, data.train.len());
    if let Some(shots) = suite.shots.iter().find(|&&shots| shots > rows) {
        bail!("`shots` has {shots}, but task `{name}` has only {rows} rows to train on");
    }
    let mut numbers = if suite.shots.is_empty() { vec![rows] } else { Vec::new() };
    for &shots in &suite.shots {
        let chosen = suite.seeds.iter().map(|&seed| data.shots(shots, suite.shots_rule, seed).len());
        let chosen: Vec<usize> = chosen.collect();
        match chosen.iter().min() {
            Some(0) => bail!(
                "`shots` has {shots}, of which the reference's rule gives the classes of task `{name}` none each \
                 and so chooses no row; give more, or set `shots_rule = \"balanced\"`"
            ),
            Some(&fewest) if fewest < shots => crate::progress::say!(
                "note: {name}: of {shots} shots the reference's rule chooses only {fewest} rows, \
                 for it gives every class the same number"
            ),
            _ => {}
        }
        numbers.extend(chosen);
    }
    Ok(numbers)
}

/// A task's rows in the texts that its methods read: as they are, and behind the task's name.
struct Texts(Vec<(bool, Task, TaskData)>);

impl Texts {
    fn load(
        task: &Task,
        methods: &[(Instance, TrainSettings)],
        model: &Model,
        hub: &Hub,
        tokens: &TokenCache,
    ) -> Result<Self> {
        let mut texts = Vec::new();
        for prefix in [false, true] {
            if methods.iter().any(|(_, training)| training.task_prefix == prefix) {
                let task = if prefix { task.with_prefix() } else { task.clone() };
                let data = TaskData::load(&task, hub, &model.tokenizer, tokens)?;
                texts.push((prefix, task, data));
            }
        }
        Ok(Self(texts))
    }

    fn all(&self) -> impl Iterator<Item = (&Task, &TaskData)> {
        self.0.iter().map(|(_, task, data)| (task, data))
    }

    /// One of them, to look at what all have in common.
    ///
    /// # Panics
    /// When there are no methods, which no plan lacks.
    fn any(&self) -> (&Task, &TaskData) {
        self.all().next().expect("a plan has methods")
    }

    /// What a method reads.
    fn of(&self, training: &TrainSettings) -> (&Task, &TaskData) {
        let wanted = self.0.iter().find(|(prefix, ..)| *prefix == training.task_prefix);
        wanted.map_or_else(|| self.any(), |(_, task, data)| (task, data))
    }
}

fn demand(
    task: &Task,
    instance: &Instance,
    training: &TrainSettings,
    data: &TaskData,
    shots: Option<usize>,
    model: &Model,
) -> Demand {
    let name = format!("{} on {}", instance.name, task.name);
    Demand::new(name, instance, training, data, shots, model.backbone.config())
}

/// Runs the cells of a plan that the store lacks, seed by seed side by side, and gives the records of
/// all of them. Those that another process computes on the same folder come last: what they come to is read.
///
/// `watcher` is told the records that there are, each time that some were made.
///
/// # Errors
/// When a task's rows cannot be loaded, a result cannot be written, or a signal came; what is done stays done.
pub fn execute(
    mut plan: Plan,
    model: &Model,
    hub: &Hub,
    tokens: &TokenCache,
    store: &Store,
    setting: Setting,
    watcher: &mut dyn Watcher,
) -> Result<Vec<Record>> {
    let suite = plan.suite;
    let shots = shots(&suite);
    let groups = plan.tasks.iter().map(|(_, methods)| methods.len() * shots.len());
    let mut results: Vec<Vec<Option<Vec<Record>>>> = groups.map(|groups| vec![None; groups]).collect();
    loop {
        let (mut busy, mut some_done) = (None, false);
        for ((task, methods), results) in plan.tasks.iter_mut().zip(&mut results) {
            if results.iter().all(Option::is_some) {
                continue;
            }
            let texts = Texts::load(task, methods, model, hub, tokens)?;
            let mut results = results.iter_mut();
            for (instance, training) in methods {
                instance.built.method.tokenize(&|text| model.tokenizer.encode(text, usize::MAX).ids);
                let (task, data) = texts.of(training);
                for &shots in &shots {
                    let Some(result) = results.next().filter(|result| result.is_none()) else { continue };
                    let device = setting.device;
                    let group = Group { suite: &suite, task, data, shots, instance, training, model, device };
                    match group.run(store, setting, watcher)? {
                        Progressed::Done(records) => (*result, some_done) = (Some(records), true),
                        Progressed::Busy(cell) => busy = busy.or(Some((cell, group.title()))),
                    }
                }
            }
        }
        match busy {
            None => break,
            // By now, others may be free.
            Some(_) if some_done => {}
            Some((cell, title)) => {
                say!("waiting for {}, which computes {title}", store.holder(&cell));
                store.wait(&cell)?;
            }
        }
    }
    let records: Vec<Record> = results.into_iter().flatten().flatten().flatten().collect();
    store.check(&records)?;
    Ok(records)
}

/// The cells that differ in their seed alone.
struct Group<'a> {
    suite: &'a Suite,
    task: &'a Task,
    data: &'a TaskData,
    shots: Option<usize>,
    instance: &'a Instance,
    training: &'a TrainSettings,
    model: &'a Model,
    device: DeviceName,
}

/// How far a group has come.
enum Progressed {
    Done(Vec<Record>),
    /// Another process computes this cell of it.
    Busy(String),
}

impl Group<'_> {
    fn run(&self, store: &Store, setting: Setting, watcher: &mut dyn Watcher) -> Result<Progressed> {
        loop {
            let (records, missing) = self.done(store)?;
            watcher.finished(&records)?;
            if missing.is_empty() {
                return Ok(Progressed::Done(records));
            }
            interrupt::check()?;
            let cells = self.next(&missing, store)?;
            let _claim = match store.claim(&cells)? {
                Claimed::Mine(claim) => claim,
                Claimed::Busy(cell) => return Ok(Progressed::Busy(cell)),
            };
            // Before it was claimed, somebody may have finished a part.
            if self.done(store)?.1 == missing {
                let trained = self.train(&cells, store, setting, watcher)?;
                watcher.finished(&trained)?;
            }
        }
    }

    /// The records that there are, and the seeds that have none.
    fn done(&self, store: &Store) -> Result<(Vec<Record>, Vec<u64>)> {
        let (mut records, mut missing) = (Vec::new(), Vec::new());
        for &seed in &self.suite.seeds {
            match store.read(&self.cell(seed)?.id())? {
                // Another suite, or another name in this one, may have asked for the same cell before.
                Some(record) => records.push(Record {
                    method: self.instance.name.clone(),
                    suite: self.suite.name.clone(),
                    ..record
                }),
                None => missing.push(seed),
            }
        }
        Ok((records, missing))
    }

    /// The cells to train next, side by side: those of a state on disk as they are in it, else as many as can be.
    fn next(&self, missing: &[u64], store: &Store) -> Result<Vec<Cell>> {
        let seeds = match () {
            () if !self.together() => &missing[..1],
            () if !self.company().is_empty() => &self.suite.seeds,
            () if is_host(self.model.backbone.device()) => {
                &missing[..self.demand().side_by_side(missing.len())]
            }
            () => missing,
        };
        let cells = seeds.iter().map(|&seed| self.cell(seed)).collect::<Result<Vec<Cell>>>()?;
        let Some(begun) = store.on_their_way(&cells) else { return Ok(cells) };
        let mut own = Vec::new();
        for (id, seed) in begun {
            let cell = self.cell(seed)?;
            // A state of other cells is theirs.
            if cell.id() != id {
                return Ok(cells);
            }
            own.push(cell);
        }
        Ok(if own.is_empty() { cells } else { own })
    }

    /// Whether seeds train side by side. Few-shot runs have rows of their own, so their batches have no common width.
    fn together(&self) -> bool {
        self.shots.is_none() && self.instance.built.method.side_by_side()
    }

    /// The seeds that are part of what each cell is.
    fn company(&self) -> Vec<u64> {
        match self.device {
            // Here a run has the same bits alone and in company.
            DeviceName::Cpu => Vec::new(),
            _ if !self.together() || self.suite.seeds.len() == 1 => Vec::new(),
            _ => self.suite.seeds.clone(),
        }
    }

    fn title(&self) -> String {
        format!("{} on {}", self.instance.name, self.task.name)
    }

    fn demand(&self) -> Demand {
        demand(self.task, self.instance, self.training, self.data, self.shots, self.model)
    }

    fn cell(&self, seed: u64) -> Result<Cell> {
        let rows = match self.shots {
            Some(shots) => self.data.shots(shots, self.suite.shots_rule, seed).len(),
            None => self.data.train.len(),
        };
        Ok(Cell {
            task: self.task.name.clone(),
            spec: self.task.spec.clone(),
            dataset_revision: self.data.revision.clone(),
            shots: self.shots,
            shots_rule: self.shots.map(|_| self.suite.shots_rule),
            model: self.model.id.clone(),
            model_revision: self.model.revision.clone(),
            method: self.instance.method.clone(),
            settings: self.instance.built.settings.clone(),
            training: self.training.for_rows(rows).map_err(|problem| self.suite.wrong(problem))?,
            seed,
            company: self.company(),
        })
    }

    fn planned(&self, cell: &Cell) -> PlannedCell {
        PlannedCell {
            id: cell.id(),
            group: cell.spec.group.clone(),
            task: cell.task.clone(),
            task_title: cell.title(),
            method: self.instance.name.clone(),
            seed: cell.seed,
            work: cell.training.steps * cell.training.batch_size as u64,
        }
    }

    fn train(
        &self,
        cells: &[Cell],
        store: &Store,
        setting: Setting,
        watcher: &mut dyn Watcher,
    ) -> Result<Vec<Record>> {
        let method = self.instance.built.method.as_ref();
        let rates = method.learning_rates();
        let runs: Vec<RunSettings> =
            cells.iter().map(|cell| RunSettings { seed: cell.seed, rates: rates.clone() }).collect();
        let few = self
            .shots
            .map(|shots| self.data.with_rows(&self.data.shots(shots, self.suite.shots_rule, cells[0].seed)));
        let data = few.as_ref().unwrap_or(self.data);
        let job = Job {
            backbone: &self.model.backbone,
            tokenizer: &self.model.tokenizer,
            method,
            data,
            metrics: &self.task.spec.metrics.all(),
            criterion: &self.training.selection.criterion(&self.task.spec.metrics),
            // Those of a group differ in nothing else, unless each is trained apart.
            settings: &cells[0].training,
            runs: &runs,
        };
        memory::reset_peak();
        let planned: Vec<PlannedCell> = cells.iter().map(|cell| self.planned(cell)).collect();
        let mut progress = watcher.training(&planned);
        let state = store.state_file(cells, setting.checkpoint_interval);
        let _deferred = interrupt::defer();
        let outcome = train(&job, state, progress.as_mut()).with_context(|| self.title())?;
        let records = self.record(cells, data, outcome, store, setting.device)?;
        store.remove_finished_states();
        Ok(records)
    }

    fn record(
        &self,
        cells: &[Cell],
        data: &TaskData,
        outcome: Outcome,
        store: &Store,
        device: DeviceName,
    ) -> Result<Vec<Record>> {
        let config = self.model.backbone.config();
        let declared: Vec<Parameter> = self.instance.built.method.parameters(config);
        let trainable = peft::num_trainable(self.instance.built.method.as_ref(), config);
        // What a GPU has in use is not counted.
        let peak = memory::peak_bytes().filter(|_| device == DeviceName::Cpu);
        let mut records = Vec::new();
        for (cell, run) in cells.iter().zip(&outcome.runs) {
            // Of a group that was killed between its first result and its last, some have theirs.
            if store.read(&cell.id())?.is_some() {
                continue;
            }
            let record =
                Record::new(cell, self.suite, self.instance, data, run, &outcome, trainable, peak, device);
            if let Some(best) = &run.best {
                let adapter = Adapter::new(cell, &declared, &best.values);
                adapter.write(&store.adapter_folder(&cell.id()))?;
            }
            store.write(&record)?;
            records.push(record);
        }
        Ok(records)
    }
}

/// The first item that occurs a second time.
fn twice<T: PartialEq>(items: &[T]) -> Option<&T> {
    items.iter().enumerate().find(|(i, item)| items[..*i].contains(item)).map(|(_, item)| item)
}

/// Where a suite's results go when the command line does not say.
pub fn default_output(suite: &Suite) -> std::path::PathBuf {
    Path::new("results").join(&suite.name)
}
