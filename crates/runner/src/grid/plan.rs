//! A suite's tasks, methods and settings, checked before anything is loaded.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use peft_model::peft;

use super::instance::Instance;
use super::suite::Suite;
use crate::task::{self, Task};
use crate::train::TrainSettings;

/// A suite whose tasks, methods and settings have been checked.
#[derive(Debug)]
pub struct Plan {
    pub suite: Suite,
    pub(super) tasks: Vec<(Task, Vec<(Instance, TrainSettings)>)>,
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
        for method in suite.methods().filter(|method| !suite.is_left_out(method, name)) {
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
        if !methods.is_empty() {
            tasks.push((task, methods));
        }
    }
    Ok(Plan { suite, tasks })
}

/// The first item that occurs a second time.
fn twice<T: PartialEq>(items: &[T]) -> Option<&T> {
    items.iter().enumerate().find(|(i, item)| items[..*i].contains(item)).map(|(_, item)| item)
}

/// Where a suite's results go when the command line does not say.
pub fn default_output(suite: &Suite) -> PathBuf {
    Path::new("results").join(&suite.name)
}
