use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use peft_model::peft::{self, Parameter};

use super::{Cell, Instance, Suite};
use crate::data::TaskData;
use crate::device::DeviceName;
use crate::hub::Hub;
use crate::interrupt;
use crate::memory;
use crate::model::Model;
use crate::progress::{self, say};
use crate::results::{Adapter, Claimed, Record, Store};
use crate::task::{self, Reference, Task};
use crate::token_cache::TokenCache;
use crate::train::{Job, Outcome, RunSettings, TrainSettings, score, train};

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
            let instance = suite.instance(method, name)?;
            let limit = task.spec.limits.source_tokens;
            if let Some(most) = instance.built.method.max_source_length().filter(|&most| most < limit) {
                bail!(
                    "method `{method}` has offsets for {most} source tokens, but task `{name}` has sources of up to {limit}; set `max_length`"
                );
            }
            methods.push((instance, suite.training(method, name)?));
        }
        tasks.push((task, methods));
    }
    Ok(Plan { suite, tasks })
}

/// Reads every task's rows and has every metric score the answers themselves, so that what is wrong with
/// the last task is known before the first one trains.
///
/// # Errors
/// When a task's rows cannot be loaded, or a metric cannot take its answers.
pub fn check_rows(plan: &Plan, model: &Model, hub: &Hub, tokens: &TokenCache) -> Result<()> {
    for (task, _) in &plan.tasks {
        let data = TaskData::load(task, hub, &model.tokenizer, tokens)?;
        for (role, split) in [("validation", &data.validation), ("test", &data.test)] {
            let answers: Vec<String> = split.examples.iter().map(|e| e.answers[0].clone()).collect();
            score(split, &answers, &task.spec.metrics.all())
                .with_context(|| format!("`metrics` of {} do not fit its {role} split", task.name))?;
        }
        let rows = data.train.len();
        if let Some(shots) = plan.suite.shots.iter().find(|&&shots| shots > rows) {
            bail!("`shots` has {shots}, but task `{}` has only {rows} rows to train on", task.name);
        }
        report_truncation(task, &data);
    }
    Ok(())
}

