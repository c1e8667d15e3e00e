//! A suite as data: what a TOML in `datasets/suites/` says.

use std::path::{Path, PathBuf};

use peft_model::SourceSpec;
use peft_model::settings::{merge, nearest};
use peft_model::source::{MIXTURE, SOURCES};
use peft_model::source_stages::{sources_on, with_their_own};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::instance::Instance;
use super::sweep::{Chosen, Spec};
use crate::files;
use crate::files::embedded;
use crate::model::Precision;
use crate::results::{Order, ReportedSplit, Sweep};
use crate::task::{self, ShotsRule};
use crate::train::TrainSettings;

/// What can be wrong with a suite.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    #[error("unknown suite `{name}`{}; known suites: {known}", suggestion.as_ref().map(|s| format!(", did you mean `{s}`?")).unwrap_or_default())]
    Unknown { name: String, suggestion: Option<String>, known: String },
    #[error(transparent)]
    File(#[from] files::FileError),
    #[error("{file}: {problem}")]
    Spec { file: String, problem: String },
    #[error("{option}: {problem}")]
    Option { option: String, problem: String },
}

impl SuiteError {
    /// What to do about it, if that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unknown { .. } => {
                Some("`peft-bench suites` says what is in each; a path to a TOML works too")
            }
            _ => None,
        }
    }
}

/// A grid of tasks, methods and seeds.
#[derive(Debug, Clone, Default)]
pub struct Suite {
    /// The TOML's file name.
    pub name: String,
    file: String,
    pub title: String,
    pub description: String,
    /// Backbone: a hub id or a folder.
    pub model: String,
    /// In which the backbone computes.
    pub precision: Precision,
    pub tasks: Vec<String>,
    pub seeds: Vec<u64>,
    /// Seed of the splits that tasks draw, instead of their own; seeds of trainings never change a split.
    pub split_seed: Option<u32>,
    /// Most rows of each split, in a trial run.
    pub limit: Option<usize>,
    /// Numbers of training rows; empty for all rows.
    pub shots: Vec<usize>,
    /// How those rows are chosen.
    pub shots_rule: ShotsRule,
    /// The split whose scores the table shows: `validation` in sweeps, which must not look at the test split.
    pub report: ReportedSplit,
    /// Settings of the training, as written: what is left out takes the paper's values.
    training: toml::Table,
    /// Methods by the name they have in tables; `method` says which one it is, where the name does not.
    pub(super) methods: toml::Table,
    /// Settings of the trainings that methods start from, as written: what is left out, they have as all others; and
    /// their seed.
    pub(super) source: toml::Table,
    /// An adapter from which every cell starts.
    pub(super) init_from: Option<PathBuf>,
    /// Settings of methods that are tried before the suite runs.
    pub(super) sweep: Option<Spec>,
    /// What came of the trials, and the settings that the methods have therefore.
    pub(super) choices: Option<Sweep>,
    pub(super) chosen: Vec<Chosen>,
    /// Exceptions for some tasks or methods, applied in order.
    pub(super) exceptions: Vec<Exception>,
    /// Tasks and methods before the command line chose among them: the order of tables.
    pub order: Order,
    /// What the command line changed of settings.
    pub(super) changes: Vec<Change>,
}

/// A setting that the command line changed.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// The method that it is a setting of; `None` for what all methods have in common.
    pub method: Option<String>,
    /// `rank = 4`
    pub text: String,
}

/// A suite as its TOML has it: a base fills in what is left out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SuiteFile {
    pub base: Option<String>,
    title: Option<String>,
    description: Option<String>,
    model: Option<String>,
    precision: Option<Precision>,
    tasks: Option<Vec<String>>,
    seeds: Option<Vec<u64>>,
    split_seed: Option<u32>,
    shots: Option<Vec<usize>>,
    shots_rule: Option<ShotsRule>,
    report: Option<ReportedSplit>,
    #[serde(default)]
    training: toml::Table,
    #[serde(default)]
    methods: toml::Table,
    #[serde(default)]
    source: toml::Table,
    sweep: Option<Spec>,
    #[serde(default, rename = "for")]
    exceptions: Vec<Exception>,
}

