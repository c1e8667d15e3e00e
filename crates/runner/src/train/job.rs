use peft_model::optim::Rates;
use peft_model::{Backbone, Method};

use super::selection::Criterion;
use super::settings::TrainSettings;
use super::start::Start;
use super::state::StateError;
use crate::data::TaskData;
use crate::host::interrupt::Interrupted;
use crate::metric::{Metric, MetricError};
use crate::tokenizer::Tokenizer;

/// Updates between looks at the loss; each look waits for the device.
pub(super) const LOSS_INTERVAL: u64 = 10;

/// What differs between runs side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSettings {
    pub seed: u64,
    pub rates: Rates,
}

/// Everything that a training needs.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    pub backbone: &'a dyn Backbone,
    pub tokenizer: &'a Tokenizer,
    pub method: &'a dyn Method,
    pub data: &'a TaskData,
    pub metrics: &'a [Metric],
    /// Chooses the checkpoint by some of the metrics.
    pub criterion: &'a Criterion,
    pub settings: &'a TrainSettings,
    /// Rows of each run that the device takes at once; `None` for whole batches.
    pub rows_at_once: Option<usize>,
    pub runs: &'a [RunSettings],
    /// Where they start.
    pub start: &'a Start,
}

impl Job<'_> {
    /// Updates between scores of the validation split.
    pub(super) fn validation_interval(&self) -> u64 {
        self.settings.evaluate_every.updates(self.settings.updates_per_epoch(self.data.train.len()))
    }

    /// Whether the validation split is scored after so many updates.
    pub(super) fn is_validation_due(&self, step: u64) -> bool {
        step > 0 && (step.is_multiple_of(self.validation_interval()) || step == self.settings.steps)
    }
}

/// What ends a training early.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Metric(#[from] MetricError),
    #[error("{0}")]
    Method(String),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("{0}")]
    Interrupted(#[from] Interrupted),
}
