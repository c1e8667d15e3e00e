use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::cli::output;
use crate::hub::{Hub, Progress};
use crate::model;
use crate::task::{self, Example, Role, Task};
use crate::tokenizer::Tokenizer;

#[derive(Debug, Args)]
pub(super) struct Show {
    /// Task: a name or a TOML file
    pub(super) task: String,
    /// Model whose tokenizer is used: a folder or a hub id [default: google-t5/t5-base; pocket for pocket tasks]
    #[arg(long, value_name = "DIR_OR_HUB_ID")]
    pub(super) model: Option<String>,
    /// Number of rows to print
    #[arg(long, default_value_t = 3, allow_negative_numbers = true)]
    rows: usize,
}

impl Show {
    pub(super) fn execute(self) -> Result<ExitCode> {
        let task = task::find(&self.task)?;
        let hub = Hub::from_env(Progress::detect())?;
        let default = if task.is_generated() { "pocket" } else { "google-t5/t5-base" };
        let tokenizer = model::tokenizer(self.model.as_deref().unwrap_or(default), &hub)?;
        output::line(format_args!("{} ({}): {}", task.spec.title, task.name, task.spec.description))?;
        for role in Role::ALL {
            let loaded = task.load(role, &hub)?;
            let examples = task.examples(&loaded.rows, &loaded.indices)?;
            if role == Role::Train {
                for example in examples.iter().take(self.rows) {
                    output::line(format_args!(
                        "\n{}\n  source: {}\n  target: {}",
                        loaded.rows.place(example.row as usize),
                        example.source,
                        example.target
                    ))?;
                }
            }
            output::line(summary(&task, role, &examples, &tokenizer))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn summary(task: &Task, role: Role, examples: &[Example], tokenizer: &Tokenizer) -> String {
    let limits = &task.spec.limits;
    let sources: Vec<&str> = examples.iter().map(|e| e.source.as_str()).collect();
    let targets: Vec<&str> = examples.iter().map(|e| e.target.as_str()).collect();
    let mut text = format!(
        "\n{}: {} rows\n  source tokens: {}\n  target tokens: {}",
        role.name(),
        examples.len(),
        lengths(&sources, tokenizer, limits.source_tokens),
        lengths(&targets, tokenizer, limits.target_tokens)
    );
    if task.spec.labels.is_some() {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for target in targets {
            *counts.entry(target).or_default() += 1;
        }
        let share = |count: usize| 100.0 * count as f64 / examples.len() as f64;
        let parts = counts.iter().map(|(label, &count)| format!("{label}: {count} ({:.1} %)", share(count)));
        text += &format!("\n  labels: {}", parts.collect::<Vec<_>>().join(", "));
    }
    text
}

/// Median, 95th percentile, and the share that a limit truncates.
fn lengths(texts: &[&str], tokenizer: &Tokenizer, limit: usize) -> String {
    let mut lengths: Vec<usize> =
        tokenizer.encode_all(texts, usize::MAX).iter().map(|encoded| encoded.ids.len()).collect();
    if lengths.is_empty() {
        return "none".into();
    }
    lengths.sort_unstable();
    let at = |share: f64| lengths[((lengths.len() - 1) as f64 * share).round() as usize];
    let cut = lengths.iter().filter(|&&length| length > limit).count();
    let share = 100.0 * cut as f64 / lengths.len() as f64;
    format!(
        "median {}, 95th percentile {}, {share:.1} % longer than {limit} and truncated",
        at(0.5),
        at(0.95)
    )
}
