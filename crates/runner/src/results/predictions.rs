//! What a cell's best checkpoint answered, item by item: `predictions/<id>.parquet`, and beside them the items
//! themselves, once for all cells that have the same: `items/<digest>.parquet`.

use polars::prelude::*;

use super::store::{Store, StoreError};
use crate::files::digest::Digest;
use crate::metric::{Answer, Metric, MetricError};
use crate::task::{Example, Role};
use crate::train::{self, Answers};

/// The splits whose answers are kept.
pub const SPLITS: [Role; 2] = [Role::Validation, Role::Test];

/// How the columns of scores and of log-probabilities begin; the metric's name or the label follows.
pub const SCORE: &str = "score_";
pub const LOG_PROBABILITY: &str = "log_probability_";

/// Rows of the splits and what was answered to them.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    pub examples: [&'a [Example]; SPLITS.len()],
    pub answers: [&'a Answers; SPLITS.len()],
}

/// An item as metrics and readers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub source: String,
    pub target: String,
    /// Accepted answers as a model can give them, the target's first.
    pub answers: Vec<String>,
    pub group: Option<String>,
}

/// Items and answers of one split, read back.
#[derive(Debug, Clone, PartialEq)]
pub struct SplitPredictions {
    pub items: Vec<Item>,
    pub predictions: Vec<String>,
}

impl SplitPredictions {
    /// What metrics score.
    pub fn answers(&self) -> Vec<Answer> {
        let pairs = self.items.iter().zip(&self.predictions);
        let answer = |(item, prediction): (&Item, &String)| Answer {
            prediction: prediction.clone(),
            targets: item.answers.clone(),
            group: item.group.clone(),
        };
        pairs.map(answer).collect()
    }
}

impl Answered<'_> {
    /// The items as a table, one row each.
    fn items(&self) -> PolarsResult<DataFrame> {
        let rows = || self.rows();
        let answers: ListChunked =
            rows().map(|(_, row)| Some(Series::new(PlSmallStr::EMPTY, row.answers.as_slice()))).collect();
        df!(
            "split" => rows().map(|(role, _)| role.name()).collect::<Vec<_>>(),
            "item" => self.numbers(),
            "row" => rows().map(|(_, row)| row.row).collect::<Vec<_>>(),
            "source" => rows().map(|(_, row)| row.source.as_str()).collect::<Vec<_>>(),
            "target" => rows().map(|(_, row)| row.target.as_str()).collect::<Vec<_>>(),
            "answers" => answers.into_series(),
            "group" => rows().map(|(_, row)| row.group.as_deref()).collect::<Vec<_>>(),
        )
    }

    /// The answers as a table, one row each; `reported` says which are right.
    fn predictions(
        &self,
        metrics: &[Metric],
        reported: Metric,
        labels: &[String],
    ) -> Result<DataFrame, PredictionsError> {
        let rows = || self.rows();
        let predictions = || self.answers.iter().flat_map(|answers| &answers.predictions);
        let mut columns = df!(
            "split" => rows().map(|(role, _)| role.name()).collect::<Vec<_>>(),
            "item" => self.numbers(),
            "target" => rows().map(|(_, row)| row.target.as_str()).collect::<Vec<_>>(),
            "prediction" => predictions().map(String::as_str).collect::<Vec<_>>(),
        )?;
        let answers: [Vec<Answer>; SPLITS.len()] = std::array::from_fn(|split| {
            train::answers(self.examples[split], &self.answers[split].predictions)
        });
        columns.with_column(right(&answers, reported)?.into_column())?;
        for series in item_scores(&answers, metrics)? {
            columns.with_column(series.into_column())?;
        }
        for (place, label) in labels.iter().enumerate() {
            let all = self.answers.iter().flat_map(|answers| &answers.label_log_probabilities);
            let values: Vec<f32> = all.filter_map(|row| row.get(place).copied()).collect();
            if values.len() == columns.height() {
                let name = format!("{LOG_PROBABILITY}{label}");
                columns.with_column(Series::new(name.into(), values).into_column())?;
            }
        }
        Ok(columns)
    }

    /// The items with their splits.
    fn rows(&self) -> impl Iterator<Item = (Role, &Example)> {
        SPLITS.into_iter().zip(self.examples).flat_map(|(role, rows)| rows.iter().map(move |row| (role, row)))
    }

    /// The place of each item in its split, from 0.
    fn numbers(&self) -> Vec<u32> {
        self.examples.iter().flat_map(|rows| 0..rows.len() as u32).collect()
    }
}

