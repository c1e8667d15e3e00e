//! What the command line changes in a suite.

use std::path::PathBuf;

use peft_model::peft;
use peft_model::settings::{self, nearest};
use serde_json::json;

use super::suite::{ANY_LENGTH, Change, Exception, Suite, SuiteError, SuiteFile};
use crate::model::Precision;
use crate::results::portable;
use crate::task::{self, TaskError};

/// What the command line changes.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub tasks: Vec<String>,
    pub methods: Vec<String>,
    pub seeds: Vec<u64>,
    pub model: Option<String>,
    pub precision: Option<Precision>,
    pub steps: Option<u64>,
    /// Most rows of each split.
    pub limit: Option<usize>,
    /// Folder of an adapter from which every cell starts.
    pub init_from: Option<PathBuf>,
    /// Any setting, as `PATH=VALUE`.
    pub set: Vec<String>,
}

/// What `--set` can say.
const PATHS: &str = "methods.NAME.KEY, training.KEY, source.KEY, tasks, seeds, split_seed, shots, report, model, precision, title or description";

impl Suite {
    /// Applies what the command line says.
    ///
    /// # Errors
    /// When it names what does not exist, or says something twice; the message names the option.
    pub fn with(mut self, overrides: &Overrides) -> Result<Self, SuiteError> {
        for name in &overrides.tasks {
            if let Err(error @ TaskError::Unknown { .. }) = task::find(name) {
                return Err(refused(&format!("--task {name}"), &error));
            }
        }
        for name in &overrides.methods {
            self.check_method(name).map_err(|problem| refused(&format!("--method {name}"), problem))?;
        }
        if !overrides.tasks.is_empty() {
            self.tasks = overrides.tasks.clone();
        }
        if !overrides.seeds.is_empty() {
            self.seeds = overrides.seeds.clone();
        }
        if !overrides.methods.is_empty() {
            self.choose_methods(&overrides.methods);
        }
        if let Some(model) = overrides.model.as_ref().filter(|model| **model != self.model) {
            self.change(None, format!("model = {model}"));
            self.model = model.clone();
        }
        if let Some(precision) = overrides.precision.filter(|precision| *precision != self.precision) {
            self.change(None, format!("precision = {precision}"));
            self.precision = precision;
        }
        self.limit = overrides.limit.or(self.limit);
        if let Some(folder) = &overrides.init_from {
            self.change(None, format!("init_from = {}", portable(&folder.display().to_string())));
            self.init_from = Some(folder.clone());
        }
        let assignments = overrides.assignments()?;
        if assignments.is_empty() {
            return Ok(self);
        }
        let mut before = self.settings()?;
        for assignment in assignments {
            let mut next = self.clone();
            let after = next.assign(&assignment).and_then(|()| next.settings().map_err(problem));
            let after = after.map_err(|problem| refused(&assignment.option, problem))?;
            // A value that is the suite's own changes nothing, and is nothing to tell.
            if after == before && assignment.is_setting() {
                continue;
            }
            (self, before) = (next, after);
        }
        Ok(self)
    }

    fn check_method(&self, name: &str) -> Result<(), String> {
        if self.methods().any(|own| own == name) || peft::find(name).is_ok() {
            return Ok(());
        }
        let registered = peft::methods().into_iter().map(|method| method.name);
        let mut known: Vec<&str> = self.methods().chain(registered).collect();
        known.sort_unstable();
        known.dedup();
        Err(format!(
            "unknown method `{name}`{}; known methods: {}",
            suggestion(name, &known),
            known.join(", ")
        ))
    }

    fn change(&mut self, method: Option<&str>, text: String) {
        self.changes.push(Change { method: method.map(String::from), text });
    }

    /// Every method's settings and training on every task, and those of what they start from, as text.
    fn settings(&self) -> Result<Vec<String>, SuiteError> {
        let mut all = vec![self.source_seed()?.to_string()];
        for source in
            self.methods().map(|method| self.sources(method)).collect::<Result<Vec<_>, _>>()?.concat()
        {
            all.push(json!(self.source_training(source.method, &source.task)?).to_string());
        }
        for task in &self.tasks {
            for method in self.methods() {
                let instance = self.instance(method, task, ANY_LENGTH)?;
                all.push(json!([instance.built.settings, self.training(method, task)?]).to_string());
            }
        }
        Ok(all)
    }

