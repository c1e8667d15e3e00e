use std::fmt;

use serde::{Deserialize, Serialize};

use super::evaluate::Scores;
use crate::metric::Metric;
use crate::task::{Metrics, TaskSpec};

/// Which scores on the validation split choose a checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Selection {
    /// The task's `metrics.select`, as in the code of DePT and ADePT.
    #[default]
    First,
    /// The mean of the task's `metrics.average`, as in ATTEMPT's code.
    Average,
}

impl Selection {
    /// What it means for a task; for a mixture, the mean over its tasks of what it means for each.
    pub fn criterion(self, spec: &TaskSpec) -> Criterion {
        match &spec.mixture[..] {
            [] => Criterion::Metrics(self.metrics(&spec.metrics)),
            tasks => Criterion::Tasks(tasks.iter().map(|task| self.metrics(&task.metrics)).collect()),
        }
    }

    fn metrics(self, metrics: &Metrics) -> Vec<Metric> {
        match self {
            Self::Average if !metrics.average.is_empty() => metrics.average.clone(),
            _ => vec![metrics.select],
        }
    }
}

/// What chooses a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Criterion {
    /// The mean of metrics: at least one, all of them percentages or all errors.
    Metrics(Vec<Metric>),
    /// The mean over the tasks of a mixture, in its order, of the mean of each one's metrics, all of them percentages.
    Tasks(Vec<Vec<Metric>>),
}

/// The score of a mixture that [`Criterion::Tasks`] goes by.
pub(super) const TASK_AVERAGE: &str = "task-average";

/// How criteria over tasks begin.
const OVER_TASKS: &str = "mean over tasks of ";

impl Criterion {
    /// What [`fmt::Display`] makes of a criterion, read back; `None` for other text.
    pub fn parse(text: &str) -> Option<Self> {
        let metrics = |text: &str| -> Option<Vec<Metric>> {
            let names = text.strip_prefix("mean of ").unwrap_or(text).split(" and ");
            names.map(|name| name.parse().ok()).collect()
        };
        match text.strip_prefix(OVER_TASKS) {
            Some(tasks) => tasks.split("; ").map(metrics).collect::<Option<_>>().map(Self::Tasks),
            None => metrics(text).map(Self::Metrics),
        }
    }

    /// Whether it is an error, so that the lowest is the best.
    pub fn is_error(&self) -> bool {
        match self {
            Self::Metrics(metrics) => metrics.iter().any(|metric| metric.is_error()),
            Self::Tasks(_) => false,
        }
    }

    /// The mean, in percent or, of errors, in the targets' units.
    ///
    /// # Panics
    /// When one of the metrics has no score.
    pub fn score(&self, scores: &Scores) -> f64 {
        match self {
            Self::Metrics(metrics) => {
                metrics.iter().map(|metric| scores[metric.name()]).sum::<f64>() / metrics.len() as f64
            }
            Self::Tasks(_) => scores[TASK_AVERAGE],
        }
    }

    /// Whether a checkpoint of this score takes the place of the best one so far: the first of equals
    /// stays, as in transformers' Trainer, and what is no number never wins.
    pub fn prefers(&self, score: f64, best: Option<f64>) -> bool {
        let is_better = |best| if self.is_error() { score < best } else { score > best };
        score.is_finite() && best.is_none_or(is_better)
    }
}

impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Metrics(metrics) => f.write_str(&described(metrics)),
            Self::Tasks(tasks) => {
                let tasks: Vec<String> = tasks.iter().map(|metrics| described(metrics)).collect();
                write!(f, "{OVER_TASKS}{}", tasks.join("; "))
            }
        }
    }
}

fn described(metrics: &[Metric]) -> String {
    let names: Vec<&str> = metrics.iter().map(|metric| metric.name()).collect();
    match &names[..] {
        [one] => one.to_string(),
        several => format!("mean of {}", several.join(" and ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(text: &str) -> Metrics {
        toml::from_str(text).unwrap()
    }

    fn criterion(selection: Selection, metrics: &Metrics) -> Criterion {
        Criterion::Metrics(selection.metrics(metrics))
    }

    #[test]
    fn the_average_of_the_named_metrics_chooses_where_it_is_asked_for() {
        let scores: Scores = [("accuracy", 90.0), ("f1", 80.0), ("matthews", 10.0)]
            .into_iter()
            .map(|(name, score)| (name.to_string(), score))
            .collect();
        let metrics =
            metrics("select = \"accuracy\"\nalso = [\"matthews\"]\naverage = [\"accuracy\", \"f1\"]");
        let (first, average) =
            (criterion(Selection::First, &metrics), criterion(Selection::Average, &metrics));
        assert_eq!((first.score(&scores), average.score(&scores)), (90.0, 85.0));
        assert_eq!(
            (first.to_string(), average.to_string()),
            ("accuracy".into(), "mean of accuracy and f1".into())
        );
    }

    #[test]
    fn a_task_of_one_metric_has_it_for_its_average() {
        let metrics = metrics("select = \"matthews\"\nalso = [\"accuracy\"]");
        assert_eq!(criterion(Selection::Average, &metrics), criterion(Selection::First, &metrics));
    }

    #[test]
    fn the_first_of_equals_stays_and_what_is_no_number_never_wins() {
        let accuracy = Criterion::Metrics(vec![Metric::Accuracy]);
        assert!(accuracy.prefers(0.0, None) && accuracy.prefers(75.1, Some(75.0)));
        assert!(!accuracy.prefers(75.0, Some(75.0)) && !accuracy.prefers(74.9, Some(75.0)));
        for score in [f64::NAN, f64::INFINITY] {
            assert!(!accuracy.prefers(score, None) && !accuracy.prefers(score, Some(0.0)));
        }
    }

    #[test]
    fn the_lowest_error_is_preferred() {
        let error = Criterion::Metrics(vec![Metric::MeanAbsoluteError]);
        assert!(error.prefers(0.4, None) && error.prefers(0.3, Some(0.4)));
        assert!(!error.prefers(0.4, Some(0.4)) && !error.prefers(0.5, Some(0.4)));
        for score in [f64::NAN, f64::NEG_INFINITY] {
            assert!(!error.prefers(score, None) && !error.prefers(score, Some(1.0)));
        }
    }

    #[test]
    fn criteria_are_read_as_they_are_written() {
        for metrics in [&[Metric::Accuracy][..], &[Metric::MeanAbsoluteError, Metric::RootMeanSquaredError]] {
            let criterion = Criterion::Metrics(metrics.to_vec());
            assert_eq!(Criterion::parse(&criterion.to_string()).as_ref(), Some(&criterion));
            assert_eq!(criterion.is_error(), metrics[0].is_error());
        }
        let tasks = Criterion::Tasks(vec![vec![Metric::Pearson, Metric::Spearman], vec![Metric::Accuracy]]);
        assert_eq!(tasks.to_string(), "mean over tasks of mean of pearson and spearman; accuracy");
        assert_eq!(Criterion::parse(&tasks.to_string()), Some(tasks));
        assert_eq!(Criterion::parse("average"), None);
    }
}
