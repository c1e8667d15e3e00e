use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::counts::Counts;
use super::output;
use crate::results::{Entry, Record, Roster, Running, Store, seeds_text};
use crate::terminal::progress::duration;

#[derive(Debug, Args)]
pub(super) struct Status {
    /// Results folder, such as results/pocket
    folder: PathBuf,
}

impl Status {
    /// Prints how far the suites in a folder are, and the trainings that run on it; writes nothing.
    pub(super) fn execute(self) -> Result<ExitCode> {
        let store = Store::look_into(&self.folder)?;
        let rosters = Roster::all(&self.folder)?;
        let running = store.running();
        if rosters.is_empty() {
            bail!(
                "{} has no suites in `suites/`; give a folder that `peft-bench run` has written",
                self.folder.display()
            );
        }
        let records = store.records()?;
        for roster in &rosters {
            let progress = Progress::new(roster, &records, &running, &store);
            output::line(progress.text(&roster.title))?;
        }
        for training in &running {
            output::line(training_text(training))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// How far a suite is.
struct Progress {
    cells: Counts,
    /// Trainings that run, each of one cell or several.
    trainings: usize,
    /// Seconds until all cells are done, if as many trainings run as now.
    seconds_left: Option<f64>,
}

impl Progress {
    fn new(roster: &Roster, records: &[Record], running: &[Running], store: &Store) -> Self {
        let by_id: BTreeMap<&str, &Record> = records.iter().map(|r| (r.cell.as_str(), r)).collect();
        // Two names may ask for one cell.
        let entries = roster.sources.iter().chain(&roster.cells);
        let cells: BTreeMap<&str, &Entry> = entries.map(|e| (e.cell.as_str(), e)).collect();
        let is_done = |entry: &&&Entry| by_id.contains_key(entry.cell.as_str());
        let (done, open): (Vec<&Entry>, Vec<&Entry>) = cells.values().partition(|entry| is_done(entry));
        let (held, missing): (Vec<&Entry>, Vec<&Entry>) =
            open.into_iter().partition(|entry| store.is_running(&entry.cell));
        let own: Vec<&Running> =
            running.iter().filter(|r| r.cells.iter().any(|id| cells.contains_key(id.as_str()))).collect();
        let rates = Rates::new(&done, &by_id);
        let told: BTreeSet<&str> = own.iter().flat_map(|r| &r.cells).map(String::as_str).collect();
        // Of a training that has not told yet how far it is, all is still to come.
        let silent = held.iter().filter(|entry| !told.contains(entry.cell.as_str()));
        let to_come: Option<f64> = missing.iter().chain(silent).map(|entry| rates.seconds(entry)).sum();
        let begun: f64 = own.iter().filter_map(|r| r.seconds_left).sum();
        let trainings = own.len().max(usize::from(!held.is_empty()));
        let seconds_left = to_come.map(|seconds| (seconds + begun) / trainings.max(1) as f64);
        Self {
            cells: Counts { done: done.len(), running: held.len(), missing: missing.len() },
            trainings,
            seconds_left: seconds_left.filter(|_| held.len() + missing.len() > 0),
        }
    }

    fn text(&self, title: &str) -> String {
        let Self { cells, trainings, seconds_left } = self;
        let left = match seconds_left {
            Some(seconds) => {
                let trainings = match trainings {
                    0 | 1 => "one training at a time".into(),
                    more => format!("{more} trainings at a time"),
                };
                format!("; about {} left, {trainings}", duration(*seconds))
            }
            None => String::new(),
        };
        format!("{title}: {cells}{left}")
    }
}

/// Seconds per work, from the cells that are done.
struct Rates<'a> {
    by_method: BTreeMap<&'a str, f64>,
    overall: Option<f64>,
}

impl<'a> Rates<'a> {
    fn new(done: &[&'a Entry], records: &BTreeMap<&str, &Record>) -> Self {
        let mut sums: BTreeMap<&str, [f64; 2]> = BTreeMap::new();
        for entry in done.iter().filter(|entry| entry.work > 0) {
            let Some(record) = records.get(entry.cell.as_str()) else { continue };
            let [seconds, work] = sums.entry(&entry.method).or_default();
            *seconds += record.train_seconds + record.evaluate_seconds;
            *work += entry.work as f64;
        }
        let [seconds, work] = sums.values().fold([0.0; 2], |a, b| [a[0] + b[0], a[1] + b[1]]);
        let by_method = sums.into_iter().map(|(method, [seconds, work])| (method, seconds / work));
        Self { by_method: by_method.collect(), overall: (work > 0.0).then(|| seconds / work) }
    }

    /// What a cell will take; that of a method of which no cell is done, as others do.
    fn seconds(&self, entry: &Entry) -> Option<f64> {
        let rate = self.by_method.get(entry.method.as_str()).copied().or(self.overall)?;
        (entry.work > 0).then_some(rate * entry.work as f64)
    }
}

fn training_text(training: &Running) -> String {
    let Running { method, task_title, seeds, process, step, steps, loss, scoring, .. } = training;
    let mut parts = vec![format!("step {step}/{steps}")];
    parts.extend(scoring.as_ref().map(|s| format!("scoring {} {}/{}", s.split, s.done, s.rows)));
    parts.extend(loss.map(|loss| format!("loss {loss:.4}")));
    parts.extend(training.steps_per_second.map(|rate| format!("{rate:.2} steps/s")));
    parts.extend(training.seconds_left.map(|seconds| format!("{} left", duration(seconds))));
    format!("  {method} on {task_title}, {}: {} ({process})", seeds_text(seeds), parts.join(", "))
}
