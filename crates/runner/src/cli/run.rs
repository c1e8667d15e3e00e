use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::output;
use crate::device::DeviceName;
use crate::grid::{self, Overrides, ReportedSplit, Setting};
use crate::hub::{Hub, Progress};
use crate::model::Model;
use crate::results::{Comparison, Record, Status, Store, comparison, to_frame, to_svg, to_text};
use crate::task::Reference;
use crate::token_cache::TokenCache;

/// The suite of `peft-bench run` without a name.
const DEFAULT_SUITE: &str = "pocket";

/// Exit code when some cells diverged: their records say so, the others have scores.
const SOME_DIVERGED: u8 = 1;

#[derive(Debug, Args, Default)]
pub struct Run {
    /// Suite: an embedded one by name (pocket, pocket-full, pocket-probe, pocket-sweep, glue, superglue, mrqa,
    /// others, paper, few-shot), or a TOML file [default: pocket]
    suite: Option<String>,
    /// Task, instead of the suite's (repeatable): a name or a TOML file
    #[arg(long = "task", value_name = "T")]
    tasks: Vec<String>,
    /// Method, instead of the suite's (repeatable)
    #[arg(long = "method", value_name = "M")]
    methods: Vec<String>,
    /// Seed, instead of the suite's (repeatable)
    #[arg(long = "seed", value_name = "S")]
    seeds: Vec<u64>,
    /// Backbone, instead of the suite's: a folder or a hub id
    #[arg(long, value_name = "DIR_OR_HUB_ID")]
    model: Option<String>,
    /// Number of updates, instead of the suite's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    steps: Option<u64>,
    /// Results folder [default: results/<suite>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// cpu or cuda
    #[arg(long, default_value = "cpu")]
    device: Option<DeviceName>,
    /// Seconds between checkpoints from which an interrupted run goes on
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    checkpoint_every: Option<u64>,
}

impl Run {
    pub fn execute(self) -> Result<ExitCode> {
        let overrides = Overrides {
            tasks: self.tasks,
            methods: self.methods,
            seeds: self.seeds,
            model: self.model,
            steps: self.steps,
        };
        let suite = grid::find(self.suite.as_deref().unwrap_or(DEFAULT_SUITE))?.with(&overrides);
        let plan = grid::plan(suite)?;
        let hub = Hub::from_env(Progress::detect())?;
        let device = self.device.unwrap_or_default();
        let model = Model::open(&plan.suite.model, &hub, &device.open())?;
        let tokens = TokenCache::from_env();
        grid::check_rows(&plan, &model, &hub, &tokens)?;
        let folder = self.out.unwrap_or_else(|| grid::default_output(&plan.suite));
        let store = Store::open(&folder)?;
        let checkpoint_interval = Duration::from_secs(self.checkpoint_every.unwrap_or(60));
        let report = Report {
            title: plan.suite.title.clone(),
            split: plan.suite.report,
            references: plan.references(),
        };
        let setting = Setting { device, checkpoint_interval };
        let records = grid::execute(plan, &model, &hub, &tokens, &store, setting, &mut |_| Ok(()))?;
        report.write(&records, &store)?;
        let diverged = records.iter().any(|r| r.status != Status::Completed);
        Ok(if diverged { ExitCode::from(SOME_DIVERGED) } else { ExitCode::SUCCESS })
    }
}

/// What is said at the end of a run.
struct Report {
    title: String,
    split: ReportedSplit,
    references: BTreeMap<String, Reference>,
}

impl Report {
    fn write(&self, records: &[Record], store: &Store) -> Result<()> {
        let rows = comparison(records, self.split);
        let table = store.write_table("comparison.parquet", to_frame(&rows)?)?;
        let split = match self.split {
            ReportedSplit::Test => "test",
            ReportedSplit::Validation => "validation",
        };
        output::line(format_args!(
            "{}: mean ± standard deviation over seeds, in percent, on the {split} split",
            self.title
        ))?;
        output::line(to_text(&rows, &self.references))?;
        for record in records {
            if let Status::Diverged(problem) = &record.status {
                let Record { method, task, seed, .. } = record;
                output::line(format_args!("{method} on {task}, seed {seed}: {problem}"))?;
            }
        }
        let cells = store.folder().join("cells");
        let (table, cells) = (table.display(), cells.display());
        output::line(format_args!("table: {table}; one Parquet file per cell in {cells}"))?;
        let svg =
            to_svg(&self.title, &rows, majority(&rows, &self.references)).map_err(anyhow::Error::msg)?;
        if !svg.is_empty() {
            let picture = store.write_text("comparison.svg", &svg)?;
            output::line(format_args!("picture: {}", picture.display()))?;
        }
        Ok(())
    }
}

/// The average majority baseline, if it is known for every task.
fn majority(rows: &[Comparison], references: &BTreeMap<String, Reference>) -> Option<f64> {
    let mut tasks: Vec<&str> = rows.iter().filter(|r| !r.is_derived()).map(|r| r.task.as_str()).collect();
    tasks.dedup();
    tasks.sort();
    tasks.dedup();
    let all: Option<Vec<f64>> = tasks.iter().map(|task| Some(references.get(*task)?.majority)).collect();
    all.filter(|all| !all.is_empty()).map(|all| all.iter().sum::<f64>() / all.len() as f64)
}
