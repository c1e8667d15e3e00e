use std::time::{Duration, Instant};

use burn::tensor::{Tensor, TensorData};
use peft_model::dropout::Dropout;
use peft_model::optim::{AdamW, Part, Rates, Update, linear};
use peft_model::{Adaptation, Batch, Parameters, StepCount, device};

use super::evaluate::{Generation, Scores, label_log_probabilities, predict, score, task_average};
use super::job::{Job, TrainError};
use super::outcome::{Answers, Best, Evidence, Outcome, RunOutcome, RunStatus, Tokens};
use super::selection::{Criterion, TASK_AVERAGE};
use crate::data::Split;
use crate::data::{Batches, EpochCache};
use crate::host::interrupt;
use crate::terminal::progress::Progress;

/// A training on its way.
pub(super) struct Training<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) parameters: Parameters,
    pub(super) optimizer: AdamW,
    /// Which run each row of the parameters belongs to: those that have not diverged.
    pub(super) alive: Vec<usize>,
    batches: Vec<EpochCache>,
    pub(super) outcomes: Vec<RunOutcome>,
    /// Losses of the living runs since the last look, on the device: `[runs]` for each batch.
    pub(super) recent: Vec<Tensor<1>>,
    /// Most bytes that a GPU has had reserved.
    device_memory: Option<u64>,
    /// Of each run.
    pub(super) tokens: Vec<Tokens>,
    pub(super) train_time: Duration,
    pub(super) evaluate_time: Duration,
}

impl<'a> Training<'a> {
    /// Sets a training up that has done nothing yet.
    ///
    /// # Errors
    /// When a setting of the method asks for what the backbone does not have.
    pub(super) fn new(job: &'a Job<'a>) -> Result<Self, TrainError> {
        let seeds: Vec<u64> = job.runs.iter().map(|r| r.seed).collect();
        let parameters = job.start.parameters(job).map_err(TrainError::Method)?;
        let settings = job.settings;
        let optimizer = AdamW::new(&parameters, settings.optimizer());
        let lengths: Vec<usize> = job.data.train.pairs.iter().map(|p| p.source.len()).collect();
        let (train, batching, rows) = (&job.data.train, settings.batching, settings.rows_per_batch());
        let batches = match train.parts(0..train.len()) {
            Some(parts) => Batches::of_mixture(batching, &lengths, &parts, rows),
            None => Batches::new(batching, &lengths, rows),
        };
        Ok(Self {
            job,
            parameters,
            optimizer,
            alive: (0..seeds.len()).collect(),
            batches: seeds.iter().map(|&seed| EpochCache::new(batches.clone(), seed)).collect(),
            outcomes: seeds.into_iter().map(RunOutcome::new).collect(),
            recent: Vec::new(),
            device_memory: None,
            tokens: vec![Tokens::default(); job.runs.len()],
            train_time: Duration::ZERO,
            evaluate_time: Duration::ZERO,
        })
    }

    /// Whether every run has diverged.
    pub(super) fn is_over(&self) -> bool {
        self.alive.is_empty()
    }

    /// One update of every living run.
    pub(super) fn update(&mut self, step: u64, progress: &mut dyn Progress) {
        let started = Instant::now();
        let settings = self.job.settings;
        let seeds: Vec<u64> = self.alive.iter().map(|&run| self.job.runs[run].seed).collect();
        let (mut parts, mut rows) = (Vec::new(), 0);
        for micro in 0..settings.accumulation as u64 {
            let position = step * settings.accumulation as u64 + micro;
            let (slices, its_rows) = self.batch(position);
            let share = 1.0 / settings.accumulation as f64;
            parts.push(Part { slices, dropout: Dropout::new(&seeds, position), share });
            rows += its_rows;
        }
        let rates: Vec<Rates> = self.alive.iter().map(|&run| self.job.runs[run].rates.clone()).collect();
        let update = Update {
            backbone: self.job.backbone,
            method: self.job.method,
            count: StepCount { step: step + 1, steps: settings.steps },
            rates: &rates,
            factor: linear(step, settings.warmup_steps, settings.steps),
            gradient_checkpointing: settings.gradient_checkpointing,
        };
        self.recent.extend(update.apply(&mut self.parameters, &mut self.optimizer, parts));
        progress.examples(rows);
        self.train_time += started.elapsed();
        progress.step();
    }

