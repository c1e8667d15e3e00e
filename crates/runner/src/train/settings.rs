use peft_model::optim::AdamWSettings;
use serde::{Deserialize, Serialize};

use super::selection::Selection;
use crate::data::Batching;

/// Most updates of a training, and most of what else is counted here.
const MOST: u64 = 1_000_000_000;

/// How long and how hard to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainSettings {
    /// Number of updates.
    pub steps: u64,
    /// Passes over the training rows, instead of `steps`; [`TrainSettings::for_rows`] says how many updates
    /// each is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// Rows per update and run, over all accumulated batches.
    pub batch_size: usize,
    /// Batches whose gradients are averaged for one update: consecutive ones, of `batch_size / accumulation`
    /// rows each. Those that an epoch has left over go into an update with the next epoch's first.
    pub accumulation: usize,
    /// How rows are shared out over batches.
    pub batching: Batching,
    /// Updates over which the learning rate rises.
    pub warmup_steps: u64,
    /// Updates between evaluations on the validation split; after the last one there is always an evaluation.
    pub evaluate_every: Interval,
    /// Which scores on the validation split choose the checkpoint.
    pub selection: Selection,
    /// Whether the task's name stands before every source: `text.name` of the task.
    pub task_prefix: bool,
    pub epsilon: f64,
    pub weight_decay: f64,
    pub max_gradient_norm: f64,
    /// Rows per generated batch.
    pub eval_batch_size: usize,
    /// Whether blocks are computed a second time in the backward pass: less memory, more time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gradient_checkpointing: bool,
}

/// Some number of updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "must be a number of updates or \"epoch\"")]
pub enum Interval {
    Updates(u64),
    Named(NamedInterval),
}

/// A number of updates that depends on the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamedInterval {
    /// A pass over the training rows.
    Epoch,
}

impl Interval {
    /// The number of updates, given that of an epoch.
    pub fn updates(self, per_epoch: u64) -> u64 {
        match self {
            Self::Updates(updates) => updates,
            Self::Named(NamedInterval::Epoch) => per_epoch,
        }
    }
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            steps: 30_000,
            epochs: None,
            batch_size: 32,
            accumulation: 1,
            batching: Batching::default(),
            warmup_steps: 500,
            evaluate_every: Interval::Updates(1000),
            selection: Selection::default(),
            task_prefix: false,
            epsilon: 1e-6,
            weight_decay: 0.0,
            max_gradient_norm: 1.0,
            eval_batch_size: 32,
            gradient_checkpointing: false,
        }
    }
}

impl TrainSettings {
    /// The settings with epochs turned into updates, for so many training rows.
    ///
    /// An epoch is as many updates as transformers' Trainer counts: its batches over `accumulation`, rounded
    /// down, and at least one.
    ///
    /// # Errors
    /// When the epochs are more updates than a training may have.
    pub fn for_rows(&self, rows: usize) -> Result<Self, String> {
        let per_epoch = self.updates_per_epoch(rows);
        let steps = match self.epochs {
            None => self.steps,
            Some(epochs) => epochs.checked_mul(per_epoch).filter(|&steps| steps <= MOST).ok_or_else(|| {
                format!(
                    "`training.epochs` is {epochs}; {rows} rows are {per_epoch} updates an epoch, and a training \
                     has at most a billion updates"
                )
            })?,
        };
        let evaluate_every = Interval::Updates(self.evaluate_every.updates(per_epoch));
        Ok(Self { steps, epochs: None, evaluate_every, ..self.clone() })
    }

    /// Updates in a pass over so many rows.
    pub fn updates_per_epoch(&self, rows: usize) -> u64 {
        let batches = rows.div_ceil(self.rows_per_batch());
        (batches / self.accumulation).max(1) as u64
    }

    /// What the optimizer is told.
    pub fn optimizer(&self) -> AdamWSettings {
        AdamWSettings {
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
            max_gradient_norm: self.max_gradient_norm,
        }
    }