/// Why there is no table of predictions.
#[derive(Debug, thiserror::Error)]
pub enum PredictionsError {
    #[error(transparent)]
    Metric(#[from] MetricError),
    #[error(transparent)]
    Table(#[from] PolarsError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is right, over all splits.
pub(super) fn right(answers: &[Vec<Answer>], reported: Metric) -> Result<Series, MetricError> {
    let mut all = Vec::new();
    for answers in answers {
        all.extend(reported.right(answers)?);
    }
    Ok(Series::new("right".into(), all))
}

/// A column of each metric that has scores of items, over all splits.
pub(super) fn item_scores(answers: &[Vec<Answer>], metrics: &[Metric]) -> Result<Vec<Series>, MetricError> {
    let mut columns = Vec::new();
    for metric in metrics {
        let splits = answers.iter().map(|answers| metric.item_scores(answers));
        let splits: Option<Vec<_>> = splits.collect::<Result<_, _>>()?;
        let scores = splits.map(|splits| splits.concat());
        columns.extend(scores.map(|scores| Series::new(format!("{SCORE}{metric}").into(), scores)));
    }
    Ok(columns)
}

impl Store {
    /// Writes what a cell answered, and the items where they are not there yet, or damaged; gives the items' name.
    ///
    /// # Errors
    /// When a metric cannot take the targets, the disk is full or the folder not writable.
    pub fn write_predictions(
        &self,
        cell: &str,
        answered: Answered,
        metrics: &[Metric],
        reported: Metric,
        labels: &[String],
    ) -> Result<String, PredictionsError> {
        let examples = answered.examples.map(|rows| rows.iter().map(content).collect::<Vec<_>>());
        let name = Digest::of_json(&serde_json::json!(examples)).short();
        if !self.is_intact(&items_file(&name)) {
            self.write_table(&items_file(&name), answered.items()?)?;
        }
        let predictions = answered.predictions(metrics, reported, labels)?;
        self.write_table(&predictions_file(cell), predictions)?;
        Ok(name)
    }

    /// The table of what a cell answered; `None` where none was kept, or it is damaged, which is told.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn predictions(&self, cell: &str) -> Result<Option<DataFrame>, StoreError> {
        self.read_table(&predictions_file(cell))
    }

    /// The table of items; as [`predictions`](Self::predictions).
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn items(&self, name: &str) -> Result<Option<DataFrame>, StoreError> {
        self.read_table(&items_file(name))
    }
}

/// All that tells an item from another.
fn content(row: &Example) -> serde_json::Value {
    serde_json::json!([row.row, row.source, row.target, row.answers, row.group])
}

/// Where a cell's predictions are in a results folder.
pub fn predictions_file(cell: &str) -> String {
    format!("predictions/{cell}.parquet")
}

/// Where items are in a results folder.
pub fn items_file(name: &str) -> String {
    format!("items/{name}.parquet")
}

/// Joins the answers of a split to its items.
///
/// # Errors
/// When the tables are not of the same items.
pub fn of_split(items: &DataFrame, predictions: &DataFrame, split: Role) -> PolarsResult<SplitPredictions> {
    let (items, predictions) = (only(items, split)?, only(predictions, split)?);
    let same = items.column("item")?.equals(predictions.column("item")?)
        && items.column("target")?.equals(predictions.column("target")?);
    if !same {
        polars_bail!(ComputeError: "its predictions are not of the items that its record names");
    }
    let text = |frame: &DataFrame, column: &str| -> PolarsResult<Vec<String>> {
        Ok(frame.column(column)?.str()?.iter().map(|text| text.unwrap_or_default().into()).collect())
    };
    let (sources, targets) = (text(&items, "source")?, text(&items, "target")?);
    let groups = items.column("group")?.str()?.iter().map(|group| group.map(String::from));
    let answers =
        items.column("answers")?.list()?.series_iter().map(|answers| -> PolarsResult<Vec<String>> {
            let answers = answers.unwrap_or_default();
            Ok(answers.str()?.iter().map(|answer| answer.unwrap_or_default().into()).collect())
        });
    let rows = sources.into_iter().zip(targets).zip(groups).zip(answers);
    let item = |(((source, target), group), answers): (_, PolarsResult<Vec<String>>)| {
        Ok(Item { source, target, answers: answers?, group })
    };
    Ok(SplitPredictions {
        items: rows.map(item).collect::<PolarsResult<_>>()?,
        predictions: text(&predictions, "prediction")?,
    })
}

/// The rows of one split.
fn only(frame: &DataFrame, split: Role) -> PolarsResult<DataFrame> {
    let of_split: BooleanChunked =
        frame.column("split")?.str()?.iter().map(|name| Some(name == Some(split.name()))).collect();
    frame.filter(&of_split)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(row: u32, target: &str) -> Example {
        Example {
            row,
            line: None,
            source: format!("source {row}"),
            target: target.into(),
            answers: vec![target.into(), format!("{target} too")],
            group: (row == 1).then(|| "g".into()),
            class: None,
            part: None,
        }
    }

    fn answers(texts: &[&str]) -> Answers {
        Answers {
            predictions: texts.iter().map(ToString::to_string).collect(),
            label_log_probabilities: texts.iter().map(|_| vec![-0.5, -1.5]).collect(),
        }
    }

    #[test]
    fn answers_are_read_back_with_their_items_and_items_are_kept_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let validation = [example(0, "yes")];
        let test = [example(0, "no"), example(1, "yes"), example(5, "")];
        let (of_validation, of_test) = (answers(&["yes"]), answers(&["no too", "no", "x"]));
        let answered = Answered { examples: [&validation, &test], answers: [&of_validation, &of_test] };
        let metrics = [Metric::ExactMatch, Metric::SquadF1];
        let labels = ["yes", "no"].map(String::from);
        let write =
            |cell| store.write_predictions(cell, answered, &metrics, Metric::SquadF1, &labels).unwrap();
        assert_eq!(write("a"), write("b"));
        assert_eq!(std::fs::read_dir(folder.path().join("items")).unwrap().count(), 1);
        let path = folder.path().join(items_file(&write("a")));
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        write("b");
        assert_eq!(std::fs::read(&path).unwrap(), whole, "what is damaged is made anew");

        let (items, predictions) =
            (store.items(&write("a")).unwrap().unwrap(), store.predictions("a").unwrap().unwrap());
        let read = of_split(&items, &predictions, Role::Test).unwrap();
        assert_eq!(read.predictions, ["no too", "no", "x"]);
        assert_eq!(read.items[1].answers, ["yes", "yes too"]);
        assert_eq!((&*read.items[2].source, read.items[1].group.as_deref()), ("source 5", Some("g")));
        assert_eq!(read.answers()[0].targets, ["no", "no too"]);
        let right: Vec<Option<bool>> = predictions.column("right").unwrap().bool().unwrap().iter().collect();
        assert_eq!(right, [true, true, false, false].map(Some));
        let of = |name: &str| predictions.column(name).unwrap().clone();
        assert_eq!(of("score_exact-match").f64().unwrap().get(1), Some(100.0));
        assert_eq!(of("log_probability_no").f32().unwrap().get(3), Some(-1.5));

        let other = predictions.head(Some(3));
        assert!(of_split(&items, &other, Role::Test).is_err());
        assert!(store.predictions("c").unwrap().is_none());
    }

    #[test]
    fn numbers_are_neither_right_nor_wrong() {
        let (rows, texts) = ([example(0, "1.0")], answers(&["1.0"]));
        let mut rows = rows;
        rows[0].answers.truncate(1);
        let answered = Answered { examples: [&rows, &rows], answers: [&texts, &texts] };
        let frame = answered.predictions(&[Metric::Pearson], Metric::Pearson, &[]).unwrap();
        assert_eq!(frame.column("right").unwrap().null_count(), 2);
        assert_eq!(frame.get_column_names(), ["split", "item", "target", "prediction", "right"]);
    }
}
