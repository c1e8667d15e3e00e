//! What perfect answers score, and none: less than 100 where a metric cannot be reached, more than 0 where it is
//! reached without a word.

use std::collections::HashMap;

use crate::data::{Split, TaskData};
use crate::metric::{Answer, Metric, MetricError, UNREADABLE};
use crate::task::{Example, Role, Task, TaskError};
use crate::terminal::progress::say;

/// A difference of scores that is rounding.
const NOTHING: f64 = 1e-6;

/// Scores a split's own answers, and empty ones; what cannot be reached, or is reached by saying nothing, is told on
/// standard error. In a trial, whose few rows may all have one answer, it is no more than told.
///
/// # Errors
/// When a metric cannot take the answers or takes two labels for the same, when all answers are one that no training
/// row has, or when the metric that selects or the one in tables gets nothing for perfect answers or everything for
/// empty ones.
pub(super) fn check(
    task: &Task,
    role: Role,
    split: &Split,
    data: &TaskData,
    is_trial: bool,
) -> Result<(), TaskError> {
    if !is_trial {
        check_only_answer(task, role, split, &data.train)?;
    }
    let (name, rows) = (role.name(), split.len());
    let wrong = |problem: String| task.wrong(format!("`metrics`: {problem}"));
    for metric in task.spec.metrics.all() {
        let tell = |problem: String, is_fatal: bool| {
            let matters = metric == task.spec.metrics.select || metric == task.spec.metrics.reported();
            if is_fatal && matters && !is_trial {
                return Err(wrong(problem));
            }
            say!("note: {}: {problem}", task.name);
            Ok(())
        };
        check_labels(task, metric).map_err(wrong)?;
        let score = perfect_score(split, metric, &data.classes)
            .map_err(|problem| wrong(format!("{metric} does not fit the {name} split: {problem}")))?;
        if is_short_of_perfect(metric, score) {
            let reason = reason(split, metric, &data.classes);
            tell(
                format!("{metric} gives perfect answers on the {name} split {score:.2}{reason}"),
                score <= NOTHING,
            )?;
        }
        if let Some(first) = split.examples.iter().find(|example| is_near_unreadable(example, metric)) {
            tell(
                format!(
                    "{metric} takes an answer that is no number for {UNREADABLE}, which is not far from answers such \
                     as `{}` ({})",
                    first.target,
                    first.place()
                ),
                false,
            )?;
        }
        let silent: Vec<&Example> =
            split.examples.iter().filter(|example| takes_silence(example, metric)).collect();
        if let [first, ..] = silent[..] {
            let count = silent.len();
            tell(
                format!(
                    "{metric} takes an empty answer for right on {count} of {rows} {name} rows, for without \
                     articles and punctuation nothing is left of answers such as `{}` ({})",
                    first.target,
                    first.place()
                ),
                count == rows,
            )?;
        }
    }
    Ok(())
}

/// Whether a score falls short of the best one; it may lie within rounding of it.
fn is_short_of_perfect(metric: Metric, score: f64) -> bool {
    if metric.is_error() { score > NOTHING } else { score < 100.0 - NOTHING }
}

/// Whether a row wants a number below 0, where what stands for an unreadable answer is no longer outside the scale.
fn is_near_unreadable(example: &Example, metric: Metric) -> bool {
    metric.reads_numbers() && example.answers[0].trim().parse().is_ok_and(|number: f64| number < 0.0)
}

