use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::cli::json_lines;
use crate::hub::{Hub, Progress};
use crate::task::{self, Role};

#[derive(Debug, Args)]
pub(super) struct Dump {
    /// Task: a name or a TOML file
    pub(super) task: String,
    /// Split, after applying the task's split rule
    #[arg(long)]
    split: Role,
    /// File for the JSON lines [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Dump {
    /// Writes the rows in split order; "row" is the index in the dataset's own split.
    pub(super) fn execute(self) -> Result<ExitCode> {
        let task = task::find(&self.task)?;
        let loaded = task.load(self.split, &Hub::from_env(Progress::detect())?)?;
        let mut lines = Vec::new();
        for example in task.examples(&loaded.rows, &loaded.indices)? {
            let line = json!({"row": example.row, "source": example.source, "target": example.target});
            serde_json::to_writer(&mut lines, &line)?;
            lines.push(b'\n');
        }
        json_lines::write(self.output.as_deref(), &lines)?;
        Ok(ExitCode::SUCCESS)
    }
}
