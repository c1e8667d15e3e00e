//! Trains one method on one task, several seeds side by side, and scores the best checkpoint.

mod checkpoint;
mod evaluate;
mod exact;
mod outcome;
mod selection;
mod settings;
mod state;
mod training;

use peft_model::optim::Rates;
use peft_model::{Backbone, Method};

pub use evaluate::{Generation, Scores, predict, score};
pub use outcome::{Best, Outcome, RunOutcome, RunStatus};
pub use selection::{Criterion, Selection};
pub use settings::{Interval, NamedInterval, TrainSettings};
pub use state::{Snapshot, State, StateError, StateFile, owner, set_aside};

use crate::data::TaskData;
use crate::host::interrupt::{self, Interrupted};
use crate::metric::{Metric, MetricError};
use crate::terminal::progress::Progress;
use crate::tokenizer::Tokenizer;
use training::Training;

/// What differs between runs side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSettings {
    pub seed: u64,
    pub rates: Rates,
}

/// Everything that a training needs.
pub struct Job<'a> {
    pub backbone: &'a dyn Backbone,
    pub tokenizer: &'a Tokenizer,
    pub method: &'a dyn Method,
    pub data: &'a TaskData,
    pub metrics: &'a [Metric],
    /// Chooses the checkpoint by some of the metrics.
    pub criterion: &'a Criterion,
    pub settings: &'a TrainSettings,
    pub runs: &'a [RunSettings],
}

impl Job<'_> {
    /// Updates between scores of the validation split.
    fn validation_interval(&self) -> u64 {
        self.settings.evaluate_every.updates(self.settings.updates_per_epoch(self.data.train.len()))
    }

    /// Whether the validation split is scored after so many updates.
    fn is_validation_due(&self, step: u64) -> bool {
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

/// "1 run", "3 runs".
fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Updates between looks at the loss; each look waits for the device.
const LOSS_INTERVAL: u64 = 10;

/// Trains, keeps each run's best checkpoint on the validation split, and scores it once on the test
/// split. A run whose loss is no longer finite ends; its neighbors go on.
///
/// Where the state file exists, the training goes on from it, to the same bits. A signal that asks the program to end
/// lets the update finish, and the state be written.
///
/// # Errors
/// When a metric cannot take the task's targets, the state cannot be read, or a signal came.
pub fn train(job: &Job, mut state: StateFile, progress: &mut dyn Progress) -> Result<Outcome, TrainError> {
    let (mut training, mut done) = Training::start(job, &state)?;
    progress.start(done, job.settings.steps, &count(job.runs.len(), "run"));
    let outcome = train_on(&mut training, &mut done, &mut state, progress);
    // Runs that have all diverged have no state; they are where they were soon enough.
    if matches!(outcome, Err(TrainError::Interrupted(_))) && !training.is_over() {
        let steps = job.settings.steps;
        let kept = format!("the state after update {done} of {steps} is in {}", state.path().display());
        match training.save(done, &mut state) {
            Ok(()) => progress.note(&kept),
            Err(problem) => progress.note(&format!("{problem}; it goes on from the last checkpoint, if any")),
        }
    }
    progress.finish();
    outcome
}

/// Trains on after `done` updates, to the scores of the test split.
fn train_on(
    training: &mut Training,
    done: &mut u64,
    state: &mut StateFile,
    progress: &mut dyn Progress,
) -> Result<Outcome, TrainError> {
    let steps = training.job.settings.steps;
    loop {
        if training.owes_validation(*done) {
            training.validate(*done, progress)?;
        }
        let over = training.is_over();
        // The training itself has lost nothing.
        if *done > 0
            && !over
            && state.is_due()
            && let Err(problem) = training.save(*done, state)
        {
            progress.note(&format!("{problem}; an interruption would lose what came after the last state"));
        }
        if *done == steps || over {
            return training.test(progress);
        }
        interrupt::check()?;
        training.update(*done, progress);
        *done += 1;
        if done.is_multiple_of(LOSS_INTERVAL) || *done == steps {
            training.look_at_losses(*done, progress);
        }
    }
}
