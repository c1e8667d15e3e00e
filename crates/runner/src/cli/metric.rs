use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use serde::Deserialize;

use super::{json_lines, output};
use crate::metric::{Answer, Metric, MetricError};

#[derive(Debug, Args)]
pub(super) struct MetricCommand {
    /// Metric, such as accuracy, matthews or squad-f1
    name: String,
    /// JSON lines with "prediction" and "target" (text, or a list of accepted answers), and "group" for
    /// metrics over questions
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Classes over which macro-f1 averages, such as 0,1,2 [default: those of the targets and predictions]
    #[arg(long, value_name = "CLASS", value_delimiter = ',')]
    labels: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Line {
    prediction: Text,
    target: Targets,
    group: Option<Text>,
}

impl MetricCommand {
    /// Prints the score, in percent, at full precision.
    pub(super) fn execute(self) -> Result<ExitCode> {
        let metric: Metric = self.name.parse().map_err(anyhow::Error::msg)?;
        let classes = self.classes(metric)?;
        let lines: Vec<(usize, Line)> =
            json_lines::read_numbered(&self.input, "\"prediction\" and \"target\"")?;
        let (numbers, answers): (Vec<usize>, Vec<Answer>) =
            lines.into_iter().map(|(number, line)| (number, Answer::from(line))).unzip();
        let score = metric.score(&answers, classes.as_deref()).map_err(|error| match error {
            MetricError::Row { row, problem } => {
                anyhow!("{}, line {}: it has {problem}", self.input.display(), numbers[row])
            }
            other => anyhow::Error::new(other).context(self.input.display().to_string()),
        })?;
        output::line(score)?;
        Ok(ExitCode::SUCCESS)
    }

    /// The classes declared by `--labels`.
    fn classes(&self, metric: Metric) -> Result<Option<Vec<String>>> {
        if self.labels.is_empty() {
            return Ok(None);
        }
        if !metric.uses_classes() {
            let using: Vec<&str> =
                Metric::ALL.into_iter().filter(|metric| metric.uses_classes()).map(Metric::name).collect();
            bail!("--labels is only for {}; it does not affect {metric}", using.join(", "));
        }
        let labels: Vec<String> = self.labels.iter().map(|label| label.trim().to_string()).collect();
        if labels.iter().any(String::is_empty) {
            bail!("--labels {}: a class name is empty", self.labels.join(","));
        }
        if let Some(label) = labels.iter().enumerate().find(|(i, label)| labels[..*i].contains(label)) {
            bail!("--labels {}: class `{}` is listed twice", self.labels.join(","), label.1);
        }
        Ok(Some(labels))
    }
}

impl From<Line> for Answer {
    fn from(line: Line) -> Self {
        let targets = match line.target {
            Targets::One(target) => vec![target.into()],
            Targets::Several(targets) => targets.into_iter().map(String::from).collect(),
        };
        Self { prediction: line.prediction.into(), targets, group: line.group.map(String::from) }
    }
}

/// Text or an integer; the intended spelling of a fraction or a boolean would be ambiguous.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "predictions, targets and groups must be strings or integers")]
enum Text {
    Quoted(String),
    Whole(i64),
    Large(u64),
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "\"target\" must be a string, an integer, or a list of these")]
enum Targets {
    One(Text),
    Several(Vec<Text>),
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        match text {
            Text::Quoted(text) => text,
            Text::Whole(number) => number.to_string(),
            Text::Large(number) => number.to_string(),
        }
    }
}