    /// Rows of each of the batches that are accumulated.
    pub fn rows_per_batch(&self) -> usize {
        self.batch_size / self.accumulation
    }

    /// Says which setting is out of range.
    pub fn check(&self) -> Result<(), String> {
        for (key, value) in [
            ("steps", self.steps),
            ("epochs", self.epochs.unwrap_or(1)),
            ("batch_size", self.batch_size as u64),
            ("accumulation", self.accumulation as u64),
            ("evaluate_every", self.evaluate_every.updates(1)),
            ("eval_batch_size", self.eval_batch_size as u64),
        ] {
            if !(1..=MOST).contains(&value) {
                return Err(format!(
                    "`training.{key}` is {value}; it must be at least 1 and at most a billion"
                ));
            }
        }
        if !self.batch_size.is_multiple_of(self.accumulation) {
            return Err(format!(
                "`training.batch_size` ({}) must be a multiple of `training.accumulation` ({})",
                self.batch_size, self.accumulation
            ));
        }
        for (key, value, positive) in [
            ("epsilon", self.epsilon, true),
            ("weight_decay", self.weight_decay, false),
            ("max_gradient_norm", self.max_gradient_norm, true),
        ] {
            if !value.is_finite() || value < 0.0 || (positive && value == 0.0) {
                let wanted = if positive { "a positive number" } else { "0 or a positive number" };
                return Err(format!("`training.{key}` is {value}; it must be {wanted}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> TrainSettings {
        let settings: TrainSettings = toml::from_str(text).unwrap();
        settings.check().unwrap();
        settings
    }

    #[test]
    fn an_epoch_has_as_many_updates_as_trainer_counts() {
        // (rows, rows per update, accumulation): `len(loader) // accumulation`, at least 1.
        for ((rows, batch_size, accumulation), expected) in [
            ((8551, 32, 1), 268),
            ((3668, 32, 1), 115),
            ((64, 32, 2), 2),
            ((33, 32, 2), 1),
            ((80, 32, 2), 2),
            ((81, 32, 2), 3),
            ((16, 32, 2), 1),
            ((1, 32, 4), 1),
        ] {
            let settings = TrainSettings { batch_size, accumulation, ..TrainSettings::default() };
            assert_eq!(settings.updates_per_epoch(rows), expected, "{rows} rows");
        }
    }

    #[test]
    fn epochs_become_updates_for_the_length_and_for_evaluations() {
        let resolved = settings("epochs = 20\nevaluate_every = \"epoch\"").for_rows(250).unwrap();
        assert_eq!((resolved.steps, resolved.epochs), (160, None));
        assert_eq!(resolved.evaluate_every, Interval::Updates(8));
        assert_eq!(resolved.for_rows(250).unwrap(), resolved);
        let updates = settings("steps = 30\nevaluate_every = 7").for_rows(250).unwrap();
        assert_eq!((updates.steps, updates.evaluate_every), (30, Interval::Updates(7)));
    }

    #[test]
    fn more_updates_than_can_be_are_refused_by_name() {
        let endless = settings("epochs = 1000000000\nbatch_size = 1");
        assert_eq!(endless.for_rows(1).unwrap().steps, 1_000_000_000);
        for rows in [2, 400_000, usize::MAX] {
            let problem = endless.for_rows(rows).unwrap_err();
            assert!(problem.contains("`training.epochs` is 1000000000"), "{problem}");
        }
    }

    #[test]
    fn an_interval_that_is_none_is_explained() {
        for (text, part) in [("\"epochs\"", "number of updates or \"epoch\""), ("-1", "number of updates")] {
            let table: toml::Table = toml::from_str(&format!("evaluate_every = {text}")).unwrap();
            let problem = peft_model::settings::read::<TrainSettings>(table).unwrap_err();
            assert!(problem.contains("`evaluate_every`") && problem.contains(part), "{problem}");
        }
        assert!(toml::from_str::<TrainSettings>("evaluate_every = 0").unwrap().check().is_err());
    }
}
