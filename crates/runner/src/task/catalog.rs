//! Finds tasks: by path, in `./datasets`, or among those embedded in the program.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use peft_model::settings::nearest;
use peft_model::source::MIXTURE;
use peft_pocket::{self as pocket, Part, PocketTask};

use super::error::{TaskError, shown};
use super::generated::generated;
use super::rows::Rows;
use super::spec::{TaskSpec, Templates};
use super::split::Role;
use super::template::Template;
use crate::files::digest::Digest;
use crate::files::{self, FileError, embedded};
use crate::hub::{DEFAULT_REVISION, Fetched, Hub, HubError, Repo};

/// A task, checked and ready to load.
#[derive(Debug, Clone)]
pub struct Task {
    /// Name on the command line and in results: the TOML's file name, followed by `@` and the variant if one was
    /// chosen.
    pub name: String,
    pub spec: TaskSpec,
    pub(super) templates: Templates,
    /// The TOML, for messages.
    pub(super) file: String,
    /// Local files are relative to this folder.
    pub(super) folder: PathBuf,
    /// The tasks of a mixture; none of any other.
    pub(super) parts: Vec<Task>,
}

/// Where the rows of a role are.
#[derive(Debug, Clone)]
pub enum RowSource {
    /// Cached files of a dataset on the hub, and the dataset's commit.
    Hub {
        files: Vec<PathBuf>,
        commit: String,
    },
    Local {
        file: PathBuf,
    },
    /// A split of a task of the pocket world.
    Generated {
        task: &'static PocketTask,
        part: Part,
    },
    /// Where the rows of each task of a mixture are.
    Mixture(Vec<RowSource>),
}

impl RowSource {
    /// Revision of the rows: the dataset's commit, a digest of a local file, or the version of the generator.
    ///
    /// # Errors
    /// When a local file cannot be read.
    pub fn revision(&self) -> Result<String, TaskError> {
        match self {
            Self::Hub { commit, .. } => Ok(commit.clone()),
            Self::Local { file } => {
                let digest = Digest::of_file(file);
                let digest = digest.map_err(|source| FileError::Read { path: file.clone(), source })?;
                Ok(format!("sha256:{}", digest.hex()))
            }
            Self::Generated { .. } => Ok(format!("pocket-{}", pocket::VERSION)),
            Self::Mixture(parts) => {
                let parts = parts.iter().map(Self::revision).collect::<Result<Vec<_>, _>>()?;
                Ok(parts.join("+"))
            }
        }
    }
}

/// The rows of one role.
#[derive(Debug)]
pub struct RoleRows {
    pub rows: Rows,
    /// Indices of the rows that play the role, in order.
    pub indices: Vec<u32>,
}

impl Task {
    /// Parses and checks a task.
    ///
    /// # Errors
    /// When the TOML is malformed, has unknown keys, contradicts itself, or lacks the variant.
    pub fn parse(name: &str, text: &str, file: &str, folder: &Path) -> Result<Self, TaskError> {
        let wrong = |problem: String| TaskError::Spec { file: file.into(), problem };
        let spec: TaskSpec = files::parse_toml(text).map_err(wrong)?;
        if name.contains(char::is_control) {
            return Err(wrong(format!("the task's name `{}` has control characters", shown(name))));
        }
        let variant = name.split_once('@').map(|(_, variant)| variant);
        for other in spec.variants.iter().flat_map(|variants| variants.others.keys()) {
            let spec = spec.clone().with_variant(Some(other)).and_then(|spec| spec.check());
            spec.map_err(|problem| wrong(format!("`variants.{other}`: {problem}")))?;
        }
        let spec = spec.with_variant(variant).map_err(wrong)?;
        let templates = spec.check().map_err(wrong)?;
        let (name, file, folder) = (name.into(), file.into(), folder.into());
        Ok(Self { name, spec, templates, file, folder, parts: Vec::new() })
    }

