//! Metrics over generated text, as ATTEMPT, DePT and ADePT compute them.

mod answer;
mod classification;
mod correlation;
mod error;
mod items;
mod numbers;
mod question_answering;
mod regression;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use peft_model::settings::nearest;
use serde::{Deserialize, Serialize};

pub use answer::Answer;
pub use error::{MetricError, RowProblem};
pub use items::{ItemScores, MeanOf};
pub use numbers::UNREADABLE;
use question_answering::{exact_match, mean_of, normalize, token_f1};

/// A score of a whole split: a percentage where higher is better, or an error where lower is ([`Metric::is_error`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Metric {
    /// Share of predictions equal to the target.
    Accuracy,
    /// F1 of class `1`; a prediction other than `0` and `1` counts as the wrong one of the two.
    F1,
    /// Unweighted mean of every class's F1, as scikit-learn's `f1_score` with `labels` and `zero_division=0`:
    /// a declared class that no row has, or only predictions, counts as 0, and a prediction outside the classes
    /// is a miss for its row's class rather than a class of its own. If the classes are not declared, they are
    /// the distinct targets and predictions, as in `f1_score` without `labels`.
    MacroF1,
    /// Matthews correlation; with more than two labels, Gorodkin's R_K (2004). A prediction outside the
    /// labels counts as a label of its own, as in scikit-learn.
    Matthews,
    /// Pearson's r; a prediction that is not a number counts as -1.
    Pearson,
    /// Spearman's rho, with mean ranks for ties; a prediction that is not a number counts as -1.
    Spearman,
    /// Share of predictions equal to any accepted answer after SQuAD v1.1's normalization.
    ExactMatch,
    /// Token F1 after SQuAD v1.1's normalization, best over the accepted answers.
    SquadF1,
    /// [`Metric::ExactMatch`] against the first accepted answer only, as the reference scores MRQA.
    ExactMatchFirst,
    /// [`Metric::SquadF1`] against the first accepted answer only, as the reference scores MRQA.
    SquadF1First,
    /// [`Metric::ExactMatch`] over ReCoRD's queries: the first row of each group represents it.
    RecordExactMatch,
    /// [`Metric::SquadF1`] over ReCoRD's queries: the first row of each group represents it.
    RecordF1,
    /// MultiRC's F1 over all answer options, whatever their question: [`Metric::F1`] under SuperGLUE's name.
    MultircF1a,
    /// Mean over MultiRC's questions (groups) of each one's macro-F1 over the labels that its targets and predictions
    /// have, as `f1_m` of the `super_glue` metric in Hugging Face's `evaluate`; a prediction other than `0` and `1`
    /// counts as the wrong one of the two. MultiRC's own script differs: it takes the F1 of the mean precision and
    /// the mean recall.
    MultircF1m,
    /// Share of MultiRC's questions (groups) with every answer option right.
    MultircExactMatch,
    /// Mean absolute difference of prediction and target, in the targets' units; a prediction that is not a finite
    /// number counts as -1, as for [`Metric::Pearson`].
    MeanAbsoluteError,
    /// Root of the mean squared difference; otherwise as [`Metric::MeanAbsoluteError`].
    RootMeanSquaredError,
}

impl Metric {
    /// Every metric, in the order of declaration.
    pub const ALL: [Self; 17] = [
        Self::Accuracy,
        Self::F1,
        Self::MacroF1,
        Self::Matthews,
        Self::Pearson,
        Self::Spearman,
        Self::ExactMatch,
        Self::SquadF1,
        Self::ExactMatchFirst,
        Self::SquadF1First,
        Self::RecordExactMatch,
        Self::RecordF1,
        Self::MultircF1a,
        Self::MultircF1m,
        Self::MultircExactMatch,
        Self::MeanAbsoluteError,
        Self::RootMeanSquaredError,
    ];

