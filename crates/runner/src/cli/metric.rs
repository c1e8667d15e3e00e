use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde::Deserialize;

use super::{json_lines, output};
use crate::metric::{Answer, Metric};

#[derive(Debug, Args)]
pub struct MetricCommand {
    /// Metric, such as accuracy, matthews, squad-f1
    name: String,
    /// JSON lines with "prediction" and "target" (text, or a list of accepted answers), and "group" for
    /// metrics over questions
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Line {
    prediction: String,
    target: Targets,
    group: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Targets {
    One(String),
    Several(Vec<String>),
}

impl MetricCommand {
    /// Prints the score, in percent, with all its digits.
    pub fn execute(self) -> Result<ExitCode> {
        let metric: Metric = self.name.parse().map_err(anyhow::Error::msg)?;
        let lines: Vec<Line> = json_lines::read(&self.input, "\"prediction\" and \"target\"")?;
        let answers: Vec<Answer> = lines.into_iter().map(Answer::from).collect();
        let score = metric.score(&answers).with_context(|| self.input.display().to_string())?;
        output::line(score)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl From<Line> for Answer {
    fn from(line: Line) -> Self {
        let targets = match line.target {
            Targets::One(target) => vec![target],
            Targets::Several(targets) => targets,
        };
        Self { prediction: line.prediction, targets, group: line.group }
    }
}
