//! What can be known of a task's rows before anything trains on them.

use anyhow::Result;

use super::{ceiling, written};
use crate::data::{Split, TaskData};
use crate::task::{Example, Role, Task};
use crate::tokenizer::Tokenizer;

/// Rows below which a test split is called small.
const SMALL: usize = 30;

/// Most rows from which a better limit is guessed.
const SAMPLE: usize = 1000;

/// Checks that scores of a task would mean something, and says on standard error what lessens them. Those of a trial on
/// its first rows mean little anyway; of a mixture that no table shows, its own metric decides nothing.
///
/// # Errors
/// When its targets or its metrics make scores meaningless; the message names the key.
pub(super) fn check(
    task: &Task,
    data: &TaskData,
    tokenizer: &Tokenizer,
    is_trial: bool,
    is_shown: bool,
) -> Result<()> {
    for (role, split) in
        [(Role::Train, &data.train), (Role::Validation, &data.validation), (Role::Test, &data.test)]
    {
        written::check(task, role, split, tokenizer)?;
        if role != Role::Train && (is_shown || task.parts().is_empty()) {
            ceiling::check(task, role, split, data, is_trial)?;
        }
        report_truncation(task, role, split, tokenizer);
    }
    let rows = data.test.len();
    if rows < SMALL && !is_trial {
        let worth = match task.spec.metrics.reported().is_error() {
            true => format!("one {rows}th of the mean"),
            false => format!("{:.1} points", 100.0 / rows as f64),
        };
        crate::terminal::progress::say!(
            "warning: {}: the test split has only {rows} rows, so that one of them is worth {worth}",
            task.name
        );
    }
    Ok(())
}

fn report_truncation(task: &Task, role: Role, split: &Split, tokenizer: &Tokenizer) {
    let limits = &task.spec.limits;
    let source: fn(&Example) -> &str = |example| &example.source;
    let target: fn(&Example) -> &str = |example| &example.target;
    for (what, cut, limit, text) in [
        ("source", &split.truncated_sources, limits.source_tokens, source),
        ("target", &split.truncated_targets, limits.target_tokens, target),
    ] {
        if cut.is_empty() {
            continue;
        }
        let hint = match 2 * cut.len() > split.len() {
            true => {
                let longest = length_of_most(split, text, tokenizer);
                format!("; with `limits.{what}_tokens = {longest}` few would be")
            }
            false => String::new(),
        };
        crate::terminal::progress::say!(
            "note: {}: {} of {} {} {what}s are longer than {limit} tokens and were cut{hint}",
            task.name,
            cut.len(),
            split.len(),
            role.name()
        );
    }
}

/// Tokens that 95 % of the texts do not exceed, judged by some from all over the split.
fn length_of_most(split: &Split, text: fn(&Example) -> &str, tokenizer: &Tokenizer) -> usize {
    let some = split.examples.iter().step_by(split.len().div_ceil(SAMPLE));
    let texts: Vec<&str> = some.map(text).collect();
    let encoded = tokenizer.encode_all(&texts, usize::MAX);
    let mut lengths: Vec<usize> = encoded.iter().map(|encoded| encoded.ids.len()).collect();
    lengths.sort_unstable();
    lengths[(lengths.len() - 1) * 95 / 100]
}
