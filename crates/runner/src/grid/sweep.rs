//! `[sweep]` of a suite: several settings of each method are tried on the validation split, and the best one of each task
//! runs with the suite's seeds.

use peft_model::settings::nearest;
use rand::seq::index::sample;
use serde::{Deserialize, Serialize};

use super::group::PlannedCell;
use super::suite::{Change, Exception, Suite, SuiteError};
use crate::results::{self, CellStatus, Choice, Problem, Record, ReportedSplit, Trial};
use crate::task;

/// What `[sweep]` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Spec {
    /// Seeds of the trials.
    seeds: Vec<u64>,
    /// Number of trials of each method, where grids have more settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trials: Option<usize>,
    /// By method, its settings with a list of values each.
    #[serde(flatten)]
    grids: toml::Table,
}

/// The trials of a suite.
#[derive(Debug)]
pub struct Trials {
    /// Every trial as a method of its own, with the seeds of the sweep.
    pub suite: Suite,
    seeds: Vec<u64>,
    /// One for each method of the suite, in its order.
    grids: Vec<Grid>,
}

/// The settings that are tried of a method.
#[derive(Debug)]
struct Grid {
    method: String,
    /// Paths of the settings, such as `prompt.length`.
    keys: Vec<String>,
    trials: Vec<Setting>,
}

/// Values for the settings of a grid.
#[derive(Debug, Clone)]
struct Setting {
    /// Each setting's path with its value, as TOML writes them.
    values: Vec<(String, String)>,
    table: toml::Table,
}

impl Setting {
    /// `learning_rate = 0.001, rank = 4`
    fn text(&self) -> String {
        let values = self.values.iter().map(|(path, value)| format!("{path} = {value}"));
        values.collect::<Vec<_>>().join(", ")
    }
}

/// The setting that a method runs with on a task.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub method: String,
    /// As the suite names it.
    pub task: String,
    pub settings: toml::Table,
}

impl Spec {
    /// Checks that every grid is one of a method of the suite.
    pub(super) fn check(&self, methods: &[&str]) -> Result<(), String> {
        if self.seeds.is_empty() {
            return Err("`sweep.seeds` is empty; the trials need at least one seed".into());
        }
        for (name, grid) in &self.grids {
            if !methods.contains(&name.as_str()) || !grid.is_table() {
                let near = nearest(name, methods.iter().copied()).filter(|near| near != name);
                let near = near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
                return Err(format!(
                    "`sweep.{name}` is neither `seeds`, `trials` nor a table of a method's settings{near}; the suite's \
                     methods are {}",
                    methods.join(", ")
                ));
            }
        }
        Ok(())
    }

    /// The trials of a method.
    fn grid(&self, method: &str) -> Result<Grid, String> {
        let Some(table) = self.grids.get(method).and_then(toml::Value::as_table) else {
            return Err(format!("`sweep.{method}` is missing: every method that runs needs a grid"));
        };
        let axes = axes(&format!("sweep.{method}"), &[], table)?;
        let trials = product(&axes);
        let wanted = self.trials.unwrap_or(trials.len());
        if wanted == 0 || wanted > trials.len() {
            return Err(format!(
                "`sweep.trials` is {wanted}, and the grid of `sweep.{method}` has {} settings",
                trials.len()
            ));
        }
        let keys = axes.iter().map(|(path, _)| path.join(".")).collect();
        Ok(Grid { method: method.into(), keys, trials: self.part(method, trials, wanted) })
    }

    /// So many of a grid's settings, drawn by the sweep's first seed and in the order of the grid.
    fn part(&self, method: &str, all: Vec<Setting>, wanted: usize) -> Vec<Setting> {
        let seed = self.seeds.first().copied().unwrap_or_default();
        let mut rng = peft_model::random::keyed_rng(seed, &format!("sweep/{method}"));
        let mut drawn = sample(&mut rng, all.len(), wanted).into_vec();
        drawn.sort_unstable();
        drawn.into_iter().map(|i| all[i].clone()).collect()
    }
}

/// A setting's path, and the values that it takes.
type Axis = (Vec<String>, Vec<toml::Value>);

