//! The making of records and adapters from what trainings came to.

use anyhow::{Error, Result};
use peft_model::layout::Layout;
use peft_model::optim::linear;
use peft_model::{Adaptation, Backbone, Parameter, Parameters, peft};
use serde_json::json;

use super::flops::Flops;
use super::instance::Instance;
use crate::data::{TaskData, TaskLengths};
use crate::host::device::DeviceName;
use crate::host::{self, memory};
use crate::model::Precision;
use crate::results::{
    Adapter, Answered, Cell, CellStatus, FORMAT, Origin, Record, RecordedEvidence, Store, portable,
    token_offsets, write_offsets,
};
use crate::task::TaskSpec;
use crate::tokenizer::Tokenizer;
use crate::train::{Evidence, Outcome, RunOutcome, RunStatus, Scores};

/// What the results of cells that trained side by side are made from.
pub(super) struct Making<'a> {
    /// The suite's name.
    pub suite: &'a str,
    pub instance: &'a Instance,
    /// The adapters that all of them started from.
    pub started_from: &'a [Origin],
    /// The training that they score, and the number of tasks that share it; `None` where they train themselves.
    pub trained: Option<(&'a Record, usize)>,
    pub backbone: &'a dyn Backbone,
    pub tokenizer: &'a Tokenizer,
    /// Digest of the backbone's weights.
    pub weights: String,
    pub data: &'a TaskData,
    pub outcome: &'a Outcome,
    pub device: DeviceName,
}

impl Making<'_> {
    /// Writes the results that the store lacks, each after its adapter, and gives their records.
    pub(super) fn write(&self, cells: &[Cell], store: &Store) -> Result<Vec<Record>> {
        let method = self.instance.built.method.as_ref();
        let declared = method.parameters(self.layout()).map_err(Error::msg)?;
        let trainable = peft::num_trainable(method, self.layout()).map_err(Error::msg)? as u64;
        let lengths = TaskLengths::from(self.data);
        let mut records = Vec::new();
        for (place, (cell, run)) in cells.iter().zip(&self.outcome.runs).enumerate() {
            // Of a group that was killed between its first result and its last, some have theirs.
            if store.read(&cell.id())?.is_some() {
                continue;
            }
            let evidence = &self.outcome.evidence[place];
            let mut recorded = self.evidence(cell, place, trainable, &lengths)?;
            if let Some(best) = &run.best {
                recorded.items = Some(self.write_predictions(cell, evidence, store)?);
                // What is only scored has its adapter where it was trained.
                if cell.scores.is_none() {
                    let adapter = Adapter::new(cell, &declared, &best.values);
                    adapter.write(&store.adapter_folder(&cell.id()))?;
                }
                self.write_offsets(cell, &declared, &best.values, store)?;
            }
            let mut record = Record { evidence: Some(recorded), ..self.record(cell, run, trainable) };
            if let Some((training, tasks)) = self.trained {
                share_costs(&mut record, training, tasks);
            }
            store.write(&record)?;
            records.push(record);
        }
        Ok(records)
    }

    /// Writes how far the embedding of each token was moved, where the method moves each by itself.
    fn write_offsets(
        &self,
        cell: &Cell,
        declared: &[Parameter],
        values: &[Vec<f32>],
        store: &Store,
    ) -> Result<()> {
        let backbone = self.backbone;
        let declared = declared.to_vec();
        let parameters = Parameters::from_host(declared, &[values], backbone.device(), backbone.dtype());
        let adaptation = Adaptation::new(self.instance.built.method.as_ref(), &parameters);
        if let Some(norms) = backbone.token_offsets(&adaptation) {
            let sources = self.data.test.pairs.iter().map(|pair| &pair.source[..]);
            let offsets = token_offsets(sources, &norms, |id| self.tokenizer.piece(id));
            write_offsets(store, &cell.id(), &offsets)?;
        }
        Ok(())
    }

    fn layout(&self) -> &Layout {
        self.backbone.layout()
    }

    fn write_predictions(&self, cell: &Cell, evidence: &Evidence, store: &Store) -> Result<String> {
        let (data, metrics) = (self.data, &cell.spec.metrics);
        let answered = Answered {
            examples: [&data.validation.examples, &data.test.examples],
            answers: [&evidence.validation, &evidence.test],
        };
        Ok(store.write_predictions(
            &cell.id(),
            answered,
            &metrics.all(),
            metrics.reported(),
            &data.classes,
        )?)
    }

    /// What was measured of a run; the name of its items is still to come.
    fn evidence(
        &self,
        cell: &Cell,
        place: usize,
        trainable: u64,
        lengths: &TaskLengths,
    ) -> Result<RecordedEvidence> {
        let (outcome, training) = (self.outcome, &cell.training);
        let (run, tokens) = (&outcome.runs[place], outcome.tokens[place]);
        let runs = outcome.runs.len() as u64;
        let factor = |step: u64| linear(step - 1, training.warmup_steps, training.steps);
        let last = outcome.evidence[place].last.as_ref();
        let seconds = outcome.train_time.as_secs_f64();
        let flops = Flops::new(self.instance, training, lengths, None, self.layout()).map_err(Error::msg)?;
        Ok(RecordedEvidence {
            training_flops: flops.step * training.steps as f64,
            last_test_scores: last.map(|scores| json!(scores).to_string()).unwrap_or_default(),
            gradient_norms: run.gradient_norms.clone(),
            schedule: run.losses.iter().map(|(step, _)| factor(*step)).collect(),
            real_tokens: tokens.real,
            padded_tokens: tokens.padded,
            examples_per_second: match seconds > 0.0 {
                true => (training.steps * training.batch_size as u64 * runs) as f64 / seconds,
                false => 0.0,
            },
            weights_bytes: cell.precision.bytes() * self.layout().num_parameters() as u64,
            // A value, its gradient and two moments.
            trained_bytes: 16 * trainable,
            weights: self.weights.clone(),
            items: None,
        })
    }

    fn record(&self, cell: &Cell, run: &RunOutcome, trainable: u64) -> Record {
        let metrics = &cell.spec.metrics;
        let (metric, criterion) =
            (metrics.reported().to_string(), cell.training.selection.criterion(&cell.spec));
        let best = run.best.as_ref();
        let json_scores = |scores: Option<&Scores>| json!(scores.cloned().unwrap_or_default()).to_string();
        let (data, outcome, runs) = (self.data, self.outcome, self.outcome.runs.len());
        let status = match &run.status {
            RunStatus::Completed => CellStatus::Completed,
            RunStatus::Diverged { step, loss } => {
                CellStatus::Diverged(format!("the loss was {loss} by step {step}"))
            }
        };
        Record {
            cell: cell.id(),
            kind: cell.kind(),
            suite: self.suite.into(),
            task: portable(&cell.task),
            task_title: cell.title(),
            group: cell.spec.group.clone(),
            method: self.instance.name.clone(),
            seed: cell.seed,
            // A diverged run has no score: its best checkpoint says nothing about the method.
            score: match status {
                CellStatus::Completed => best.map(|b| b.test[&metric]),
                CellStatus::Diverged(_) => None,
            },
            status,
            selection_score: best.map(|b| criterion.score(&b.validation)),
            metric,
            selection_metric: criterion.to_string(),
            best_step: best.map(|b| b.step),
            test_scores: json_scores(best.map(|b| &b.test)),
            validation_scores: json_scores(best.map(|b| &b.validation)),
            evidence: None,
            started_from: self.started_from.to_vec(),
            trainable_parameters: trainable,
            train_seconds: outcome.train_time.as_secs_f64() / runs as f64,
            evaluate_seconds: outcome.evaluate_time.as_secs_f64() / runs as f64,
            runs_side_by_side: runs as u32,
            peak_memory_bytes: match self.device {
                DeviceName::CPU => memory::peak_bytes(),
                _ => outcome.device_memory,
            },
            losses: run.losses.clone(),
            validation_curve: run.validation.clone(),
            train_rows: data.train.len() as u64,
            validation_rows: data.validation.len() as u64,
            test_rows: data.test.len() as u64,
            limit: cell.limit.map(|limit| limit as u64),
            truncated_sources: [&data.train, &data.validation, &data.test]
                .map(|split| split.truncated_sources.len() as u64)
                .iter()
                .sum(),
            model: portable(&cell.model),
            model_revision: cell.model_revision.clone(),
            dataset_revision: cell.dataset_revision(),
            settings: json!(cell.settings).to_string(),
            training: json!(cell.training).to_string(),
            task_spec: task_spec(&cell.spec),
            versions: versions(self.device, cell.precision),
            timestamp: host::timestamp(),
            commit: host::COMMIT.into(),
            cpu: host::cpu(),
            threads: host::threads() as u32,
            format: FORMAT,
        }
    }
}

