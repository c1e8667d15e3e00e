//! A training of a few milliseconds in this process, which can be aborted after any step as by a kill.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use burn::tensor::{DType, Device};
use peft_bench::data::{Split, TaskData};
use peft_bench::files::checksum;
use peft_bench::metric::Metric;
use peft_bench::task::Example;
use peft_bench::terminal::progress::{Progress, Silent};
use peft_bench::tokenizer::Tokenizer;
use peft_bench::train::{
    Criterion, Generation, Interval, Job, Outcome, RunSettings, RunStatus, Start, StateFile, TrainError,
    TrainSettings, predict, train,
};
use peft_model::peft::{ConfiguredMethod, build};
use peft_model::{Adaptation, Backbone, families};
use serde_json::{Value, json};

use crate::common::Workspace;

pub(crate) const SEEDS: [u64; 2] = [7, 8];
pub(crate) const STEPS: u64 = 23;
pub(crate) const EVALUATE_EVERY: u64 = 4;

/// Two seeds of LoRA in one batched pass, for [`STEPS`] steps of two batches each.
pub(crate) struct Small {
    workspace: Workspace,
    backbone: Box<dyn Backbone>,
    tokenizer: Tokenizer,
    method: ConfiguredMethod,
    data: TaskData,
    metrics: Vec<Metric>,
    /// Factor of the method's learning rate, for each run.
    rates: [f64; 2],
    settings: TrainSettings,
}

/// The exact results of a training, except times.
pub(crate) type Bits = Vec<(u64, RunStatus, Vec<(u64, u64)>, Vec<(u64, u64)>, Option<BestBits>)>;
type BestBits = (u64, Vec<(String, u64)>, Vec<(String, u64)>, Vec<Vec<u32>>);

impl Small {
    pub(crate) fn new() -> Self {
        let workspace = Workspace::new();
        let folder = workspace.path("model");
        let backbone = families::load(&folder, &Device::flex(), DType::F32).unwrap();
        let layout = backbone.layout();
        let path = folder.join("tokenizer.json");
        let tokenizer = Tokenizer::load(&path, layout.tokens.eos, layout.vocab_size).unwrap();
        let settings = TrainSettings {
            steps: STEPS,
            batch_size: 4,
            accumulation: 2,
            warmup_steps: 2,
            evaluate_every: Interval::Updates(EVALUATE_EVERY),
            eval_batch_size: 16,
            ..TrainSettings::default()
        };
        let method = lora(0.05);
        let split = |rows| Arc::new(split(rows, &tokenizer));
        let data = TaskData {
            train: split(20),
            validation: split(12),
            test: split(13),
            probes: Vec::new(),
            classes: vec!["0".into(), "1".into()],
            classes_of_tasks: Vec::new(),
            labels: Vec::new(),
            max_new_tokens: 2,
        };
        let metrics = vec![Metric::Accuracy, Metric::F1];
        Self { workspace, backbone, tokenizer, method, data, metrics, rates: [1.0; 2], settings }
    }

    /// The same with a learning rate of zero, so that all scores of a split are equal: `right` correct answers.
    pub(crate) fn standing_still(right: usize, rows: usize) -> Self {
        let mut small = Self { method: lora(1e-30), metrics: vec![Metric::Accuracy], ..Self::new() };
        let mut validation = split(rows, &small.tokenizer);
        let method = small.method.method.as_ref();
        let parameters = small.backbone.start(method, &SEEDS, &|_| vec![1]).unwrap();
        let adaptation = Adaptation::new(method, &parameters);
        let generation = Generation { batch_size: 16, max_new_tokens: 2 };
        let backbone = small.backbone.as_ref();
        let predictions: Result<_, ()> =
            predict(backbone, &adaptation, &validation, &small.tokenizer, generation, |_| Ok(()));
        for (row, (example, prediction)) in
            validation.examples.iter_mut().zip(&predictions.unwrap()[0]).enumerate()
        {
            let answer = if row < right { prediction } else { "no model says this" };
            example.answers = vec![answer.into()];
        }
        small.data.validation = Arc::new(validation);
        small
    }

    /// The same with a second run that diverges at its first step.
    pub(crate) fn breaking_the_second() -> Self {
        Self { rates: [1.0, 1e40], ..Self::new() }
    }

    /// Path of the state file.
    pub(crate) fn state(&self) -> PathBuf {
        self.workspace.path("state.safetensors")
    }

    /// Trains to the end, from the state if there is one; writes none.
    pub(crate) fn train(&self) -> Result<Bits, TrainError> {
        self.run(Duration::MAX, &mut Silent).map(|outcome| bits(&outcome))
    }