    fn assign(&mut self, assignment: &Assignment) -> Result<(), String> {
        let Assignment { target, value, .. } = assignment;
        let table = |key: &str| toml::Table::from_iter([(key.to_string(), value.clone())]);
        match target {
            Target::Suite(key) => {
                let own: SuiteFile =
                    settings::read(json!(table(key))).map_err(|e| format!("{e}; known are {PATHS}"))?;
                let (model, precision, split_seed) = (self.model.clone(), self.precision, self.split_seed);
                self.extend(own)?;
                if self.model != model {
                    self.change(None, format!("model = {}", self.model));
                }
                if self.precision != precision {
                    self.change(None, format!("precision = {}", self.precision));
                }
                if self.split_seed != split_seed {
                    self.change(None, format!("split_seed = {value}"));
                }
            }
            Target::Training(key) => {
                self.set_training(key, value.clone());
                self.change(None, format!("{key} = {value}"));
            }
            Target::Source(key) => {
                self.set_source(key, value.clone());
                let mut starting = Vec::new();
                for method in self.methods() {
                    if !self.sources(method).map_err(problem)?.is_empty() {
                        starting.push(method.to_string());
                    }
                }
                if starting.is_empty() {
                    return Err("no method that runs starts from a source".into());
                }
                starting.iter().for_each(|name| self.change(Some(name), format!("source.{key} = {value}")));
            }
            Target::Method(path) => {
                let (name, key) = self.setting_of_method(path);
                if !self.methods().any(|method| method == name) {
                    let running: Vec<&str> = self.methods().collect();
                    return Err(format!(
                        "no method `{name}` runs{}; those that run are {}",
                        suggestion(&name, &running),
                        running.join(", ")
                    ));
                }
                if key == "method" {
                    return Err("`method` is no setting; --method chooses methods".into());
                }
                let settings = key.rsplit('.').fold(value.clone(), |value, key| {
                    toml::Value::Table(toml::Table::from_iter([(key.to_string(), value)]))
                });
                let settings = settings.as_table().cloned().unwrap_or_default();
                self.exceptions.push(Exception {
                    methods: vec![name.clone()],
                    settings,
                    ..Exception::default()
                });
                self.change(Some(&name), format!("{key} = {value}"));
            }
        }
        Ok(())
    }
}

impl Suite {
    /// The method's name and the setting in what stands behind `methods.`; a name of this suite may have dots, and so
    /// may a setting, which is then inside a table.
    fn setting_of_method(&self, path: &str) -> (String, String) {
        let quote = path.chars().next().filter(|first| ['"', '\''].contains(first));
        if let Some((name, rest)) = quote.and_then(|quote| path[1..].split_once(quote)) {
            return (name.into(), rest.trim_start_matches('.').into());
        }
        let own =
            self.methods().filter(|name| path.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')));
        match own.max_by_key(|name| name.len()) {
            Some(name) => (name.into(), path[name.len() + 1..].into()),
            None => {
                let (name, key) = path.split_once('.').unwrap_or((path, ""));
                (name.into(), key.into())
            }
        }
    }
}

/// One `--set`, or an option that is short for one.
struct Assignment {
    /// As the user wrote it.
    option: String,
    target: Target,
    value: toml::Value,
}

#[derive(PartialEq)]
enum Target {
    Suite(String),
    Training(String),
    Source(String),
    /// What stands behind `methods.`.
    Method(String),
}

impl Assignment {
    fn parse(text: &str) -> Result<Self, SuiteError> {
        let option = format!("--set {text}");
        let Some((path, value)) = text.split_once('=') else {
            return Err(refused(&option, format!("it has no `=`; write PATH=VALUE, PATH being {PATHS}")));
        };
        let target = Target::parse(path.trim()).map_err(|problem| refused(&option, problem))?;
        let value = value_of(value.trim()).map_err(|problem| refused(&option, problem))?;
        Ok(Self { option, target, value })
    }

