//! Scores of what cells answered, without training: by metrics that were added or changed since.

use std::collections::BTreeSet;

use polars::prelude::*;

use super::predictions::{
    PredictionsError, SCORE, SPLITS, SplitPredictions, item_scores, of_split, predictions_file, right,
};
use super::record::Record;
use super::store::{Store, StoreError};
use crate::metric::{Answer, Metric, MetricError};
use crate::task::Role;
use crate::train::Scores;

/// Why a cell cannot be scored again.
#[derive(Debug, thiserror::Error)]
pub enum RescoreError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cell {cell}: {problem}")]
    Predictions { cell: String, problem: String },
    #[error(
        "cell {cell}: its predictions give {metric} {found} on the {split} split, and its record says {recorded}; \
         remove predictions/{cell}.parquet if it is not of this cell"
    )]
    Contradiction { cell: String, metric: String, split: &'static str, found: f64, recorded: f64 },
}

/// What became of a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Rescored {
    /// It had these metrics, or none could be added.
    Unchanged,
    /// It lacks what it answered: an earlier program made it, or nothing was trained well enough to answer.
    WithoutPredictions,
    /// These metrics are new in it.
    Added(Vec<String>),
}

/// How far a score may be from the recorded one: its last bits.
const TOLERANCE: f64 = 1e-9;

/// Scores a cell's predictions by these metrics and by those that it has, and writes what is new.
///
/// # Errors
/// When its predictions are damaged, give other scores than the recorded ones, or do not suit a metric.
pub fn rescore(store: &Store, record: &Record, metrics: &[Metric]) -> Result<Rescored, RescoreError> {
    let Some(name) = record.evidence.as_ref().and_then(|evidence| evidence.items.as_ref()) else {
        return Ok(Rescored::WithoutPredictions);
    };
    let (Some(items), Some(frame)) = (store.items(name)?, store.predictions(&record.cell)?) else {
        return Ok(Rescored::WithoutPredictions);
    };
    let wrong = |problem: String| RescoreError::Predictions { cell: record.cell.clone(), problem };
    let splits = SPLITS.map(|split| of_split(&items, &frame, split));
    let splits: Vec<SplitPredictions> =
        splits.into_iter().collect::<PolarsResult<_>>().map_err(|e| wrong(e.to_string()))?;
    let answers: Vec<Vec<Answer>> = splits.iter().map(SplitPredictions::answers).collect();
    let classes = record.labels();
    let recorded = [record.validation_scores(), record.test_scores()];
    let mut new = [Scores::new(), Scores::new()];
    let mut added = Vec::new();
    for metric in all(record, metrics) {
        if metric.uses_classes() && classes.is_none() {
            continue;
        }
        let mut is_new = false;
        for (place, split) in SPLITS.into_iter().enumerate() {
            let found = metric.score(&answers[place], classes.as_deref());
            let found = found.map_err(|e| wrong(problem(metric, split, &e)))?;
            match recorded[place].get(metric.name()) {
                Some(&recorded) => check(record, metric, split, found, recorded)?,
                None => is_new |= new[place].insert(metric.to_string(), found).is_none(),
            }
        }
        added.extend(is_new.then(|| metric.to_string()));
    }
    if added.is_empty() {
        return Ok(Rescored::Unchanged);
    }
    let scored: Vec<Metric> = all(record, metrics);
    let frame = with_scores(frame, &answers, &scored, record).map_err(|e| wrong(e.to_string()))?;
    store.write_table(&predictions_file(&record.cell), frame)?;
    store.write(&Record {
        validation_scores: extended(&record.validation_scores, &new[0]),
        test_scores: extended(&record.test_scores, &new[1]),
        ..record.clone()
    })?;
    Ok(Rescored::Added(added))
}

/// The metrics that a cell has, and more.
fn all(record: &Record, more: &[Metric]) -> Vec<Metric> {
    let own = record.test_scores();
    let own = own.keys().filter_map(|name| name.parse::<Metric>().ok());
    let mut seen = BTreeSet::new();
    own.chain(more.iter().copied()).filter(|metric| seen.insert(*metric)).collect()
}

/// Refuses predictions that do not give the score that was recorded.
fn check(
    record: &Record,
    metric: Metric,
    split: Role,
    found: f64,
    recorded: f64,
) -> Result<(), RescoreError> {
    match (recorded - found).abs() <= TOLERANCE {
        true => Ok(()),
        false => Err(RescoreError::Contradiction {
            cell: record.cell.clone(),
            metric: metric.to_string(),
            split: split.name(),
            found,
            recorded,
        }),
    }
}

/// A JSON object of scores with more of them; what is there keeps its digits, which reading could change.
fn extended(scores: &str, new: &Scores) -> String {
    let new = serde_json::json!(new).to_string();
    match (scores.trim_end_matches('}'), new.trim_start_matches('{')) {
        ("{", rest) => format!("{{{rest}"),
        (_, "}") => scores.into(),
        (own, rest) => format!("{own},{rest}"),
    }
}

/// The table of predictions with the columns of these metrics.
fn with_scores(
    mut frame: DataFrame,
    answers: &[Vec<Answer>],
    metrics: &[Metric],
    record: &Record,
) -> Result<DataFrame, PredictionsError> {
    let reported: Metric = record.metric.parse()?;
    let old: Vec<PlSmallStr> =
        frame.get_column_names_owned().into_iter().filter(|name| name.starts_with(SCORE)).collect();
    frame = frame.drop_many(old);
    frame.with_column(right(answers, reported)?.into_column())?;
    for column in item_scores(answers, metrics)? {
        frame.with_column(column.into_column())?;
    }
    Ok(frame)
}

fn problem(metric: Metric, split: Role, error: &MetricError) -> String {
    format!("{metric} does not suit its {} split: {error}", split.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_added_and_the_others_keep_their_digits() {
        let new = Scores::from([("f1".to_string(), 2.5)]);
        assert_eq!(extended("{}", &new), "{\"f1\":2.5}");
        assert_eq!(extended("{\"a\":1.00000000000000001}", &new), "{\"a\":1.00000000000000001,\"f1\":2.5}");
        assert_eq!(extended("{\"a\":1}", &Scores::new()), "{\"a\":1}");
    }
}
