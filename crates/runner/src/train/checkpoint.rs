//! A training's state on disk: what is written of it, and what must hold before it is gone on from.

use std::borrow::Cow;
use std::time::Duration;

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::training::Training;
use super::{Job, RunOutcome, Snapshot, State, StateError, StateFile, Status};

/// What a state file says beside the tensors.
#[derive(Serialize, Deserialize)]
struct Meta {
    /// Updates done.
    step: u64,
    alive: Vec<usize>,
    outcomes: Vec<RunOutcome>,
    train_time: Duration,
    evaluate_time: Duration,
}

/// Where a state file keeps the losses since the last look, update by update.
const RECENT: &str = "recent";

/// Where a state file keeps a run's best value of a parameter.
fn best_name(run: usize, parameter: &str) -> String {
    format!("best/{run}/{parameter}")
}

impl<'a> Training<'a> {
    /// Sets a training up, from its state file where there is one; the number is that of updates done.
    ///
    /// # Errors
    /// When there is a state file that cannot be read.
    pub fn start(job: &'a Job<'a>, file: &StateFile) -> Result<(Self, u64), StateError> {
        let mut training = Self::new(job);
        let (parameters, optimizer) = (&training.parameters, &training.optimizer);
        let saved = file.read(parameters, optimizer, |saved| check(job, saved))?;
        let step = saved.map_or(0, |saved| training.resume(saved));
        Ok((training, step))
    }

    fn resume(&mut self, saved: State<Meta>) -> u64 {
        let State { parameters, optimizer, mut extra, meta } = saved;
        let runs = parameters.runs();
        let device = self.job.backbone.device();
        let recent = extra.remove(RECENT).unwrap_or_default();
        self.recent = recent
            .chunks_exact(runs)
            .map(|losses| Tensor::from_data(TensorData::new(losses.to_vec(), [runs]), device))
            .collect();
        (self.parameters, self.optimizer) = (parameters, optimizer);
        (self.alive, self.outcomes) = (meta.alive, meta.outcomes);
        (self.train_time, self.evaluate_time) = (meta.train_time, meta.evaluate_time);
        for (run, outcome) in self.outcomes.iter_mut().enumerate() {
            let Some(best) = &mut outcome.best else { continue };
            let declared = self.parameters.declared().iter();
            best.values = declared
                .map(|parameter| extra.remove(&best_name(run, &parameter.name)).unwrap_or_default())
                .collect();
        }
        meta.step
    }

    /// Writes the state after so many updates.
    ///
    /// # Errors
    /// When the disk is full or the folder not writable.
    pub fn save(&self, step: u64, file: &mut StateFile) -> Result<(), StateError> {
        let recent = self
            .recent
            .iter()
            .flat_map(|losses| losses.clone().try_into_vec_as::<f32>().expect("losses are floats"));
        let mut extra = vec![(RECENT.to_string(), Cow::Owned(recent.collect()))];
        for (run, outcome) in self.outcomes.iter().enumerate() {
            let Some(best) = &outcome.best else { continue };
            for (parameter, values) in self.parameters.declared().iter().zip(&best.values) {
                extra.push((best_name(run, &parameter.name), Cow::Borrowed(values.as_slice())));
            }
        }
        let meta = Meta {
            step,
            alive: self.alive.clone(),
            outcomes: self.outcomes.clone(),
            train_time: self.train_time,
            evaluate_time: self.evaluate_time,
        };
        file.write(&Snapshot { parameters: &self.parameters, optimizer: &self.optimizer, extra, meta })
    }
}

/// Says what a training of this job cannot have left behind.
fn check(job: &Job, saved: &State<Meta>) -> Result<(), String> {
    let State { parameters, extra, meta, .. } = saved;
    let steps = job.settings.steps;
    if meta.step > steps {
        return Err(format!("it is after update {} of {steps}", meta.step));
    }
    let ascending = meta.alive.is_sorted_by(|a, b| a < b);
    if !ascending || meta.alive.is_empty() || meta.alive.last() >= Some(&job.runs.len()) {
        return Err(format!("its list of runs is {:?} of {}", meta.alive, job.runs.len()));
    }
    if parameters.values().iter().any(|value| value.dims()[0] != meta.alive.len()) {
        return Err("its tensors are of another number of runs".into());
    }
    if extra.get(RECENT).is_none_or(|losses| !losses.len().is_multiple_of(meta.alive.len())) {
        return Err("its latest losses are of another number of runs".into());
    }
    let seeds = meta.outcomes.iter().map(|outcome| outcome.seed);
    if !seeds.eq(job.runs.iter().map(|run| run.seed)) {
        return Err("its outcomes are not of these seeds".into());
    }
    for (run, outcome) in meta.outcomes.iter().enumerate() {
        check_outcome(outcome, meta.step).map_err(|problem| format!("seed {}: {problem}", outcome.seed))?;
        let whole = |parameter: &peft_model::peft::Parameter| {
            extra.get(&best_name(run, &parameter.name)).is_some_and(|values| values.len() == parameter.len())
        };
        if outcome.best.is_some() && !parameters.declared().iter().all(whole) {
            return Err(format!("seed {}: its best checkpoint is not whole", outcome.seed));
        }
    }
    Ok(())
}

fn check_outcome(outcome: &RunOutcome, step: u64) -> Result<(), String> {
    for curve in [&outcome.losses, &outcome.validation] {
        if !curve.is_sorted_by(|a, b| a.0 < b.0) || curve.last().is_some_and(|&(last, _)| last > step) {
            return Err("its curves do not ascend to where it is".into());
        }
    }
    // The first of equal scores, as on the way; a run that its last update broke has none for it.
    let highest = outcome.validation.iter().reduce(|a, b| if b.1 > a.1 { b } else { a });
    let chosen = outcome.best.as_ref().map(|best| best.step);
    if chosen != highest.map(|&(step, _)| step) && outcome.status == Status::Completed {
        return Err("its best checkpoint is not that of its highest score".into());
    }
    Ok(())
}