    /// The task with its name in front of every source, including those of its probes.
    pub fn with_prefix(&self) -> Task {
        if !self.parts.is_empty() {
            return Self::with_parts(self.parts.iter().map(Self::with_prefix).collect());
        }
        let own_name = || self.name.split('@').next().unwrap_or_default().to_string();
        let prefix = format!("{} ", self.spec.text.name.clone().unwrap_or_else(own_name));
        let mut task = self.clone();
        let probes = task.templates.probes.iter_mut().map(|(_, template)| template);
        for template in probes.chain([&mut task.templates.source]) {
            template.prepend(&prefix);
        }
        // The specification must describe the same text.
        let written = prefix.replace('{', "{{").replace('}', "}}");
        for source in task.spec.probes.values_mut().chain([&mut task.spec.text.source]) {
            source.insert_str(0, &written);
        }
        task
    }

    /// The task with another seed of its drawn splits.
    pub fn with_split_seed(&self, seed: u32) -> Task {
        if !self.parts.is_empty() {
            return Self::with_parts(self.parts.iter().map(|part| part.with_split_seed(seed)).collect());
        }
        let mut task = self.clone();
        task.spec.split = task.spec.split.with_seed(seed);
        task
    }

    /// Whether the program makes all of its rows.
    pub fn is_generated(&self) -> bool {
        match self.parts.is_empty() {
            true => self.spec.data.generated.is_some(),
            false => self.parts.iter().all(Self::is_generated),
        }
    }

    /// Whether a seed decides which rows are in which split.
    pub fn has_drawn_split(&self) -> bool {
        self.spec.split.is_drawn() || self.parts.iter().any(Self::has_drawn_split)
    }

    /// The task with the source template of each of its probes.
    pub fn probes(&self) -> Vec<(String, Task)> {
        let probe = |(name, template): &(String, Template)| {
            let mut task = self.clone();
            task.spec.text.source = self.spec.probes[name].clone();
            task.templates.source = template.clone();
            (name.clone(), task)
        };
        self.templates.probes.iter().map(probe).collect()
    }

    /// Reads the rows that play a role.
    ///
    /// # Errors
    /// When files are missing or malformed, or the dataset lacks the configuration or split.
    pub fn load(&self, role: Role, hub: &Hub) -> Result<RoleRows, TaskError> {
        self.read(role, &self.source(role, hub)?)
    }

    /// Where the rows of a role are; fetches those that are not cached.
    ///
    /// # Errors
    /// When the dataset lacks the configuration or split, or a download fails.
    pub fn source(&self, role: Role, hub: &Hub) -> Result<RowSource, TaskError> {
        if !self.parts.is_empty() {
            let parts = self.parts.iter().map(|part| part.source(role, hub));
            return Ok(RowSource::Mixture(parts.collect::<Result<_, _>>()?));
        }
        let split = self.spec.split.split(role);
        if let Some(name) = &self.spec.data.generated {
            return self.generator(name, split);
        }
        let files = self.hub_files(split, hub).map_err(|source| TaskError::Hub {
            file: self.file.clone(),
            key: match source {
                HubError::UnknownConfig { .. } | HubError::ConfigNeeded { .. } => "data.config",
                HubError::UnknownSplit { .. } => "split",
                _ => "data.repo",
            },
            source: source.into(),
        })?;
        Ok(match files {
            Some(files) => RowSource::Hub { files: files.paths(), commit: files.commit },
            None => RowSource::Local { file: self.local_file(split)? },
        })
    }

    /// Reads the rows that play a role from where [`Task::source`] found them.
    ///
    /// # Errors
    /// When files are missing or malformed.
    pub fn read(&self, role: Role, source: &RowSource) -> Result<RoleRows, TaskError> {
        self.read_columns(role, source, &self.columns())
    }