/// Other settings for some tasks and some methods.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exception {
    #[serde(default)]
    pub tasks: Vec<String>,
    #[serde(default)]
    pub methods: Vec<String>,
    #[serde(default)]
    pub training: toml::Table,
    #[serde(default)]
    pub settings: toml::Table,
}

fn default_seeds() -> Vec<u64> {
    vec![42]
}

impl Suite {
    /// A suite of which no more than the name is known.
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), title: name.into(), ..Self::default() }
    }

    /// Parses a suite; its base is an embedded suite or a file, and none of the files that it is the base of.
    /// Paths in it are relative to its folder.
    ///
    /// # Errors
    /// When the TOML is malformed, has unknown keys, or lacks a model.
    fn parse(
        name: &str,
        text: &str,
        file: &str,
        folder: &Path,
        derived: &[String],
    ) -> Result<Self, SuiteError> {
        let wrong = |problem: String| SuiteError::Spec { file: file.into(), problem };
        let mut own: SuiteFile = files::parse_toml(text).map_err(wrong)?;
        own.resolve_paths(folder);
        one_length("training", &own.training).map_err(wrong)?;
        one_length("source", &own.source).map_err(wrong)?;
        finite("training", &own.training).map_err(wrong)?;
        finite("source", &own.source).map_err(wrong)?;
        finite("methods", &own.methods).map_err(wrong)?;
        for exception in &own.exceptions {
            finite("for.training", &exception.training).map_err(wrong)?;
            finite("for.settings", &exception.settings).map_err(wrong)?;
        }
        let derived = [derived, &[file.to_string()]].concat();
        let mut suite = match &own.base {
            Some(base) => find_for(base, &derived)?,
            None => Self { seeds: default_seeds(), ..Self::default() },
        };
        (suite.name, suite.file) = (name.into(), file.into());
        suite.extend(own).map_err(wrong)?;
        if suite.model.is_empty() {
            return Err(wrong("`model` is missing: a hub id or a folder".into()));
        }
        // Whether or not a method that starts from a source runs.
        suite.source_training("", "")?;
        suite.source_seed()?;
        suite.order =
            Order { tasks: suite.tasks.clone(), methods: suite.methods().map(String::from).collect() };
        Ok(suite)
    }

    /// Takes over what another suite's file says.
    pub(super) fn extend(&mut self, own: SuiteFile) -> Result<(), String> {
        let suite = self;
        suite.title = own.title.unwrap_or(std::mem::take(&mut suite.title));
        suite.description = own.description.unwrap_or(std::mem::take(&mut suite.description));
        suite.model = own.model.unwrap_or(std::mem::take(&mut suite.model));
        suite.precision = own.precision.unwrap_or(suite.precision);
        suite.tasks = own.tasks.unwrap_or(std::mem::take(&mut suite.tasks));
        suite.seeds = own.seeds.unwrap_or(std::mem::take(&mut suite.seeds));
        suite.split_seed = own.split_seed.or(suite.split_seed);
        suite.shots = own.shots.unwrap_or(std::mem::take(&mut suite.shots));
        if own.shots_rule.is_some() && suite.shots.is_empty() {
            return Err("`shots_rule` says how the rows of `shots` are chosen, and there are none".into());
        }
        suite.shots_rule = own.shots_rule.unwrap_or(suite.shots_rule);
        suite.report = own.report.unwrap_or(suite.report);
        for (key, value) in own.training {
            suite.set_training(&key, value);
        }
        for (key, value) in own.source {
            suite.set_source(&key, value);
        }
        suite.methods.extend(own.methods);
        if let Some(sweep) = &own.sweep {
            sweep.check(&suite.methods().collect::<Vec<_>>())?;
        }
        suite.sweep = own.sweep.or(suite.sweep.take());
        for exception in &own.exceptions {
            suite.check_exception(exception)?;
        }
        suite.exceptions.extend(own.exceptions);
        Ok(())
    }

    /// An exception for what does not exist would have no effect, and nobody would notice.
    fn check_exception(&self, exception: &Exception) -> Result<(), String> {
        one_length("for.training", &exception.training)?;
        for name in &exception.tasks {
            if !self.tasks.contains(name) {
                task::find(name).map_err(|e| format!("`for.tasks`: {e}"))?;
            }
        }
        for name in &exception.methods {
            if !self.methods.contains_key(name) {
                peft_model::peft::find(name).map_err(|e| format!("`for.methods`: {e}"))?;
            }
        }
        Ok(())
    }

    /// Sets the training of every cell, sources included, whatever the exceptions so far say.
    pub(super) fn set_training(&mut self, key: &str, value: toml::Value) {
        let tables = self.exceptions.iter_mut().map(|e| &mut e.training);
        for table in tables.chain([&mut self.training, &mut self.source]) {
            remove(table, key);
        }
        self.training.insert(key.into(), value);
    }

    /// Sets what the trainings have that methods start from.
    pub(super) fn set_source(&mut self, key: &str, value: toml::Value) {
        remove(&mut self.source, key);
        self.source.insert(key.into(), value);
    }

    /// Keeps only these methods, those that the suite does not have with the published settings.
    pub(super) fn choose_methods(&mut self, names: &[String]) {
        let all = std::mem::take(&mut self.methods);
        for name in names {
            let settings = all.get(name).cloned().unwrap_or(toml::Value::Table(toml::Table::new()));
            self.methods.insert(name.clone(), settings);
        }
    }

    /// Names of the methods in tables, in order.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.methods.keys().map(String::as_str)
    }

    /// A method as it runs on a task whose sources have up to so many tokens.
    ///
    /// # Errors
    /// When the method is unknown or a setting is wrong.
    pub fn instance(&self, name: &str, task: &str, source_tokens: usize) -> Result<Instance, SuiteError> {
        let wrong = |problem: String| self.wrong(format!("methods.{name}: {problem}"));
        let table = self.methods.get(name).and_then(toml::Value::as_table);
        let mut settings = json!(table.ok_or_else(|| wrong("must be a table".into()))?);
        for exception in self.exceptions(name, task) {
            merge(&mut settings, json!(exception.settings));
        }
        for chosen in self.chosen.iter().filter(|chosen| chosen.method == name && chosen.task == task) {
            merge(&mut settings, json!(chosen.settings));
        }
        let Value::Object(mut settings) = settings else { unreachable!("a table is an object") };
        let method = match settings.shift_remove("method") {
            None => name.to_string(),
            Some(Value::String(method)) => method,
            Some(other) => return Err(wrong(format!("`method` is {other}; it must be text"))),
        };
        let train_on = match settings.shift_remove(TRAIN_ON) {
            None => None,
            Some(Value::String(task)) => Some(task),
            Some(other) => {
                return Err(wrong(format!(
                    "`{TRAIN_ON}` is {other}; it must be a task, or several as \"a+b\""
                )));
            }
        };
        let built = peft_model::peft::build_for(&method, &settings, source_tokens).map_err(|e| match e {
            peft_model::Error::InvalidSetting { problem, .. } => wrong(problem),
            other => wrong(other.to_string()),
        })?;
        let sources = sources_on(built.method.as_ref(), task);
        Ok(Instance { name: name.into(), method, built, sources, train_on })
    }

    /// The tasks on which a method trains instead of those of the suite, each once.
    ///
    /// # Errors
    /// When the method is unknown or a setting is wrong.
    pub fn trained_on(&self, method: &str) -> Result<Vec<String>, SuiteError> {
        let mut all = Vec::new();
        for task in &self.tasks {
            let train_on = self.instance(method, task, ANY_LENGTH)?.train_on;
            all.extend(train_on.filter(|task| !all.contains(task)));
        }
        Ok(all)
    }

    /// Refuses exceptions for a task on which a method is scored alone, which would have no effect.
    pub(super) fn check_exceptions(
        &self,
        method: &str,
        task: &str,
        train_on: &str,
    ) -> Result<(), SuiteError> {
        let is_of_training = |e: &Exception| e.tasks.is_empty() || e.tasks.iter().any(|n| means(n, train_on));
        let sets = |e: &Exception| !e.training.is_empty() || e.settings.keys().any(|key| key != TRAIN_ON);
        match self.exceptions(method, task).find(|e| !is_of_training(e) && sets(e)) {
            None => Ok(()),
            Some(_) => Err(self.wrong(format!(
                "a `[[for]]` sets `{method}` on `{task}`, but that trains on `{train_on}`: name this in `for.tasks`, or \
                 other methods in `for.methods`"
            ))),
        }
    }

    /// The training settings of a method on a task.
    ///
    /// # Errors
    /// When a setting is unknown or out of range.
    pub fn training(&self, method: &str, task: &str) -> Result<TrainSettings, SuiteError> {
        self.read_training("training", self.training_table(method, task))
    }

    fn training_table(&self, method: &str, task: &str) -> toml::Table {
        let mut table = self.training.clone();
        for exception in self.exceptions(method, task) {
            table.extend(exception.training.clone());
        }
        table
    }

    fn read_training(&self, name: &str, table: toml::Table) -> Result<TrainSettings, SuiteError> {
        let settings: TrainSettings = peft_model::settings::read(Value::Object(json_object(&table)))
            .map_err(|e| self.wrong(format!("{name}: {e}")))?;
        settings.check().map_err(|e| self.wrong(e.replace("`training.", &format!("`{name}."))))?;
        Ok(settings)
    }

    /// The training settings of a method on a task that others start from: those of the method itself, but for what
    /// `[source]` says.
    ///
    /// # Errors
    /// When a setting is unknown or out of range.
    pub fn source_training(&self, method: &str, task: &str) -> Result<TrainSettings, SuiteError> {
        let mut table = self.training_table(method, task);
        // What is wrong with the method's own settings is not `[source]`'s fault.
        self.read_training("training", table.clone())?;
        for (key, value) in self.source.iter().filter(|(key, _)| *key != SOURCE_SEED) {
            remove(&mut table, key);
            table.insert(key.clone(), value.clone());
        }
        self.read_training("source", table)
    }

    /// The seed of all trainings that methods start from: as published, a source task has one prompt, whatever the seeds
    /// of the targets.
    ///
    /// # Errors
    /// When it is no number, or below 0.
    pub fn source_seed(&self) -> Result<u64, SuiteError> {
        let Some(value) = self.source.get(SOURCE_SEED) else { return Ok(42) };
        let seed = value.as_integer().and_then(|seed| seed.try_into().ok());
        seed.ok_or_else(|| {
            self.wrong(format!("`source.seed` is {value}; it must be a whole number of at least 0"))
        })
    }

    /// The trainings that a method starts from on some task of the suite, and those that they start from, each once.
    ///
    /// # Errors
    /// When the method is unknown or a setting is wrong.
    pub fn sources(&self, method: &str) -> Result<Vec<SourceSpec>, SuiteError> {
        let mut all = Vec::new();
        for task in &self.tasks {
            let instance = self.instance(method, task, ANY_LENGTH)?;
            let wrong = |problem| self.wrong(format!("methods.{method}: `sources`: {problem}"));
            let found = with_their_own(&instance.sources).map_err(wrong)?;
            let new = found.into_iter().filter(|spec| !all.contains(spec)).collect::<Vec<_>>();
            all.extend(new);
        }
        Ok(all)
    }

    fn exceptions(&self, method: &str, task: &str) -> impl Iterator<Item = &Exception> {
        let for_task = move |e: &&Exception| e.tasks.is_empty() || e.tasks.iter().any(|n| means(n, task));
        self.exceptions.iter().filter(move |e| e.is_for(method)).filter(for_task)
    }

    /// All that decides how a method is set in this suite, on whichever task.
    pub fn configuration(&self, method: &str) -> Value {
        let exceptions: Vec<&Exception> = self.exceptions.iter().filter(|e| e.is_for(method)).collect();
        let mut all = vec![json!(self.training), json!(self.methods.get(method)), json!(exceptions)];
        all.extend(self.split_seed.map(|seed| json!({"split_seed": seed})));
        if !self.source.is_empty() && self.sources(method).is_ok_and(|sources| !sources.is_empty()) {
            all.push(json!({"source": self.source}));
        }
        // What a sweep has chosen follows from it.
        all.extend(self.sweep.as_ref().map(|sweep| json!({"sweep": sweep})));
        Value::Array(all)
    }

    /// What the command line changed of a method's settings, as `steps = 20, rank = 4`.
    pub fn changes(&self, method: &str) -> String {
        let own = self.changes.iter().filter(|c| c.method.as_deref().is_none_or(|name| name == method));
        own.map(|change| change.text.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// An error in this suite's file.
    pub(super) fn wrong(&self, problem: String) -> SuiteError {
        SuiteError::Spec { file: self.file.clone(), problem }
    }
}

impl SuiteFile {
    /// Turns paths that are relative to the suite's folder into what the program can open.
    fn resolve_paths(&mut self, folder: &Path) {
        let join = |path: &str| folder.join(path).display().to_string();
        let exceptions = self.exceptions.iter_mut().flat_map(|exception| &mut exception.tasks);
        for task in self.tasks.iter_mut().flatten().chain(exceptions) {
            *task = task_path(task, folder);
        }
        let methods = self.methods.iter_mut().filter_map(|(_, settings)| settings.as_table_mut());
        let exceptions = self.exceptions.iter_mut().map(|exception| &mut exception.settings);
        for settings in methods.chain(exceptions) {
            let mut tasks: Vec<&mut toml::Value> = Vec::new();
            for (key, value) in settings.iter_mut() {
                match key.as_str() {
                    SOURCES => tasks.extend(value.as_array_mut().into_iter().flatten()),
                    TRAIN_ON => tasks.push(value),
                    _ => {}
                }
            }
            for task in tasks {
                if let toml::Value::String(task) = task {
                    *task = task_path(task, folder);
                }
            }
        }
        if let Some(base) = self.base.as_mut().filter(|base| is_file(base)) {
            *base = join(base);
        }
        if let Some(model) = &mut self.model {
            let (name, random) = split_variant(model);
            // A folder that another name could be of the hub is one only if it is there.
            if folder.join(name).is_dir() || name.starts_with("./") || name.starts_with("../") {
                *model = join(name) + &random.map(|random| format!("@{random}")).unwrap_or_default();
            }
        }
    }
}

impl Exception {
    fn is_for(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|name| name == method)
    }
}

