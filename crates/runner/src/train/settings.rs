use serde::{Deserialize, Serialize};

/// How long and how hard to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainSettings {
    /// Number of updates.
    pub steps: u64,
    /// Passes over the training rows, instead of `steps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// Rows per update and run, over all accumulated batches.
    pub batch_size: usize,
    /// Batches whose gradients are averaged for one update.
    pub accumulation: usize,
    /// Updates over which the learning rate rises.
    pub warmup_steps: u64,
    /// Updates between evaluations on the validation split.
    pub evaluate_every: u64,
    pub epsilon: f64,
    pub weight_decay: f64,
    pub max_gradient_norm: f64,
    /// Rows per generated batch.
    pub eval_batch_size: usize,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            steps: 30_000,
            epochs: None,
            batch_size: 32,
            accumulation: 1,
            warmup_steps: 500,
            evaluate_every: 1000,
            epsilon: 1e-6,
            weight_decay: 0.0,
            max_gradient_norm: 1.0,
            eval_batch_size: 32,
        }
    }
}

impl TrainSettings {
    /// The settings with epochs turned into updates, for so many training rows.
    pub fn for_rows(&self, rows: usize) -> Self {
        let per_epoch = rows.div_ceil(self.batch_size) as u64;
        Self {
            steps: self.epochs.map_or(self.steps, |epochs| epochs * per_epoch),
            epochs: None,
            ..self.clone()
        }
    }

    /// Says which setting is out of range.
    pub fn check(&self) -> Result<(), String> {
        for (key, value) in [
            ("steps", self.steps),
            ("epochs", self.epochs.unwrap_or(1)),
            ("batch_size", self.batch_size as u64),
            ("accumulation", self.accumulation as u64),
            ("evaluate_every", self.evaluate_every),
            ("eval_batch_size", self.eval_batch_size as u64),
        ] {
            if !(1..=1_000_000_000).contains(&value) {
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
                return Err(format!("`training.{key}` is {value}; it must be a positive number"));
            }
        }
        Ok(())
    }
}
