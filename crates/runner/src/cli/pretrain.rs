use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Error, Result};
use clap::Args;

use super::output;
use crate::host::device::DeviceName;
use crate::hub::{Hub, Progress};
use crate::pretrain::{Recipe, held_out_text, pretrain};
use crate::terminal::progress;

#[derive(Debug, Args)]
pub(super) struct Pretrain {
    /// Recipe: a TOML file, or an embedded one such as recipes/pocket.toml
    recipe: String,
    /// Output folder [default: results/pretrain/<title>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Device: cpu, cuda, cuda:1, vulkan, metal or wgpu; `peft-bench devices` lists this machine's
    #[arg(long, default_value = "cpu")]
    device: DeviceName,
    /// Seconds between the checkpoints from which an interrupted pretraining resumes
    #[arg(long, value_name = "SECONDS", default_value_t = 120, allow_negative_numbers = true)]
    checkpoint_every: u64,
    /// Print this many held-out examples as JSON lines for `peft-bench score` instead of training
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    examples: Option<usize>,
}

impl Pretrain {
    pub(super) fn execute(self) -> Result<ExitCode> {
        let recipe = Recipe::find(&self.recipe)?;
        if let Some(count) = self.examples {
            print_examples(&recipe, count)?;
            return Ok(ExitCode::SUCCESS);
        }
        let default = || PathBuf::from("results/pretrain").join(recipe.folder_name());
        let folder = self.out.unwrap_or_else(default);
        let mut progress = progress::for_stderr(&recipe.title);
        let interval = Duration::from_secs(self.checkpoint_every);
        let hub = Hub::from_env(Progress::detect())?;
        let pretrained = pretrain(&recipe, &folder, interval, &hub, &self.device.open()?, progress.as_mut());
        let report = pretrained.map_err(|error| match error.is_caused_by_recipe() {
            true => Error::new(error).context(self.recipe),
            false => error.into(),
        })?;
        output::line(format_args!(
            "{}: {} parameters, {} steps, {:.1} million tokens in {:.0} s; held-out loss {:.4} (span corruption), {:.4} (supervised)",
            folder.display(),
            report.parameters,
            report.steps,
            report.tokens as f64 / 1e6,
            report.seconds,
            report.held_out.span_corruption,
            report.held_out.supervised
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn print_examples(recipe: &Recipe, count: usize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    for (source, target) in held_out_text(recipe).take(count) {
        let line = serde_json::json!({ "source": source, "target": target });
        match writeln!(out, "{line}") {
            // The reader is gone, as after `| head`.
            Err(e) if e.kind() == ErrorKind::BrokenPipe => break,
            written => written.context("cannot write to standard output")?,
        }
    }
    Ok(())
}
