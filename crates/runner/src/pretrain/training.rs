use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use burn::tensor::{DType, Device};
use peft_model::dropout::Dropout;
use peft_model::optim::{AdamW, AdamWSettings, Part, Update, linear};
use peft_model::peft::{self, ConfiguredMethod};
use peft_model::{
    Adaptation, Backbone, Batch, Configuration, Group, Parameters, StepCount, Weights, families,
};
use peft_pocket::{Corpus, Mixture};
use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::publish::{self, Staged};
use super::{Example, Examples, PretrainError, Recipe, tokenizer};
use crate::files::atomic;
use crate::files::digest::Digest;
use crate::host::interrupt;
use crate::hub::Hub;
use crate::model::{self, Model, Precision};
use crate::terminal::progress::Progress;
use crate::tokenizer::Tokenizer;
use crate::train::{Snapshot, State, StateFile};

/// Mean loss per target token on text that was not trained on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    pub span_corruption: f64,
    pub supervised: f64,
}

/// What a pretraining came to; written beside the model as `pretraining.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub recipe: Recipe,
    /// Commit or digest of the model that it started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_revision: Option<String>,
    pub parameters: usize,
    /// Of the model as it is shipped, in f16.
    pub held_out: HeldOut,
    pub steps: u64,
    /// Source and target tokens that it read, padding left out.
    pub tokens: u64,
    pub seconds: f64,
    pub threads: usize,
}

/// What a state file says beside the tensors.
#[derive(Serialize, Deserialize)]
struct Meta {
    step: u64,
    tokens: u64,
    seconds: f64,
}

/// Instructions of every kind, for the tokenizer to count words in.
const EVERYTHING: Mixture = Mixture { reasons: 0.2, verbalized: 0.6 };

/// Updates between looks at the loss.
const LOSS_INTERVAL: u64 = 20;

/// Rows on which the held-out loss is measured at a time.
const EVAL_BATCH: usize = 64;

/// Pretrains a model into a folder in the hub's layout; goes on from `folder/state.safetensors`.
///
/// # Errors
/// When the folder cannot be written, the tokenizer cannot be trained, or the loss explodes.
pub fn pretrain(
    recipe: &Recipe,
    folder: &Path,
    checkpoint_interval: Duration,
    hub: &Hub,
    device: &Device,
    progress: &mut dyn Progress,
) -> Result<Report, PretrainError> {
    publish::prepare(folder)?;
    let (path, text) = tokenizer_file(recipe, folder, hub)?;
    let tokenizer = Tokenizer::from_bytes(&text, &path, tokenizer::EOS_ID, usize::MAX)?;
    let config = recipe
        .configuration(tokenizer.len())
        .map_err(PretrainError::Configuration)?
        .with_dropout_rate(recipe.training.dropout_rate);
    recipe.ensure_memory(config.layout())?;
    let examples = Examples::new(recipe, &tokenizer)?;
    let (backbone, start_revision) = prepare_backbone(recipe, config.as_ref(), hub, device)?;
    atomic::sweep(folder);
    let file =
        StateFile::new(folder.join("state.safetensors"), owner(recipe, &tokenizer), checkpoint_interval);
    let mut pretraining = Pretraining::start(recipe, examples, backbone, file)?;
    let deferred = interrupt::defer();
    pretraining.run(progress)?;
    drop(deferred);
    pretraining.finish(folder, &text, start_revision)
}

/// All that decides what a pretraining comes to.
fn owner(recipe: &Recipe, tokenizer: &Tokenizer) -> String {
    let recipe = serde_json::to_string(recipe).expect("plain data serializes");
    Digest::of(recipe).and(tokenizer.digest()).hex()
}

/// The tokenizer of the model that it starts from, or a trained one: where it is to be, and its text.
fn tokenizer_file(recipe: &Recipe, folder: &Path, hub: &Hub) -> Result<(PathBuf, Vec<u8>), PretrainError> {
    match &recipe.start {
        Some(start) => Ok(model::tokenizer_file(start, hub)?),
        None => {
            let text = train_tokenizer(recipe).map_err(|e| PretrainError::Tokenizer(e.to_string()))?;
            Ok((folder.join("tokenizer.json"), text.into_bytes()))
        }
    }
}

fn train_tokenizer(recipe: &Recipe) -> tokenizers::Result<String> {
    let mut corpus = Corpus::new(recipe.seed);
    let texts = (0..recipe.tokenizer.passages).map(|i| match i % 2 {
        0 => corpus.plain(),
        _ => corpus.supervised(&EVERYTHING).0,
    });
    tokenizer::train(&recipe.tokenizer, texts)?.to_string(true)
}