    /// Reads some columns of the rows that play a role; without any, a Parquet file only tells how many rows it has.
    pub(super) fn read_columns(
        &self,
        role: Role,
        source: &RowSource,
        columns: &[String],
    ) -> Result<RoleRows, TaskError> {
        let rows = match source {
            RowSource::Hub { files, .. } => self.read_files(files, columns)?,
            RowSource::Local { file } => self.read_files(std::slice::from_ref(file), columns)?,
            RowSource::Generated { task, part } => {
                let name = format!("the pocket world's {}, {}", task.name, self.spec.split.split(role));
                generated(task, *part, &name)
            }
            RowSource::Mixture(sources) => self.mixed(role, sources)?,
        };
        let indices = self.spec.split.rows(role, rows.len());
        if indices.is_empty() {
            let (file, source_split) = (self.file.clone(), rows.source());
            return Err(TaskError::Empty { file, role: role.name(), rows: rows.len(), source_split });
        }
        Ok(RoleRows { rows, indices })
    }

    /// An error in the task's TOML.
    pub fn wrong(&self, problem: String) -> TaskError {
        TaskError::Spec { file: self.file.clone(), problem }
    }

    /// The columns that the task reads. A name with dots may be a column's or reach into a record.
    pub fn columns(&self) -> Vec<String> {
        let paths = self.templates.by_key().flat_map(|(_, template)| template.column_names());
        let label = self.spec.labels.iter().map(|labels| labels.column.clone());
        let mut columns: Vec<String> = paths.chain(label).collect();
        columns.sort();
        columns.dedup();
        columns
    }

    fn read_files(&self, files: &[PathBuf], columns: &[String]) -> Result<Rows, TaskError> {
        Rows::read(files, columns, self.spec.data.dialect())
    }

    /// Fetches the rows of every role; `None` if they are not on the hub.
    ///
    /// # Errors
    /// When the dataset lacks the configuration or split, or a download fails.
    pub fn fetch(&self, hub: &Hub) -> Result<Option<Fetched>, HubError> {
        let mut all: Option<Fetched> = None;
        let mut add = |more: Option<Fetched>| match (&mut all, more) {
            (Some(all), Some(more)) => all.files.extend(more.files),
            (None, first) => all = first,
            (Some(_), None) => {}
        };
        for part in &self.parts {
            add(part.fetch(hub)?);
        }
        let splits: BTreeSet<&str> = Role::ALL.iter().map(|&role| self.spec.split.split(role)).collect();
        for split in splits {
            add(self.hub_files(split, hub)?);
        }
        Ok(all)
    }

    /// The files of a split of the dataset, if it is on the hub.
    fn hub_files(&self, split: &str, hub: &Hub) -> Result<Option<Fetched>, HubError> {
        let data = &self.spec.data;
        let Some(name) = &data.repo else { return Ok(None) };
        let repo = Repo::dataset(name).at(data.revision.as_deref().unwrap_or(DEFAULT_REVISION));
        hub.split_files(&repo, data.config.as_deref(), split).map(Some)
    }

    fn generator(&self, name: &str, split: &str) -> Result<RowSource, TaskError> {
        let task = pocket::find(name).ok_or_else(|| {
            let known: Vec<&str> = pocket::all().map(|task| task.name).collect();
            self.wrong(format!("`data.generated`: unknown generator `{name}`; known: {}", known.join(", ")))
        })?;
        let part = Part::named(split).ok_or_else(|| {
            self.wrong(format!("`split`: unknown split `{split}`; known: train, validation, test"))
        })?;
        Ok(RowSource::Generated { task, part })
    }

    fn local_file(&self, split: &str) -> Result<PathBuf, TaskError> {
        let splits = &self.spec.data.files;
        let file = splits.get(split).ok_or_else(|| TaskError::Split {
            file: self.file.clone(),
            split: split.into(),
            known: splits.keys().cloned().collect::<Vec<_>>().join(", "),
        })?;
        let path = self.folder.join(file);
        match files::open(&path) {
            Ok(_) => Ok(path),
            Err(e) => Err(TaskError::Column {
                file: self.file.clone(),
                key: "data.files".into(),
                problem: format!("cannot read {}, the split `{split}`: {e}", path.display()),
            }),
        }
    }
}

