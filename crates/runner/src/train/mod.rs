//! Trains one method on one task, several seeds side by side, and scores the best checkpoint.

mod evaluate;
mod optimizer;
mod schedule;

use std::time::{Duration, Instant};

use peft_model::dropout::Dropout;
use peft_model::peft::{Method, Parameters};
use peft_model::t5::{Backbone, Batch, Pass, target_loss};
use serde::{Deserialize, Serialize};

pub use evaluate::{Generation, Scores, predict, score};
pub use optimizer::{AdamW, AdamWSettings, Rates};
pub use schedule::linear;

use crate::batches::{Batches, EpochCache};
use crate::data::{Split, TaskData};
use crate::metric::{Metric, MetricError};
use crate::progress::Progress;
use crate::tokenizer::Tokenizer;

/// How long and how hard to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainSettings {
    /// Number of updates.
    pub steps: u64,
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
    /// Says which setting is out of range.
    pub fn check(&self) -> Result<(), String> {
        for (key, value) in [
            ("steps", self.steps),
            ("batch_size", self.batch_size as u64),
            ("accumulation", self.accumulation as u64),
            ("evaluate_every", self.evaluate_every),
            ("eval_batch_size", self.eval_batch_size as u64),
        ] {
            if value == 0 {
                return Err(format!("`training.{key}` is 0; it must be at least 1"));
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
    /// The first one chooses the checkpoint.
    pub metrics: &'a [Metric],
    pub settings: &'a TrainSettings,
    pub runs: &'a [RunSettings],
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    Completed,
    /// The loss stopped being a finite number at this update.
    Diverged {
        step: u64,
        loss: f64,
    },
}

/// What came of one run.
#[derive(Debug, Clone)]
pub struct RunOutcome {
    pub seed: u64,
    pub status: Status,
    /// Update of the best checkpoint, its validation and its test scores.
    pub best: Option<Best>,
    /// Mean training loss since the previous point, by update.
    pub losses: Vec<(u64, f64)>,
    /// Score of the selecting metric on the validation split, by update.
    pub validation: Vec<(u64, f64)>,
}

/// The best checkpoint of a run.
#[derive(Debug, Clone)]
pub struct Best {
    pub step: u64,
    pub validation: Scores,
    pub test: Scores,
    /// Trained values in declaration order.
    pub values: Vec<Vec<f32>>,
}

/// What came of runs side by side.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub runs: Vec<RunOutcome>,
    pub train_time: Duration,
    pub evaluate_time: Duration,
}

/// Updates between looks at the loss; each look waits for the device.
const LOSS_INTERVAL: u64 = 10;

/// Trains, keeps each run's best checkpoint on the validation split, and scores it once on the test
/// split. A run whose loss is no longer finite ends; its neighbours go on.
///
/// # Errors
/// When a metric cannot take the task's targets.
pub fn train(job: &Job, progress: &mut dyn Progress) -> Result<Outcome, MetricError> {
    let mut training = Training::start(job);
    progress.start(job.settings.steps, &format!("{} runs", job.runs.len()));
    for step in 0..job.settings.steps {
        training.update(step, progress);
        let done = step + 1;
        if done % LOSS_INTERVAL == 0 || done == job.settings.steps {
            training.look_at_losses(done, progress);
        }
        if training.alive.is_empty() {
            break;
        }
        if done % job.settings.evaluate_every == 0 || done == job.settings.steps {
            training.validate(done, progress)?;
        }
    }
    training.test(progress)?;
    progress.finish();
    Ok(training.outcome())
}

struct Training<'a> {
    job: &'a Job<'a>,
    parameters: Parameters,
    optimizer: AdamW,
    /// Which run each row of the parameters belongs to.
    alive: Vec<usize>,
    batches: Vec<EpochCache>,
    outcomes: Vec<RunOutcome>,
    /// Losses of the updates since the last look, on the device: `[runs]` each.
    recent: Vec<burn::tensor::Tensor<1>>,
    train_time: Duration,
    evaluate_time: Duration,
}

