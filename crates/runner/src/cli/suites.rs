use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{listing, output};
use crate::grid::{self, Suite};

#[derive(Debug, Args)]
pub(super) struct Suites {}

impl Suites {
    /// Prints every embedded suite and its number of cells.
    pub(super) fn execute(self) -> Result<ExitCode> {
        for name in grid::names() {
            let suite = grid::find(&name)?;
            let size = format!("{}: {}", suite.title, size(&suite));
            output::line(listing::entry(&name, &[size, suite.description]))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn size(suite: &Suite) -> String {
    let mut factors = vec![(suite.tasks.len(), "task"), (suite.methods().count(), "method")];
    if !suite.shots.is_empty() {
        factors.push((suite.shots.len(), "number of rows"));
    }
    factors.push((suite.seeds.len(), "seed"));
    let cells: usize = factors.iter().map(|(count, _)| count).product();
    let plural = |(count, thing): &(usize, &str)| match (*count, *thing) {
        (1, thing) => format!("1 {thing}"),
        (count, "number of rows") => format!("{count} numbers of rows"),
        (count, thing) => format!("{count} {thing}s"),
    };
    let factors: Vec<String> = factors.iter().map(plural).collect();
    format!("{} = {cells} cells", factors.join(" x "))
}
