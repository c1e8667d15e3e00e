//! What computing a suite's cells takes, before any of them is computed: operations, memory and time, all of them
//! estimates.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use peft_model::Backbone;

use super::measure::Speed;
use super::resolve::{Resolved, ResolvedMethod};
use super::rows::{Library, TaskRows};
use super::shard::{Unit, balanced};
use crate::host::panics;
use crate::model::ModelFiles;
use crate::terminal::progress::say;

/// What one cell of a method on a task takes, alone on a device.
#[derive(Debug, Clone)]
pub struct Estimated {
    /// Ids of the cells that take it, which differ in their seeds.
    pub cells: Vec<String>,
    pub steps: u64,
    /// Floating-point operations of one update, and of all updates and all scoring.
    pub flops_per_step: f64,
    pub flops: f64,
    pub memory_bytes: u64,
    pub seconds: f64,
}

/// Estimates every cell of a suite that is resolved to its work, in the order of its tasks and methods. Each method is measured on the task on which
/// its cells compute most; its times on others follow from their operations.
///
/// # Errors
/// When a method does not fit the backbone, rows cannot be read, or the device fails.
pub fn estimates(
    resolved: &Resolved,
    model: &ModelFiles,
    library: Library,
    backbone: &dyn Backbone,
) -> Result<Vec<Estimated>> {
    let speeds = speeds(resolved, library, backbone)?;
    let mut all = Vec::new();
    for (method, rows) in methods(resolved) {
        for group in &method.groups {
            let Some(flops) = &group.flops else { continue };
            let training = &group.cells[0].training;
            all.push(Estimated {
                cells: group.cells.iter().map(|cell| cell.id()).collect(),
                steps: flops.updates(training),
                flops_per_step: flops.step,
                flops: flops.total(training),
                memory_bytes: method.estimate(rows, group, model, library)?.of_one_run(),
                seconds: speeds[&method.instance.name].seconds(flops, training),
            });
        }
    }
    Ok(all)
}

/// How fast each method is, by its name.
fn speeds(resolved: &Resolved, library: Library, backbone: &dyn Backbone) -> Result<BTreeMap<String, Speed>> {
    let mut largest: BTreeMap<String, (f64, &ResolvedMethod, &TaskRows)> = BTreeMap::new();
    for (method, rows) in methods(resolved) {
        let flops =
            method.groups.iter().filter_map(|group| Some(group.flops?.total(&group.cells[0].training)));
        let flops = flops.fold(0.0, f64::max);
        let known = largest.entry(method.instance.name.clone()).or_insert((flops, method, rows));
        if flops > known.0 {
            *known = (flops, method, rows);
        }
    }
    let measured = largest.into_iter().map(|(name, (_, method, rows))| {
        say!("measuring {}", method.title(&rows.task));
        let lengths = rows.lengths(library)?;
        let speed = panics::catch(|| Speed::measure(backbone, &method.instance, &method.training, lengths));
        let speed = speed.and_then(|speed| speed);
        Ok((name, speed.map_err(|problem| anyhow!("{}: {problem}", method.title(&rows.task)))?))
    });
    measured.collect()
}

/// Every method on every task that has cells, with the task's rows.
fn methods(resolved: &Resolved) -> impl Iterator<Item = (&ResolvedMethod, &TaskRows)> {
    let of_tasks = resolved.sources.iter().chain(&resolved.tasks);
    let all = of_tasks.flat_map(|task| task.methods.iter().map(|method| (method, &task.rows[method.rows])));
    all.filter(|(method, _)| !method.groups.is_empty())
}

impl Resolved {
    /// Seconds until so many devices have computed those cells of which the time is given, each device its share; what
    /// others start from is not waited for.
    pub fn seconds_on(&self, devices: usize, seconds: &BTreeMap<&str, f64>) -> f64 {
        let units = self.source_units().into_iter().chain(self.units());
        let timed = units.filter_map(|unit| {
            let times: Vec<f64> =
                unit.cells.iter().filter_map(|cell| seconds.get(&**cell).copied()).collect();
            (!times.is_empty()).then(|| (unit.cells, times.iter().sum::<f64>()))
        });
        let timed: Vec<(Vec<String>, f64)> = timed.collect();
        let milliseconds = |seconds: f64| (1000.0 * seconds) as u64;
        let units: Vec<Unit> = timed
            .iter()
            .map(|(cells, time)| Unit { cells: cells.clone(), work: milliseconds(*time) })
            .collect();
        let mut busy: BTreeMap<usize, f64> = BTreeMap::new();
        for ((_, time), device) in timed.iter().zip(balanced(&units, devices)) {
            *busy.entry(device).or_default() += time;
        }
        busy.into_values().fold(0.0, f64::max)
    }
}
