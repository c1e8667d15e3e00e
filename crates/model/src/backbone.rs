//! What every family of backbones gives: a configuration, and with weights the losses and answers of an adapted model.

use std::collections::HashMap;
use std::fmt::Debug;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::{DType, Device, Int, Tensor};

use crate::Error;
use crate::batch::{Batch, Padding, Rows, Widths};
use crate::context::{Context, Memory};
use crate::device::is_host;
use crate::distillation::distance;
use crate::dropout::Dropout;
use crate::generation_config;
use crate::layout::Layout;
use crate::loss::{loss, token_log_probabilities};
use crate::method::Method;
use crate::ops;
use crate::parameters::Parameters;
use crate::pass::Pass;
use crate::peft;
use crate::source::{SourceSpec, SourceTensors};
use crate::stage::State;
use crate::weights::{Checkpoint, Weights};

/// What a model folder's `config.json` says, read and checked: a backbone without its weights.
pub trait Configuration: Debug + Send + Sync {
    /// The places and tensors of the backbone.
    fn layout(&self) -> &Layout;

    /// The fields that decide what the backbone computes, by their names in `config.json`.
    fn fields(&self) -> serde_json::Value;

    /// The text of a `config.json` that transformers reads too.
    fn to_json(&self) -> String;

    /// Probability with which the backbone's dropout drops an element.
    fn dropout_rate(&self) -> f64;

    /// The same configuration with another dropout rate.
    fn with_dropout_rate(&self, rate: f64) -> Arc<dyn Configuration>;

    /// The backbone with these weights, which are of this layout.
    fn build(&self, weights: Weights) -> Box<dyn Backbone>;

    /// Takes the weights out of a checkpoint, and says what they are of: where a head is its own is told by its values.
    ///
    /// # Errors
    /// When a tensor is missing, is not finite, or does not fit the configuration.
    fn read(
        &self,
        checkpoint: &Checkpoint,
        device: &Device,
        dtype: DType,
    ) -> Result<(Arc<dyn Configuration>, Weights), Error>;

    /// Adds a bias to relative position biases, so that the encoder's first heads look at the token before, the token
    /// after and the token itself; `false` where the family has no such biases.
    fn favor_neighbors(&self, weights: &mut Weights, bias: f32) -> bool {
        let _ = (weights, bias);
        false
    }

    /// The backbone with random weights, for pretraining and for measurements that do not need trained ones.
    fn random(&self, seed: u64, device: &Device, dtype: DType) -> Box<dyn Backbone> {
        self.build(Weights::random(self.layout(), seed, device, dtype))
    }

    /// The backbone with the weights of a model folder in the hub's layout.
    ///
    /// Weights are read from `model.safetensors` or `pytorch_model.bin`, whole or in the shards of `*.index.json`,
    /// whichever is there first; f16, bf16 and f64 are converted to `dtype`. What the files hold and the backbone does
    /// not use is in [`Weights::notes`].
    ///
    /// # Errors
    /// When a file is missing or truncated, or a tensor is missing, is not finite, or does not fit the configuration.
    fn load(&self, folder: &Path, device: &Device, dtype: DType) -> Result<Box<dyn Backbone>, Error> {
        let (configuration, mut weights) = self.read(&Checkpoint::open(folder)?, device, dtype)?;
        weights.note(generation_config::not_heeded(folder)?);
        Ok(configuration.build(weights))
    }

    /// The backbone with weights that are in memory: the bytes of a `model.safetensors`, which `name` names in
    /// messages.
    ///
    /// # Errors
    /// As [`load`](Self::load), and when the bytes are no safetensors.
    fn read_safetensors(
        &self,
        bytes: &'static [u8],
        name: &str,
        device: &Device,
        dtype: DType,
    ) -> Result<Box<dyn Backbone>, Error> {
        let checkpoint = Checkpoint::embedded(name.into(), bytes)?;
        let (configuration, weights) = self.read(&checkpoint, device, dtype)?;
        Ok(configuration.build(weights))
    }

