//! What a metric says of single items, so that methods can be compared item by item.

use super::answer::{Answer, each};
use super::error::MetricError;
use super::question_answering::{self, exact_match, token_f1};
use super::{Metric, Metric::*};

/// What each item is worth, in percent; `None` for one that another item stands for.
pub type ItemScores = Vec<Option<f64>>;

/// What a split's score is the mean of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeanOf {
    /// Items that are right or wrong.
    Right,
    /// Items that can be right in part: their own scores.
    Scores,
}

impl Metric {
    /// What the score of a split is the mean of; `None` for metrics of the split as a whole.
    pub const fn mean_of(self) -> Option<MeanOf> {
        match self {
            Accuracy | ExactMatch | ExactMatchFirst | RecordExactMatch => Some(MeanOf::Right),
            SquadF1 | SquadF1First | RecordF1 => Some(MeanOf::Scores),
            _ => None,
        }
    }

    /// The score of each item where the metric is their mean; `None` for metrics of the split as a whole.
    ///
    /// # Errors
    /// When a row lacks what the metric needs.
    pub fn item_scores(self, answers: &[Answer]) -> Result<Option<ItemScores>, MetricError> {
        let shares = match self {
            Accuracy => each(answers, |answer| Ok(Some(f64::from(answer.prediction == answer.target()?))))?,
            ExactMatch => question_answering::each_any_target(answers, exact_match)?,
            SquadF1 => question_answering::each_any_target(answers, token_f1)?,
            ExactMatchFirst => question_answering::each_first_target(answers, exact_match)?,
            SquadF1First => question_answering::each_first_target(answers, token_f1)?,
            RecordExactMatch => question_answering::each_first_of_group(answers, exact_match)?,
            RecordF1 => question_answering::each_first_of_group(answers, token_f1)?,
            _ => return Ok(None),
        };
        Ok(Some(shares.into_iter().map(|share| share.map(|share| 100.0 * share)).collect()))
    }

    /// Whether each answer is right: equal to the label, or to an accepted answer after normalization; `None` for an
    /// item that another one stands for, and for all items where answers are numbers, which are near or far.
    ///
    /// # Errors
    /// When a row lacks what the metric needs.
    pub fn right(self, answers: &[Answer]) -> Result<Vec<Option<bool>>, MetricError> {
        let exact = match self {
            Pearson | Spearman | MeanAbsoluteError | RootMeanSquaredError => {
                return Ok(vec![None; answers.len()]);
            }
            ExactMatch | SquadF1 => ExactMatch,
            ExactMatchFirst | SquadF1First => ExactMatchFirst,
            RecordExactMatch | RecordF1 => RecordExactMatch,
            _ => Accuracy,
        };
        let scores = exact.item_scores(answers)?.unwrap_or_default();
        Ok(scores.into_iter().map(|score| score.map(|score| score > 0.0)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(prediction: &str, targets: &[&str], group: &str) -> Answer {
        Answer {
            prediction: prediction.into(),
            targets: targets.iter().map(ToString::to_string).collect(),
            group: Some(group.into()),
        }
    }

    #[test]
    fn the_score_is_the_mean_of_its_items() {
        let answers = [
            answer("the red cat", &["red cat", "dog"], "1"),
            answer("dog", &["cat", "a dog"], "1"),
            answer("", &["no answer"], "2"),
            answer("old red house", &["the red house", "house"], "3"),
        ];
        for metric in [ExactMatch, SquadF1, ExactMatchFirst, SquadF1First, RecordExactMatch, RecordF1] {
            let items: Vec<f64> =
                metric.item_scores(&answers).unwrap().unwrap().into_iter().flatten().collect();
            let mean = items.iter().sum::<f64>() / items.len() as f64;
            assert!((mean - metric.score(&answers, None).unwrap()).abs() < 1e-12, "{metric}");
            let right: Vec<bool> = metric.right(&answers).unwrap().into_iter().flatten().collect();
            let is_right = right.iter().map(|right| 100.0 * f64::from(*right)).eq(items);
            let expected = if is_right { MeanOf::Right } else { MeanOf::Scores };
            assert_eq!(metric.mean_of(), Some(expected), "{metric}");
        }
        assert_eq!(RecordF1.right(&answers).unwrap(), [Some(true), None, Some(false), Some(false)]);
        assert_eq!(SquadF1.right(&answers).unwrap(), [true, true, false, false].map(Some));
        assert_eq!(SquadF1First.right(&answers).unwrap(), [true, false, false, false].map(Some));
    }

    #[test]
    fn labels_are_right_or_wrong_and_numbers_neither() {
        let answers = [answer("1", &["1"], "1"), answer("0", &["1"], "1"), answer("x", &["0"], "2")];
        for metric in [Accuracy, F1, MacroF1, Matthews, MultircF1a, MultircF1m, MultircExactMatch] {
            assert_eq!(metric.right(&answers).unwrap(), [true, false, false].map(Some), "{metric}");
        }
        assert_eq!(Accuracy.item_scores(&answers).unwrap().unwrap(), [100.0, 0.0, 0.0].map(Some));
        assert_eq!((F1.item_scores(&answers).unwrap(), F1.mean_of()), (None, None));
        for metric in [Pearson, Spearman, MeanAbsoluteError, RootMeanSquaredError] {
            assert_eq!(metric.right(&answers).unwrap(), [None; 3], "{metric}");
        }
    }
}