/// Whether the name in an exception is that of a task: its file, its name, or its name without a variant.
fn means(exception: &str, task: &str) -> bool {
    let ((wanted, wanted_variant), (base, variant)) = (split_variant(exception), split_variant(task));
    if wanted_variant.is_some() && wanted_variant != variant {
        return false;
    }
    let path = |name| Path::new(name).canonicalize().ok();
    match (is_file(wanted), is_file(base)) {
        (true, true) => wanted == base || path(wanted).is_some_and(|wanted| Some(wanted) == path(base)),
        (false, true) => Path::new(base).file_stem().is_some_and(|stem| stem == wanted),
        _ => wanted == base,
    }
}

/// A name and what is behind its `@`.
fn split_variant(name: &str) -> (&str, Option<&str>) {
    name.split_once('@').map_or((name, None), |(base, variant)| (base, Some(variant)))
}

/// A task of a suite in a folder as the program finds it: files are relative to the folder, those of a mixture, too.
fn task_path(task: &str, folder: &Path) -> String {
    let join = |name: &str| folder.join(name).display().to_string();
    if folder.join(split_variant(task).0).is_file() {
        return join(task);
    }
    let part = |part: &str| if is_file(split_variant(part).0) { join(part) } else { part.into() };
    task.split(MIXTURE).map(part).collect::<Vec<String>>().join(MIXTURE)
}