    /// Whether it decides what comes out of a cell, rather than which cells there are.
    fn is_setting(&self) -> bool {
        !matches!(self.target, Target::Suite(_))
    }
}

impl Target {
    fn parse(path: &str) -> Result<Self, String> {
        match path.split_once('.') {
            None if !matches!(path, "base" | "for" | "methods" | "training" | "source") => {
                Ok(Self::Suite(path.into()))
            }
            Some(("training", key)) => Ok(Self::Training(key.into())),
            Some(("source", key)) => Ok(Self::Source(key.into())),
            Some(("methods", rest)) if rest.contains('.') => Ok(Self::Method(rest.into())),
            _ => {
                let root = path.split('.').next().unwrap_or_default();
                let hint = suggestion(root, &["methods", "training", "source"]);
                Err(format!("unknown setting `{path}`{hint}; known are {PATHS}"))
            }
        }
    }
}

impl Overrides {
    /// All that `--set` and its short forms say, none of it twice.
    fn assignments(&self) -> Result<Vec<Assignment>, SuiteError> {
        let parsed: Result<Vec<Assignment>, SuiteError> =
            self.set.iter().map(|text| Assignment::parse(text)).collect();
        let steps = self.steps.map(|steps| Assignment {
            option: format!("--steps {steps}"),
            target: Target::Training("steps".into()),
            value: (steps as i64).into(),
        });
        let mut all: Vec<Assignment> = steps.into_iter().chain(parsed?).collect();
        // What all trainings have, sources have too, unless it is said of them alone.
        all.sort_by_key(|assignment| matches!(assignment.target, Target::Source(_)));
        for (given, option, key) in [
            (!self.tasks.is_empty(), "--task", "tasks"),
            (!self.seeds.is_empty(), "--seed", "seeds"),
            (self.model.is_some(), "--model", "model"),
            (self.precision.is_some(), "--precision", "precision"),
        ] {
            let target = Target::Suite(key.into());
            if let Some(other) = all.iter().find(|other| given && other.target == target) {
                return Err(refused(&other.option, format!("{option} says it too; keep one of them")));
            }
        }
        let length = |target: &Target| match target {
            Target::Training(key) => key == "steps" || key == "epochs",
            _ => false,
        };
        for (i, one) in all.iter().enumerate() {
            let same = |other: &&Assignment| {
                other.target == one.target || (length(&other.target) && length(&one.target))
            };
            if let Some(other) = all[..i].iter().find(same) {
                return Err(refused(&one.option, format!("{} says it too; keep one of them", other.option)));
            }
        }
        Ok(all)
    }
}

/// A value in TOML's syntax; a word that is none of its values is text.
fn value_of(text: &str) -> Result<toml::Value, String> {
    let parsed = toml::from_str::<toml::Table>(&format!("value = {text}"));
    let quoted = text.starts_with(['[', '{', '"', '\'']);
    match parsed.map(|mut table| (table.remove("value"), table.is_empty())) {
        Ok((Some(toml::Value::Float(x)), true)) if !x.is_finite() => {
            Err(format!("the value is {x}; it must be a finite number"))
        }
        // Settings have no dates.
        Ok((Some(toml::Value::Datetime(_)), true)) => Ok(text.into()),
        Ok((Some(value), true)) => Ok(value),
        Err(error) if quoted => Err(format!("`{text}` is no TOML value: {}", error.message())),
        _ if text.is_empty() => Err("it has no value".into()),
        _ => Ok(text.into()),
    }
}

fn suggestion(name: &str, known: &[&str]) -> String {
    let near = nearest(name, known.iter().copied()).filter(|near| *near != name);
    near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default()
}

fn refused(option: &str, problem: impl ToString) -> SuiteError {
    SuiteError::Option { option: option.into(), problem: problem.to_string() }
}

/// What is wrong, without the file: the user wrote it on the command line.
fn problem(error: SuiteError) -> String {
    match error {
        SuiteError::Spec { problem, .. } => problem,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use super::*;

    fn set(suite: &str, assignments: &[&str]) -> Result<Suite, SuiteError> {
        let set = assignments.iter().map(|text| text.to_string()).collect();
        find(suite).unwrap().with(&Overrides { set, ..Overrides::default() })
    }

    #[test]
    fn a_setting_wins_over_exceptions() {
        let suite = set("paper", &["methods.dept.rank=7", "training.steps=11"]).unwrap();
        for task in ["cola", "nq", "rte"] {
            assert_eq!(suite.instance("dept", task, 256).unwrap().built.settings["rank"], 7);
            assert_eq!(suite.training("full", task).unwrap().steps, 11);
        }
        assert_eq!(suite.instance("lora", "nq", 256).unwrap().built.settings["rank"], 32);
        assert_eq!(
            (suite.changes("dept").as_str(), suite.changes("lora").as_str()),
            ("rank = 7, steps = 11", "steps = 11")
        );
    }

    #[test]
    fn values_are_toml_or_words() {
        let suite = set(
            "pocket",
            &[
                "methods.dept.prompt.init=text",
                "methods.dept.prompt.text=\"0 or 1, = 2\"",
                "methods.lora.learning_rate = 1e-4",
                "seeds=[5, 6]",
                "report=validation",
            ],
        );
        let suite = suite.unwrap();
        let dept = suite.instance("dept", "pocket-sense", 96).unwrap().built.settings;
        let prompt = &dept["prompt"];
        assert_eq!((&prompt["init"], &prompt["text"]), (&"text".into(), &"0 or 1, = 2".into()));
        assert_eq!(prompt["length"], 8, "the rest of the table is as it was");
        assert_eq!(suite.instance("lora", "pocket-sense", 96).unwrap().built.settings["learning_rate"], 1e-4);
        assert_eq!((suite.seeds.as_slice(), suite.report.name()), ([5, 6].as_slice(), "validation"));
    }

    #[test]
    fn names_with_spaces_and_dots_are_found() {
        for path in ["methods.dept by token.rank=3", "methods.\"dept by token\".rank=3"] {
            let suite = set("pocket-probe", &[path]).unwrap();
            let settings = suite.instance("dept by token", "pocket-jargon", 96).unwrap().built.settings;
            assert_eq!(settings["rank"], 3);
        }
    }

    #[test]
    fn what_would_have_no_effect_is_refused_with_the_nearest() {
        for (assignment, parts) in [
            ("methods.lora.rnk=4", ["`rnk`", "did you mean `rank`?"]),
            ("methods.lorra.rank=4", ["no method `lorra` runs", "did you mean `lora`?"]),
            ("methods.lora=4", ["unknown setting `methods.lora`; known", "methods.NAME.KEY"]),
            ("training=4", ["unknown setting `training`; known", "training.KEY"]),
            ("training.stepz=4", ["`stepz`", "did you mean `steps`?"]),
            ("trainin.steps=4", ["`trainin.steps`", "did you mean `training`?"]),
            ("sedes=[1]", ["`sedes`", "did you mean `seeds`?"]),
            ("base=paper", ["unknown setting `base`", "training.KEY"]),
            ("methods.lora.rank=high", ["`rank`", "\"high\""]),
            ("methods.dept.prompt.lenght=4", ["`lenght`", "did you mean `length`?"]),
            ("methods.dept.prompt=4", ["`prompt`", "4"]),
            ("methods.lora.rank=0", ["`rank` is 0", "at least 1"]),
            ("methods.lora.rank=", ["no value", "--set"]),
            ("methods.lora.alpha=nan", ["NaN", "finite"]),
            ("methods.lora.rank", ["no `=`", "PATH=VALUE"]),
            ("seeds=[1", ["`[1`", "TOML"]),
            ("seeds=7", ["`seeds`", "sequence"]),
            ("training.batch_size=-1", ["`batch_size`", "-1"]),
            ("training.batch_size=1\nsteps = 3", ["`batch_size`", "1\nsteps"]),
            ("methods.lora.method=full", ["`method`", "--set methods.lora.method"]),
        ] {
            let error = set("pocket", &[assignment]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("--set {assignment}: ")), "{error}");
            assert!(!error.contains(".toml"), "no file is to blame: {error}");
            for part in parts {
                assert!(error.contains(part), "`{part}` is not in: {error}");
            }
        }
    }

    #[test]
    fn nothing_is_said_twice() {
        for assignments in
            [["training.steps=1", "training.steps=2"], ["training.steps=1", "training.epochs=2"]]
        {
            let error = set("pocket", &assignments).unwrap_err().to_string();
            assert!(error.contains("says it too") && error.contains("--set training.steps=1"), "{error}");
        }
        let overrides =
            Overrides { steps: Some(3), set: vec!["training.steps=1".into()], ..Overrides::default() };
        let error = find("pocket").unwrap().with(&overrides).unwrap_err().to_string();
        assert!(error.contains("--steps 3 says it too"), "{error}");
        let overrides = Overrides { seeds: vec![3], set: vec!["seeds=[1]".into()], ..Overrides::default() };
        let error = find("pocket").unwrap().with(&overrides).unwrap_err().to_string();
        assert!(error.contains("--seed says it too"), "{error}");
    }

    #[test]
    fn a_value_that_the_suite_has_already_is_no_change() {
        let suite = set("pocket", &["methods.lora.rank=8", "training.steps=90"]).unwrap();
        assert_eq!(suite.changes("lora"), "");
        assert_eq!(suite.configuration("lora"), find("pocket").unwrap().configuration("lora"));
    }
}
