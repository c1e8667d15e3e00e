use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::BAD_INPUT;
use crate::grid::{self, Overrides};
use crate::hub::{Hub, Progress};
use crate::model;
use crate::task::{self, Task};

#[derive(Debug, Args)]
pub struct Fetch {
    /// Suite: an embedded one by name, or a TOML file
    #[arg(default_value = "paper")]
    suite: String,
    /// Task, instead of the suite's (repeatable): a name or a TOML file
    #[arg(long = "task", value_name = "T")]
    tasks: Vec<String>,
    /// Backbone, instead of the suite's: a hub id
    #[arg(long, value_name = "HUB_ID")]
    model: Option<String>,
}

impl Fetch {
    pub fn execute(self) -> Result<ExitCode> {
        let overrides = Overrides { tasks: self.tasks, model: self.model, ..Overrides::default() };
        let suite = grid::find(&self.suite)?.with(&overrides);
        let tasks: Vec<Task> = suite.tasks.iter().map(|name| task::find(name)).collect::<Result<_, _>>()?;
        let hub = Hub::from_env(Progress::detect())?;
        // One that fails must not keep the others from being fetched.
        let mut failures = Vec::new();
        match model::fetch(&suite.model, &hub) {
            Ok(Some(files)) => {
                println!("{}: commit {}, {} files of weights", suite.model, files.commit, files.weights.len())
            }
            Ok(None) => println!("{}: nothing to fetch", suite.model),
            Err(error) => failures.push(format!("{}: {error}", suite.model)),
        }
        for task in &tasks {
            match task.fetch(&hub) {
                Ok(splits) => match splits.first() {
                    Some(first) => {
                        let files: usize = splits.iter().map(|split| split.paths.len()).sum();
                        println!(
                            "{}: {files} files at {}, commit {}",
                            task.name, first.revision, first.commit
                        );
                    }
                    None => println!("{}: nothing to fetch", task.name),
                },
                Err(error) => failures.push(format!("{}: {error}", task.name)),
            }
        }
        let mib = hub.downloaded_bytes() as f64 / f64::from(1 << 20);
        println!("{mib:.1} MiB were fetched; the rest was in the cache");
        for failure in &failures {
            eprintln!("error: {failure}");
        }
        Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(BAD_INPUT) })
    }
}
