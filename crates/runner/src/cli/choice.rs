use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use super::fetch::Fetch;
use crate::grid::{self, Overrides, Shard, Suite};
use crate::host::device::DeviceName;
use crate::model::Precision;

/// The suite of `peft-bench run` without a name, which needs nothing from the hub.
pub(super) const DEFAULT_SUITE: &str = "pocket";

/// Which cells a command is about, and where their results are.
#[derive(Debug, Args, Default)]
pub(super) struct Choice {
    /// Suite: a name from `peft-bench suites`, or a TOML file [default: pocket]
    suite: Option<String>,
    /// Replace the suite's tasks (repeatable): a name or a TOML file
    #[arg(long = "task", value_name = "T")]
    tasks: Vec<String>,
    /// Replace the suite's methods (repeatable)
    #[arg(long = "method", value_name = "M")]
    methods: Vec<String>,
    /// Replace the suite's seeds (repeatable)
    #[arg(long = "seed", value_name = "S", allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seeds: Vec<u64>,
    /// Replace the suite's backbone: a folder or a hub id
    #[arg(long, value_name = "DIR_OR_HUB_ID")]
    model: Option<String>,
    /// Precision of the backbone, f32 or bf16 [default: the suite's]; what trains is always in f32
    #[arg(long, value_name = "P")]
    precision: Option<Precision>,
    /// Replace the suite's number of training steps
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    steps: Option<u64>,
    /// Trial run: read no more than the first N rows of each split; tables mark its results
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    limit: Option<u64>,
    /// Override any setting (repeatable): methods.NAME.KEY, training.KEY, seeds, shots, ...; values as in TOML,
    /// words without quotes
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Start every cell from an adapter of the same method: its folder, or the id of a cell in the results folder
    #[arg(long, value_name = "DIR_OR_CELL")]
    init_from: Option<String>,
    /// Compute one of N shares of the cells, such as 1/3, 2/3 and 3/3 on three machines; all other options must be equal
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Results folder [default: results/<suite>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Device: cpu, cuda, cuda:1, vulkan, metal or wgpu; `peft-bench devices` lists this machine's
    #[arg(long, default_value = "cpu")]
    device: Option<DeviceName>,
}

impl Choice {
    /// The `fetch` command for the model and the datasets.
    pub(super) fn fetch(&self) -> String {
        let suite = self.suite.as_deref().unwrap_or(DEFAULT_SUITE);
        Fetch::command(Some(suite), &self.tasks, self.model.as_deref())
    }

    /// The suite with what the command line changes.
    pub(super) fn suite(&self) -> anyhow::Result<Suite> {
        let suite = grid::find(self.suite.as_deref().unwrap_or(DEFAULT_SUITE))?;
        let init_from =
            self.init_from.as_deref().map(|from| self.adapter_folder(from, &suite)).transpose()?;
        let overrides = Overrides {
            tasks: self.tasks.clone(),
            methods: self.methods.clone(),
            seeds: self.seeds.clone(),
            model: self.model.clone(),
            precision: self.precision,
            steps: self.steps,
            limit: self.limit.map(|limit| limit as usize),
            init_from,
            set: self.set.clone(),
        };
        Ok(suite.with(&overrides)?)
    }

    /// The folder of the adapter that `--init-from` names.
    fn adapter_folder(&self, from: &str, suite: &Suite) -> anyhow::Result<PathBuf> {
        let (folder, results) = (PathBuf::from(from), self.folder(suite));
        let of_cell = results.join("adapters").join(from);
        match () {
            () if folder.is_dir() => Ok(folder),
            () if !from.is_empty() && !from.contains(['/', '.']) && of_cell.is_dir() => Ok(of_cell),
            () => bail!(
                "--init-from {from}: it is neither a folder nor a cell with an adapter in {}",
                results.display()
            ),
        }
    }

    /// The results folder.
    pub(super) fn folder(&self, suite: &Suite) -> PathBuf {
        self.out.clone().unwrap_or_else(|| grid::default_output(suite))
    }

    /// The device.
    pub(super) fn device(&self) -> DeviceName {
        self.device.unwrap_or_default()
    }
}
