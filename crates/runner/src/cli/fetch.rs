use std::borrow::Cow;
use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::error_text::message;
use super::output;
use crate::grid::{self, Overrides};
use crate::hub::{Fetched, Hub, Progress};
use crate::{model, task};

#[derive(Debug, Args)]
pub(super) struct Fetch {
    /// Suite: a name from `peft-bench suites`, or a TOML file
    #[arg(default_value = "paper")]
    suite: String,
    /// Replace the suite's tasks (repeatable): a name or a TOML file
    #[arg(long = "task", value_name = "T")]
    tasks: Vec<String>,
    /// Replace the suite's backbone: a folder or a hub id
    #[arg(long, value_name = "DIR_OR_HUB_ID")]
    model: Option<String>,
}

impl Fetch {
    /// The `fetch` command for what a command with these arguments needs.
    pub(super) fn command(suite: Option<&str>, tasks: &[String], model: Option<&str>) -> String {
        let mut command = String::from("peft-bench fetch");
        let tasks = tasks.iter().flat_map(|task| ["--task", task]);
        let model = model.into_iter().flat_map(|model| ["--model", model]);
        for word in suite.into_iter().chain(tasks).chain(model) {
            command = format!("{command} {}", quoted(word));
        }
        command
    }

    pub(super) fn execute(self) -> Result<ExitCode> {
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
        let mut tasks = suite.tasks.clone();
        for method in suite.methods() {
            tasks.extend(suite.sources(method)?.into_iter().map(|source| source.task));
            tasks.extend(suite.trained_on(method)?);
        }
        let mut seen = BTreeSet::new();
        tasks.retain(|task| seen.insert(task.clone()));
        for name in &tasks {
            report(name, task::find(name).map_err(Into::into).and_then(|task| Ok(task.fetch(&hub)?)))?;
        }
        match failures.len() {
            0 => Ok(ExitCode::SUCCESS),
            failed => {
                bail!("{failed} of {} not fetched:\n  {}", 1 + tasks.len(), failures.join("\n  "))
            }
        }
    }
}

/// A word, quoted for a shell if necessary.
fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@=+,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', "'\\''")).into(),
    }
}

fn describe(fetched: &Fetched) -> String {
    let Fetched { repo, commit, files, .. } = fetched;
    let mebibytes = files.iter().map(|file| file.size).sum::<u64>() as f64 / f64::from(1 << 20);
    let new = files.iter().filter(|file| file.downloaded).count();
    let news = match new {
        0 => "already cached".into(),
        _ if new == files.len() => "fetched".into(),
        _ => format!("{new} fetched, the others already cached"),
    };
    let plural = if files.len() == 1 { "" } else { "s" };
    format!("{repo}, commit {commit}: {} file{plural}, {mebibytes:.1} MiB, {news}", files.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fetch_command_is_quoted_for_a_shell() {
        assert_eq!(Fetch::command(None, &[], None), "peft-bench fetch");
        let tasks = ["boolq".to_string(), "my tasks/it's.toml".into()];
        assert_eq!(
            Fetch::command(Some("glue"), &tasks, Some("o/m@random")),
            r"peft-bench fetch glue --task boolq --task 'my tasks/it'\''s.toml' --model o/m@random"
        );
    }
}
