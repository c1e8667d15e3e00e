use std::time::{Duration, Instant};

use burn::tensor::Tensor;
use peft_model::dropout::Dropout;
use peft_model::peft::{Gradients, Parameters};
use peft_model::t5::{Batch, Pass, target_loss};
use serde::{Deserialize, Serialize};

use super::{
    AdamW, AdamWSettings, Best, Generation, Job, Outcome, Rates, RunOutcome, Scores, Snapshot, State,
    StateError, StateFile, Status, linear, predict, score,
};
use crate::batches::{Batches, EpochCache};
use crate::data::Split;
use crate::metric::MetricError;
use crate::progress::Progress;

/// A training on its way.
pub(super) struct Training<'a> {
    job: &'a Job<'a>,
    parameters: Parameters,
    optimizer: AdamW,
    /// Which run each row of the parameters belongs to.
    alive: Vec<usize>,
    batches: Vec<EpochCache>,
    outcomes: Vec<RunOutcome>,
    /// Losses of the updates since the last look, on the device: `[runs]` each.
    recent: Vec<Tensor<1>>,
    train_time: Duration,
    evaluate_time: Duration,
}

/// What a state file says beside the tensors.
#[derive(Serialize, Deserialize)]
struct Meta {
    step: u64,
    alive: Vec<usize>,
    outcomes: Vec<RunOutcome>,
    train_time: Duration,
    evaluate_time: Duration,
}

impl<'a> Training<'a> {
    /// Sets a training up, from its state file where there is one; the number is that of updates done.
    pub fn start(job: &'a Job<'a>, state: &StateFile) -> Result<(Self, u64), StateError> {
        let mut training = Self::new(job);
        let saved = state.read::<Meta>(&training.parameters, &training.optimizer)?;
        let step = saved.map_or(0, |saved| training.resume(saved));
        Ok((training, step))
    }

    fn new(job: &'a Job<'a>) -> Self {
        let seeds: Vec<u64> = job.runs.iter().map(|r| r.seed).collect();
        let declared = job.method.parameters(job.backbone.config());
        let parameters = Parameters::init(declared, &seeds, job.backbone);
        let settings = job.settings;
        let optimizer = AdamW::new(
            &parameters,
            AdamWSettings {
                epsilon: settings.epsilon,
                weight_decay: settings.weight_decay,
                max_gradient_norm: settings.max_gradient_norm,
            },
        );
        let lengths: Vec<usize> = job.data.train.pairs.iter().map(|p| p.source.len()).collect();
        let batches = Batches::new(&lengths, settings.batch_size / settings.accumulation);
        Self {
            job,
            parameters,
            optimizer,
            alive: (0..seeds.len()).collect(),
            batches: seeds.iter().map(|&seed| EpochCache::new(batches.clone(), seed)).collect(),
            outcomes: seeds.into_iter().map(RunOutcome::new).collect(),
            recent: Vec::new(),
            train_time: Duration::ZERO,
            evaluate_time: Duration::ZERO,
        }
    }

    fn resume(&mut self, saved: State<Meta>) -> u64 {
        let State { parameters, optimizer, extra, meta } = saved;
        (self.parameters, self.optimizer) = (parameters, optimizer);
        (self.alive, self.outcomes) = (meta.alive, meta.outcomes);
        (self.train_time, self.evaluate_time) = (meta.train_time, meta.evaluate_time);
        for (run, outcome) in self.outcomes.iter_mut().enumerate() {
            let Some(best) = &mut outcome.best else { continue };
            let declared = self.parameters.declared().iter();
            let names = declared.map(|parameter| best_name(run, &parameter.name));
            best.values = names
                .filter_map(|name| extra.iter().find(|(n, _)| *n == name))
                .map(|(_, values)| values.clone())
                .collect();
        }
        meta.step
    }

