//! A suite as data: what a TOML in `datasets/suites/` says.

use std::path::Path;

use peft_model::peft::nearest;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Instance;
use crate::embedded;
use crate::files;
use crate::task;
use crate::train::TrainSettings;

/// What can be wrong with a suite.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    #[error("unknown suite `{name}`{}; known suites: {known}, and a path to a TOML works too", suggestion.as_ref().map(|s| format!(", did you mean `{s}`?")).unwrap_or_default())]
    Unknown { name: String, suggestion: Option<String>, known: String },
    #[error(transparent)]
    File(#[from] files::FileError),
    #[error("{file}: {problem}")]
    Spec { file: String, problem: String },
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
    pub tasks: Vec<String>,
    pub seeds: Vec<u64>,
    /// Numbers of training rows; empty for all rows.
    pub shots: Vec<usize>,
    /// The split whose scores the table shows: `validation` in sweeps, which must not look at the test split.
    pub report: ReportedSplit,
    /// Settings of the training, as written: what is left out takes the paper's values.
    training: toml::Table,
    /// Methods by the name they have in tables; `method` says which one it is, where the name does not.
    methods: toml::Table,
    /// Exceptions for some tasks or methods, applied in order.
    exceptions: Vec<Exception>,
}

/// A suite as its TOML has it: a base fills in what is left out.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct SuiteFile {
    base: Option<String>,
    title: Option<String>,
    description: Option<String>,
    model: Option<String>,
    tasks: Option<Vec<String>>,
    seeds: Option<Vec<u64>>,
    shots: Option<Vec<usize>>,
    report: Option<ReportedSplit>,
    #[serde(default)]
    training: toml::Table,
    #[serde(default)]
    methods: toml::Table,
    #[serde(default, rename = "for")]
    exceptions: Vec<Exception>,
}

/// Other settings for some tasks and some methods.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    #[serde(default)]
    tasks: Vec<String>,
    #[serde(default)]
    methods: Vec<String>,
    #[serde(default)]
    training: toml::Table,
    #[serde(default)]
    settings: toml::Table,
}

/// The split whose scores a table shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportedSplit {
    #[default]
    Test,
    Validation,
}

/// What the command line changes.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub tasks: Vec<String>,
    pub methods: Vec<String>,
    pub seeds: Vec<u64>,
    pub model: Option<String>,
    pub steps: Option<u64>,
}

fn default_seeds() -> Vec<u64> {
    vec![42]
}

impl Suite {
    /// Parses a suite; its base is an embedded suite or a file, and none of the files that it is the base of.
    ///
    /// # Errors
    /// When the TOML is malformed, has unknown keys, or lacks a model.
    fn parse(name: &str, text: &str, file: &str, derived: &[String]) -> Result<Self, SuiteError> {
        let wrong = |problem: String| SuiteError::Spec { file: file.into(), problem };
        let own: SuiteFile = files::parse_toml(text).map_err(wrong)?;
        one_length(&own.training).map_err(wrong)?;
        finite("training", &own.training).map_err(wrong)?;
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
        suite.title = own.title.unwrap_or(suite.title);
        suite.description = own.description.unwrap_or(suite.description);
        suite.model = own.model.unwrap_or(suite.model);
        suite.tasks = own.tasks.unwrap_or(suite.tasks);
        suite.seeds = own.seeds.unwrap_or(suite.seeds);
        suite.shots = own.shots.unwrap_or(suite.shots);
        suite.report = own.report.unwrap_or(suite.report);
        for (key, value) in own.training {
            suite.set_training(&key, value);
        }
        suite.methods.extend(own.methods);
        for exception in &own.exceptions {
            suite.check_exception(exception).map_err(wrong)?;
        }
        suite.exceptions.extend(own.exceptions);
        if suite.model.is_empty() {
            return Err(wrong("`model` is missing: a hub id or a folder".into()));
        }
        Ok(suite)
    }

    /// An exception for what does not exist would have no effect, and nobody would notice.
    fn check_exception(&self, exception: &Exception) -> Result<(), String> {
        one_length(&exception.training)?;
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

    /// Sets the training of every cell, whatever the exceptions so far say.
    fn set_training(&mut self, key: &str, value: toml::Value) {
        let length = ["steps", "epochs"];
        let replaced = if length.contains(&key) { length.to_vec() } else { vec![key] };
        let tables = self.exceptions.iter_mut().map(|e| &mut e.training).chain([&mut self.training]);
        for table in tables {
            table.retain(|other, _| !replaced.contains(&other));
        }
        self.training.insert(key.into(), value);
    }

    /// Applies what the command line says.
    pub fn with(mut self, overrides: &Overrides) -> Self {
        if !overrides.tasks.is_empty() {
            self.tasks = overrides.tasks.clone();
        }
        if !overrides.seeds.is_empty() {
            self.seeds = overrides.seeds.clone();
        }
        if let Some(model) = &overrides.model {
            self.model = model.clone();
        }
        if let Some(steps) = overrides.steps {
            self.set_training("steps", (steps as i64).into());
        }
        if !overrides.methods.is_empty() {
            let all = std::mem::take(&mut self.methods);
            for name in &overrides.methods {
                let settings = all.get(name).cloned().unwrap_or(toml::Value::Table(toml::Table::new()));
                self.methods.insert(name.clone(), settings);
            }
        }
        self
    }

    /// Names of the methods in tables, in order.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.methods.keys().map(String::as_str)
    }

