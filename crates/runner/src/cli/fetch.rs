use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::{message, output};
use crate::grid::{self, Overrides};
use crate::hub::{Fetched, Hub, Progress};
use crate::{model, task};

#[derive(Debug, Args)]
pub struct Fetch {
    /// Suite: an embedded one by name, or a TOML file
    #[arg(default_value = "paper")]
    suite: String,
    /// Task, instead of the suite's (repeatable): a name or a TOML file
    #[arg(long = "task", value_name = "T")]
    tasks: Vec<String>,
    /// Backbone, instead of the suite's: a folder or a hub id
    #[arg(long, value_name = "DIR_OR_HUB_ID")]
    model: Option<String>,
}

impl Fetch {
    pub fn execute(self) -> Result<ExitCode> {
        let overrides = Overrides { tasks: self.tasks, model: self.model, ..Overrides::default() };
        let suite = grid::find(&self.suite)?.with(&overrides)?;
        let hub = Hub::from_env(Progress::detect())?;
        let mut failures = Vec::new();
        let mut report = |name: &str, fetched: Result<Option<Fetched>>| match fetched {
            Ok(Some(fetched)) => output::line(format_args!("{name}: {}", describe(&fetched))),
            Ok(None) => output::line(format_args!("{name}: not on the hub, nothing to fetch")),
            Err(error) => {
                failures.push(format!("{name}: {}", message(&error)));
                Ok(())
            }
        };
        report("model", model::fetch(&suite.model, &hub).map_err(Into::into))?;
        for name in &suite.tasks {
            report(name, task::find(name).map_err(Into::into).and_then(|task| Ok(task.fetch(&hub)?)))?;
        }
        match failures.len() {
            0 => Ok(ExitCode::SUCCESS),
            failed => {
                bail!("{failed} of {} not fetched:\n  {}", 1 + suite.tasks.len(), failures.join("\n  "))
            }
        }
    }
}

fn describe(fetched: &Fetched) -> String {
    let Fetched { repo, commit, files, .. } = fetched;
    let mebibytes = files.iter().map(|file| file.size).sum::<u64>() as f64 / f64::from(1 << 20);
    let new = files.iter().filter(|file| file.downloaded).count();
    let news = match new {
        0 => "already there".into(),
        _ if new == files.len() => "fetched".into(),
        _ => format!("{new} fetched, the others already there"),
    };
    let plural = if files.len() == 1 { "" } else { "s" };
    format!("{repo}, commit {commit}: {} file{plural}, {mebibytes:.1} MiB, {news}", files.len())
}