/// Random weights, or those of the model that it starts from with that model's revision.
fn prepare_backbone(
    recipe: &Recipe,
    config: &dyn Configuration,
    hub: &Hub,
    device: &Device,
) -> Result<(Box<dyn Backbone>, Option<String>), PretrainError> {
    let Some(start) = &recipe.start else {
        let mut weights = Weights::random(config.layout(), recipe.seed, device, DType::F32);
        config.favor_neighbors(&mut weights, recipe.model.local_attention);
        return Ok((config.build(weights), None));
    };
    let Model { backbone, revision, .. } = Model::open(start, hub, device, Precision::F32)?;
    let found = backbone.configuration().with_dropout_rate(config.dropout_rate());
    if found.fields() != config.fields() {
        let [found, expected] = [found.fields(), config.fields()].map(|fields| fields.to_string());
        return Err(PretrainError::Shape { start: start.clone(), found, expected });
    }
    Ok((found.build(backbone.weights().clone()), Some(revision)))
}

struct Pretraining<'a> {
    recipe: &'a Recipe,
    examples: Examples<'a>,
    /// The start; full fine-tuning replaces every tensor of it.
    backbone: Box<dyn Backbone>,
    method: ConfiguredMethod,
    parameters: Parameters,
    optimizer: AdamW,
    file: StateFile,
    step: u64,
    tokens: u64,
    seconds: f64,
}

impl<'a> Pretraining<'a> {
    fn start(
        recipe: &'a Recipe,
        examples: Examples<'a>,
        backbone: Box<dyn Backbone>,
        file: StateFile,
    ) -> Result<Self, PretrainError> {
        let method = peft::build("full", &Map::new())?;
        let started = backbone.start(method.method.as_ref(), &[recipe.seed], &|_| Vec::new());
        let parameters = started.expect("every backbone can be trained as a whole");
        let settings = AdamWSettings {
            epsilon: 1e-6,
            weight_decay: recipe.training.weight_decay,
            max_gradient_norm: 1.0,
        };
        let optimizer = AdamW::new(&parameters, settings);
        let steps = recipe.steps();
        let saved = file.read(&parameters, &optimizer, |saved: &State<Meta>| match saved.meta.step {
            step if step > steps => Err(format!("it is after update {step} of {steps}")),
            _ if saved.parameters.runs() != 1 => Err("it is of several runs".into()),
            _ => Ok(()),
        })?;
        let mut new = Self {
            recipe,
            examples,
            backbone,
            method,
            parameters,
            optimizer,
            file,
            step: 0,
            tokens: 0,
            seconds: 0.0,
        };
        if let Some(State { parameters, optimizer, meta, .. }) = saved {
            (new.parameters, new.optimizer) = (parameters, optimizer);
            (new.step, new.tokens, new.seconds) = (meta.step, meta.tokens, meta.seconds);
        }
        Ok(new)
    }

    fn run(&mut self, progress: &mut dyn Progress) -> Result<(), PretrainError> {
        let (steps, evaluate_every) = (self.recipe.steps(), self.recipe.training.evaluate_every);
        progress.start(self.step, steps, "pretraining");
        while self.step < steps {
            self.update(progress)?;
            progress.step();
            if self.step.is_multiple_of(evaluate_every) || self.step == steps {
                let HeldOut { span_corruption, supervised } = self.held_out();
                progress.note(&format!(
                    "step {}: held-out loss {span_corruption:.4} (span corruption), {supervised:.4} (supervised)",
                    self.step
                ));
                self.ensure_finite(span_corruption + supervised)?;
            }
            if let Err(interrupted) = interrupt::check() {
                self.save()?;
                progress.note(&format!("the state after update {} of {steps} is kept", self.step));
                return Err(interrupted.into());
            }
            // The training itself has lost nothing.
            if self.file.is_due()
                && self.step < steps
                && let Err(problem) = self.save()
            {
                progress
                    .note(&format!("{problem}; an interruption would lose what came after the last state"));
            }
        }
        progress.finish();
        Ok(())
    }

