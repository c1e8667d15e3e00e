use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use comfy_table::{CellAlignment, Table, TableComponent, presets};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::choice::Choice;
use super::counts::Counts;
use super::output;
use crate::data::TokenCache;
use crate::grid::{self, Depth, Estimated, Hardware, Library, PlannedCell, Resolved, Suite};
use crate::host::memory::gibibytes;
use crate::hub::{Hub, Progress};
use crate::model::ModelFiles;
use crate::results::{Store, StoreError, thousands};
use crate::terminal::progress::duration;

#[derive(Debug, Args)]
pub(super) struct PlanCommand {
    #[command(flatten)]
    choice: Choice,
    /// Estimate operations, memory and time, from a few batches on the device with random weights
    #[arg(long)]
    estimate: bool,
    /// Devices among which the estimated time is divided
    #[arg(long, value_name = "N", default_value = "1", requires = "estimate", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    devices: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How far a cell has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Done,
    Running,
    Missing,
}

/// The cells of one method on one task.
struct Row<'a> {
    first: &'a PlannedCell,
    counts: Counts,
    estimated: Option<&'a Estimated>,
}

impl PlanCommand {
    /// The `fetch` command for the model and the datasets.
    pub(super) fn fetch(&self) -> String {
        self.choice.fetch()
    }

