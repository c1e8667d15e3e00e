//! Trains one method on one task, several seeds side by side, and scores the best checkpoint.

mod checkpoint;
mod evaluate;
mod exact;
mod job;
mod outcome;
mod selection;
mod settings;
mod start;
mod state;
mod training;

pub use evaluate::{Generation, Scores, answers, label_log_probabilities, predict, score};
pub use job::{Job, RunSettings, TrainError};
pub use outcome::{Answers, Best, Evidence, Outcome, RunOutcome, RunStatus, Tokens};
pub use selection::{Criterion, Selection};
pub use settings::{Interval, NamedInterval, TrainSettings};
pub use start::Start;
pub use state::{Snapshot, State, StateError, StateFile, owner, set_aside};

use crate::host::interrupt;
use crate::terminal::progress::Progress;
use job::LOSS_INTERVAL;
use training::Training;

/// "1 run", "3 runs".
fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Trains, keeps each run's best checkpoint on the validation split, and scores it once on the test
/// split. A run whose loss is no longer finite ends; its neighbors go on.
///
/// Where the state file exists, the training goes on from it, to the same bits. A signal that asks the program to end
/// lets the update finish, and the state be written. What starts [`Start::Trained`] is scored, and does not train.
///
/// # Errors
/// When a metric cannot take the task's targets, the state cannot be read, or a signal came.
pub fn train(job: &Job, mut state: StateFile, progress: &mut dyn Progress) -> Result<Outcome, TrainError> {
    if let Start::Trained { step, .. } = job.start {
        let mut training = Training::new(job)?;
        progress.start(*step, *step, &count(job.runs.len(), "run"));
        let outcome = training.score_as_it_is(*step, progress);
        progress.finish();
        return outcome;
    }
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