    fn update(&mut self, progress: &mut dyn Progress) -> Result<(), PretrainError> {
        let started = Instant::now();
        let training = &self.recipe.training;
        let examples = self.examples.batch(self.step);
        let pieces = examples.chunks(training.batch_size.div_ceil(training.pieces)).enumerate();
        let parts: Vec<Part> = pieces
            .map(|(piece, examples)| Part {
                slices: vec![to_batch(examples, self.backbone.as_ref())],
                dropout: Dropout::new(&[self.recipe.seed], self.step * training.pieces as u64 + piece as u64),
                share: examples.len() as f64 / training.batch_size as f64,
            })
            .collect();
        let shares: Vec<f64> = parts.iter().map(|part| part.share).collect();
        let (phase, within) = self.recipe.phase(self.step);
        self.step += 1;
        let update = Update {
            backbone: self.backbone.as_ref(),
            method: self.method.method.as_ref(),
            count: StepCount { step: self.step, steps: self.recipe.steps() },
            rates: &[vec![(Group::NETWORK, phase.learning_rate)]],
            factor: linear(within, phase.warmup_steps, phase.decay_over.unwrap_or(phase.steps)),
            gradient_checkpointing: false,
        };
        let losses = update.apply(&mut self.parameters, &mut self.optimizer, parts);
        self.tokens += examples.iter().map(|e| (e.source.len() + e.target.len()) as u64).sum::<u64>();
        progress.examples(examples.len());
        if self.step.is_multiple_of(LOSS_INTERVAL) {
            let losses = losses.into_iter().zip(shares);
            let loss: f64 = losses.map(|(loss, share)| f64::from(loss.into_scalar::<f32>()) * share).sum();
            progress.loss(loss);
            self.ensure_finite(loss)?;
        }
        self.seconds += started.elapsed().as_secs_f64();
        Ok(())
    }

    fn ensure_finite(&self, loss: f64) -> Result<(), PretrainError> {
        match loss.is_finite() {
            true => Ok(()),
            false => Err(PretrainError::Diverged { step: self.step, loss }),
        }
    }

    fn held_out(&self) -> HeldOut {
        let adaptation = Adaptation::new(self.method.method.as_ref(), &self.parameters);
        held_out_loss(self.backbone.as_ref(), &adaptation, &self.examples.held_out())
    }

    fn save(&mut self) -> Result<(), PretrainError> {
        let meta = Meta { step: self.step, tokens: self.tokens, seconds: self.seconds };
        let (parameters, optimizer) = (&self.parameters, &self.optimizer);
        Ok(self.file.write(&Snapshot { parameters, optimizer, extra: Vec::new(), meta })?)
    }

    /// Writes the model in f16 and the report, and removes the state.
    fn finish(
        self,
        folder: &Path,
        tokenizer: &[u8],
        start_revision: Option<String>,
    ) -> Result<Report, PretrainError> {
        let device = self.backbone.device();
        let config = self.backbone.configuration().with_dropout_rate(self.recipe.model.dropout_rate);
        let trained = config.trained(&self.parameters, device);
        let staged = Staged::write(trained.as_ref(), tokenizer, folder)?;
        let shipped = families::load(staged.folder(), device, DType::F32)?;
        let frozen = peft::frozen();
        let none = Parameters::none(1, shipped.dtype());
        let adaptation = Adaptation::new(frozen.method.as_ref(), &none);
        let report = Report {
            recipe: self.recipe.without_private_paths(),
            start_revision,
            parameters: config.layout().num_parameters(),
            held_out: held_out_loss(shipped.as_ref(), &adaptation, &self.examples.held_out()),
            steps: self.step,
            tokens: self.tokens,
            seconds: self.seconds,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        };
        let text = serde_json::to_string_pretty(&report).expect("plain data serializes") + "\n";
        staged.publish(text.as_bytes(), folder)?;
        self.file.remove();
        Ok(report)
    }
}

fn to_batch(examples: &[Example], backbone: &dyn Backbone) -> Batch {
    let rows = examples.iter().map(|e| (&e.source[..], &e.target[..])).collect();
    Batch::new(&[rows], backbone.layout().tokens.pad, backbone.device())
}

/// The mean loss per target token, for each kind of example.
pub fn held_out_loss(backbone: &dyn Backbone, adaptation: &Adaptation, examples: &[Example]) -> HeldOut {
    let mean = |supervised: bool| {
        let examples: Vec<Example> =
            examples.iter().filter(|e| e.supervised == supervised).cloned().collect();
        let (mut total, mut tokens) = (0.0, 0);
        for examples in examples.chunks(EVAL_BATCH) {
            let batch = to_batch(examples, backbone);
            let log_probabilities = backbone.target_log_probabilities(adaptation, &batch);
            total -= f64::from(log_probabilities.sum().into_scalar::<f32>());
            tokens += examples.iter().map(|e| e.target.len()).sum::<usize>();
        }
        total / tokens.max(1) as f64
    };
    HeldOut { span_corruption: mean(false), supervised: mean(true) }
}
