use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::output;
use crate::metric::Metric;
use crate::results::{Rescored, Roster, Store, rescore};

#[derive(Debug, Args)]
pub(super) struct Rescore {
    /// Results folder, such as results/pocket
    folder: PathBuf,
    /// Metric to add (repeatable) [default: those that the tasks named when a suite last asked for them]
    #[arg(long = "metric", value_name = "M")]
    metrics: Vec<String>,
    /// Task whose cells are scored (repeatable) [default: all]
    #[arg(long = "task", value_name = "T")]
    tasks: Vec<String>,
}

impl Rescore {
    /// Scores the predictions that cells have kept; trains nothing.
    pub(super) fn execute(self) -> Result<ExitCode> {
        let asked: Vec<Metric> =
            self.metrics.iter().map(|name| name.parse()).collect::<Result<_, _>>().context("--metric")?;
        Store::read_only(&self.folder)?;
        let store = Store::open(&self.folder)?;
        let records = store.records()?;
        if let Some(unknown) = self.tasks.iter().find(|task| !records.iter().any(|r| r.task == **task)) {
            let known: BTreeSet<&str> = records.iter().map(|record| record.task.as_str()).collect();
            let known: Vec<&str> = known.into_iter().collect();
            bail!(
                "--task {unknown}: no cell of {} is of it; its tasks: {}",
                self.folder.display(),
                known.join(", ")
            );
        }
        let named = named(&store)?;
        let (mut changed, mut unchanged, mut without) = (0, 0, 0);
        let mut added = BTreeSet::new();
        for record in records.iter().filter(|r| self.tasks.is_empty() || self.tasks.contains(&r.task)) {
            let metrics = match asked.is_empty() {
                true => named.get(&record.cell).cloned().unwrap_or_default(),
                false => asked.clone(),
            };
            match rescore(&store, record, &metrics)? {
                Rescored::Unchanged => unchanged += 1,
                Rescored::WithoutPredictions => without += 1,
                Rescored::Added(metrics) => {
                    changed += 1;
                    added.extend(metrics);
                }
            }
        }
        let added: Vec<String> = added.into_iter().collect();
        let with = if added.is_empty() { String::new() } else { format!(" ({} added)", added.join(", ")) };
        output::line(format_args!(
            "{changed} cells rescored{with}, {unchanged} unchanged, {without} without predictions"
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The metrics that suites ask for of each cell.
fn named(store: &Store) -> Result<BTreeMap<String, Vec<Metric>>> {
    let mut named: BTreeMap<String, Vec<Metric>> = BTreeMap::new();
    for entry in Roster::all(store.folder())?.iter().flat_map(|roster| &roster.cells) {
        let metrics = entry.metrics.iter().filter_map(|name| name.parse::<Metric>().ok());
        named.entry(entry.cell.clone()).or_default().extend(metrics);
    }
    Ok(named)
}