    /// The batches of the living runs side by side, in slices that the device takes, and the number of rows in them.
    fn batch(&mut self, position: u64) -> (Vec<Batch>, usize) {
        let train = &self.job.data.train;
        let rows_of_runs: Vec<&[u32]> = self
            .batches
            .iter_mut()
            .enumerate()
            .filter(|(run, _)| self.alive.contains(run))
            .map(|(_, batches)| batches.batch(position))
            .collect();
        let pair = |&row: &u32| {
            let pair = &train.pairs[row as usize];
            (&pair.source[..], &pair.target[..])
        };
        let runs: Vec<Vec<(&[u32], &[u32])>> =
            rows_of_runs.iter().map(|rows| rows.iter().map(pair).collect()).collect();
        let rows = runs.iter().map(Vec::len).sum();
        let Job { backbone, method, rows_at_once, .. } = *self.job;
        let (most, padding) = (rows_at_once.unwrap_or(usize::MAX), backbone.padding(method));
        let mut slices = Batch::slices(&runs, most, padding, backbone.device());
        let parts = rows_of_runs.iter().map(|rows| train.parts(rows.iter().map(|&row| row as usize)));
        if let Some(parts) = parts.collect::<Option<Vec<_>>>() {
            slices.iter_mut().for_each(|slice| slice.tell_tasks(&parts));
        }
        let padded = slices.iter().flat_map(|batch| [&batch.source.ids, &batch.target.ids]);
        let padded: usize = padded.map(|ids| ids.dims().iter().product::<usize>()).sum();
        for (&run, pairs) in self.alive.iter().zip(&runs) {
            let real: usize = pairs.iter().map(|(source, target)| source.len() + target.len()).sum();
            self.tokens[run].real += real as u64;
            self.tokens[run].padded += (padded / runs.len()) as u64;
        }
        (slices, rows)
    }

    /// Records the mean loss since the last look, and ends the runs whose loss is not finite.
    pub(super) fn look_at_losses(&mut self, step: u64, progress: &mut dyn Progress) {
        let runs = self.alive.len();
        let mut looked_at = std::mem::take(&mut self.recent);
        let batches = looked_at.len();
        looked_at.extend(self.optimizer.squared_gradient_norms());
        // One transfer for all.
        let mut recent = to_host(Tensor::cat(looked_at, 0));
        let squared_norms = recent.split_off(batches * runs);
        self.device_memory = self.device_memory.max(device::reserved_memory(self.job.backbone.device()));
        let recent: Vec<&[f32]> = recent.chunks(runs).collect();
        let mean = |position: usize| {
            recent.iter().map(|losses| f64::from(losses[position])).sum::<f64>() / recent.len() as f64
        };
        let means: Vec<f64> = (0..self.alive.len()).map(mean).collect();
        let norms: Vec<f64> = squared_norms.into_iter().map(|square| f64::from(square).sqrt()).collect();
        for (position, (&run, &loss)) in self.alive.iter().zip(&means).enumerate() {
            match loss.is_finite() {
                true => {
                    self.outcomes[run].losses.push((step, loss));
                    self.outcomes[run].gradient_norms.extend(norms.get(position).map(|norm| (step, *norm)));
                }
                false => self.outcomes[run].status = RunStatus::Diverged { step, loss: loss.to_string() },
            }
        }
        progress.loss(means.iter().sum::<f64>() / means.len() as f64);
        self.leave_diverged();
    }

    /// Goes on with the living runs that have not diverged.
    fn leave_diverged(&mut self) {
        let completed =
            |&position: &usize| self.outcomes[self.alive[position]].status == RunStatus::Completed;
        let positions: Vec<usize> = (0..self.alive.len()).filter(completed).collect();
        if positions.len() == self.alive.len() {
            return;
        }
        self.alive = positions.iter().map(|&position| self.alive[position]).collect();
        if !positions.is_empty() {
            self.parameters = self.parameters.select(&positions);
            self.optimizer = self.optimizer.select(&positions);
            let device = self.job.backbone.device();
            let of_living = |losses: Tensor<1>| {
                let losses = to_host(losses);
                let living: Vec<f32> = positions.iter().map(|&position| losses[position]).collect();
                Tensor::from_data(TensorData::new(living, [positions.len()]), device)
            };
            self.recent = self.recent.drain(..).map(of_living).collect();
        }
    }