impl<'a> Training<'a> {
    fn start(job: &'a Job<'a>) -> Self {
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

    fn pass<'p>(&'p self, parameters: &'p Parameters, dropout: Option<&'p Dropout>) -> Pass<'p> {
        Pass { backbone: self.job.backbone, method: self.job.method, parameters, dropout }
    }

    /// One update of every living run.
    fn update(&mut self, step: u64, progress: &mut dyn Progress) {
        let started = Instant::now();
        let settings = self.job.settings;
        let seeds: Vec<u64> = self.alive.iter().map(|&run| self.job.runs[run].seed).collect();
        let tracked = self.parameters.tracked();
        let mut gradients = None;
        for micro in 0..settings.accumulation as u64 {
            let position = step * settings.accumulation as u64 + micro;
            let (batch, rows) = self.batch(position);
            let dropout = Dropout::new(&seeds, position);
            let loss = target_loss(&self.pass(&tracked, Some(&dropout)), &batch).per_run;
            self.recent.push(loss.clone().inner());
            let total = loss.sum() / settings.accumulation as f64;
            let new = tracked.take_gradients(&mut total.backward());
            gradients = Some(match gradients {
                Some(sum) => add(sum, new),
                None => new,
            });
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
    fn look_at_losses(&mut self, step: u64, progress: &mut dyn Progress) {
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
            self.outcomes[run].losses.push((step, loss));
            if !loss.is_finite() {
                self.outcomes[run].status = Status::Diverged { step, loss };
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

    fn validate(&mut self, step: u64, progress: &mut dyn Progress) -> Result<(), MetricError> {
        let started = Instant::now();
        let all = self.score(&self.parameters, &self.job.data.validation, "validation", progress)?;
        let select = self.job.metrics[0].to_string();
        for (position, scores) in all.into_iter().enumerate() {
            let run = self.alive[position];
            let outcome = &mut self.outcomes[run];
            outcome.validation.push((step, scores[&select]));
            let better = outcome.best.as_ref().is_none_or(|best| scores[&select] > best.validation[&select]);
            if better {
                let values = self.parameters.run_to_host(position);
                outcome.best = Some(Best { step, validation: scores, test: Scores::new(), values });
            }
        }
        self.evaluate_time += started.elapsed();
        Ok(())
    }

    /// Scores the best checkpoint of every run that has one.
    fn test(&mut self, progress: &mut dyn Progress) -> Result<(), MetricError> {
        let started = Instant::now();
        let (runs, values): (Vec<usize>, Vec<Vec<Vec<f32>>>) = self
            .outcomes
            .iter()
            .enumerate()
            .filter_map(|(run, outcome)| Some((run, outcome.best.as_ref()?.values.clone())))
            .unzip();
        if runs.is_empty() {
            return Ok(());
        }
        let backbone = self.job.backbone;
        let declared = self.parameters.declared().to_vec();
        let best = Parameters::from_host(declared, &values, backbone.device(), backbone.dtype());
        let all = self.score(&best, &self.job.data.test, "test", progress)?;
        for (run, scores) in runs.into_iter().zip(all) {
            if let Some(best) = &mut self.outcomes[run].best {
                best.test = scores;
            }
        }
        self.evaluate_time += started.elapsed();
        Ok(())
    }

    fn score(
        &self,
        parameters: &Parameters,
        split: &Split,
        what: &str,
        progress: &mut dyn Progress,
    ) -> Result<Vec<Scores>, MetricError> {
        let generation = Generation {
            batch_size: self.job.settings.eval_batch_size,
            max_new_tokens: self.job.data.max_new_tokens,
        };
        let pass = self.pass(parameters, None);
        let mut done = 0;
        let predictions = predict(&pass, split, self.job.tokenizer, generation, |rows| {
            done += rows;
            progress.scoring(what, done, split.len());
        });
        predictions.iter().map(|predictions| score(split, predictions, self.job.metrics)).collect()
    }

    fn outcome(self) -> Outcome {
        Outcome { runs: self.outcomes, train_time: self.train_time, evaluate_time: self.evaluate_time }
    }
}

impl RunOutcome {
    fn new(seed: u64) -> Self {
        Self { seed, status: Status::Completed, best: None, losses: Vec::new(), validation: Vec::new() }
    }
}

fn add(a: peft_model::peft::Gradients, b: peft_model::peft::Gradients) -> peft_model::peft::Gradients {
    a.into_iter()
        .zip(b)
        .map(|pair| match pair {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        })
        .collect()
}