    /// The backbone that full fine-tuning or pretraining made, from its first run.
    ///
    /// # Panics
    /// When a tensor of the layout is not among the parameters.
    fn trained(&self, parameters: &Parameters, device: &Device) -> Box<dyn Backbone> {
        let names = parameters.declared().iter().map(|parameter| parameter.name.clone());
        let mut values: HashMap<String, Vec<f32>> = names.zip(parameters.run_to_host(0)).collect();
        let taken = |name: &str, _: &[usize; 2]| values.remove(name).ok_or_else(|| name.to_string());
        let weights = Weights::try_new(self.layout(), device, DType::F32, taken);
        self.build(weights.unwrap_or_else(|name| panic!("tensor `{name}` was not trained")))
    }
}

/// A frozen model of some family: loaded once, never changed, shared by every run of every method.
pub trait Backbone: Debug + Send + Sync {
    /// What it is, without its weights.
    fn configuration(&self) -> &dyn Configuration;

    /// Its tensors.
    fn weights(&self) -> &Weights;

    /// Number of stages of a forward pass over a batch.
    fn stages(&self) -> usize;

    /// Number of first stages that read the sources alone: what they give serves several targets.
    fn source_stages(&self) -> usize;

    /// Takes a forward pass one stage further; the first has no state before it, and the last gives the logits of each
    /// target token given those before it.
    fn stage(&self, pass: &Pass, batch: &Batch, stage: usize, state: Option<State>) -> State;

    /// Reads the sources, to answer them step by step.
    fn decoding<'a>(&'a self, pass: &'a Pass<'a>, source: Rows) -> Box<dyn Decoding + 'a>;
}

/// An answer to each source on its way.
pub trait Decoding {
    /// Takes the next token of each answer, `[runs, batch, 1]`, and gives the logits of the one after it,
    /// `[runs, batch, 1, vocab_size]`.
    fn step(&mut self, ids: Tensor<3, Int>) -> Tensor<4>;
}

/// Steps after which answers are read: each read waits for a device, and steps after the last EOS token are in vain.
fn steps_between_reads(device: &Device) -> usize {
    match is_host(device) {
        true => 1,
        false => 8,
    }
}

/// The answers to rows, as far as they have been read.
struct Answers {
    rows: Vec<Vec<u32>>,
    eos: u32,
}

impl Answers {
    fn new(rows: usize, eos: u32) -> Self {
        Self { rows: vec![Vec::new(); rows], eos }
    }

    /// Appends the next ids, `[runs, batch, steps]`, up to the EOS token of each row.
    fn append(&mut self, ids: Tensor<3, Int>) {
        let [.., steps] = ids.dims();
        let ids: Vec<i64> = ids.try_into_vec_as().expect("ids as i64");
        for (row, ids) in self.rows.iter_mut().zip(ids.chunks(steps)) {
            for &id in ids {
                if row.last() != Some(&self.eos) {
                    row.push(id as u32);
                }
            }
        }
    }

    fn are_over(&self) -> bool {
        self.rows.iter().all(|row| row.last() == Some(&self.eos))
    }
}

/// What makes a backbone another model: a method, the values of its tensors, and dropout in training.
#[derive(Clone, Copy)]
pub struct Adaptation<'a> {
    /// The method.
    pub method: &'a dyn Method,
    /// Its tensors.
    pub parameters: &'a Parameters,
    /// Where dropout masks come from; `None` evaluates.
    pub dropout: Option<&'a Dropout>,
}

impl<'a> Adaptation<'a> {
    /// A trained method, to evaluate it.
    pub fn new(method: &'a dyn Method, parameters: &'a Parameters) -> Self {
        Self { method, parameters, dropout: None }
    }
}

