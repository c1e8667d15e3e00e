use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::output;
use crate::grid::{self, Suite};
use crate::results::{self, Record, Roster, Store};

#[derive(Debug, Args)]
#[command(after_help = super::examples::REPORT)]
pub(super) struct Report {
    /// Results folder, such as results/pocket
    folder: PathBuf,
}

impl Report {
    /// Prints the table of every suite that has cells in the folder; writes nothing.
    pub(super) fn execute(self) -> Result<ExitCode> {
        let store = Store::read_only(&self.folder)?;
        let records = store.records()?;
        let texts: Vec<String> = rosters(&store, &records)?
            .iter()
            .map(|roster| results::Report::new(roster, &records).to_text())
            .collect();
        output::line(texts.join("\n\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The roster of every suite; for suites whose file is lost, one derived from their records.
fn rosters(store: &Store, records: &[Record]) -> Result<Vec<Roster>> {
    let mut rosters = Roster::all(store.folder())?;
    let known: BTreeSet<String> = rosters.iter().map(|roster| roster.suite.clone()).collect();
    let named: BTreeSet<&String> = records.iter().map(|record| &record.suite).collect();
    for name in named.into_iter().filter(|name| !known.contains(*name)) {
        rosters.push(grid::find(name).unwrap_or_else(|_| Suite::named(name)).roster());
    }
    Ok(rosters)
}