    /// Whether the validation after so many updates is still to come; one that was interrupted is.
    pub(super) fn owes_validation(&self, step: u64) -> bool {
        let last = self.alive.first().and_then(|&run| self.outcomes[run].validation.last());
        self.job.is_validation_due(step) && !self.is_over() && last.is_none_or(|&(last, _)| last < step)
    }

    /// Scores every living run on the validation split, and keeps it where it is the best so far.
    ///
    /// # Errors
    /// When a metric cannot take the task's targets, or a signal came; then nothing has changed.
    pub(super) fn validate(&mut self, step: u64, progress: &mut dyn Progress) -> Result<(), TrainError> {
        let started = Instant::now();
        let all = score_split(self.job, &self.parameters, &self.job.data.validation, "validation", progress)?;
        let criterion = self.job.criterion;
        for (position, (scores, predictions)) in all.into_iter().enumerate() {
            let run = self.alive[position];
            let outcome = &mut self.outcomes[run];
            let score = criterion.score(&scores);
            outcome.validation.push((step, score));
            if criterion.prefers(score, outcome.best.as_ref().map(|best| criterion.score(&best.validation))) {
                let values = self.parameters.run_to_host(position);
                // No later loss would tell of what the last update made.
                if !values.iter().flatten().all(|value| value.is_finite()) {
                    outcome.status = RunStatus::Diverged { step, loss: f64::NAN.to_string() };
                    continue;
                }
                outcome.best =
                    Some(Best { step, validation: scores, test: Scores::new(), predictions, values });
            }
        }
        self.leave_diverged();
        self.evaluate_time += started.elapsed();
        Ok(())
    }

    /// Scores what another training has come to after so many updates, on all splits.
    ///
    /// # Errors
    /// When a metric cannot take the task's targets, or a signal came.
    pub(super) fn score_as_it_is(
        &mut self,
        step: u64,
        progress: &mut dyn Progress,
    ) -> Result<Outcome, TrainError> {
        self.validate(step, progress)?;
        // What its last update made is not known.
        self.alive.clear();
        self.test(progress)
    }

    /// Scores the best checkpoint of every run that has one on the test split and on its probes, and what the last
    /// update made.
    ///
    /// # Errors
    /// When a metric cannot take the task's targets, or a signal came.
    pub(super) fn test(&self, progress: &mut dyn Progress) -> Result<Outcome, TrainError> {
        let started = Instant::now();
        let job = self.job;
        let mut outcomes = self.outcomes.clone();
        let mut evidence = vec![Evidence::default(); outcomes.len()];
        let chosen: Vec<usize> = (0..outcomes.len()).filter(|&run| outcomes[run].best.is_some()).collect();
        if !chosen.is_empty() {
            let best = self.best(&chosen);
            let tested = score_split(job, &best, &job.data.test, "test", progress)?;
            let labels = [&job.data.validation, &job.data.test]
                .map(|split| score_labels(job, &best, split, progress).map(Vec::into_iter));
            let [of_validation, of_test] = labels;
            let labels = of_validation?.zip(of_test?);
            for ((&run, (scores, predictions)), (of_validation, of_test)) in
                chosen.iter().zip(tested).zip(labels)
            {
                let Some(best) = &mut outcomes[run].best else { continue };
                best.test = scores;
                let answers =
                    |predictions, label_log_probabilities| Answers { predictions, label_log_probabilities };
                evidence[run].validation = answers(best.predictions.clone(), of_validation);
                evidence[run].test = answers(predictions, of_test);
            }
            for (name, split) in &job.data.probes {
                for (&run, (probed, _)) in chosen.iter().zip(score_split(job, &best, split, name, progress)?)
                {
                    let Some(best) = &mut outcomes[run].best else { continue };
                    best.test.extend(
                        probed.into_iter().map(|(metric, score)| (format!("{name}/{metric}"), score)),
                    );
                }
            }
        }
        self.test_last(&outcomes, &mut evidence, progress)?;
        let evaluate_time = self.evaluate_time + started.elapsed();
        let device_memory = self.device_memory.max(device::reserved_memory(job.backbone.device()));
        Ok(Outcome {
            runs: outcomes,
            evidence,
            tokens: self.tokens.clone(),
            device_memory,
            train_time: self.train_time,
            evaluate_time,
        })
    }