    /// A method as it runs on a task.
    ///
    /// # Errors
    /// When the method is unknown or a setting is wrong.
    pub fn instance(&self, name: &str, task: &str) -> Result<Instance, SuiteError> {
        let wrong = |problem: String| self.wrong(format!("methods.{name}: {problem}"));
        let table = self.methods.get(name).and_then(toml::Value::as_table);
        let mut settings = json(table.ok_or_else(|| wrong("must be a table".into()))?);
        for exception in self.exceptions(name, task) {
            settings.extend(json(&exception.settings));
        }
        let method = match settings.shift_remove("method") {
            None => name.to_string(),
            Some(Value::String(method)) => method,
            Some(other) => return Err(wrong(format!("`method` is {other}; it must be text"))),
        };
        let built = peft_model::peft::build(&method, &settings).map_err(|e| wrong(e.to_string()))?;
        Ok(Instance { name: name.into(), method, built })
    }

    /// The training settings of a method on a task.
    ///
    /// # Errors
    /// When a setting is unknown or out of range.
    pub fn training(&self, method: &str, task: &str) -> Result<TrainSettings, SuiteError> {
        let mut settings = json(&self.training);
        for exception in self.exceptions(method, task) {
            settings.extend(json(&exception.training));
        }
        let settings: TrainSettings = peft_model::settings::read(Value::Object(settings))
            .map_err(|e| self.wrong(format!("training: {e}")))?;
        settings.check().map_err(|e| self.wrong(e))?;
        Ok(settings)
    }

    fn exceptions(&self, method: &str, task: &str) -> impl Iterator<Item = &Exception> {
        let applies = |names: &[String], name: &str| names.is_empty() || names.iter().any(|n| n == name);
        self.exceptions.iter().filter(move |e| applies(&e.tasks, task) && applies(&e.methods, method))
    }

    /// An error in this suite's file.
    pub(super) fn wrong(&self, problem: String) -> SuiteError {
        SuiteError::Spec { file: self.file.clone(), problem }
    }
}

/// Refuses a table that gives the length of a training twice.
fn one_length(training: &toml::Table) -> Result<(), String> {
    match ["steps", "epochs"].iter().all(|key| training.contains_key(*key)) {
        true => Err("`training` has both `steps` and `epochs`; it must have one of them".into()),
        false => Ok(()),
    }
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

fn json(table: &toml::Table) -> Map<String, Value> {
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
    let path = Path::new(name);
    if path.extension().is_some_and(|e| e == "toml") {
        let text = files::read_settings(path)?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if derived.iter().any(|file| file == name) {
            let circle = format!("`base`: {} -> {name} is a circle", derived.join(" -> "));
            return Err(SuiteError::Spec { file: name.into(), problem: circle });
        }
        return Suite::parse(&stem, &text, name, derived);
    }
    match embedded::text(&format!("suites/{name}.toml")) {
        Some(text) => Suite::parse(name, text, &format!("datasets/suites/{name}.toml"), derived),
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
    use super::*;

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
        let dept = |task| suite.instance("dept", task).unwrap().built.settings;
        assert_eq!(dept("cola")["prompt_length"], 80);
        assert_eq!((&dept("cola")["rank"], &dept("nq")["max_length"]), (&15.into(), &512.into()));
        assert_eq!(dept("qqp")["prompt_learning_rate"], 0.4);
        assert_eq!(suite.training("adept", "mnli").unwrap().steps, 250_000);
        assert_eq!(suite.training("adept", "nq").unwrap().accumulation, 2);
        let full = suite.training("full", "cola").unwrap().for_rows(8551);
        assert_eq!((full.steps, full.epochs), (20 * 268, None));
    }

    #[test]
    fn a_derived_suite_and_the_command_line_overrule_exceptions() {
        let suite = find("few-shot").unwrap();
        assert_eq!(suite.training("full", "cb").unwrap().for_rows(16).steps, 1000);
        let overrides = Overrides { steps: Some(7), ..Overrides::default() };
        let suite = find("paper").unwrap().with(&overrides);
        for method in ["full", "dept"] {
            assert_eq!(suite.training(method, "nq").unwrap().for_rows(100).steps, 7);
        }
    }
}
