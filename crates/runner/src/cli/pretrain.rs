use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::device::DeviceName;
use crate::pretrain::{Recipe, pretrain};
use crate::progress;

#[derive(Debug, Args)]
pub struct Pretrain {
    /// Recipe: a TOML file, or an embedded one such as recipes/pocket.toml
    recipe: String,
    /// Folder of the model [default: results/pretrain/<title>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// cpu or cuda
    #[arg(long, default_value = "cpu")]
    device: DeviceName,
    /// Seconds between checkpoints from which an interrupted pretraining goes on
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    checkpoint_every: u64,
}

impl Pretrain {
    pub fn execute(self) -> Result<ExitCode> {
        let recipe = Recipe::find(&self.recipe)?;
        let default =
            || PathBuf::from("results/pretrain").join(recipe.title.to_lowercase().replace(' ', "-"));
        let folder = self.out.unwrap_or_else(default);
        let mut progress = progress::for_stderr(&recipe.title);
        let interval = Duration::from_secs(self.checkpoint_every);
        let report = pretrain(&recipe, &folder, interval, &self.device.open(), progress.as_mut())?;
        println!(
            "{}: {} parameters, {} steps, {:.1} million tokens in {:.0} s; held-out loss {:.4} (span corruption), {:.4} (supervised)",
            folder.display(),
            report.parameters,
            report.steps,
            report.tokens as f64 / 1e6,
            report.seconds,
            report.held_out.span_corruption,
            report.held_out.supervised
        );
        Ok(ExitCode::SUCCESS)
    }
}
