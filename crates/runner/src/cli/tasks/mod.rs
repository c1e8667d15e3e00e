mod dump;
mod list;
mod show;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub struct Tasks {
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
    pub fn execute(self) -> Result<ExitCode> {
        match self.command {
            None => list::list(),
            Some(Command::Dump(dump)) => dump.execute(),
            Some(Command::Show(show)) => show.execute(),
        }
    }
}
