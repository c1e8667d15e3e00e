use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use comfy_table::CellAlignment;
use peft_model::families;
use peft_model::peft::{self, Registered};
use serde_json::Map;

use super::choice::DEFAULT_SUITE;
use super::fetch::Fetch;
use super::{listing, output};
use crate::hub::{Hub, Progress};
use crate::model;
use crate::results::thousands;

#[derive(Debug, Args)]
pub(super) struct Methods {
    /// Backbone whose parameters to count: a folder or a hub id [default: T5-base's configuration]
    #[arg(long, value_name = "DIR_OR_HUB_ID")]
    model: Option<String>,
}

impl Methods {
    /// The `fetch` command for the model.
    pub(super) fn fetch(&self) -> Option<String> {
        Some(Fetch::command(Some(DEFAULT_SUITE), &[], Some(self.model.as_deref()?)))
    }

    pub(super) fn execute(self) -> Result<ExitCode> {
        let (name, config) = match &self.model {
            None => ("T5-base", families::reference()),
            Some(id) => (id.as_str(), model::config(id, &Hub::from_env(Progress::detect())?)?),
        };
        let layout = config.layout();
        let total = layout.num_parameters();
        let mut unfit = Vec::new();
        let mut table = listing::table(["method", "title", "trainable", "share", "paper"]);
        for registered in peft::methods() {
            let built = peft::build(registered.name, &Map::new())?;
            let [trainable, share] = match peft::num_trainable(built.method.as_ref(), layout) {
                Ok(trainable) => {
                    let share = 100.0 * trainable as f64 / total as f64;
                    [thousands(trainable as u64), format!("{share:.3} %")]
                }
                Err(problem) => {
                    unfit.push(format!("{}: {problem}", registered.name));
                    ["-", "-"].map(String::from)
                }
            };
            let Registered { name, title, paper, .. } = registered;
            table.add_row([name.into(), title.into(), trainable, share, paper.to_string()]);
        }
        for column in table.column_iter_mut().skip(2).take(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        output::line(format_args!("{name}: {} parameters\n{table}", thousands(total as u64)))?;
        if !unfit.is_empty() {
            output::line(format_args!("Other settings are needed on {name}:\n{}", unfit.join("\n")))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