    /// Prints which cells a run would compute; computes and writes nothing.
    pub(super) fn execute(self) -> Result<ExitCode> {
        let suite = self.choice.suite()?;
        let folder = self.choice.folder(&suite);
        let (suite, after_trials) = match suite.trials()? {
            Some(trials) => {
                let chosen = suite.methods().count() * suite.tasks.len() * suite.seeds.len();
                (trials.suite, Some(chosen))
            }
            None => (suite, None),
        };
        let plan = grid::plan(suite)?;
        let hub = Hub::from_env(Progress::detect())?;
        let (model, tokens) = (ModelFiles::without_weights(&plan.suite.model, &hub)?, TokenCache::from_env());
        let library = Library { hub: &hub, tokenizer: &model.tokenizer, tokens: &tokens };
        let hardware = Hardware { device: self.choice.device(), memory_limit: None };
        let depth = if self.estimate || self.choice.shard.is_some() { Depth::Work } else { Depth::Cells };
        let mut resolved = grid::resolve_to(depth, plan, &model, library, hardware)?;
        if let Some(shard) = self.choice.shard {
            resolved.keep(shard);
        }
        let all = [resolved.source_cells(), resolved.cells()].concat();
        let done = all.iter().zip(stages(&folder, &all)?).filter(|(_, stage)| *stage == Stage::Done);
        resolved.keep_needed_sources(&done.map(|(cell, _)| cell.id.clone()).collect());
        let cells = [resolved.source_cells(), resolved.cells()].concat();
        let stages = stages(&folder, &cells)?;
        let estimates = match self.estimate {
            true => self.estimates(&resolved, &model, library)?,
            false => Vec::new(),
        };
        let rows = rows(&cells, &stages, &estimates);
        let time =
            self.estimate.then(|| Time::new(&resolved, &estimates, &cells, &stages, self.devices as usize));
        let total = rows.iter().fold(Counts::default(), |sum, row| sum.and(row.counts));
        match self.json {
            true => {
                let mut json =
                    as_json(&resolved.suite, &folder.display().to_string(), &rows, total, time.as_ref());
                if let Some(chosen) = after_trials {
                    json["cells_after_trials"] = chosen.into();
                }
                output::line(format_args!("{json:#}"))?;
            }
            false => {
                let place = folder.display();
                output::line(format_args!("{}: {total}, in {place}", resolved.suite.title))?;
                output::line(methods_table(&rows))?;
                output::line(cells_table(&rows))?;
                if let Some(chosen) = after_trials {
                    output::line(format_args!(
                        "then, with the setting of each method that its trials choose on each task: {chosen} cells"
                    ))?;
                }
                for line in dependencies(&cells) {
                    output::line(line)?;
                }
                if let Some(time) = time {
                    output::line(time.text())?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn estimates(&self, resolved: &Resolved, model: &ModelFiles, library: Library) -> Result<Vec<Estimated>> {
        let device = self.choice.device();
        let opened = device.open()?;
        let precision = resolved.suite.precision;
        precision.ensure(&opened, device)?;
        let backbone = model.random_weights(&opened, precision)?;
        grid::estimates(resolved, model, library, backbone.as_ref())
    }
}

/// What each method starts from on each task, in words.
fn dependencies(cells: &[PlannedCell]) -> Vec<String> {
    let title = |id: &String| {
        let source = cells.iter().find(|cell| cell.is_source && cell.id == *id);
        // A source that nothing waits for and that has no result is not planned.
        source.map_or(format!("cell {id}"), |cell| format!("{} on {}", cell.method, cell.task_title))
    };
    let mut groups: Vec<(&str, String, Vec<&str>)> = Vec::new();
    for cell in cells.iter().filter(|cell| !cell.sources.is_empty()) {
        let sources: Vec<String> = cell.sources.iter().map(title).collect();
        let verb = if cell.trains { "starts from" } else { "is trained as" };
        let from = format!("{verb} {}", sources.join(", "));
        match groups.iter_mut().find(|(method, other, _)| *method == cell.method && *other == from) {
            Some((.., tasks)) if tasks.contains(&cell.task_title.as_str()) => {}
            Some((.., tasks)) => tasks.push(&cell.task_title),
            None => groups.push((&cell.method, from, vec![&cell.task_title])),
        }
    }
    let line =
        |(method, from, tasks): (&str, String, Vec<&str>)| format!("{method} on {} {from}", tasks.join(", "));
    groups.into_iter().map(line).collect()
}

/// How far each cell has come in a folder, which need not exist.
fn stages(folder: &std::path::Path, cells: &[PlannedCell]) -> Result<Vec<Stage>, StoreError> {
    if !folder.exists() {
        return Ok(vec![Stage::Missing; cells.len()]);
    }
    let store = Store::look_into(folder)?;
    let stage = |cell: &PlannedCell| {
        Ok(match store.read(&cell.id)? {
            Some(_) => Stage::Done,
            None if store.is_running(&cell.id) => Stage::Running,
            None => Stage::Missing,
        })
    };
    cells.par_iter().map(stage).collect()
}

/// One row for each method on each task, in the order of the cells.
fn rows<'a>(cells: &'a [PlannedCell], stages: &[Stage], estimates: &'a [Estimated]) -> Vec<Row<'a>> {
    let mut rows: Vec<Row> = Vec::new();
    for (cell, stage) in cells.iter().zip(stages) {
        let same = |row: &Row| {
            (&row.first.method, &row.first.task, &row.first.task_title)
                == (&cell.method, &cell.task, &cell.task_title)
        };
        let place = rows.iter().position(same).unwrap_or_else(|| {
            let estimated = estimates.iter().find(|estimated| estimated.cells.contains(&cell.id));
            rows.push(Row { first: cell, counts: Counts::default(), estimated });
            rows.len() - 1
        });
        rows[place].counts = rows[place].counts.and(Counts::of(*stage));
    }
    rows
}

impl Counts {
    fn of(stage: Stage) -> Self {
        let count = |other| usize::from(stage == other);
        Self { done: count(Stage::Done), running: count(Stage::Running), missing: count(Stage::Missing) }
    }

    fn columns(self) -> [String; 3] {
        [self.done, self.running, self.missing].map(|count| count.to_string())
    }

    fn json(self) -> Value {
        let Self { done, running, missing } = self;
        json!({"cells": self.total(), "done": done, "running": running, "missing": missing})
    }
}

/// Time of the whole grid on some devices.
struct Time {
    devices: usize,
    flops: f64,
    /// Seconds for all cells, and for those that are not done.
    all: f64,
    left: f64,
}

impl Time {
    fn new(
        resolved: &Resolved,
        estimates: &[Estimated],
        cells: &[PlannedCell],
        stages: &[Stage],
        devices: usize,
    ) -> Self {
        let mut all = BTreeMap::new();
        let mut flops = BTreeMap::new();
        for estimated in estimates {
            for cell in &estimated.cells {
                all.insert(cell.as_str(), estimated.seconds);
                flops.insert(cell.as_str(), estimated.flops);
            }
        }
        let mut left = all.clone();
        for (cell, _) in cells.iter().zip(stages).filter(|(_, stage)| **stage == Stage::Done) {
            left.remove(&*cell.id);
        }
        Self {
            devices,
            flops: flops.into_values().sum(),
            all: resolved.seconds_on(devices, &all),
            left: resolved.seconds_on(devices, &left),
        }
    }

    fn text(&self) -> String {
        let plural = if self.devices == 1 { "" } else { "s" };
        format!(
            "estimate: {} in all, {} on {} device{plural} like this one, {} of it for what is not done. Operations are \
             those of the backbone; times are those of one training at a time, from a few batches with random weights.",
            flop(self.flops),
            duration(self.all),
            self.devices,
            duration(self.left),
        )
    }
}

/// Operations in the largest unit: `4.1 TFLOP`.
fn flop(operations: f64) -> String {
    let units = ["", "K", "M", "G", "T", "P", "E", "Z", "Y"];
    let (mut value, mut unit) = (operations, 0);
    while value >= 999.95 && unit + 1 < units.len() {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    format!("{value:.1} {}FLOP", units[unit])
}

/// Trainable parameters of a method; from the fewest to the most, where tasks have different settings.
fn trainable(rows: &[&Row]) -> [u64; 2] {
    let all = rows.iter().map(|row| row.first.trainable);
    [all.clone().min().unwrap_or(0), all.max().unwrap_or(0)]
}

/// The rows of each method, in order.
fn by_method<'a>(rows: &'a [Row<'a>]) -> Vec<(&'a str, Vec<&'a Row<'a>>)> {
    let mut methods: Vec<(&str, Vec<&Row>)> = Vec::new();
    for row in rows {
        match methods.iter_mut().find(|(name, _)| *name == row.first.method) {
            Some((_, own)) => own.push(row),
            None => methods.push((&row.first.method, vec![row])),
        }
    }
    methods
}

fn sum(rows: &[&Row]) -> Counts {
    rows.iter().fold(Counts::default(), |sum, row| sum.and(row.counts))
}

fn table(header: &[&str], texts: usize) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(header);
    // Long tables have no line between rows.
    let lines = [
        TableComponent::HorizontalLines,
        TableComponent::MiddleIntersections,
        TableComponent::LeftBorderIntersections,
        TableComponent::RightBorderIntersections,
    ];
    lines.into_iter().for_each(|line| {
        table.remove_style(line);
    });
    for column in table.column_iter_mut().skip(texts) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn methods_table(rows: &[Row]) -> Table {
    let mut table = table(&["method", "trainable", "done", "running", "missing"], 1);
    for (method, own) in by_method(rows) {
        let trainable = match trainable(&own) {
            [least, most] if least == most => thousands(least),
            [least, most] => format!("{} to {}", thousands(least), thousands(most)),
        };
        table.add_row([vec![method.to_string(), trainable], sum(&own).columns().to_vec()].concat());
    }
    table
}

fn cells_table(rows: &[Row]) -> Table {
    let estimates = ["steps", "per step", "per cell", "memory", "time"];
    let is_estimated = rows.iter().any(|row| row.estimated.is_some());
    let more = if is_estimated { &estimates[..] } else { &[] };
    let mut table = table(&[&["task", "method", "done", "running", "missing"], more].concat(), 2);
    for row in rows {
        let names = vec![row.first.task_title.clone(), row.first.method.clone()];
        let estimated = row.estimated.map(|estimated| {
            let Estimated { steps, flops_per_step, flops, memory_bytes, seconds, .. } = estimated;
            let memory = gibibytes(*memory_bytes);
            vec![thousands(*steps), flop(*flops_per_step), flop(*flops), memory, duration(*seconds)]
        });
        table.add_row([names, row.counts.columns().to_vec(), estimated.unwrap_or_default()].concat());
    }
    table
}

fn as_json(suite: &Suite, folder: &str, rows: &[Row], total: Counts, time: Option<&Time>) -> Value {
    let merged = |mut base: Value, more: Value| {
        for (key, value) in more.as_object().into_iter().flatten() {
            base[key] = value.clone();
        }
        base
    };
    let methods = by_method(rows).into_iter().map(|(method, own)| {
        let [least, most] = trainable(&own);
        let parameters =
            json!({"method": method, "trainable_parameters": most, "fewest_trainable_parameters": least});
        merged(parameters, sum(&own).json())
    });
    let cells = rows.iter().map(|row| {
        let PlannedCell { task, task_title, group, method, trainable, .. } = row.first;
        let names = json!({"task": task, "task_title": task_title, "group": group, "method": method,
                           "trainable_parameters": trainable});
        let mut more = json!({});
        if row.first.is_source {
            (more["is_source"], more["cell"]) = (true.into(), row.first.id.clone().into());
        }
        if !row.first.sources.is_empty() {
            more["sources"] = json!(row.first.sources);
        }
        let names = merged(names, more);
        let estimate = row.estimated.map_or(json!({}), |estimated| {
            let Estimated { steps, flops_per_step, flops, memory_bytes, seconds, .. } = estimated;
            json!({"estimate": {"steps": steps, "flops_per_step": flops_per_step, "flops": flops,
                                "memory_bytes": memory_bytes, "seconds": seconds}})
        });
        merged(merged(names, row.counts.json()), estimate)
    });
    let head = json!({"suite": suite.name, "title": suite.title, "model": suite.model, "folder": folder});
    let estimate = time.map_or(json!({}), |time| {
        json!({"estimate": {"flops": time.flops, "devices": time.devices, "seconds": time.all,
                            "seconds_left": time.left}})
    });
    let lists = json!({"methods": methods.collect::<Vec<_>>(), "tasks": cells.collect::<Vec<_>>()});
    merged(merged(merged(head, total.json()), estimate), lists)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_shown_in_the_largest_unit() {
        for (operations, text) in [
            (0.0, "0.0 FLOP"),
            (999.0, "999.0 FLOP"),
            (1234.0, "1.2 KFLOP"),
            (4.1e12, "4.1 TFLOP"),
            (9.9996e14, "1.0 PFLOP"),
        ] {
            assert_eq!(flop(operations), text);
        }
    }
}
