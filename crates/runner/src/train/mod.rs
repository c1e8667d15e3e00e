//! Trains one method on one task, several seeds side by side, and scores the best checkpoint.

mod evaluate;
mod optimizer;
mod outcome;
mod schedule;
mod selection;
mod settings;
mod state;
mod training;

use peft_model::peft::Method;
use peft_model::t5::Backbone;

pub use evaluate::{Generation, Scores, predict, score};
pub use optimizer::{AdamW, AdamWSettings, Rates};
pub use outcome::{Best, Outcome, RunOutcome, Status};
pub use schedule::linear;
pub use selection::{Criterion, Selection};
pub use settings::{Interval, NamedInterval, TrainSettings};
pub use state::{Snapshot, State, StateError, StateFile};

use crate::data::TaskData;
use crate::metric::{Metric, MetricError};
use crate::progress::Progress;
use crate::tokenizer::Tokenizer;
use training::Training;
pub use training::add;

/// What differs between runs side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSettings {
    pub seed: u64,
    pub rates: Rates,
}

/// Everything that a training needs.
pub struct Job<'a> {
    pub backbone: &'a Backbone,
    pub tokenizer: &'a Tokenizer,
    pub method: &'a dyn Method,
    pub data: &'a TaskData,
    pub metrics: &'a [Metric],
    /// Chooses the checkpoint by some of the metrics.
    pub criterion: &'a Criterion,
    pub settings: &'a TrainSettings,
    pub runs: &'a [RunSettings],
}

/// What ends a training early.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Metric(#[from] MetricError),
    #[error(transparent)]
    State(#[from] StateError),
}

/// "1 run", "3 runs".
fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Updates between looks at the loss; each look waits for the device.
const LOSS_INTERVAL: u64 = 10;

/// Trains, keeps each run's best checkpoint on the validation split, and scores it once on the test
/// split. A run whose loss is no longer finite ends; its neighbours go on.
///
/// Where the state file exists, the training goes on from it, to the same bits.
///
/// # Errors
/// When a metric cannot take the task's targets, or the state cannot be read.
pub fn train(job: &Job, mut state: StateFile, progress: &mut dyn Progress) -> Result<Outcome, TrainError> {
    let (mut training, first) = Training::start(job, &state)?;
    let steps = job.settings.steps;
    let per_epoch = job.settings.updates_per_epoch(job.data.train.len());
    let evaluate_every = job.settings.evaluate_every.updates(per_epoch);
    progress.start(first, steps, &count(job.runs.len(), "run"));
    for step in first..steps {
        training.update(step, progress);
        let done = step + 1;
        let look = done.is_multiple_of(LOSS_INTERVAL) || done == steps;
        if look {
            training.look_at_losses(done, progress);
        }
        if training.is_over() {
            break;
        }
        if done.is_multiple_of(evaluate_every) || done == steps {
            training.validate(done, progress)?;
        }
        if look && done < steps && state.is_due() {
            // The training itself has lost nothing.
            if let Err(problem) = training.save(done, &mut state) {
                progress.note(&format!("{problem}; if it is interrupted now, it begins anew"));
            }
        }
    }
    let outcome = training.test(progress)?;
    progress.finish();
    Ok(outcome)
}
