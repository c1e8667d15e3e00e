use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory};
use clap_mangen::{Man as Page, generate_to};

use super::{Arguments, output};

#[derive(Debug, Args)]
pub(super) struct Man {
    /// Folder for the pages of all commands, such as peft-bench-run.1
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Man {
    pub(super) fn execute(self) -> Result<ExitCode> {
        match self.out {
            Some(folder) => {
                let failed = || format!("cannot write {}", folder.display());
                fs::create_dir_all(&folder).with_context(failed)?;
                generate_to(Arguments::command(), &folder).with_context(failed)?;
            }
            None => {
                let mut page = Vec::new();
                Page::new(Arguments::command()).render(&mut page)?;
                output::write(&page)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