    /// Writes the state after so many updates.
    pub fn save(&self, step: u64, file: &mut StateFile) -> Result<(), StateError> {
        let mut extra = Vec::new();
        for (run, outcome) in self.outcomes.iter().enumerate() {
            let Some(best) = &outcome.best else { continue };
            for (parameter, values) in self.parameters.declared().iter().zip(&best.values) {
                extra.push((best_name(run, &parameter.name), values.as_slice()));
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

    /// Whether every run has diverged.
    pub fn is_over(&self) -> bool {
        self.alive.is_empty()
    }

    /// One update of every living run.
    pub fn update(&mut self, step: u64, progress: &mut dyn Progress) {
        let started = Instant::now();
        let settings = self.job.settings;
        let seeds: Vec<u64> = self.alive.iter().map(|&run| self.job.runs[run].seed).collect();
        let tracked = self.parameters.tracked();
        let mut gradients = None;
        for micro in 0..settings.accumulation as u64 {
            let position = step * settings.accumulation as u64 + micro;
            let (batch, rows) = self.batch(position);
            let dropout = Dropout::new(&seeds, position);
            let pass = Pass {
                backbone: self.job.backbone,
                method: self.job.method,
                parameters: &tracked,
                dropout: Some(&dropout),
            };
            let loss = target_loss(&pass, &batch).per_run;
            self.recent.push(loss.clone().inner());
            let total = loss.sum() / settings.accumulation as f64;
            let new = tracked.take_gradients(&mut total.backward());
            gradients = Some(add(gradients, new));
            progress.examples(rows);
        }
        let rates: Vec<Rates> = self.alive.iter().map(|&run| self.job.runs[run].rates.clone()).collect();
        let factor = linear(step, settings.warmup_steps, settings.steps);
        let gradients = gradients.expect("at least one batch per update");
        drop(tracked);
        // Taken out, so that the update can work in place.
        let parameters = std::mem::take(&mut self.parameters);
        self.parameters = self.optimizer.step(parameters, gradients, step + 1, &rates, factor);
        self.train_time += started.elapsed();
        progress.step();
    }

    /// The batches of the living runs side by side, and the number of rows in them.
    fn batch(&mut self, position: u64) -> (Batch, usize) {
        let pairs = &self.job.data.train.pairs;
        let runs: Vec<Vec<(&[u32], &[u32])>> = self
            .alive
            .iter()
            .map(|&run| {
                let rows = self.batches[run].step(position);
                rows.iter().map(|&row| &pairs[row as usize]).map(|p| (&p.source[..], &p.target[..])).collect()
            })
            .collect();
        let rows = runs.iter().map(Vec::len).sum();
        let backbone = self.job.backbone;
        (Batch::new(&runs, backbone.config().pad_token_id, backbone.device()), rows)
    }

    /// Records the mean loss since the last look, and ends the runs whose loss is not finite.
    pub fn look_at_losses(&mut self, step: u64, progress: &mut dyn Progress) {
        let recent: Vec<Vec<f32>> = self
            .recent
            .drain(..)
            .map(|losses| losses.try_into_vec_as().expect("losses are floats"))
            .collect();
        let mean = |position: usize| {
            recent.iter().map(|losses| f64::from(losses[position])).sum::<f64>() / recent.len() as f64
        };
        let means: Vec<f64> = (0..self.alive.len()).map(mean).collect();
        for (&run, &loss) in self.alive.iter().zip(&means) {
            match loss.is_finite() {
                true => self.outcomes[run].losses.push((step, loss)),
                false => self.outcomes[run].status = Status::Diverged { step, loss: loss.to_string() },
            }
        }
        progress.loss(means.iter().sum::<f64>() / means.len() as f64);
        let finite: Vec<usize> = (0..means.len()).filter(|&i| means[i].is_finite()).collect();
        if finite.len() < means.len() {
            self.keep(&finite);
        }
    }

    /// Goes on with some of the living runs only.
    fn keep(&mut self, positions: &[usize]) {
        self.alive = positions.iter().map(|&position| self.alive[position]).collect();
        if !positions.is_empty() {
            self.parameters = self.parameters.select(positions);
            self.optimizer = self.optimizer.select(positions);
        }
    }

    pub fn validate(&mut self, step: u64, progress: &mut dyn Progress) -> Result<(), MetricError> {
        let started = Instant::now();
        let all = score_split(self.job, &self.parameters, &self.job.data.validation, "validation", progress)?;
        let select = self.job.metrics[0].to_string();
        for (position, scores) in all.into_iter().enumerate() {
            let run = self.alive[position];
            let outcome = &mut self.outcomes[run];
            outcome.validation.push((step, scores[&select]));
            let better = outcome.best.as_ref().is_none_or(|best| scores[&select] > best.validation[&select]);
            if better {
                let values = self.parameters.run_to_host(position);
                // No later loss would tell of what the last update made.
                if !values.iter().flatten().all(|value| value.is_finite()) {
                    outcome.status = Status::Diverged { step, loss: f64::NAN.to_string() };
                    continue;
                }
                outcome.best = Some(Best { step, validation: scores, test: Scores::new(), values });
            }
        }
        self.evaluate_time += started.elapsed();
        Ok(())
    }

    /// Scores the best checkpoint of every run that has one, on the test split and on its probes.
    pub fn test(self, progress: &mut dyn Progress) -> Result<Outcome, MetricError> {
        let started = Instant::now();
        let Self { job, parameters, mut outcomes, train_time, evaluate_time, .. } = self;
        let declared = parameters.declared().to_vec();
        drop(parameters);
        let chosen: Vec<&mut Best> =
            outcomes.iter_mut().filter_map(|outcome| outcome.best.as_mut()).collect();
        if !chosen.is_empty() {
            let values: Vec<&[Vec<f32>]> = chosen.iter().map(|best| best.values.as_slice()).collect();
            let backbone = job.backbone;
            let best = Parameters::from_host(declared, &values, backbone.device(), backbone.dtype());
            let mut all = score_split(job, &best, &job.data.test, "test", progress)?;
            for (name, split) in &job.data.probes {
                for (scores, probed) in all.iter_mut().zip(score_split(job, &best, split, name, progress)?) {
                    scores.extend(
                        probed.into_iter().map(|(metric, score)| (format!("{name}/{metric}"), score)),
                    );
                }
            }
            for (best, scores) in chosen.into_iter().zip(all) {
                best.test = scores;
            }
        }
        Ok(Outcome { runs: outcomes, train_time, evaluate_time: evaluate_time + started.elapsed() })
    }
}

/// Scores each run's parameters on a split.
fn score_split(
    job: &Job,
    parameters: &Parameters,
    split: &Split,
    what: &str,
    progress: &mut dyn Progress,
) -> Result<Vec<Scores>, MetricError> {
    let generation =
        Generation { batch_size: job.settings.eval_batch_size, max_new_tokens: job.data.max_new_tokens };
    let pass = Pass { backbone: job.backbone, method: job.method, parameters, dropout: None };
    let mut done = 0;
    let predictions = predict(&pass, split, job.tokenizer, generation, |rows| {
        done += rows;
        progress.scoring(what, done, split.len());
    });
    predictions.iter().map(|predictions| score(split, predictions, job.metrics, &job.data.classes)).collect()
}

/// Where a state file keeps a run's best value of a parameter.
fn best_name(run: usize, parameter: &str) -> String {
    format!("best/{run}/{parameter}")
}

/// The sum of two batches' gradients.
pub fn add(sum: Option<Gradients>, new: Gradients) -> Gradients {
    let Some(sum) = sum else { return new };
    let pairs = sum.into_iter().zip(new);
    pairs
        .map(|pair| match pair {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        })
        .collect()
}