/// One answer to every row can be learned, but not where no training row has it: hidden labels are such.
fn check_only_answer(task: &Task, role: Role, split: &Split, train: &Split) -> Result<(), TaskError> {
    let name = role.name();
    let Some(only) = only_answer(split) else { return Ok(()) };
    if !train.examples.iter().any(|example| example.answers[0] == only) {
        return Err(task.wrong(format!(
            "`split`: every answer of the {name} split is `{only}`, which no training row has; are its labels hidden?"
        )));
    }
    say!(
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

/// Labels are different answers, and must stay so when a metric compares them.
fn check_labels(task: &Task, metric: Metric) -> Result<(), String> {
    let mut first = HashMap::new();
    for word in task.spec.labels.iter().flat_map(|labels| labels.words()) {
        let earlier = *first.entry(metric.compared(word)).or_insert(word);
        if earlier != word {
            return Err(format!(
                "{metric} takes the labels `{earlier}` and `{word}` for the same; take a metric that compares all of \
                 a text, such as accuracy"
            ));
        }
    }
    Ok(())
}

/// What a split's own answers score.
fn perfect_score(split: &Split, metric: Metric, classes: &[String]) -> Result<f64, String> {
    let answers: Vec<Answer> =
        split.examples.iter().map(|example| answered(example, best(example, metric))).collect();
    metric.score(&answers, Some(classes)).map_err(|error| match error {
        MetricError::Row { row, problem } => format!("{} has {problem}", split.examples[row].place()),
        other => other.to_string(),
    })
}

fn answered(example: &Example, answer: &str) -> Answer {
    Answer { prediction: answer.into(), targets: example.answers.clone(), group: example.group.clone() }
}

/// Whether an answer to a single row gets anything.
fn is_right(example: &Example, answer: &str, metric: Metric) -> bool {
    let gets_anything = |score: f64| match metric.is_error() {
        true => !is_short_of_perfect(metric, score),
        false => score > NOTHING,
    };
    metric.score(&[answered(example, answer)], None).is_ok_and(gets_anything)
}

/// The first accepted answer that gets anything.
fn best(example: &Example, metric: Metric) -> &str {
    match &example.answers[..] {
        [only] => only,
        several => several.iter().find(|answer| is_right(example, answer, metric)).unwrap_or(&several[0]),
    }
}

/// Whether an empty answer is right for a row that wants another one.
fn takes_silence(example: &Example, metric: Metric) -> bool {
    let vanishes = |answer: &String| metric.compared(answer).is_empty() && !answer.trim().is_empty();
    example.answers.iter().any(vanishes) && is_right(example, "", metric)
}

/// Why perfect answers do not score 100, as the end of a sentence.
fn reason(split: &Split, metric: Metric, classes: &[String]) -> String {
    let answers = || split.examples.iter().map(|example| &*example.answers[0]);
    let vanishing: Vec<&Example> =
        split.examples.iter().filter(|example| metric.compared(best(example, metric)).is_empty()).collect();
    if let [first, ..] = vanishing[..] {
        return format!(
            ", for without articles and punctuation nothing is left of {} of its {} answers, such as `{}` ({})",
            vanishing.len(),
            split.len(),
            first.target,
            first.place()
        );
    }
    if metric.uses_classes() {
        let absent: Vec<&String> =
            classes.iter().filter(|class| answers().all(|answer| answer != **class)).collect();
        return format!(
            ", for it averages over all {} classes, and no row has {} of them, such as `{}`",
            classes.len(),
            absent.len(),
            absent.first().map_or("", |class| class)
        );
    }
    match only_answer(split) {
        Some(only) => format!(", for every answer is `{only}`; are its labels hidden?"),
        None if split.len() == 1 => ", for it has only one row".into(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_below_zero_are_near_what_an_unreadable_answer_counts_as() {
        let near = |target: &str, metric| {
            let example = Example {
                row: 0,
                line: None,
                source: String::new(),
                target: target.into(),
                answers: vec![target.into()],
                group: None,
                class: None,
                part: None,
            };
            is_near_unreadable(&example, metric)
        };
        for metric in Metric::ALL {
            assert_eq!(near("-0.5", metric), metric.reads_numbers(), "{metric}");
            assert!(!near("0.5", metric) && !near("-x", metric), "{metric}");
        }
    }

    #[test]
    fn an_error_is_perfect_at_zero_and_a_percentage_at_100() {
        for metric in Metric::ALL {
            let (perfect, bad) = if metric.is_error() { (0.0, 100.0) } else { (100.0, 0.0) };
            assert!(!is_short_of_perfect(metric, perfect) && is_short_of_perfect(metric, bad), "{metric}");
        }
    }
}