/// The lists of a table, and of those inside it.
fn axes(name: &str, path: &[String], table: &toml::Table) -> Result<Vec<Axis>, String> {
    let mut axes = Vec::new();
    for (key, value) in table {
        let path = [path, std::slice::from_ref(key)].concat();
        let full = format!("`{name}.{}`", path.join("."));
        match value {
            _ if path == ["method"] => {
                return Err(format!("{full} is no setting; methods have grids of their own"));
            }
            toml::Value::Table(inner) => axes.extend(self::axes(name, &path, inner)?),
            toml::Value::Array(values) if values.is_empty() => {
                return Err(format!("{full} is an empty list; it must have the values to try"));
            }
            toml::Value::Array(values) => {
                if let Some(twice) = values.iter().enumerate().find(|(i, value)| values[..*i].contains(value))
                {
                    return Err(format!("{full} has {} twice", twice.1));
                }
                axes.push((path, values.clone()));
            }
            other => return Err(format!("{full} is {other}; it must be a list of the values to try")),
        }
    }
    match axes.is_empty() && path.is_empty() {
        true => Err(format!("`{name}` has no settings to try")),
        false => Ok(axes),
    }
}

/// Every combination of values; those of the last setting change first.
fn product(axes: &[Axis]) -> Vec<Setting> {
    let empty = Setting { values: Vec::new(), table: toml::Table::new() };
    axes.iter().fold(vec![empty], |settings, (path, values)| {
        let with = |setting: &Setting, value: &toml::Value| {
            let Setting { mut values, mut table } = setting.clone();
            values.push((path.join("."), value.to_string()));
            insert(&mut table, path, value.clone());
            Setting { values, table }
        };
        settings.iter().flat_map(|setting| values.iter().map(move |value| with(setting, value))).collect()
    })
}

