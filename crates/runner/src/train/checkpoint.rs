//! A training's state on disk: what is written of it, and what must hold before it is gone on from.

use std::borrow::Cow;
use std::time::Duration;

use burn::tensor::{Tensor, TensorData};
use peft_model::Parameter;
use serde::{Deserialize, Serialize};

use super::job::{Job, LOSS_INTERVAL, TrainError};
use super::outcome::{Best, RunOutcome, RunStatus};
use super::selection::Criterion;
use super::state::{Snapshot, State, StateError, StateFile};
use super::training::{Training, to_host};

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

/// Where a state file keeps the losses since the last look, batch by batch.
const RECENT: &str = "recent";

/// Where a state file keeps a run's best value of a parameter.
fn best_name(run: usize, parameter: &str) -> String {
    format!("best/{run}/{parameter}")
}

impl<'a> Training<'a> {
    /// Sets a training up, from its state file where there is one; the number is that of updates done.
    ///
    /// # Errors
    /// When there is a state file that cannot be read, or the method does not fit the backbone.
    pub(super) fn start(job: &'a Job<'a>, file: &StateFile) -> Result<(Self, u64), TrainError> {
        let mut training = Self::new(job)?;
        let (parameters, optimizer) = (&training.parameters, &training.optimizer);
        let saved = file.read(parameters, optimizer, |saved| check(job, saved))?;
        let step = saved.map_or(0, |saved| training.resume(saved));
        Ok((training, step))
    }

    fn resume(&mut self, saved: State<Meta>) -> u64 {
        let State { parameters, optimizer, mut extra, meta } = saved;
        let runs = meta.alive.len();
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
    pub(super) fn save(&self, step: u64, file: &mut StateFile) -> Result<(), StateError> {
        let recent = self.recent.iter().cloned().flat_map(to_host);
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
    let (step, steps, alive) = (meta.step, job.settings.steps, meta.alive.len());
    if step > steps {
        return Err(format!("it is after update {step} of {steps}"));
    }
    let ascending = meta.alive.is_sorted_by(|a, b| a < b);
    if !ascending || alive == 0 || meta.alive.last() >= Some(&job.runs.len()) {
        return Err(format!("its list of runs is {:?} of {}", meta.alive, job.runs.len()));
    }
    if parameters.values().iter().any(|value| value.dims()[0] != alive) {
        return Err("its tensors are of another number of runs".into());
    }
    let unlooked = if step == steps { 0 } else { step % LOSS_INTERVAL } as usize;
    let recent = extra.get(RECENT).map(Vec::len);
    if recent != Some(unlooked * job.settings.accumulation * alive) {
        return Err(format!("its latest losses are not those after update {step}"));
    }
    let seeds = meta.outcomes.iter().map(|outcome| outcome.seed);
    if !seeds.eq(job.runs.iter().map(|run| run.seed)) {
        return Err("its outcomes are not of these seeds".into());
    }
    let validations = validations(job, meta)?;
    for (run, outcome) in meta.outcomes.iter().enumerate() {
        let problem = |problem: &str| format!("seed {}: {problem}", outcome.seed);
        let points = [points(step, LOSS_INTERVAL, steps), validations];
        if meta.alive.contains(&run) != (outcome.status == RunStatus::Completed) {
            return Err(problem("it has diverged or is in the list of runs, not both or neither"));
        }
        check_outcome(job, outcome, points).map_err(problem)?;
        let is_whole = |parameter: &Parameter| {
            extra.get(&best_name(run, &parameter.name)).is_some_and(|values| values.len() == parameter.len())
        };
        if outcome.best.is_some() && !parameters.declared().iter().all(is_whole) {
            return Err(problem("its best checkpoint is not whole"));
        }
    }
    Ok(())
}

/// How often the living runs have been scored; the last time can be still to come.
fn validations(job: &Job, meta: &Meta) -> Result<u64, String> {
    let (every, steps) = (job.validation_interval(), job.settings.steps);
    let due = points(meta.step, every, steps);
    let is_owed = job.is_validation_due(meta.step);
    let scored = meta.outcomes[meta.alive[0]].validation.len() as u64;
    match scored == due || (is_owed && scored + 1 == due) {
        true => Ok(scored),
        false => Err(format!("it has {scored} scores of each run after update {}", meta.step)),
    }
}

/// How many points a curve has after so many updates: one every so often, and one after the last update.
fn points(step: u64, every: u64, steps: u64) -> u64 {
    if step == steps { step.div_ceil(every) } else { step / every }
}

/// `points` are those that the curves of a living run have, of losses and of scores.
fn check_outcome(job: &Job, outcome: &RunOutcome, points: [u64; 2]) -> Result<(), &'static str> {
    let RunOutcome { status, best, losses, validation, .. } = outcome;
    let is_alive = *status == RunStatus::Completed;
    let intervals = [LOSS_INTERVAL, job.validation_interval()];
    for ((curve, every), points) in [losses, validation].into_iter().zip(intervals).zip(points) {
        let found = curve.len() as u64;
        let mut expected = (1..).map(|point| (point * every).min(job.settings.steps));
        let is_in_place = curve.iter().all(|&(step, _)| Some(step) == expected.next());
        if !is_in_place || found > points || (is_alive && found < points) {
            return Err("its curves are not those of a training that has come so far");
        }
    }
    // What its last update broke is not kept, however good its score.
    if is_alive && best.as_ref().map(|best| scored(job, best)) != chosen(job.criterion, validation).map(Some)
    {
        return Err("its best checkpoint is not that of its best score");
    }
    Ok(())
}

/// The update of a checkpoint, and its score to the bit; none where it lacks a score.
fn scored(job: &Job, best: &Best) -> Option<(u64, u64)> {
    let is_scored = job.metrics.iter().all(|metric| best.validation.contains_key(metric.name()));
    is_scored.then(|| (best.step, job.criterion.score(&best.validation).to_bits()))
}

/// The update whose checkpoint a curve of scores chooses, and its score to the bit.
fn chosen(criterion: &Criterion, validation: &[(u64, f64)]) -> Option<(u64, u64)> {
    let best = validation.iter().fold(None, |best: Option<(u64, f64)>, &(step, score)| {
        let is_better = criterion.prefers(score, best.map(|(_, score)| score));
        if is_better { Some((step, score)) } else { best }
    });
    best.map(|(step, score)| (step, score.to_bits()))
}
