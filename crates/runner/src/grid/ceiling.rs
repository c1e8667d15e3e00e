//! What perfect answers score: less than 100 where a metric cannot be reached.

use anyhow::{Context, Result};

use crate::data::{Split, TaskData};
use crate::metric::{Answer, Metric};
use crate::task::{Example, Role, Task};
use crate::train::score;

/// Scores a split's own answers; a ceiling below 100 is told on standard error.
///
/// # Errors
/// When a metric cannot take the answers, when none gets anything for them, or when they are all one that no
/// training row has.
pub fn check(task: &Task, role: Role, split: &Split, data: &TaskData) -> Result<()> {
    let name = role.name();
    check_only_answer(task, role, split, &data.train)?;
    for metric in task.spec.metrics.all() {
        let perfect: Vec<String> =
            split.examples.iter().map(|example| best(example, metric).to_string()).collect();
        let scores = score(split, &perfect, &[metric], &data.classes)
            .with_context(|| format!("`metrics` of {} do not fit its {name} split", task.name))?;
        let ceiling = scores[metric.name()];
        if ceiling <= NOTHING {
            return Err(task
                .wrong(format!(
                    "`metrics`: {metric} gives perfect answers on the {name} split {ceiling:.2}{}",
                    reason(split, metric, &data.classes)
                ))
                .into());
        }
        if ceiling < 100.0 - NOTHING {
            crate::progress::say!(
                "note: {}: {metric} gives perfect answers on the {name} split {ceiling:.2}{}",
                task.name,
                reason(split, metric, &data.classes)
            );
        }
    }
    Ok(())
}

/// A difference of scores that is rounding.
const NOTHING: f64 = 1e-6;

/// One answer to every row can be learned, but not where no training row has it: hidden labels are such.
fn check_only_answer(task: &Task, role: Role, split: &Split, train: &Split) -> Result<()> {
    let name = role.name();
    let Some(only) = only_answer(split) else { return Ok(()) };
    if !train.examples.iter().any(|example| example.answers[0] == only) {
        return Err(task
            .wrong(format!(
                "`split`: every answer of the {name} split is `{only}`, which no training row has; are its labels hidden?"
            ))
            .into());
    }
    crate::progress::say!(
        "note: {}: every answer of the {name} split is `{only}`, so that always giving it is right",
        task.name
    );
    Ok(())
}

/// The answer of every row, if there are several rows and they have the same.
fn only_answer(split: &Split) -> Option<&str> {
    let mut answers = split.examples.iter().map(|example| &*example.answers[0]);
    let first = answers.next()?;
    (split.len() > 1 && answers.all(|answer| answer == first)).then_some(first)
}

/// The accepted answer that scores most.
fn best(example: &Example, metric: Metric) -> &str {
    match &example.answers[..] {
        [only] => only,
        several => {
            let scores =
                |answer: &&String| own_score(example, answer, metric).is_some_and(|score| score > NOTHING);
            several.iter().find(scores).unwrap_or(&several[0])
        }
    }
}

/// What an answer to a single row scores.
fn own_score(example: &Example, answer: &str, metric: Metric) -> Option<f64> {
    let row =
        Answer { prediction: answer.into(), targets: example.answers.clone(), group: Some(String::new()) };
    metric.score(&[row], None).ok()
}

/// Why perfect answers do not score 100, as the end of a sentence.
fn reason(split: &Split, metric: Metric, classes: &[String]) -> String {
    if metric.uses_classes() {
        let absent = classes.iter().filter(|class| split.examples.iter().all(|e| e.answers[0] != **class));
        let absent: Vec<&str> = absent.map(String::as_str).collect();
        return format!(
            ", for it averages over all {} classes, and no row has {} of them, such as `{}`",
            classes.len(),
            absent.len(),
            absent.first().unwrap_or(&"")
        );
    }
    if metric.compares_words() {
        let reaches = |example: &Example| own_score(example, best(example, metric), metric);
        let unreachable: Vec<&Example> =
            split.examples.iter().filter(|e| reaches(e).is_some_and(|score| score <= NOTHING)).collect();
        if let [first, ..] = unreachable[..] {
            return format!(
                ", for without articles and punctuation nothing is left of {} of its {} answers, such as `{}` (row {})",
                unreachable.len(),
                split.len(),
                first.answers[0],
                first.row + 1
            );
        }
    }
    match split.examples.first() {
        Some(first) if split.examples.iter().all(|example| example.answers[0] == first.answers[0]) => {
            format!(", for every answer is `{}`; are its labels hidden?", first.answers[0])
        }
        _ => String::new(),
    }
}
