use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::evaluate::Scores;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RunStatus {
    Completed,
    /// The loss was no longer finite at this step; as text, since JSON has neither NaN nor infinity.
    Diverged {
        step: u64,
        loss: String,
    },
}

/// What came of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunOutcome {
    pub seed: u64,
    pub status: RunStatus,
    /// Update of the best checkpoint, its validation and its test scores.
    pub best: Option<Best>,
    /// Mean training loss since the previous point, by update, as long as it was finite.
    #[serde(with = "super::exact")]
    pub losses: Vec<(u64, f64)>,
    /// Score that chooses the checkpoint, on the validation split, by update.
    #[serde(with = "super::exact")]
    pub validation: Vec<(u64, f64)>,
    /// Norm of the gradients before clipping, by update, as long as the loss was finite.
    #[serde(with = "super::exact")]
    pub gradient_norms: Vec<(u64, f64)>,
}

/// The best checkpoint of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Best {
    pub step: u64,
    #[serde(with = "super::exact")]
    pub validation: Scores,
    #[serde(with = "super::exact")]
    pub test: Scores,
    /// What it generated for the rows of the validation split.
    pub predictions: Vec<String>,
    /// Trained values in declaration order.
    #[serde(skip)]
    pub values: Vec<Vec<f32>>,
}

/// What a checkpoint answers to the rows of a split.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answers {
    /// Generated texts, by row.
    pub predictions: Vec<String>,
    /// Log-probability of each declared label, EOS token included: `[row][label]`, empty without declared labels.
    pub label_log_probabilities: Vec<Vec<f32>>,
}

/// All that is kept of a run's best checkpoint beside its values and scores.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    pub validation: Answers,
    pub test: Answers,
    /// Scores on the test split after the last update, for comparison; `None` where the run diverged.
    pub last: Option<Scores>,
}

/// Tokens that a run has computed with, of sources and targets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    pub real: u64,
    /// With the padding to the longest row of the runs side by side.
    pub padded: u64,
}

/// What came of runs side by side.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub runs: Vec<RunOutcome>,
    /// What each run's best checkpoint answered; empty where there is none.
    pub evidence: Vec<Evidence>,
    /// Of each run.
    pub tokens: Vec<Tokens>,
    /// Most bytes that the allocator of a GPU had reserved; `None` on the CPU.
    pub device_memory: Option<u64>,
    pub train_time: Duration,
    pub evaluate_time: Duration,
}

impl RunOutcome {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            status: RunStatus::Completed,
            best: None,
            losses: Vec::new(),
            validation: Vec::new(),
            gradient_norms: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use peft_model::random::keyed_rng;
    use rand::Rng;

    use super::*;

    #[test]
    fn a_run_is_read_back_from_a_state_to_the_bit() {
        let mut outcome = RunOutcome::new(7);
        outcome.status = RunStatus::Diverged { step: 10, loss: f64::NAN.to_string() };
        // Scores of which serde_json reads some one unit in the last place off, and numbers of all sizes.
        let scores = (0..=878).map(|right| 100.0 * f64::from(right) / 878.0);
        let mut rng = keyed_rng(1, "numbers in a state");
        let numbers = (0..10_000).map(|_| f64::from_bits(rng.random())).filter(|number| !number.is_nan());
        let extremes = [0.0, -0.0, f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, f64::NEG_INFINITY];
        let values: Vec<f64> = scores.chain(numbers).chain(extremes).collect();
        outcome.losses = (0..).zip(values.iter().copied()).collect();
        outcome.validation = (0..).zip(values.iter().map(|value| value / 3.0)).collect();
        outcome.gradient_norms = (0..).zip(values.iter().map(|value| value / 7.0)).collect();
        let scores: Scores = values.iter().map(|value| (value.to_string(), *value)).collect();
        outcome.best = Some(Best {
            step: 3,
            validation: scores.clone(),
            test: scores,
            predictions: vec!["\u{1f}a \"b\"".into()],
            values: vec![vec![1.0]],
        });
        let text = serde_json::to_string(&outcome).unwrap();
        let back: RunOutcome = serde_json::from_str(&text).unwrap();
        assert_eq!((&back.status, back.seed), (&outcome.status, outcome.seed));
        let bits = |curve: &[(u64, f64)]| -> Vec<(u64, u64)> {
            curve.iter().map(|(step, value)| (*step, value.to_bits())).collect()
        };
        assert_eq!(bits(&back.losses), bits(&outcome.losses));
        assert_eq!(bits(&back.validation), bits(&outcome.validation));
        assert_eq!(bits(&back.gradient_norms), bits(&outcome.gradient_norms));
        let (back, best) = (back.best.unwrap(), outcome.best.unwrap());
        assert_eq!(back.predictions, best.predictions);
        assert_eq!((back.step, back.validation, back.test), (best.step, best.validation, best.test));
    }
}