/// Runs the cells of a plan that the store lacks, seed by seed side by side, and gives the records of
/// all of them. Those that another process computes on the same folder come last: what they come to is read.
///
/// `finished` is told the records that were made, each time that some were.
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
    finished: &mut dyn FnMut(&[Record]) -> Result<()>,
) -> Result<Vec<Record>> {
    let suite = plan.suite;
    let shots: Vec<Option<usize>> = match &suite.shots[..] {
        [] => vec![None],
        some => some.iter().map(|&shots| Some(shots)).collect(),
    };
    let groups = plan.tasks.iter().map(|(_, methods)| methods.len() * shots.len());
    let mut results: Vec<Vec<Option<Vec<Record>>>> = groups.map(|groups| vec![None; groups]).collect();
    loop {
        let (mut busy, mut some_done) = (None, false);
        for ((task, methods), results) in plan.tasks.iter_mut().zip(&mut results) {
            if results.iter().all(Option::is_some) {
                continue;
            }
            let data = TaskData::load(task, hub, &model.tokenizer, tokens)?;
            let mut results = results.iter_mut();
            for (instance, training) in methods {
                instance.built.method.tokenize(&|text| model.tokenizer.encode(text, usize::MAX).ids);
                for &shots in &shots {
                    let Some(result) = results.next().filter(|result| result.is_none()) else { continue };
                    let group = Group {
                        suite: &suite,
                        task,
                        data: &data,
                        shots,
                        instance,
                        training: &training.for_rows(shots.unwrap_or(data.train.len())),
                        model,
                        setting,
                    };
                    match group.run(store, finished)? {
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

fn report_truncation(task: &Task, data: &TaskData) {
    let limits = &task.spec.limits;
    for (role, split) in [("train", &data.train), ("validation", &data.validation), ("test", &data.test)] {
        for (what, cut, limit) in [
            ("sources", split.truncated_sources.len(), limits.source_tokens),
            ("targets", split.truncated_targets.len(), limits.target_tokens),
        ] {
            if cut > 0 {
                let (name, rows) = (&task.name, split.len());
                say!(
                    "note: {name}: {cut} of {rows} {role} {what} are longer than {limit} tokens and were cut"
                );
            }
        }
    }
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
    setting: Setting,
}

/// How far a group has come.
enum Progressed {
    Done(Vec<Record>),
    /// Another process computes this cell of it.
    Busy(String),
}

impl Group<'_> {
    fn run(&self, store: &Store, finished: &mut dyn FnMut(&[Record]) -> Result<()>) -> Result<Progressed> {
        loop {
            let (records, missing) = self.done(store)?;
            if missing.is_empty() {
                return Ok(Progressed::Done(records));
            }
            interrupt::check()?;
            let cells = self.next(&missing, store);
            let _claim = match store.claim(&cells)? {
                Claimed::Mine(claim) => claim,
                Claimed::Busy(cell) => return Ok(Progressed::Busy(cell)),
            };
            // Before it was claimed, somebody may have finished a part.
            if self.done(store)?.1 == missing {
                finished(&self.train(&cells, store)?)?;
            }
        }
    }

    /// The records that there are, and the seeds that have none.
    fn done(&self, store: &Store) -> Result<(Vec<Record>, Vec<u64>)> {
        let (mut records, mut missing) = (Vec::new(), Vec::new());
        for &seed in &self.suite.seeds {
            match store.read(&self.cell(seed).id())? {
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
    fn next(&self, missing: &[u64], store: &Store) -> Vec<Cell> {
        let seeds = match () {
            () if !self.together() => &missing[..1],
            () if !self.company().is_empty() => &self.suite.seeds,
            () => missing,
        };
        let cells: Vec<Cell> = seeds.iter().map(|&seed| self.cell(seed)).collect();
        let begun = store.on_their_way(&cells).unwrap_or_default();
        let (ids, begun): (Vec<String>, Vec<Cell>) =
            begun.into_iter().map(|(id, seed)| (id, self.cell(seed))).unzip();
        let is_own = !begun.is_empty() && begun.iter().map(Cell::id).eq(ids);
        if is_own { begun } else { cells }
    }

    /// Whether seeds train side by side. Few-shot runs have rows of their own, so their batches have no common width.
    fn together(&self) -> bool {
        self.shots.is_none() && self.instance.built.method.side_by_side()
    }

    /// The seeds that are part of what each cell is.
    fn company(&self) -> Vec<u64> {
        match self.setting.device {
            // Here a run has the same bits alone and in company.
            DeviceName::Cpu => Vec::new(),
            _ if !self.together() || self.suite.seeds.len() == 1 => Vec::new(),
            _ => self.suite.seeds.clone(),
        }
    }

    fn title(&self) -> String {
        format!("{} on {}", self.instance.name, self.task.name)
    }

    fn cell(&self, seed: u64) -> Cell {
        Cell {
            task: self.task.name.clone(),
            spec: self.task.spec.clone(),
            dataset_revision: self.data.revision.clone(),
            shots: self.shots,
            model: self.model.id.clone(),
            model_revision: self.model.revision.clone(),
            method: self.instance.method.clone(),
            settings: self.instance.built.settings.clone(),
            training: self.training.clone(),
            seed,
            company: self.company(),
        }
    }

    fn train(&self, cells: &[Cell], store: &Store) -> Result<Vec<Record>> {
        let method = self.instance.built.method.as_ref();
        let rates = method.learning_rates();
        let runs: Vec<RunSettings> =
            cells.iter().map(|cell| RunSettings { seed: cell.seed, rates: rates.clone() }).collect();
        let few = self.shots.map(|shots| self.data.with_shots(shots, cells[0].seed));
        let data = few.as_ref().unwrap_or(self.data);
        let job = Job {
            backbone: &self.model.backbone,
            tokenizer: &self.model.tokenizer,
            method,
            data,
            metrics: &self.task.spec.metrics.all(),
            settings: self.training,
            runs: &runs,
        };
        memory::reset_peak();
        let title = self.title();
        let mut progress = progress::for_stderr(&title);
        let state = store.state_file(cells, self.setting.checkpoint_interval);
        let _deferred = interrupt::defer();
        let outcome = train(&job, state, progress.as_mut()).with_context(|| title)?;
        let records = self.record(cells, data, outcome, store)?;
        store.remove_finished_states();
        Ok(records)
    }

    fn record(
        &self,
        cells: &[Cell],
        data: &TaskData,
        outcome: Outcome,
        store: &Store,
    ) -> Result<Vec<Record>> {
        let config = self.model.backbone.config();
        let declared: Vec<Parameter> = self.instance.built.method.parameters(config);
        let trainable = peft::num_trainable(self.instance.built.method.as_ref(), config);
        let device = self.setting.device;
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
