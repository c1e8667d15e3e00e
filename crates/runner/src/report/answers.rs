//! What a cell answered to the items of the reported split: which were right, and how the answers are distributed.

use std::collections::BTreeMap;

use polars::prelude::*;
use rayon::prelude::*;

use crate::metric::{MeanOf, Metric};
use crate::results::{Record, ReportedSplit, SCORE, Store, StoreError, predictions_file};

/// Answers of one cell.
#[derive(Debug, Clone, PartialEq)]
pub struct CellAnswers {
    /// The table of items that they answer: only answers to the same items can be compared.
    pub items: String,
    /// Whether each answer is right; `None` where answers are neither right nor wrong.
    pub right: Vec<Option<bool>>,
    /// What the cell's score is the mean of, in hundredths of a percent; `None` where it is that of the split as a whole.
    pub scores: Option<Vec<i16>>,
    pub distribution: Distribution,
}

/// How answers and targets are distributed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Distribution {
    /// Number of items.
    pub items: usize,
    /// The most frequent answer and how often it was given.
    pub most_frequent: (String, usize),
    /// How often the most frequent target occurs.
    pub most_frequent_target: usize,
    /// Number of distinct targets.
    pub distinct_targets: usize,
    /// Answers that are none of the declared labels; `None` where the task declares none.
    pub outside_labels: Option<usize>,
    pub empty: usize,
}

/// The answers of all cells that have kept them, by cell.
///
/// # Errors
/// When a file is there and cannot be read.
pub(super) fn read_all(
    store: &Store,
    records: &[Record],
    split: ReportedSplit,
) -> Result<BTreeMap<String, CellAnswers>, StoreError> {
    let cells: BTreeMap<&str, &Record> =
        records.iter().map(|record| (record.cell.as_str(), record)).collect();
    let read = |(cell, record): (&&str, &&Record)| {
        Ok(read(store, record, split)?.map(|answers| (cell.to_string(), answers)))
    };
    let all: Vec<_> = cells.par_iter().map(read).collect::<Result<_, StoreError>>()?;
    Ok(all.into_iter().flatten().collect())
}

fn read(store: &Store, record: &Record, split: ReportedSplit) -> Result<Option<CellAnswers>, StoreError> {
    let Some(items) = record.evidence.as_ref().and_then(|evidence| evidence.items.clone()) else {
        return Ok(None);
    };
    let mean_of = record.metric.parse::<Metric>().ok().and_then(Metric::mean_of);
    let score = format!("{SCORE}{}", record.metric);
    let mut columns = vec!["split", "target", "prediction", "right"];
    columns.extend((mean_of == Some(MeanOf::Scores)).then_some(score.as_str()));
    let Some(frame) = store.read_columns(&predictions_file(&record.cell), Some(&columns))? else {
        return Ok(None);
    };
    // A table without these columns was not written by this program, whatever its checksum says.
    let Ok((right, distribution)) = summarize(&frame, split, record.labels().as_deref()) else {
        return Ok(None);
    };
    let scores = match mean_of {
        Some(MeanOf::Right) => Some(right.iter().flatten().map(|right| in_hundredths(*right)).collect()),
        Some(MeanOf::Scores) => graded(&frame, split, &score).ok(),
        None => None,
    };
    Ok(Some(CellAnswers { items, right, scores, distribution }))
}

/// The score of an item that is right or wrong.
fn in_hundredths(right: bool) -> i16 {
    if right { 10_000 } else { 0 }
}

/// The scores of a split's items that have one.
fn graded(frame: &DataFrame, split: ReportedSplit, column: &str) -> PolarsResult<Vec<i16>> {
    let (splits, scores) = (frame.column("split")?.str()?, frame.column(column)?.f64()?);
    let own = splits.iter().zip(scores.iter()).filter(|(name, _)| *name == Some(split.name()));
    Ok(own.filter_map(|(_, score)| Some((score? * 100.0).round() as i16)).collect())
}

fn summarize(
    frame: &DataFrame,
    split: ReportedSplit,
    labels: Option<&[String]>,
) -> PolarsResult<(Vec<Option<bool>>, Distribution)> {
    let (splits, rights) = (frame.column("split")?.str()?, frame.column("right")?.bool()?);
    let (targets, predictions) = (frame.column("target")?.str()?, frame.column("prediction")?.str()?);
    let mut right = Vec::new();
    let (mut answers, mut wanted): (BTreeMap<&str, usize>, BTreeMap<&str, usize>) = Default::default();
    let rows = splits.iter().zip(rights.iter()).zip(targets.iter().zip(predictions.iter()));
    for ((_, is_right), (target, prediction)) in rows.filter(|((name, _), _)| *name == Some(split.name())) {
        right.push(is_right);
        *wanted.entry(target.unwrap_or_default()).or_default() += 1;
        *answers.entry(prediction.unwrap_or_default()).or_default() += 1;
    }
    let most = |counts: &BTreeMap<&str, usize>| {
        let most = counts.iter().max_by_key(|(_, count)| **count);
        most.map_or((String::new(), 0), |(text, count)| (text.to_string(), *count))
    };
    let outside = |labels: &[String]| {
        answers
            .iter()
            .filter(|(text, _)| !labels.iter().any(|label| label == **text))
            .map(|(_, count)| count)
            .sum()
    };
    let distribution = Distribution {
        items: right.len(),
        most_frequent: most(&answers),
        most_frequent_target: most(&wanted).1,
        distinct_targets: wanted.len(),
        outside_labels: labels.map(outside),
        empty: answers.get("").copied().unwrap_or(0),
    };
    Ok((right, distribution))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_one_split_are_counted() {
        let frame = df!(
            "split" => ["validation", "test", "test", "test"],
            "target" => ["0", "1", "0", "1"],
            "prediction" => ["0", "1", "1", ""],
            "right" => [Some(true), Some(true), Some(false), None],
            "score_squad-f1" => [Some(0.0), Some(100.0), Some(66.666), None],
        )
        .unwrap();
        let labels = ["0", "1"].map(String::from);
        let (right, found) = summarize(&frame, ReportedSplit::Test, Some(&labels)).unwrap();
        assert_eq!(right, [Some(true), Some(false), None]);
        let expected = Distribution {
            items: 3,
            most_frequent: ("1".into(), 2),
            most_frequent_target: 2,
            distinct_targets: 2,
            outside_labels: Some(1),
            empty: 1,
        };
        assert_eq!(found, expected);
        assert_eq!(summarize(&frame, ReportedSplit::Validation, None).unwrap().0, [Some(true)]);
        assert_eq!(graded(&frame, ReportedSplit::Test, "score_squad-f1").unwrap(), [10_000, 6667]);
    }
}
