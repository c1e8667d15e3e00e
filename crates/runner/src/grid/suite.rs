//! A suite as data: what a TOML in `datasets/suites/` says.

use std::path::Path;

use include_dir::{Dir, include_dir};
use peft_model::peft::nearest;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Instance;
use crate::train::TrainSettings;

static EMBEDDED: Dir = include_dir!("$CARGO_MANIFEST_DIR/../../datasets/suites");

/// What can be wrong with a suite.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    #[error("unknown suite `{name}`{}; known suites: {known}, and a path to a TOML works too", suggestion.as_ref().map(|s| format!(", did you mean `{s}`?")).unwrap_or_default())]
    Unknown { name: String, suggestion: Option<String>, known: String },
    #[error("cannot read {file}: {source}")]
    Read { file: String, source: std::io::Error },
    #[error("{file}: {problem}")]
    Spec { file: String, problem: String },
}

/// A grid of tasks, methods and seeds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// The TOML's file name.
    #[serde(skip)]
    pub name: String,
    #[serde(skip)]
    file: String,
    pub title: String,
    #[serde(default)]
    pub description: String,
    /// Backbone: a hub id or a folder.
    pub model: String,
    pub tasks: Vec<String>,
    #[serde(default = "default_seeds")]
    pub seeds: Vec<u64>,
    /// Settings of the training, as written: what is left out takes the paper's values.
    #[serde(default)]
    training: toml::Table,
    /// Methods by the name they have in tables; `method` says which one it is, where the name does not.
    #[serde(default)]
    methods: toml::Table,
    /// Exceptions for some tasks or methods, applied in order.
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
    /// Parses a suite.
    ///
    /// # Errors
    /// When the TOML is malformed or has unknown keys.
    pub fn parse(name: &str, text: &str, file: &str) -> Result<Self, SuiteError> {
        let suite: Self = toml::from_str(text)
            .map_err(|e| SuiteError::Spec { file: file.into(), problem: e.to_string() })?;
        Ok(Self { name: name.into(), file: file.into(), ..suite })
    }

    /// A suite of the command line alone: the paper's settings, on the tasks and methods named there.
    pub fn adhoc(model: &str) -> Self {
        Self {
            name: "adhoc".into(),
            file: "command line".into(),
            title: "Ad hoc".into(),
            description: String::new(),
            model: model.into(),
            tasks: Vec::new(),
            seeds: default_seeds(),
            training: toml::Table::new(),
            methods: toml::Table::new(),
            exceptions: Vec::new(),
        }
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
            self.training.insert("steps".into(), (steps as i64).into());
            for exception in &mut self.exceptions {
                exception.training.remove("steps");
            }
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
        let settings: TrainSettings = serde_json::from_value(Value::Object(settings))
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
    let path = Path::new(name);
    if path.extension().is_some_and(|e| e == "toml") {
        let text =
            std::fs::read_to_string(path).map_err(|source| SuiteError::Read { file: name.into(), source })?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        return Suite::parse(&stem, &text, name);
    }
    match EMBEDDED.get_file(format!("{name}.toml")).and_then(|f| f.contents_utf8()) {
        Some(text) => Suite::parse(name, text, &format!("datasets/suites/{name}.toml")),
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
    let stems = EMBEDDED.files().filter_map(|f| f.path().file_stem());
    let mut names: Vec<String> = stems.map(|s| s.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