    /// The best values of some runs side by side.
    fn best(&self, runs: &[usize]) -> Parameters {
        let best = runs.iter().filter_map(|&run| self.outcomes[run].best.as_ref());
        let values: Vec<&[Vec<f32>]> = best.map(|best| best.values.as_slice()).collect();
        let (backbone, declared) = (self.job.backbone, self.parameters.declared().to_vec());
        Parameters::from_host(declared, &values, backbone.device(), backbone.dtype())
    }

    /// Scores the living runs on the test split as the last update left them; of those whose best checkpoint that is,
    /// the scores are known.
    fn test_last(
        &self,
        outcomes: &[RunOutcome],
        evidence: &mut [Evidence],
        progress: &mut dyn Progress,
    ) -> Result<(), TrainError> {
        let is_last =
            |run: usize| outcomes[run].best.as_ref().is_some_and(|best| best.step == self.job.settings.steps);
        let positions: Vec<usize> =
            (0..self.alive.len()).filter(|&position| !is_last(self.alive[position])).collect();
        let mut scored = Vec::new();
        if !positions.is_empty() {
            let last = self.parameters.select(&positions);
            scored = score_split(self.job, &last, &self.job.data.test, "test", progress)?;
        }
        let mut scored = scored.into_iter().map(|(scores, _)| scores);
        for &run in &self.alive {
            evidence[run].last = match is_last(run) {
                true => outcomes[run].best.as_ref().map(|best| without_probes(&best.test)),
                false => scored.next(),
            };
        }
        Ok(())
    }
}

/// The scores of the split itself.
fn without_probes(scores: &Scores) -> Scores {
    scores
        .iter()
        .filter(|(name, _)| !name.contains('/'))
        .map(|(name, score)| (name.clone(), *score))
        .collect()
}

/// Scores each run's parameters on a split, and gives the texts that were scored.
fn score_split(
    job: &Job,
    parameters: &Parameters,
    split: &Split,
    what: &str,
    progress: &mut dyn Progress,
) -> Result<Vec<(Scores, Vec<String>)>, TrainError> {
    let generation = Generation { batch_size: batch_size(job), max_new_tokens: job.data.max_new_tokens };
    let adaptation = Adaptation::new(job.method, parameters);
    let mut done = 0;
    let predictions = predict(job.backbone, &adaptation, split, job.tokenizer, generation, |rows| {
        done += rows;
        progress.scoring(what, done, split.len());
        interrupt::check()
    })?;
    let data = job.data;
    let scored = |predictions: Vec<String>| {
        let mut scores = score(split, &predictions, job.metrics, &data.classes)?;
        if let Criterion::Tasks(tasks) = job.criterion {
            let average = task_average(split, &predictions, tasks, &data.classes_of_tasks)?;
            scores.insert(TASK_AVERAGE.into(), average);
        }
        Ok((scores, predictions))
    };
    predictions.into_iter().map(scored).collect()
}

/// What each run's parameters make of a task's labels; nothing where the task declares none.
fn score_labels(
    job: &Job,
    parameters: &Parameters,
    split: &Split,
    progress: &mut dyn Progress,
) -> Result<Vec<Vec<Vec<f32>>>, TrainError> {
    let labels = &job.data.labels;
    if labels.is_empty() {
        return Ok(vec![Vec::new(); parameters.runs()]);
    }
    let adaptation = Adaptation::new(job.method, parameters);
    let mut done = 0;
    let found = label_log_probabilities(job.backbone, &adaptation, split, labels, batch_size(job), |rows| {
        done += rows;
        progress.scoring("labels", done, split.len());
        interrupt::check()
    })?;
    Ok(found)
}

/// Rows of each run that are answered at once.
fn batch_size(job: &Job) -> usize {
    job.settings.eval_batch_size.min(job.rows_at_once.unwrap_or(usize::MAX))
}

/// A value of each run.
pub(super) fn to_host(values: Tensor<1>) -> Vec<f32> {
    values.try_into_vec_as().expect("values are floats")
}