impl dyn Backbone + '_ {
    /// Its places and tensors.
    pub fn layout(&self) -> &Layout {
        self.configuration().layout()
    }

    /// The device that holds its tensors.
    pub fn device(&self) -> &Device {
        self.weights().device()
    }

    /// The type in which it computes.
    pub fn dtype(&self) -> DType {
        self.weights().dtype()
    }

    /// How the batches of a method are padded: on a GPU to few widths, as far as the method takes them.
    pub fn padding(&self, method: &dyn Method) -> Padding {
        let id = self.layout().tokens.pad;
        match is_host(self.device()) {
            true => id.into(),
            false => {
                let longest = method.max_source_length().unwrap_or(usize::MAX);
                Padding { id, source: Widths::Rounded(longest), target: Widths::Rounded(usize::MAX) }
            }
        }
    }

    /// Writes `config.json` and `model.safetensors`, in f32, f16 or bf16, which transformers reads too.
    ///
    /// # Errors
    /// When the folder cannot be written.
    ///
    /// # Panics
    /// When `dtype` is none of the three.
    pub fn save(&self, folder: &Path, dtype: DType) -> Result<(), Error> {
        self.weights().save(folder, dtype)?;
        let path = folder.join("config.json");
        std::fs::write(&path, self.configuration().to_json()).map_err(|source| Error::Write { path, source })
    }

    /// The parameters of a method before training, one run per seed; `tokenize` gives the ids of a text, EOS token
    /// included. What a run starts from depends on its own seed alone.
    ///
    /// # Errors
    /// When a setting of the method asks for what the backbone does not have.
    pub fn start(
        &self,
        method: &dyn Method,
        seeds: &[u64],
        tokenize: &dyn Fn(&str) -> Vec<u32>,
    ) -> Result<Parameters, String> {
        self.start_from(&[], method, seeds, tokenize)
    }

    /// As `start`, for a method with [sources](Method::sources), in its order.
    ///
    /// # Errors
    /// When there are more or fewer sources than the method has, or they do not fit it.
    pub fn start_from(
        &self,
        sources: &[SourceTensors],
        method: &dyn Method,
        seeds: &[u64],
        tokenize: &dyn Fn(&str) -> Vec<u32>,
    ) -> Result<Parameters, String> {
        let (given, wanted) = (sources.len(), method.sources().len());
        if given != wanted {
            return Err(format!("it starts from {wanted} sources, and {given} are given"));
        }
        let declared = method.parameters(self.layout())?;
        Parameters::init(declared, seeds, self.layout(), self.weights(), tokenize, sources)
    }

    /// The sources of a method, and those that they have themselves, as they are before they train: what is measured
    /// needs no better ones.
    ///
    /// # Errors
    /// When a setting of a source asks for what the backbone does not have.
    pub fn untrained_sources(
        &self,
        method: &dyn Method,
        seed: u64,
        tokenize: &dyn Fn(&str) -> Vec<u32>,
    ) -> Result<Vec<SourceTensors>, String> {
        let untrained = |(seed, spec): (u64, SourceSpec)| {
            let built = peft::build(spec.method, &spec.settings).map_err(|problem| problem.to_string())?;
            let method = built.method.as_ref();
            let sources = self.untrained_sources(method, seed, tokenize)?;
            Ok(self.start_from(&sources, method, &[seed], tokenize)?.to_source())
        };
        // Each with a seed of its own, for they are prompts of different tasks.
        (seed..).zip(method.sources()).map(untrained).collect()
    }

    /// Teacher-forced logits: `[runs, batch, target length, vocab_size]`.
    pub fn target_logits(&self, adaptation: &Adaptation, batch: &Batch) -> Tensor<4> {
        self.target_state(adaptation, batch).states
    }

    /// What the last stage of that forward pass gives: the logits, and what was made of the sources.
    pub fn target_state(&self, adaptation: &Adaptation, batch: &Batch) -> State {
        let pass = self.pass(adaptation, &batch.source, None);
        self.run_stages(&pass, batch, 0..self.stages(), None)
    }

    /// Some stages of a forward pass, after those that gave the state.
    fn run_stages(&self, pass: &Pass, batch: &Batch, stages: Range<usize>, before: Option<State>) -> State {
        let after = stages.fold(before, |state, stage| Some(self.stage(pass, batch, stage, state)));
        after.expect("a pass has stages")
    }

    /// The training loss, the mean negative log-probability of each run's target tokens, or a slice's share of it:
    /// `[runs]`.
    pub fn target_loss(&self, adaptation: &Adaptation, batch: &Batch) -> Tensor<1> {
        loss(self.target_logits(adaptation, batch), batch)
    }

    /// One stage of the forward pass that [`target_logits`](Self::target_logits) is.
    pub(crate) fn target_stage(
        &self,
        adaptation: &Adaptation,
        batch: &Batch,
        stage: usize,
        state: Option<State>,
    ) -> State {
        self.stage(&self.pass(adaptation, &batch.source, None), batch, stage, state)
    }

    /// What the method adds to the training loss, `[runs]`.
    pub fn penalty(&self, adaptation: &Adaptation, batch: &Batch) -> Option<Tensor<1>> {
        adaptation.method.penalty(self.pass(adaptation, &batch.source, None).context())
    }

    /// What the distance of the last state from that of the method's teacher adds to the training loss, `[runs]`, or a
    /// slice's share of it.
    pub fn distillation(&self, adaptation: &Adaptation, last: &State, batch: &Batch) -> Option<Tensor<1>> {
        let teacher = adaptation.method.teacher()?;
        let taught = self.target_state(&Adaptation::new(teacher.method, adaptation.parameters), batch);
        Some(distance(last, &taught, batch, teacher.temperature) * teacher.weight)
    }

    /// Log-probability of each whole target, EOS token included: `[runs, batch]`.
    pub fn target_log_probabilities(&self, adaptation: &Adaptation, batch: &Batch) -> Tensor<2> {
        ops::sum_tokens(token_log_probabilities(self.target_logits(adaptation, batch), batch))
    }

    /// Log-probability of the targets of several batches that have the same sources, which are read once:
    /// `[runs, batch]` for each batch.
    pub fn alternative_log_probabilities(
        &self,
        adaptation: &Adaptation,
        alternatives: &[Batch],
    ) -> Vec<Tensor<2>> {
        let Some(first) = alternatives.first() else { return Vec::new() };
        let pass = self.pass(adaptation, &first.source, None);
        let read = self.run_stages(&pass, first, 0..self.source_stages(), None);
        let log_probability = |batch: &Batch| {
            let rest = self.source_stages()..self.stages();
            let logits = self.run_stages(&pass, batch, rest, Some(read.clone())).states;
            ops::sum_tokens(token_log_probabilities(logits, batch))
        };
        alternatives.iter().map(log_probability).collect()
    }

    /// Greedy decoding: for each run and row the ids after the start token, up to and including the EOS token, at most
    /// `max_new_tokens` of them. Rows stop at their EOS token, the loop when all have stopped.
    pub fn generate(
        &self,
        adaptation: &Adaptation,
        source: Rows,
        max_new_tokens: usize,
    ) -> Vec<Vec<Vec<u32>>> {
        let [runs, batch, _] = source.ids.dims();
        let (tokens, device) = (self.layout().tokens, source.ids.device());
        let memory = Memory::default();
        let pass = self.pass(adaptation, &source, Some(&memory));
        let mut decoding = self.decoding(&pass, source.clone());
        let mut answers = Answers::new(runs * batch, tokens.eos);
        let start = Tensor::<1, Int>::from_data([i64::from(tokens.decoder_start)], &device);
        let mut last: Tensor<3, Int> = start.unsqueeze().repeat(&[runs, batch, 1]);
        let (mut unread, interval) = (Vec::new(), steps_between_reads(&device));
        for step in 1..=max_new_tokens {
            last = decoding.step(last).argmax(3).reshape([runs, batch, 1]);
            unread.push(last.clone());
            if step.is_multiple_of(interval) || step == max_new_tokens {
                answers.append(Tensor::cat(std::mem::take(&mut unread), 2));
                if answers.are_over() {
                    break;
                }
            }
        }
        let mut rows = answers.rows.into_iter();
        (0..runs).map(|_| rows.by_ref().take(batch).collect()).collect()
    }

    fn pass<'a>(
        &'a self,
        adaptation: &Adaptation<'a>,
        source: &'a Rows,
        memory: Option<&'a Memory>,
    ) -> Pass<'a> {
        let &Adaptation { method, parameters, dropout } = adaptation;
        let (layout, weights, tasks) = (self.layout(), self.weights(), source.tasks.as_ref());
        let context = Context { layout, weights, parameters, dropout, tasks, memory };
        Pass::new(method, context, self.configuration().dropout_rate())
    }
}