    /// Name in configuration files, on the command line and in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::F1 => "f1",
            Self::MacroF1 => "macro-f1",
            Self::Matthews => "matthews",
            Self::Pearson => "pearson",
            Self::Spearman => "spearman",
            Self::ExactMatch => "exact-match",
            Self::SquadF1 => "squad-f1",
            Self::ExactMatchFirst => "exact-match-first",
            Self::SquadF1First => "squad-f1-first",
            Self::RecordExactMatch => "record-exact-match",
            Self::RecordF1 => "record-f1",
            Self::MultircF1a => "multirc-f1a",
            Self::MultircF1m => "multirc-f1m",
            Self::MultircExactMatch => "multirc-exact-match",
            Self::MeanAbsoluteError => "mean-absolute-error",
            Self::RootMeanSquaredError => "root-mean-squared-error",
        }
    }

    /// Whether it reads predictions and targets as numbers, and a prediction that is none as [`UNREADABLE`].
    pub const fn reads_numbers(self) -> bool {
        self.is_error() || matches!(self, Self::Pearson | Self::Spearman)
    }

    /// Whether it is an error in the targets' units, where lower is better, rather than a percentage, where higher is.
    pub const fn is_error(self) -> bool {
        matches!(self, Self::MeanAbsoluteError | Self::RootMeanSquaredError)
    }

    /// Whether it compares the words of free text, rather than labels or numbers.
    pub const fn compares_words(self) -> bool {
        use Metric::*;
        matches!(self, ExactMatch | SquadF1 | ExactMatchFirst | SquadF1First | RecordExactMatch | RecordF1)
    }

    /// The part of a text that is compared: its words after SQuAD's normalization, or all of it.
    pub fn compared(self, text: &str) -> Cow<'_, str> {
        if self.compares_words() { normalize(text).into() } else { text.into() }
    }

    /// Whether the score depends on the declared classes, not only on those in the rows.
    pub const fn uses_classes(self) -> bool {
        matches!(self, Self::MacroF1)
    }

    /// Scores a split: 0 to 100, correlations -100 to 100, and 0 if the formula is undefined; errors from 0 up.
    /// `classes` are the distinct labels of the task, if they are declared.
    ///
    /// # Errors
    /// When there are no rows, or a row lacks what the metric needs.
    pub fn score(self, answers: &[Answer], classes: Option<&[String]>) -> Result<f64, MetricError> {
        if answers.is_empty() {
            return Err(MetricError::Empty);
        }
        let score = match self {
            Self::Accuracy => classification::accuracy(answers),
            Self::F1 => classification::binary_f1(answers),
            Self::MacroF1 => classification::macro_f1(answers, classes),
            Self::Matthews => classification::matthews(answers),
            Self::Pearson => correlation::pearson(answers),
            Self::Spearman => correlation::spearman(answers),
            Self::ExactMatch => mean_of(question_answering::each_any_target(answers, exact_match)),
            Self::SquadF1 => mean_of(question_answering::each_any_target(answers, token_f1)),
            Self::ExactMatchFirst => mean_of(question_answering::each_first_target(answers, exact_match)),
            Self::SquadF1First => mean_of(question_answering::each_first_target(answers, token_f1)),
            Self::RecordExactMatch => mean_of(question_answering::each_first_of_group(answers, exact_match)),
            Self::RecordF1 => mean_of(question_answering::each_first_of_group(answers, token_f1)),
            Self::MultircF1a => classification::binary_f1(answers),
            Self::MultircF1m => classification::f1_of_groups(answers),
            Self::MultircExactMatch => classification::whole_groups(answers),
            Self::MeanAbsoluteError => regression::mean_absolute_error(answers),
            Self::RootMeanSquaredError => regression::root_mean_squared_error(answers),
        }?;
        Ok(if self.is_error() { score } else { 100.0 * score })
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Metric {
    type Err = MetricError;

    fn from_str(name: &str) -> Result<Self, MetricError> {
        Self::ALL.into_iter().find(|metric| metric.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            MetricError::Unknown {
                name: name.into(),
                suggestion: nearest(name, names.into_iter()),
                known: names.join(", "),
            }
        })
    }
}

impl TryFrom<String> for Metric {
    type Error = MetricError;

    fn try_from(name: String) -> Result<Self, MetricError> {
        name.parse()
    }
}

impl From<Metric> for &'static str {
    fn from(metric: Metric) -> Self {
        metric.name()
    }
}