    /// Resumes from the state, if there is one, and aborts as by a kill in the given step, counted from where it
    /// resumed. The state is that of the previous step.
    pub(crate) fn die_in(&self, update: u64) {
        let mut kill = Kill { left: update };
        let ended = catch_unwind(AssertUnwindSafe(|| self.run(Duration::ZERO, &mut kill).map(|_| ())));
        assert!(ended.is_err(), "it came to the end");
    }

    fn run(&self, interval: Duration, progress: &mut dyn Progress) -> Result<Outcome, TrainError> {
        let declared = self.method.method.learning_rates();
        let rates =
            self.rates.map(|factor| declared.iter().map(|&(group, rate)| (group, factor * rate)).collect());
        let runs: Vec<RunSettings> =
            SEEDS.into_iter().zip(rates).map(|(seed, rates)| RunSettings { seed, rates }).collect();
        let job = Job {
            backbone: self.backbone.as_ref(),
            tokenizer: &self.tokenizer,
            method: self.method.method.as_ref(),
            data: &self.data,
            metrics: &self.metrics,
            criterion: &Criterion::Metrics(vec![Metric::Accuracy]),
            settings: &self.settings,
            rows_at_once: None,
            runs: &runs,
            start: &Start::default(),
        };
        train(&job, StateFile::new(self.state(), "small", interval), progress)
    }
}

/// Aborts the training silently.
struct Kill {
    left: u64,
}

impl Progress for Kill {
    fn step(&mut self) {
        self.left -= 1;
        if self.left == 0 {
            resume_unwind(Box::new("killed"));
        }
    }

    fn start(&mut self, _done: u64, _steps: u64, _what: &str) {}
    fn examples(&mut self, _rows: usize) {}
    fn loss(&mut self, _loss: f64) {}
    fn scoring(&mut self, _split: &str, _done: usize, _rows: usize) {}
    fn note(&mut self, line: &str) {
        panic!("{line}");
    }
    fn finish(&mut self) {}
}

fn lora(learning_rate: f64) -> ConfiguredMethod {
    let settings = json!({"rank": 2, "alpha": 2.0, "learning_rate": learning_rate});
    build("lora", settings.as_object().unwrap()).unwrap()
}

fn split(rows: usize, tokenizer: &Tokenizer) -> Split {
    let example = |row: usize| {
        let (word, label) = if row.is_multiple_of(3) { ("bad", "0") } else { ("good", "1") };
        let noun = ["film", "book", "red", "green"][row % 4];
        Example {
            row: row as u32,
            line: None,
            source: format!("sentence: the {noun} was {}{word}", "very ".repeat(row % 5)),
            target: label.into(),
            answers: vec![label.into()],
            group: None,
            class: Some(label.into()),
            part: None,
        }
    };
    Split::new((0..rows).map(example).collect(), tokenizer, 64, 8)
}

fn bits(outcome: &Outcome) -> Bits {
    let curve = |curve: &[(u64, f64)]| curve.iter().map(|(step, value)| (*step, value.to_bits())).collect();
    let scores = |scores: &peft_bench::train::Scores| {
        scores.iter().map(|(name, score)| (name.clone(), score.to_bits())).collect()
    };
    let values =
        |values: &[Vec<f32>]| values.iter().map(|v| v.iter().map(|v| v.to_bits()).collect()).collect();
    let runs = outcome.runs.iter().map(|run| {
        let best = run.best.as_ref();
        let best = best.map(|b| (b.step, scores(&b.validation), scores(&b.test), values(&b.values)));
        (run.seed, run.status.clone(), curve(&run.losses), curve(&run.validation), best)
    });
    runs.collect()
}

/// Changes the header of a state file and fixes its checksum.
pub(crate) fn forge(path: &Path, change: impl FnOnce(&mut Value)) {
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let (header, values) = bytes[8..].split_at(length);
    let mut header: Value = serde_json::from_slice(header).unwrap();
    change(&mut header["__metadata__"]);
    let mut header = header.to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut forged = [&(header.len() as u64).to_le_bytes()[..], &header, values].concat();
    checksum::fill_in(&mut forged);
    fs::write(path, forged).unwrap();
}

/// Changes the training metadata in a state file.
pub(crate) fn forge_state(path: &Path, change: impl FnOnce(&mut Value)) {
    forge(path, |description| {
        let mut state: Value = serde_json::from_str(description["state"].as_str().unwrap()).unwrap();
        change(&mut state);
        description["state"] = state.to_string().into();
    });
}