fn is_file(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ending| ending == "toml")
}

/// The settings that say how long a training is.
const LENGTH: [&str; 2] = ["steps", "epochs"];

/// The key of a method that names the task on which it trains, instead of each of the suite's.
const TRAIN_ON: &str = "train_on";

/// The key of `[source]` that is no setting of a training.
const SOURCE_SEED: &str = "seed";

/// Length of sources where no task has been read yet.
pub(super) const ANY_LENGTH: usize = 256;

/// Refuses a table that gives the length of a training twice.
fn one_length(name: &str, training: &toml::Table) -> Result<(), String> {
    match LENGTH.iter().all(|key| training.contains_key(*key)) {
        true => Err(format!("`{name}` has both `steps` and `epochs`; it must have one of them")),
        false => Ok(()),
    }
}

/// Removes a setting of a training, and what says the same in other words.
fn remove(training: &mut toml::Table, key: &str) {
    let says_the_same = |other: &str| other == key || [key, other].iter().all(|key| LENGTH.contains(key));
    training.retain(|other, _| !says_the_same(other));
}

/// Refuses numbers that TOML has and no setting can be.
fn finite(path: &str, table: &toml::Table) -> Result<(), String> {
    table.iter().try_for_each(|(key, value)| match value {
        toml::Value::Float(x) if !x.is_finite() => {
            Err(format!("`{path}.{key}` is {x}; it must be a finite number"))
        }
        toml::Value::Table(inner) => finite(&format!("{path}.{key}"), inner),
        _ => Ok(()),
    })
}

