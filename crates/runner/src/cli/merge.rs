use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::output;
use super::report::reports;
use crate::results::{self, Merged, Store};

#[derive(Debug, Args)]
pub(super) struct Merge {
    /// Results folders, such as those of several machines
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Folder that gets the cells of all of them; it may have some already
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Merge {
    /// Joins the folders, and prints the tables of what has come together.
    pub(super) fn execute(self) -> Result<ExitCode> {
        let Merged { cells, new } = results::merge(&self.folders, &self.out)?;
        output::line(format_args!("{}: {cells} cells, {new} of them new", self.out.display()))?;
        let store = Store::open(&self.out)?;
        let reports = reports(&store)?;
        for report in &reports {
            output::line(format_args!("\n{}", report.to_text()))?;
        }
        // A folder has one table, that of its suite.
        if let [report] = &reports[..] {
            report.write(&store)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