/// Finds a task by path, in `./datasets`, or among the embedded ones, in this order; `task@variant`
/// chooses a variant, and `task+task` is a mixture.
///
/// # Errors
/// When no task has this name, with the nearest name; or when its TOML is invalid.
pub fn find(name: &str) -> Result<Task, TaskError> {
    let (base, variant) = name.split_once('@').map_or((name, None), |(base, variant)| (base, Some(variant)));
    let path = Path::new(base);
    if name.contains(MIXTURE) && !path.is_file() {
        return Task::mixture(name.split(MIXTURE).map(find).collect::<Result<_, _>>()?);
    }
    if path.extension().is_some_and(|e| e == "toml") {
        return read(path, variant);
    }
    let local = Path::new("datasets").join(format!("{base}.toml"));
    if local.is_file() {
        return read(&local, variant);
    }
    match embedded::text(&format!("{base}.toml")) {
        Some(text) => Task::parse(name, text, &format!("datasets/{base}.toml"), Path::new(".")),
        None => {
            let names = names();
            let suggestion = nearest(base, names.iter().map(String::as_str)).map(str::to_string);
            Err(TaskError::Unknown { name: name.into(), suggestion })
        }
    }
}

fn read(path: &Path, variant: Option<&str>) -> Result<Task, TaskError> {
    let text = files::read_settings(path)?;
    let mut name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if let Some(variant) = variant {
        name = format!("{name}@{variant}");
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    Task::parse(&name, &text, &path.display().to_string(), folder)
}

/// Names of the embedded tasks and of those in `./datasets`.
pub fn names() -> Vec<String> {
    let local = std::fs::read_dir("datasets").into_iter().flatten().flatten().map(|entry| entry.path());
    let mut names: Vec<String> = local
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .filter_map(|p| Some(p.file_stem()?.to_string_lossy().into_owned()))
        .chain(embedded::names(""))
        .collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Value;

    #[test]
    fn the_name_in_front_of_every_source_is_the_references() {
        for (task, source) in [
            ("mrpc", "mrpc sentence1: {sentence1} sentence2: {sentence2}"),
            ("cb", "superglue-cb premise: {premise} hypothesis: {hypothesis}"),
            ("superglue-rte", "superglue-rte premise: {premise} hypothesis: {hypothesis}"),
            ("winogrande@corrected", "winogrande sentence: {sentence} option0: {option1} option1: {option2}"),
        ] {
            assert_eq!(find(task).unwrap().with_prefix().spec.text.source, source);
        }
    }

    #[test]
    fn a_name_with_braces_is_literal_text_in_front_of_probes_too() {
        let text = r#"
            title = "T"
            group = "G"
            data.generated = "sense"
            split.rule = "official"
            text = { name = "a {b}", source = "x: {x}" }
            labels.words = ["0", "1"]
            metrics.select = "accuracy"
            probes.moved = "then {x}"
        "#;
        let task = Task::parse("own", text, "own.toml", Path::new(".")).unwrap().with_prefix();
        let table = vec![
            ("x".to_string(), vec![Value::Text("one".into())]),
            ("label".to_string(), vec![Value::Integer(1)]),
        ];
        for (task, source) in [(&task, "a {b} x: one"), (&task.probes()[0].1, "a {b} then one")] {
            let rows = Rows::new(table.clone(), "rows");
            assert_eq!(task.examples(&rows, &[0]).unwrap()[0].source, source);
            // The specification, which identifies caches and results, says the same.
            assert_eq!(
                Template::parse(&task.spec.text.source).unwrap().render(&rows.row(0)).unwrap(),
                source
            );
        }
    }
}
