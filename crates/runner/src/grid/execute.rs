use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use peft_model::peft::{self, Parameter};

use super::{Cell, Instance, Suite, check};
use crate::data::TaskData;
use crate::device::DeviceName;
use crate::hub::Hub;
use crate::memory;
use crate::model::Model;
use crate::progress;
use crate::results::{Adapter, Record, Store};
use crate::task::{self, Reference, Task};
use crate::token_cache::TokenCache;
use crate::train::{Job, Outcome, RunSettings, StateFile, TrainSettings, train};

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

/// Reads every task's rows and checks what scores of them would mean, so that what is wrong with the last
/// task is known before the first one trains.
///
/// # Errors
/// When a task's rows cannot be loaded, or no score of them would mean anything.
pub fn check_rows(plan: &Plan, model: &Model, hub: &Hub, tokens: &TokenCache) -> Result<()> {
    for (task, _) in &plan.tasks {
        let data = TaskData::load(task, hub, &model.tokenizer, tokens)?;
        check::check(task, &data, &model.tokenizer)?;
        let rows = data.train.len();
        if let Some(shots) = plan.suite.shots.iter().find(|&&shots| shots > rows) {
            bail!("`shots` has {shots}, but task `{}` has only {rows} rows to train on", task.name);
        }
    }
    Ok(())
}

/// Runs the cells of a plan that the store lacks, seed by seed side by side, and gives the records of
/// all of them.
///
/// # Errors
/// When a task's rows cannot be loaded or a result cannot be written; what is done stays done.
pub fn execute(
    mut plan: Plan,
    model: &Model,
    hub: &Hub,
    tokens: &TokenCache,
    store: &Store,
    setting: Setting,
) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    let suite = plan.suite;
    for (task, methods) in &mut plan.tasks {
        let data = TaskData::load(task, hub, &model.tokenizer, tokens)?;
        let shots: Vec<Option<usize>> = match &suite.shots[..] {
            [] => vec![None],
            some => some.iter().map(|&shots| Some(shots)).collect(),
        };
        for (instance, training) in methods {
            instance.built.method.tokenize(&|text| model.tokenizer.encode(text, usize::MAX).ids);
            for &shots in &shots {
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
                records.extend(group.run(store)?);
            }
        }
    }
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
    setting: Setting,
}

impl Group<'_> {
    fn run(&self, store: &Store) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        let mut missing = Vec::new();
        for &seed in &self.suite.seeds {
            let cell = self.cell(seed);
            match store.read(&cell.id())? {
                // Another suite, or another name in this one, may have asked for the same cell before.
                Some(record) => records.push(Record {
                    method: self.instance.name.clone(),
                    suite: self.suite.name.clone(),
                    ..record
                }),
                None => missing.push(cell),
            }
        }
        if !records.is_empty() {
            // A run of all seeds that was killed between its first result and its end left its state.
            let ids: Vec<String> = self.suite.seeds.iter().map(|&seed| self.cell(seed).id()).collect();
            store.remove_state(&ids);
        }
        // Few-shot runs have rows of their own, so their batches have no common width.
        let apart = self.shots.is_some() || !self.instance.built.method.side_by_side();
        let together = if apart { 1 } else { missing.len().max(1) };
        for cells in missing.chunks(together) {
            records.extend(self.train(cells, store)?);
        }
        Ok(records)
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
        let mut progress = progress::for_stderr(&format!("{} on {}", self.instance.name, self.task.name));
        let ids: Vec<String> = cells.iter().map(Cell::id).collect();
        let state = StateFile::new(store.state_path(&ids), self.setting.checkpoint_interval);
        let outcome = train(&job, state, progress.as_mut())
            .with_context(|| format!("{} on {}", self.instance.name, self.task.name))?;
        let records = self.record(cells, data, outcome, store)?;
        store.remove_state(&ids);
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
