mod dump;
mod list;
mod show;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::fetch::Fetch;

#[derive(Debug, Args)]
#[command(after_help = crate::cli::examples::TASKS)]
pub(super) struct Tasks {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a split as JSON lines with "row", "source" and "target"
    Dump(dump::Dump),
    /// Print the first rows as text, token lengths and label balance
    Show(show::Show),
}

impl Tasks {
    /// The `fetch` command for the task's rows and the model whose tokenizer is used.
    pub(super) fn fetch(&self) -> Option<String> {
        let (task, model) = match self.command.as_ref()? {
            // Dumping needs no model, so one that is not on the hub.
            Command::Dump(dump) => (&dump.task, Some("pocket")),
            Command::Show(show) => (&show.task, show.model.as_deref()),
        };
        Some(Fetch::command(None, std::slice::from_ref(task), model))
    }

    pub(super) fn execute(self) -> Result<ExitCode> {
        match self.command {
            None => list::list(),
            Some(Command::Dump(dump)) => dump.execute(),
            Some(Command::Show(show)) => show.execute(),
        }
    }
}
