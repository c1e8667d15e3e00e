use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};

use super::{listing, output};
use crate::host::device::{self, Backend};
use crate::host::memory;

#[derive(Debug, Args)]
pub(super) struct Devices {}

impl Devices {
    pub(super) fn execute(self) -> Result<ExitCode> {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(listing::WIDTH as u16);
        table.set_header(["--device", "name", "precision", "memory"]);
        for found in device::found() {
            let memory = match found.name == device::DeviceName::CPU {
                true => format!("{:.1} GiB available", memory::available_bytes() as f64 / GIB),
                // Burn does not tell what a GPU has.
                false => "not known".into(),
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

const GIB: f64 = (1u64 << 30) as f64;
