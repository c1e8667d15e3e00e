//! A suite's tasks, methods and settings, checked before anything is loaded.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use peft_model::source_stages::{sources_on, with_their_own};
use peft_model::{SourceSpec, peft};

use super::instance::Instance;
use super::suite::Suite;
use crate::task::{self, Task, TaskError};
use crate::train::TrainSettings;

/// A task, and the methods on it with their trainings.
pub(super) type PlannedTask = (Task, Vec<(Instance, TrainSettings)>);

/// A suite whose tasks, methods and settings have been checked.
#[derive(Debug)]
pub struct Plan {
    pub suite: Suite,
    /// What methods start from, each once.
    pub(super) sources: Vec<PlannedSources>,
    /// What is trained on other rows than those of the task on which it is scored, each once.
    pub(super) trainings: Vec<PlannedTask>,
    pub(super) tasks: Vec<PlannedTask>,
}

/// The trainings on a task that methods start from.
#[derive(Debug)]
pub(super) struct PlannedSources {
    pub task: Task,
    /// What asks for each of the methods.
    pub specs: Vec<SourceSpec>,
    pub methods: Vec<(Instance, TrainSettings)>,
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
    if suite.sweep.is_some() && suite.choices.is_none() {
        bail!("suite `{}` has a [sweep], of which only `peft-bench run` knows what it chooses", suite.name);
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
    let (mut tasks, mut trainings): (Vec<PlannedTask>, Vec<PlannedTask>) = (Vec::new(), Vec::new());
    for name in &suite.tasks {
        let task = find(&suite, name)?;
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
        for method in suite.methods().filter(|method| !suite.is_left_out(method, name)) {
            let limit = task.spec.limits.source_tokens;
            let instance = suite.instance(method, name, limit)?;
            if let Some(train_on) = &instance.train_on {
                methods.push(trained_elsewhere(&suite, method, train_on, (name, &task), &mut trainings)?);
                continue;
            }
            check_length(&instance, &task)?;
            check_tasks(&instance, &task)?;
            methods.push((instance, suite.training(method, name)?));
        }
        if !methods.is_empty() {
            tasks.push((task, methods));
        }
    }
    if suite.split_seed.is_some() && !tasks.iter().any(|(task, _)| task.has_drawn_split()) {
        bail!("`split_seed` would change nothing: every task has the splits of its dataset");
    }
    let sources = sources(&suite, &tasks)?;
    Ok(Plan { suite, sources, trainings, tasks })
}

/// A method on a task that it does not train on, as the training on others has it, which is planned once for all.
fn trained_elsewhere(
    suite: &Suite,
    method: &str,
    train_on: &str,
    (name, task): (&str, &Task),
    trainings: &mut Vec<PlannedTask>,
) -> Result<(Instance, TrainSettings)> {
    let wrong = |problem: String| suite.wrong(format!("methods.{method}: `train_on`: {problem}"));
    if !suite.shots.is_empty() || suite.sweep.is_some() {
        let other = if suite.shots.is_empty() { "[sweep]" } else { "`shots`" };
        return Err(wrong(format!("it goes with no {other}, which is of each task by itself")).into());
    }
    suite.check_exceptions(method, name, train_on)?;
    let trained = find(suite, train_on).map_err(|problem| wrong(problem.to_string()))?;
    let limit = trained.spec.limits.source_tokens;
    let own = || suite.instance(method, train_on, limit);
    let scored = Instance { train_on: Some(trained.name.clone()), ..own()? };
    check_length(&scored, task)?;
    if scored.built.method.tasks().is_some() && trained.place_of(task).is_none() {
        return Err(wrong(format!("`{}` is none of the tasks that it tells apart", task.name)).into());
    }
    let training = suite.training(method, train_on)?;
    let place = trainings.iter().position(|(other, _)| other.name == trained.name).unwrap_or(trainings.len());
    let own = Instance { train_on: None, ..own()? };
    check_length(&own, &trained)?;
    check_tasks(&own, &trained)?;
    if place == trainings.len() {
        trainings.push((trained, Vec::new()));
    }
    let methods = &mut trainings[place].1;
    if !methods.iter().any(|(other, _)| other.name == method) {
        methods.push((own, training.clone()));
    }
    Ok((scored, training))
}

/// A task as the suite has it.
fn find(suite: &Suite, name: &str) -> Result<Task, TaskError> {
    let task = task::find(name)?;
    Ok(match suite.split_seed {
        Some(seed) => task.with_split_seed(seed),
        None => task,
    })
}

/// Refuses a method for which a task's sources are too long.
fn check_length(
    Instance { name: method, method: registered, built, .. }: &Instance,
    task: &Task,
) -> Result<()> {
    let (name, limit) = (&task.name, task.spec.limits.source_tokens);
    let Some(most) = built.method.max_source_length().filter(|&most| most < limit) else { return Ok(()) };
    let setting = peft::find(registered)?.length_setting.unwrap_or_default();
    bail!(
        "method `{method}` takes up to {most} source tokens, but task `{name}` has sources of up to {limit}; leave out \
         `{setting}`, which then follows the task, or give it {limit}: --set methods.{method}.{setting}={limit}"
    );
}

/// Refuses a method that tells more or fewer tasks apart than a mixture has.
fn check_tasks(Instance { name: method, built, .. }: &Instance, task: &Task) -> Result<()> {
    let (name, parts) = (&task.name, task.parts().len().max(1));
    match built.method.tasks().filter(|&tasks| tasks != parts) {
        None => Ok(()),
        Some(tasks) => bail!(
            "method `{method}` tells {tasks} tasks apart, but `{name}` is {}; a mixture is named `a+b`",
            if parts == 1 { "a single one".into() } else { format!("a mixture of {parts}") }
        ),
    }
}

/// What the methods start from, and what that starts from itself, which comes before.
fn sources(suite: &Suite, tasks: &[PlannedTask]) -> Result<Vec<PlannedSources>> {
    let mut planned: Vec<PlannedSources> = Vec::new();
    for instance in tasks.iter().flat_map(|(_, methods)| methods).map(|(instance, _)| instance) {
        let wrong = |problem: String| suite.wrong(format!("methods.{}: `sources`: {problem}", instance.name));
        for spec in with_their_own(&instance.sources).map_err(wrong)? {
            if !planned.iter().any(|own| own.specs.contains(&spec)) {
                add_source(suite, spec, &mut planned).map_err(|problem| wrong(problem.to_string()))?;
            }
        }
    }
    suite.source_seed()?;
    Ok(planned)
}

/// Adds a source whose own sources are planned, after them.
fn add_source(suite: &Suite, spec: SourceSpec, planned: &mut Vec<PlannedSources>) -> Result<()> {
    let task = find(suite, &spec.task)?;
    let built = peft::build_for(spec.method, &spec.settings, task.spec.limits.source_tokens)?;
    let own = sources_on(built.method.as_ref(), &spec.task);
    let (name, method) = (format!("{} (source)", spec.method), spec.method.into());
    let source = Instance { name, method, built, sources: own, train_on: None };
    check_length(&source, &task)?;
    check_tasks(&source, &task)?;
    let has_own = |planned: &PlannedSources| planned.specs.iter().any(|spec| source.sources.contains(spec));
    let after = planned.iter().rposition(has_own).map_or(0, |place| place + 1);
    let of_task = planned.iter().skip(after).position(|planned| planned.task.name == task.name);
    let place = of_task.map_or(planned.len(), |place| after + place);
    let training = suite.source_training(spec.method, &spec.task)?;
    if of_task.is_none() {
        planned.push(PlannedSources { task, specs: Vec::new(), methods: Vec::new() });
    }
    planned[place].methods.push((source, training));
    planned[place].specs.push(spec);
    Ok(())
}

/// The first item that occurs a second time.
fn twice<T: PartialEq>(items: &[T]) -> Option<&T> {
    items.iter().enumerate().find(|(i, item)| items[..*i].contains(item)).map(|(_, item)| item)
}

/// Where a suite's results go when the command line does not say.
pub fn default_output(suite: &Suite) -> PathBuf {
    Path::new("results").join(&suite.name)
}
