use std::collections::BTreeMap;

use peft_model::{Adaptation, Backbone, Rows};

use crate::data::Split;
use crate::metric::{Answer, Metric, MetricError};
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
    // Rows of similar length together pad least.
    let mut order: Vec<usize> = (0..split.len()).collect();
    order.sort_by_key(|&row| std::cmp::Reverse(split.pairs[row].source.len()));
    let mut predictions = vec![vec![String::new(); split.len()]; runs];
    for rows in order.chunks(generation.batch_size) {
        let sources: Vec<&[u32]> = rows.iter().map(|&row| split.pairs[row].source.as_slice()).collect();
        let padding = backbone.padding(adaptation.method);
        let sources = Rows::new(&vec![sources; runs], padding, backbone.device());
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
    let answers: Vec<Answer> = split
        .examples
        .iter()
        .zip(predictions)
        .map(|(example, prediction)| Answer {
            prediction: prediction.clone(),
            targets: example.answers.clone(),
            group: example.group.clone(),
        })
        .collect();
    metrics.iter().map(|&metric| Ok((metric.to_string(), metric.score(&answers, Some(classes))?))).collect()
}
