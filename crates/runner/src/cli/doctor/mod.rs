//! What this build and this machine can do, and whether anything is wrong with them.

mod cache;
mod check;
mod golden;
mod hub;
mod likelihood;
mod machine;
mod self_test;

use std::process::ExitCode;

use anyhow::Result;
use check::{Check, Status};
use clap::Args;
use serde_json::json;

use super::{listing, output};
use crate::hub::{HubSettings, Progress};

/// Exit code when a check failed.
const FAILED: u8 = 1;

#[derive(Debug, Args)]
#[command(after_help = super::examples::DOCTOR)]
pub(super) struct Doctor {
    /// Print the checks as JSON
    #[arg(long)]
    json: bool,
    /// Download the two small T5 whose published values are checked, about 550 MB
    #[arg(long)]
    fetch: bool,
}

impl Doctor {
    /// Runs every check; those of text are printed as they are done.
    pub(super) fn execute(self) -> Result<ExitCode> {
        let mut checks = Vec::new();
        for section in [machine::checks, hub::checks, cache::checks, self_test::checks, golden::checks] {
            for check in section(&self) {
                if !self.json {
                    output::line(line(&check))?;
                }
                checks.push(check);
            }
        }
        let failed = checks.iter().filter(|check| check.status == Status::Failed).count();
        match self.json {
            true => output::line(format!("{:#}", json!({"failed": failed, "checks": checks})))?,
            false if failed == 0 => output::line("nothing is wrong")?,
            false => output::line(format_args!("{failed} of {} checks failed", checks.len()))?,
        }
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }

    /// The hub as the environment describes it. What is wrong with that is told once, by the hub's own checks.
    fn hub(&self) -> Option<HubSettings> {
        HubSettings::from_env(Progress::detect()).ok()
    }

    /// The same without network.
    fn offline_hub(&self) -> Option<crate::hub::Hub> {
        Some(crate::hub::Hub::new(HubSettings { offline: true, ..self.hub()? }))
    }
}

fn line(check: &Check) -> String {
    listing::entry(&format!("{:<7}{}", check.status.mark(), check.name), std::slice::from_ref(&check.detail))
}