/// Gives a record of what is only scored a task's share of what its training took.
fn share_costs(record: &mut Record, training: &Record, tasks: usize) {
    record.train_seconds = training.train_seconds / tasks as f64;
    record.runs_side_by_side = training.runs_side_by_side;
    record.peak_memory_bytes = record.peak_memory_bytes.max(training.peak_memory_bytes);
    if let (Some(own), Some(of_training)) = (&mut record.evidence, &training.evidence) {
        own.training_flops = of_training.training_flops / tasks as f64;
        own.real_tokens = of_training.real_tokens / tasks as u64;
        own.padded_tokens = of_training.padded_tokens / tasks as u64;
        own.examples_per_second = of_training.examples_per_second;
    }
}

/// A task's specification as JSON.
fn task_spec(spec: &TaskSpec) -> String {
    let mut spec = spec.clone();
    let of_parts = spec.mixture.iter_mut().flat_map(|part| part.data.files.values_mut());
    spec.data.files.values_mut().chain(of_parts).for_each(|file| *file = portable(file));
    json!(spec).to_string()
}

/// What made a result: program, framework, device and the precision there.
fn versions(device: DeviceName, precision: Precision) -> String {
    json!({
        "peft-bench": env!("CARGO_PKG_VERSION"),
        "burn": peft_model::BURN_VERSION,
        "system": format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        "device": device.to_string(),
        "precision": precision,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_say_when_by_what_and_where_they_were_made() {
        let (timestamp, commit) = (host::timestamp(), host::COMMIT);
        let (cpu, threads) = (host::cpu(), host::threads());
        let time = chrono::DateTime::parse_from_rfc3339(&timestamp).unwrap();
        assert!(timestamp.ends_with('Z') && (chrono::Utc::now() - time.to_utc()).num_seconds() < 60);
        let hash = commit.strip_suffix("-dirty").unwrap_or(commit);
        let is_commit = hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_commit || hash == concat!("v", env!("CARGO_PKG_VERSION")), "{commit}");
        assert!(!cpu.is_empty() && threads > 0);
    }
}
