use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{listing, output};
use crate::host::device::{self, Backend};
use crate::host::memory;

#[derive(Debug, Args)]
pub(super) struct Devices {}

impl Devices {
    pub(super) fn execute(self) -> Result<ExitCode> {
        let mut table = listing::table(["--device", "name", "precision", "memory"]);
        for found in device::found() {
            let memory = match found.name == device::DeviceName::CPU {
                true => format!("{} available", memory::gibibytes(memory::available_bytes())),
                false => found.memory.map_or("not known".into(), memory::gibibytes),
            };
            table.add_row([found.name.to_string(), found.title, found.precisions.join(", "), memory]);
        }
        output::line(format_args!("{table}"))?;
        let missing = Backend::ALL.into_iter().filter(|backend| !backend.is_built()).map(Backend::name);
        let missing: Vec<&str> = missing.collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            output::line(format_args!(
                "Not in this build: {missing}; `cargo build --features NAME` adds one"
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