fn json_object(table: &toml::Table) -> Map<String, Value> {
    match serde_json::to_value(table) {
        Ok(Value::Object(map)) => map,
        // A TOML table holds nothing that JSON does not.
        _ => Map::new(),
    }
}

/// Finds a suite by path or among the embedded ones.
///
/// # Errors
/// When there is none, with the nearest name; or when its TOML is wrong.
pub fn find(name: &str) -> Result<Suite, SuiteError> {
    find_for(name, &[])
}

/// Finds the base of suites in these files, each the base of the one before.
fn find_for(name: &str, derived: &[String]) -> Result<Suite, SuiteError> {
    if is_file(name) {
        let path = Path::new(name);
        let text = files::read_settings(path)?;
        let same = |file: &String| path.canonicalize().ok() == Path::new(file).canonicalize().ok();
        if derived.iter().any(same) {
            let circle = format!("`base`: {} -> {name} is a circle", derived.join(" -> "));
            return Err(SuiteError::Spec { file: name.into(), problem: circle });
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        return Suite::parse(&stem, &text, name, path.parent().unwrap_or(Path::new("")), derived);
    }
    match embedded::text(&format!("suites/{name}.toml")) {
        Some(text) => {
            Suite::parse(name, text, &format!("datasets/suites/{name}.toml"), Path::new(""), derived)
        }
        None => {
            let names = names();
            Err(SuiteError::Unknown {
                name: name.into(),
                suggestion: nearest(name, names.iter().map(String::as_str)).map(str::to_string),
                known: names.join(", "),
            })
        }
    }
}

/// Names of the embedded suites.
pub fn names() -> Vec<String> {
    embedded::names("suites")
}

#[cfg(test)]
mod tests {
    use super::super::Overrides;
    use super::*;
    use crate::data::Batching;
    use crate::train::{Interval, Selection};

    const REFERENCE_TEXT: &str = "Classify this text is postive or not:";

    #[test]
    fn every_embedded_suite_fits_its_tasks_and_methods() {
        for name in names() {
            let suite = find(&name).unwrap();
            assert!(!suite.tasks.is_empty() && suite.methods().count() > 0, "{name}");
            crate::grid::plan(suite).unwrap_or_else(|e| panic!("{name}: {e:#}"));
        }
    }

    #[test]
    fn the_paper_suite_has_the_released_settings() {
        let suite = find("paper").unwrap();
        assert_eq!(suite.tasks.len(), 22);
        let dept = |task| suite.instance("dept", task, 256).unwrap().built.settings;
        assert_eq!(dept("cola")["prompt"]["length"], 80);
        assert_eq!((&dept("cola")["rank"], &dept("nq")["max_length"]), (&15.into(), &512.into()));
        assert_eq!(dept("qqp")["prompt"]["learning_rate"], 0.4);
        assert_eq!(suite.training("adept", "mnli").unwrap().steps, 250_000);
        assert_eq!(suite.training("adept", "nq").unwrap().accumulation, 2);
        let full = suite.training("full", "cola").unwrap().for_rows(8551).unwrap();
        assert_eq!((full.steps, full.epochs), (20 * 268, None));
        assert_eq!(full.evaluate_every, Interval::Updates(268));
        for (method, average, prefix) in [
            ("full", true, true),
            ("bitfit", true, true),
            ("adapter", true, false),
            ("lora", true, false),
            ("prompt-tuning", false, false),
            ("prompt-tuning-60", false, false),
            ("dept", false, false),
            ("adept", false, false),
        ] {
            let training = suite.training(method, "mrpc").unwrap();
            let selection = if average { Selection::Average } else { Selection::First };
            assert_eq!((training.selection, training.task_prefix), (selection, prefix), "{method}");
            assert_eq!(training.epsilon, if average { 1e-8 } else { 1e-6 }, "{method}");
            assert_eq!(training.batching, Batching::Random, "{method}");
        }
        assert_eq!(
            (&dept("rte")["prompt"]["init"], &dept("rte")["prompt"]["text"]),
            (&"text".into(), &REFERENCE_TEXT.into())
        );
    }

    #[test]
    fn two_lengths_of_prompt_tuning_differ_in_nothing_else() {
        let suite = find("paper").unwrap();
        for task in &suite.tasks {
            let [long, short] = ["prompt-tuning", "prompt-tuning-60"].map(|name| {
                let mut settings = suite.instance(name, task, 256).unwrap().built.settings;
                let length = settings["prompt"]["length"].take();
                (length, settings, suite.training(name, task).unwrap())
            });
            assert_eq!((&long.0, &short.0), (&100.into(), &60.into()));
            assert_eq!((long.1, json!(long.2)), (short.1, json!(short.2)), "{task}");
        }
    }

    #[test]
    fn depts_released_runs_have_the_settings_of_their_logs() {
        let (suite, paper) = (find("dept-released").unwrap(), find("paper").unwrap());
        let logs = include_str!("../../../../results/paper/settings/dept-checkpoints.csv");
        let mut tasks = Vec::new();
        for line in logs.lines().skip(1) {
            let [name, length, rank, max_length, _, prompt_rate, rate, steps, rows, accumulation, warmup, ..] =
                line.split(',').collect::<Vec<_>>()[..]
            else {
                panic!("{line}")
            };
            let task = name.trim_start_matches("superglue-");
            let number = |text: &str| text.parse::<f64>().unwrap();
            let limit = task::find(task).unwrap().spec.limits.source_tokens;
            let settings = suite.instance("dept", task, limit).unwrap().built.settings;
            let prompt = &settings["prompt"];
            let own = [&prompt["length"], &settings["rank"], &settings["max_length"]].map(Value::as_f64);
            assert_eq!(own, [length, rank, max_length].map(|text| Some(number(text))), "{task}");
            let rates = [&prompt["learning_rate"], &settings["learning_rate"]].map(Value::as_f64);
            assert_eq!(rates, [prompt_rate, rate].map(|text| Some(number(text))), "{task}");
            let training = suite.training("dept", task).unwrap();
            let own = [
                training.steps,
                training.rows_per_batch() as u64,
                training.accumulation as u64,
                training.warmup_steps,
            ];
            assert_eq!(own.map(|n| n as f64), [steps, rows, accumulation, warmup].map(number), "{task}");
            assert_eq!(settings, paper.instance("dept", task, limit).unwrap().built.settings, "{task}");
            assert_eq!(json!(training), json!(paper.training("dept", task).unwrap()), "{task}");
            tasks.push(task);
        }
        let named: std::collections::BTreeSet<&str> = suite.tasks.iter().map(String::as_str).collect();
        assert_eq!(named, tasks.into_iter().collect());
    }

    #[test]
    fn attempts_baselines_train_as_in_the_paper_suite() {
        let (suite, paper) = (find("attempt-baselines").unwrap(), find("paper").unwrap());
        for task in &suite.tasks {
            for method in ["full", "adapter", "bitfit"] {
                let [own, other] = [&suite, &paper].map(|suite| {
                    let settings = suite.instance(method, task, 256).unwrap().built.settings;
                    json!([settings, suite.training(method, task).unwrap()])
                });
                assert_eq!(own, other, "{method} on {task}");
            }
        }
        let training = suite.training("prompt-tuning", "rte").unwrap();
        assert!(training.task_prefix && training.weight_decay == 1e-5 && training.epsilon == 1e-8);
        assert_eq!((training.epochs, training.selection), (Some(20), Selection::Average));
    }

    #[test]
    fn checkpoints_are_chosen_by_the_references_metrics() {
        for (task, first, average) in [
            ("mrpc", "accuracy", "mean of accuracy and f1"),
            ("qqp", "accuracy", "mean of accuracy and f1"),
            ("stsb", "pearson", "mean of pearson and spearman"),
            ("cola", "matthews", "matthews"),
            ("cb", "macro-f1", "mean of macro-f1 and accuracy"),
            ("multirc", "f1", "mean of multirc-f1a and multirc-exact-match"),
            ("record", "squad-f1-first", "mean of squad-f1 and exact-match"),
            ("nq", "exact-match-first", "mean of exact-match-first and squad-f1-first"),
            ("boolq", "accuracy", "accuracy"),
        ] {
            let spec = task::find(task).unwrap().spec;
            assert_eq!(Selection::First.criterion(&spec).to_string(), first);
            assert_eq!(Selection::Average.criterion(&spec).to_string(), average);
        }
    }

    #[test]
    fn pocket_suites_say_how_their_batches_are_made() {
        for name in names().into_iter().filter(|name| name.starts_with("pocket")) {
            let suite = find(&name).unwrap();
            for (method, task) in suite.methods().flat_map(|m| suite.tasks.iter().map(move |task| (m, task)))
            {
                assert_eq!(suite.training(method, task).unwrap().batching, Batching::Bucketed, "{name}");
            }
        }
    }

    #[test]
    fn a_derived_suite_and_the_command_line_overrule_exceptions() {
        let suite = find("few-shot").unwrap();
        assert_eq!(suite.training("full", "cb").unwrap().for_rows(16).unwrap().steps, 1000);
        let overrides = Overrides { steps: Some(7), ..Overrides::default() };
        let suite = find("paper").unwrap().with(&overrides).unwrap();
        for method in ["full", "dept"] {
            assert_eq!(suite.training(method, "nq").unwrap().for_rows(100).unwrap().steps, 7);
        }
    }
}