fn insert(table: &mut toml::Table, path: &[String], value: toml::Value) {
    let [key, rest @ ..] = path else { return };
    if rest.is_empty() {
        table.insert(key.clone(), value);
        return;
    }
    let inner = table.entry(key.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    if let toml::Value::Table(inner) = inner {
        insert(inner, rest, value);
    }
}

impl Grid {
    /// The name of a trial in tables.
    fn name(&self, trial: &Setting) -> String {
        format!("{} [{}]", self.method, trial.text())
    }

    fn names(&self) -> Vec<String> {
        self.trials.iter().map(|trial| self.name(trial)).collect()
    }

    /// Whether a setting, or a part of it, is among those that are tried.
    fn has(&self, setting: &str) -> bool {
        let is_within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.keys.iter().any(|key| is_within(key, setting) || is_within(setting, key))
    }
}

impl Suite {
    /// The trials of a suite that has a sweep.
    ///
    /// # Errors
    /// When methods have different numbers of trials, seeds of trials are seeds of the suite, or a setting is both set
    /// and tried.
    pub fn trials(&self) -> Result<Option<Trials>, SuiteError> {
        let Some(spec) = &self.sweep else { return Ok(None) };
        let trials = self.trials_of(spec).map_err(|problem| self.wrong(problem))?;
        Ok(Some(trials))
    }

    fn trials_of(&self, spec: &Spec) -> Result<Trials, String> {
        if let Some(seed) = spec.seeds.iter().find(|seed| self.seeds.contains(seed)) {
            return Err(format!(
                "`sweep.seeds` and `seeds` both have {seed}: scores of the seeds that chose a setting would be too good; \
                 give the sweep other seeds"
            ));
        }
        if self.shots.len() > 1 {
            return Err(
                "a sweep chooses one setting for each task, and `shots` has several numbers; give one".into(),
            );
        }
        let grids = self.methods().map(|method| spec.grid(method)).collect::<Result<Vec<Grid>, String>>()?;
        if let Some([one, other]) =
            grids.array_windows().find(|[one, other]| one.trials.len() != other.trials.len())
        {
            return Err(format!(
                "`sweep.{}` has {} trials and `sweep.{}` has {}: every method must have the same number; `sweep.trials` \
                 takes that many from each grid",
                one.method,
                one.trials.len(),
                other.method,
                other.trials.len()
            ));
        }
        self.refuse_fixed(&grids)?;
        let suite = self.with_trials(spec, &grids);
        Ok(Trials { suite, seeds: spec.seeds.clone(), grids })
    }

    /// Refuses a value on the command line for a setting that is tried.
    fn refuse_fixed(&self, grids: &[Grid]) -> Result<(), String> {
        for Change { method, text } in &self.changes {
            let Some(grid) = grids.iter().find(|grid| Some(&grid.method) == method.as_ref()) else {
                continue;
            };
            let key = text.split(" = ").next().unwrap_or_default();
            if grid.has(key) {
                return Err(format!(
                    "--set methods.{}.{key} gives one value to what `sweep.{}.{key}` tries several of; leave one out",
                    grid.method, grid.method
                ));
            }
        }
        Ok(())
    }

    /// The suite with every trial as a method.
    fn with_trials(&self, spec: &Spec, grids: &[Grid]) -> Suite {
        let mut suite = self.clone();
        suite.sweep = None;
        suite.name = format!("{}-trials", self.name);
        suite.title = format!("{}, trials of the sweep", self.title);
        suite.seeds = spec.seeds.clone();
        suite.report = ReportedSplit::Validation;
        suite.methods = toml::Table::new();
        for grid in grids {
            suite.rename(&grid.method, &grid.names());
            for trial in &grid.trials {
                let mut table = self
                    .methods
                    .get(&grid.method)
                    .and_then(toml::Value::as_table)
                    .cloned()
                    .unwrap_or_default();
                table.entry("method").or_insert_with(|| grid.method.clone().into());
                suite.methods.insert(grid.name(trial), toml::Value::Table(table));
                suite.exceptions.push(Exception {
                    methods: vec![grid.name(trial)],
                    settings: trial.table.clone(),
                    ..Exception::default()
                });
            }
        }
        suite.order.methods = suite.methods().map(String::from).collect();
        suite
    }

    /// Makes what is said of a method said of several in its place.
    fn rename(&mut self, method: &str, names: &[String]) {
        for exception in &mut self.exceptions {
            if let Some(place) = exception.methods.iter().position(|name| name == method) {
                exception.methods.splice(place..=place, names.iter().cloned());
            }
        }
        let changes = std::mem::take(&mut self.changes);
        self.changes = changes
            .into_iter()
            .flat_map(|change| match change.method.as_deref() == Some(method) {
                true => names
                    .iter()
                    .map(|name| Change { method: Some(name.clone()), text: change.text.clone() })
                    .collect(),
                false => vec![change],
            })
            .collect();
    }

    /// Methods on tasks of which the sweep could not choose a setting.
    pub fn without_choice(&self) -> impl Iterator<Item = &Choice> {
        let choices = self.choices.iter().flat_map(|sweep| &sweep.choices);
        choices.filter(|choice| choice.chosen.is_none())
    }

    /// Whether the sweep chose any setting.
    pub fn has_choice(&self) -> bool {
        !self.chosen.is_empty()
    }

    /// Whether a method does not run on a task, because the sweep could not choose a setting.
    pub(super) fn is_left_out(&self, method: &str, task: &str) -> bool {
        let is_chosen = |chosen: &Chosen| chosen.method == method && chosen.task == task;
        self.choices.is_some() && !self.chosen.iter().any(is_chosen)
    }
}

impl Trials {
    /// The suite with the best setting of each method on each task. `cells` are those of the trials.
    ///
    /// # Errors
    /// When a task of the suite cannot be found any more.
    pub fn choose(
        &self,
        mut suite: Suite,
        cells: &[PlannedCell],
        records: &[Record],
    ) -> Result<Suite, SuiteError> {
        let mut choices = Vec::new();
        for name in suite.tasks.clone() {
            let spec = task::find(&name).map_err(|problem| suite.wrong(problem.to_string()))?.spec;
            let is_on = |cell: &&PlannedCell| {
                cell.group == spec.group && is_titled(&cell.task_title, &spec.title, cell.shots)
            };
            let own: Vec<&PlannedCell> = cells.iter().filter(is_on).collect();
            let Some(title) = own.first().map(|cell| cell.task_title.clone()) else { continue };
            for grid in &self.grids {
                let choice = grid.choose(&spec.group, &title, &own, records);
                suite.chosen.extend(choice.chosen.map(|chosen| Chosen {
                    method: grid.method.clone(),
                    task: name.clone(),
                    settings: grid.trials[chosen].table.clone(),
                }));
                choices.push(choice);
            }
        }
        let rule = results::Sweep::RULE.into();
        suite.choices = Some(results::Sweep { seeds: self.seeds.clone(), rule, choices });
        Ok(suite)
    }
}

fn is_titled(found: &str, title: &str, shots: Option<usize>) -> bool {
    match shots {
        Some(shots) => found == format!("{title} (k={shots})"),
        None => found == title,
    }
}

impl Grid {
    /// `cells` are those of the trials of all methods on a task.
    fn choose(&self, group: &str, title: &str, cells: &[&PlannedCell], records: &[Record]) -> Choice {
        let mut metric = String::new();
        let trials: Vec<Trial> = self
            .trials
            .iter()
            .map(|setting| {
                let name = self.name(setting);
                let own = cells.iter().filter(|cell| cell.method == name);
                let found: Vec<Option<&Record>> =
                    own.map(|cell| records.iter().find(|record| record.cell == cell.id)).collect();
                if let Some(record) = found.iter().flatten().next() {
                    metric.clone_from(&record.selection_metric);
                }
                let (score, problem) = match mean(&found) {
                    Ok(score) => (Some(score), None),
                    Err(problem) => (None, Some(problem)),
                };
                Trial { name, settings: setting.text(), values: setting.values.clone(), score, problem }
            })
            .collect();
        Choice {
            method: self.method.clone(),
            group: group.into(),
            task_title: title.into(),
            chosen: Choice::best(&metric, &trials),
            metric,
            trials,
        }
    }
}

/// The mean over seeds of what chose the checkpoints, on the validation split.
fn mean(records: &[Option<&Record>]) -> Result<f64, Problem> {
    let score = |record: &Option<&Record>| {
        let record = record.ok_or(Problem::Missing)?;
        match record.status {
            CellStatus::Completed => record.selection_score.ok_or(Problem::Diverged),
            CellStatus::Diverged(_) => Err(Problem::Diverged),
        }
    };
    let scores: Vec<f64> = records.iter().map(score).collect::<Result<_, _>>()?;
    match scores.is_empty() {
        true => Err(Problem::Missing),
        false => Ok(scores.iter().sum::<f64>() / scores.len() as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use super::*;

    fn spec(text: &str) -> Spec {
        toml::from_str(text).unwrap()
    }

    fn texts(spec: &Spec, method: &str) -> Vec<String> {
        spec.grid(method).unwrap().trials.into_iter().map(|trial| trial.text()).collect()
    }

    #[test]
    fn a_grid_has_every_combination_and_tables_are_reached_into() {
        let spec = spec(
            "seeds = [1]\n[lora]\nrank = [4, 8]\nlearning_rate = [1e-3]\n[dept]\nprompt.length = [4, 6]",
        );
        assert_eq!(
            texts(&spec, "lora"),
            ["rank = 4, learning_rate = 0.001", "rank = 8, learning_rate = 0.001"]
        );
        let grid = spec.grid("dept").unwrap();
        assert_eq!(grid.names(), ["dept [prompt.length = 4]", "dept [prompt.length = 6]"]);
        assert_eq!(grid.trials[1].table["prompt"]["length"].as_integer(), Some(6));
        assert!(
            grid.has("prompt.length") && grid.has("prompt") && !grid.has("prompt.text") && !grid.has("rank")
        );
    }

    #[test]
    fn a_part_of_a_grid_is_the_same_each_time_and_in_its_order() {
        let text = "trials = 5\n[lora]\nrank = [1, 2, 3, 4]\nlearning_rate = [1e-4, 1e-3, 1e-2]";
        let of_seed = |seed: u64| texts(&spec(&format!("seeds = [{seed}]\n{text}")), "lora");
        let all = texts(&spec(&format!("seeds = [1]\n{}", text.replace("trials = 5\n", ""))), "lora");
        let some = of_seed(1);
        assert_eq!((all.len(), some.len()), (12, 5));
        let places: Vec<usize> =
            some.iter().map(|text| all.iter().position(|own| own == text).unwrap()).collect();
        assert!(places.is_sorted_by(|a, b| a < b), "{places:?}");
        assert_eq!(of_seed(1), some);
        assert!((2..9).any(|seed| of_seed(seed) != some), "another seed draws others");
    }

    #[test]
    fn trials_are_methods_with_what_the_suite_says_of_theirs() {
        let mut suite = find("paper").unwrap();
        suite.methods.retain(|name, _| ["dept", "lora"].contains(&name));
        suite.sweep = Some(spec("seeds = [7]\n[dept]\nrank = [7, 8]\n[lora]\nlearning_rate = [1e-3, 1e-4]"));
        let trials = suite.trials().unwrap().unwrap().suite;
        assert_eq!((trials.seeds.as_slice(), trials.report), ([7].as_slice(), ReportedSplit::Validation));
        let names = [
            "lora [learning_rate = 0.001]",
            "lora [learning_rate = 0.0001]",
            "dept [rank = 7]",
            "dept [rank = 8]",
        ];
        assert_eq!(trials.methods().collect::<Vec<_>>(), names);
        let own = trials.instance("dept [rank = 8]", "boolq", 256).unwrap().built.settings;
        let mut known = suite.instance("dept", "boolq", 256).unwrap().built.settings;
        assert_eq!((&own["rank"], &own["prompt"]["length"]), (&8.into(), &40.into()));
        known["rank"] = 8.into();
        assert_eq!(own, known);
        let steps = |suite: &Suite, name: &str| serde_json::json!(suite.training(name, "cola").unwrap());
        assert_eq!(steps(&trials, names[2]), steps(&suite, "dept"));
        assert_eq!(steps(&trials, names[0]), steps(&suite, "lora"));
        let problem = crate::grid::plan(suite).unwrap_err().to_string();
        assert!(problem.contains("[sweep]"), "nothing else runs it as if it had no sweep: {problem}");
        crate::grid::plan(trials).unwrap();
    }
}
