use std::collections::BTreeMap;

use burn::tensor::Tensor;
use peft_model::{Adaptation, Backbone, Batch, Rows};

use super::training::to_host;
use crate::data::Split;
use crate::metric::{Answer, Metric, MetricError};
use crate::task::Example;
use crate::tokenizer::Tokenizer;

/// Scores by metric name.
pub type Scores = BTreeMap<String, f64>;

/// How answers are generated.
#[derive(Debug, Clone, Copy)]
pub struct Generation {
    pub batch_size: usize,
    pub max_new_tokens: usize,
}

/// Generates an answer to every row, for each run side by side: texts in the order of the rows. `done` is told the
/// number of rows of each batch, and can end it.
///
/// # Errors
/// Those of `done`.
pub fn predict<E>(
    backbone: &dyn Backbone,
    adaptation: &Adaptation,
    split: &Split,
    tokenizer: &Tokenizer,
    generation: Generation,
    mut done: impl FnMut(usize) -> Result<(), E>,
) -> Result<Vec<Vec<String>>, E> {
    let runs = adaptation.parameters.runs();
    let mut predictions = vec![vec![String::new(); split.len()]; runs];
    for rows in longest_first(split).chunks(generation.batch_size) {
        let sources: Vec<&[u32]> = rows.iter().map(|&row| split.pairs[row].source.as_slice()).collect();
        let padding = backbone.padding(adaptation.method);
        let mut sources = Rows::new(&vec![sources; runs], padding, backbone.device());
        if let Some(parts) = split.parts(rows.iter().copied()) {
            sources = sources.of_tasks(&vec![parts; runs]);
        }
        let generated = backbone.generate(adaptation, sources, generation.max_new_tokens);
        for (run, answers) in generated.iter().enumerate() {
            for (&row, ids) in rows.iter().zip(answers) {
                predictions[run][row] = tokenizer.decode_cleaned(ids);
            }
        }
        done(rows.len())?;
    }
    Ok(predictions)
}

/// Log-probability of each label as the answer to each row, EOS token included, for each run side by side:
/// `[run][row][label]`. `done` is told the number of rows of each batch, and can end it.
///
/// # Errors
/// Those of `done`.
pub fn label_log_probabilities<E>(
    backbone: &dyn Backbone,
    adaptation: &Adaptation,
    split: &Split,
    labels: &[Vec<u32>],
    batch_size: usize,
    mut done: impl FnMut(usize) -> Result<(), E>,
) -> Result<Vec<Vec<Vec<f32>>>, E> {
    let runs = adaptation.parameters.runs();
    let mut all = vec![vec![Vec::new(); split.len()]; runs];
    for rows in longest_first(split).chunks(batch_size) {
        let batch = |label: &Vec<u32>| {
            let pair = |&row: &usize| (split.pairs[row].source.as_slice(), label.as_slice());
            let pairs: Vec<(&[u32], &[u32])> = rows.iter().map(pair).collect();
            let padding = backbone.padding(adaptation.method);
            let mut batch = Batch::new(&vec![pairs; runs], padding, backbone.device());
            if let Some(parts) = split.parts(rows.iter().copied()) {
                batch.tell_tasks(&vec![parts; runs]);
            }
            batch
        };
        let batches: Vec<Batch> = labels.iter().map(batch).collect();
        let found = backbone.alternative_log_probabilities(adaptation, &batches);
        // `[runs, rows, labels]`, in one transfer.
        let found = to_host(Tensor::stack::<3>(found, 2).flatten(0, 2));
        for (run, found) in found.chunks(rows.len() * labels.len()).enumerate() {
            for (&row, found) in rows.iter().zip(found.chunks(labels.len())) {
                all[run][row] = found.to_vec();
            }
        }
        done(rows.len())?;
    }
    Ok(all)
}

/// Rows in an order in which those of similar length are together: they pad least.
fn longest_first(split: &Split) -> Vec<usize> {
    let mut order: Vec<usize> = (0..split.len()).collect();
    order.sort_by_key(|&row| std::cmp::Reverse(split.pairs[row].source.len()));
    order
}

/// What metrics score: predictions beside the answers that their rows accept.
pub fn answers(examples: &[Example], predictions: &[String]) -> Vec<Answer> {
    let answer = |(example, prediction): (&Example, &String)| Answer {
        prediction: prediction.clone(),
        targets: example.answers.clone(),
        group: example.group.clone(),
    };
    examples.iter().zip(predictions).map(answer).collect()
}

/// The mean over a mixture's tasks of the mean of each one's metrics on its rows; tasks without rows are left out.
/// `classes` are those of each task.
///
/// # Errors
/// When a metric cannot take the targets of its task.
pub(super) fn task_average(
    split: &Split,
    predictions: &[String],
    tasks: &[Vec<Metric>],
    classes: &[Vec<String>],
) -> Result<f64, MetricError> {
    let mut of_tasks: Vec<Vec<Answer>> = vec![Vec::new(); tasks.len()];
    for (example, answer) in split.examples.iter().zip(answers(&split.examples, predictions)) {
        of_tasks[example.part.unwrap_or_default() as usize].push(answer);
    }
    let with_rows = of_tasks.iter().zip(tasks).zip(classes).filter(|((answers, _), _)| !answers.is_empty());
    let scores = with_rows.map(|((answers, metrics), classes)| {
        let scores = metrics.iter().map(|metric| metric.score(answers, Some(classes)));
        Ok(scores.sum::<Result<f64, MetricError>>()? / metrics.len() as f64)
    });
    let scores = scores.collect::<Result<Vec<f64>, MetricError>>()?;
    Ok(scores.iter().sum::<f64>() / scores.len() as f64)
}

/// Scores one run's predictions; `classes` are those of the task.
///
/// # Errors
/// When a metric cannot take the task's targets.
pub fn score(
    split: &Split,
    predictions: &[String],
    metrics: &[Metric],
    classes: &[String],
) -> Result<Scores, MetricError> {
    let answers = answers(&split.examples, predictions);
    metrics.iter().map(|&metric| Ok((metric.to_string(), metric.score(&answers, Some(classes))?))).collect()
}
