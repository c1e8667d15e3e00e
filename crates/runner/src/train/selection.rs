use std::fmt;

use serde::{Deserialize, Serialize};

use super::evaluate::Scores;
use crate::metric::Metric;
use crate::task::Metrics;

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
    /// What it means for a task of these metrics.
    pub fn criterion(self, metrics: &Metrics) -> Criterion {
        match self {
            Self::Average if !metrics.average.is_empty() => Criterion(metrics.average.clone()),
            _ => Criterion(vec![metrics.select]),
        }
    }
}

/// Metrics whose mean chooses a checkpoint: at least one, all of them percentages or all errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Criterion(Vec<Metric>);

impl Criterion {
    /// What [`fmt::Display`] makes of a criterion, read back; `None` for other text.
    pub fn parse(text: &str) -> Option<Self> {
        let names = text.strip_prefix("mean of ").unwrap_or(text).split(" and ");
        names.map(|name| name.parse().ok()).collect::<Option<_>>().map(Self)
    }

    /// Whether it is an error, so that the lowest is the best.
    pub fn is_error(&self) -> bool {
        self.0.iter().any(|metric| metric.is_error())
    }

    /// The mean, in percent or, of errors, in the targets' units.
    ///
    /// # Panics
    /// When one of the metrics has no score.
    pub fn score(&self, scores: &Scores) -> f64 {
        self.0.iter().map(|metric| scores[metric.name()]).sum::<f64>() / self.0.len() as f64
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
        let names: Vec<&str> = self.0.iter().map(|metric| metric.name()).collect();
        match &names[..] {
            [one] => f.write_str(one),
            several => write!(f, "mean of {}", several.join(" and ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(text: &str) -> Metrics {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn the_average_of_the_named_metrics_chooses_where_it_is_asked_for() {
        let scores: Scores = [("accuracy", 90.0), ("f1", 80.0), ("matthews", 10.0)]
            .into_iter()
            .map(|(name, score)| (name.to_string(), score))
            .collect();
        let metrics =
            metrics("select = \"accuracy\"\nalso = [\"matthews\"]\naverage = [\"accuracy\", \"f1\"]");
        let (first, average) = (Selection::First.criterion(&metrics), Selection::Average.criterion(&metrics));
        assert_eq!((first.score(&scores), average.score(&scores)), (90.0, 85.0));
        assert_eq!(
            (first.to_string(), average.to_string()),
            ("accuracy".into(), "mean of accuracy and f1".into())
        );
    }

    #[test]
    fn a_task_of_one_metric_has_it_for_its_average() {
        let metrics = metrics("select = \"matthews\"\nalso = [\"accuracy\"]");
        assert_eq!(Selection::Average.criterion(&metrics), Selection::First.criterion(&metrics));
    }

    #[test]
    fn the_first_of_equals_stays_and_what_is_no_number_never_wins() {
        let accuracy = Criterion(vec![Metric::Accuracy]);
        assert!(accuracy.prefers(0.0, None) && accuracy.prefers(75.1, Some(75.0)));
        assert!(!accuracy.prefers(75.0, Some(75.0)) && !accuracy.prefers(74.9, Some(75.0)));
        for score in [f64::NAN, f64::INFINITY] {
            assert!(!accuracy.prefers(score, None) && !accuracy.prefers(score, Some(0.0)));
        }
    }

    #[test]
    fn the_lowest_error_is_preferred() {
        let error = Criterion(vec![Metric::MeanAbsoluteError]);
        assert!(error.prefers(0.4, None) && error.prefers(0.3, Some(0.4)));
        assert!(!error.prefers(0.4, Some(0.4)) && !error.prefers(0.5, Some(0.4)));
        for score in [f64::NAN, f64::NEG_INFINITY] {
            assert!(!error.prefers(score, None) && !error.prefers(score, Some(1.0)));
        }
    }

    #[test]
    fn criteria_are_read_as_they_are_written() {
        for metrics in [&[Metric::Accuracy][..], &[Metric::MeanAbsoluteError, Metric::RootMeanSquaredError]] {
            let criterion = Criterion(metrics.to_vec());
            assert_eq!(Criterion::parse(&criterion.to_string()).as_ref(), Some(&criterion));
            assert_eq!(criterion.is_error(), metrics[0].is_error());
        }
        assert_eq!(Criterion::parse("average"), None);
    }
}
