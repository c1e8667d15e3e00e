//! Floating-point operations of a training, counted from the backbone's layout: an estimate that tells trainings apart.
//!
//! A product of matrices is two operations per weight and token, forward. Backward, it is two more for the gradient of
//! its input, and two more where its weight trains; the two products of an attention are twice their forward. What a
//! method computes on its own, norms, softmax and the optimizer are left out, and so is what padding to the few widths
//! of a GPU adds.

use std::collections::BTreeSet;

use peft_model::layout::{Layout, Linear, Projection, Site, Stack, SublayerKind};

use super::instance::Instance;
use crate::data::{Batching, SplitLengths, TaskLengths};
use crate::train::TrainSettings;

/// Of one run of a method on a task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flops {
    /// One update.
    pub step: f64,
    /// One scoring of the validation split.
    pub validation: Scoring,
    /// Scoring the test split, and its probes.
    pub test: Scoring,
}

/// Of answering rows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Scoring {
    pub flops: f64,
    /// Steps of decoding, one for each new token of each batch.
    pub steps: f64,
}

impl Scoring {
    fn times(self, count: f64) -> Self {
        Self { flops: count * self.flops, steps: count * self.steps }
    }

    fn and(self, other: Self) -> Self {
        Self { flops: self.flops + other.flops, steps: self.steps + other.steps }
    }
}

/// Tokens of a row, as its batch is padded.
#[derive(Clone, Copy)]
pub(super) struct Width {
    pub source: f64,
    pub target: f64,
}

impl Flops {
    /// For a method on a task's texts, of which `shots` rows train where it is given.
    ///
    /// # Errors
    /// When a setting of the method asks for what the backbone does not have.
    pub(super) fn new(
        instance: &Instance,
        settings: &TrainSettings,
        lengths: &TaskLengths,
        shots: Option<usize>,
        layout: &Layout,
    ) -> Result<Self, String> {
        let counts = Counts::new(instance, layout)?;
        let prompt = instance.built.method.prompt_length();
        let rows = settings.rows_per_batch().min(shots.unwrap_or(usize::MAX)).min(lengths.train.rows());
        let width = training_width(&lengths.train, prompt, settings.batching, rows);
        let scored = |split: &SplitLengths| {
            let width = answering_width(split, prompt, settings, lengths);
            let batches = split.rows().div_ceil(settings.eval_batch_size);
            Scoring {
                flops: split.rows() as f64 * counts.forward(width),
                steps: batches as f64 * width.target,
            }
        };
        let rows = (rows * settings.accumulation) as f64;
        Ok(Self {
            step: rows * counts.training(width, settings.gradient_checkpointing),
            validation: scored(&lengths.validation),
            test: lengths.probes.iter().map(scored).fold(scored(&lengths.test), Scoring::and),
        })
    }

    /// Of scoring what another cell has trained.
    pub(super) fn of_scoring(self) -> Self {
        Self { step: 0.0, validation: Scoring::default(), test: self.validation.and(self.test) }
    }

    /// Updates of a training; none where another cell has trained.
    pub fn updates(&self, settings: &TrainSettings) -> u64 {
        if self.step > 0.0 { settings.steps } else { 0 }
    }

    /// All of a training of so many updates.
    pub fn total(&self, settings: &TrainSettings) -> f64 {
        self.step * settings.steps as f64 + self.scoring(settings).flops
    }

    /// All scoring of a training of so many updates.
    pub fn scoring(&self, settings: &TrainSettings) -> Scoring {
        let validations = settings.steps.div_ceil(settings.evaluate_every.updates(settings.steps).max(1));
        self.validation.times(validations as f64).and(self.test)
    }
}

/// The width of a training batch of so many rows: that of its longest texts.
pub(super) fn training_width(
    lengths: &SplitLengths,
    prompt: usize,
    batching: Batching,
    rows: usize,
) -> Width {
    let source = match batching {
        Batching::Random | Batching::Tasks | Batching::Temperature => lengths.sources.widest(rows),
        // Sources of one batch are about as long as each other.
        Batching::Bucketed => lengths.sources.mean(),
    };
    Width { source: prompt as f64 + source, target: lengths.targets.widest(rows) }
}

/// The width of a batch that is answered: sources in the order of their lengths, and as many new tokens as its longest
/// answer has.
pub(super) fn answering_width(
    lengths: &SplitLengths,
    prompt: usize,
    settings: &TrainSettings,
    all: &TaskLengths,
) -> Width {
    let answer = lengths.targets.widest(settings.eval_batch_size.min(lengths.rows()));
    let target = answer.min(all.max_new_tokens as f64);
    Width { source: prompt as f64 + lengths.sources.mean(), target }
}

/// What a backbone computes per token, and what of it trains.
pub(super) struct Counts<'a> {
    layout: &'a Layout,
    /// Names of the tensors that train.
    trained: BTreeSet<String>,
    /// Whether a teacher makes a forward pass, too.
    is_taught: bool,
}

impl<'a> Counts<'a> {
    pub(super) fn new(instance: &Instance, layout: &'a Layout) -> Result<Self, String> {
        let declared = instance.built.method.parameters(layout)?;
        let trained = declared.into_iter().filter(|parameter| parameter.trains);
        let is_taught = instance.built.method.teacher().is_some();
        Ok(Self { layout, trained: trained.map(|parameter| parameter.name).collect(), is_taught })
    }

    /// A forward pass over a row; the same as answering it step by step.
    pub(super) fn forward(&self, width: Width) -> f64 {
        self.linears(width, |_| true) + self.attention(width)
    }

    /// A forward and a backward pass over a row.
    pub(super) fn training(&self, width: Width, gradient_checkpointing: bool) -> f64 {
        let forward = self.forward(width);
        if self.trained.is_empty() {
            return forward;
        }
        let weights = self.linears(width, |linear| self.trained.contains(&linear.weight));
        let backward = self.linears(width, |_| true) + weights + 2.0 * self.attention(width);
        let again = usize::from(gradient_checkpointing) + usize::from(self.is_taught);
        forward + backward + again as f64 * forward
    }

    fn linears(&self, width: Width, counts: impl Fn(&Linear) -> bool) -> f64 {
        let flops = |linear: &Linear| {
            let [out, input] = linear.shape.map(|size| size as f64);
            2.0 * out * input * self.tokens(linear, width)
        };
        self.layout.linears.iter().filter(|linear| counts(linear)).map(flops).sum()
    }

    /// Tokens of a row that a linear map acts on.
    fn tokens(&self, linear: &Linear, width: Width) -> f64 {
        let Site::Projection(at, projection) = linear.site else { return width.target };
        let reads_source = at.kind == SublayerKind::CrossAttention
            && matches!(projection, Projection::Key | Projection::Value);
        match at.stack {
            Stack::Encoder => width.source,
            Stack::Decoder if reads_source => width.source,
            Stack::Decoder => self.decoded(width),
        }
    }

    /// Positions of the decoder: the target, behind the source where there is no encoder.
    fn decoded(&self, width: Width) -> f64 {
        match self.layout.layers(Stack::Encoder) {
            0 => width.source + width.target,
            _ => width.target,
        }
    }

    /// The products of queries with keys, and of weights with values.
    fn attention(&self, width: Width) -> f64 {
        let decoded = self.decoded(width);
        let pairs = self.layout.branches.iter().map(|branch| match (branch.at.stack, branch.at.kind) {
            (_, SublayerKind::FeedForward) => 0.0,
            (Stack::Encoder, _) => width.source * width.source,
            (Stack::Decoder, SublayerKind::CrossAttention) => decoded * width.source,
            (Stack::Decoder, _) => decoded * decoded,
        });
        4.0 * self.layout.inner_dim as f64 * pairs.sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use peft_model::families;
    use serde_json::json;

    use super::*;

    fn lengths(rows: usize, source: usize, target: usize) -> SplitLengths {
        let all = |length| std::iter::repeat_n(length, rows).collect();
        SplitLengths { sources: all(source), targets: all(target) }
    }

    fn task() -> TaskLengths {
        TaskLengths {
            train: lengths(1000, 100, 2),
            validation: lengths(50, 100, 2),
            test: lengths(30, 100, 2),
            probes: vec![lengths(30, 100, 2)],
            max_new_tokens: 3,
        }
    }

    fn flops(method: &str, settings: &TrainSettings) -> Flops {
        let reference = families::reference();
        Flops::new(&Instance::of(method, json!({})), settings, &task(), None, reference.layout()).unwrap()
    }

    #[test]
    fn a_forward_pass_of_t5_base_is_counted_by_hand() {
        let (d, d_ff, vocabulary, layers) = (768.0, 3072.0, 32128.0, 12.0);
        let (source, target) = (100.0, 2.0);
        let attention = 4.0 * d * d;
        let encoder = layers * source * (attention + 2.0 * d * d_ff);
        let decoder = layers * (target * (attention + 2.0 * d * d + 2.0 * d * d_ff) + source * 2.0 * d * d);
        let head = target * vocabulary * d;
        let mixing = layers * d * (source * source + target * target + target * source);
        let expected = 2.0 * (encoder + decoder + head) + 4.0 * mixing;
        let reference = families::reference();
        let counts = Counts::new(&Instance::of("lora", json!({})), reference.layout()).unwrap();
        let forward = counts.forward(Width { source, target });
        assert!((forward / expected - 1.0).abs() < 1e-12, "{forward} {expected}");
    }

    #[test]
    fn what_trains_decides_what_backward_costs() {
        let settings = TrainSettings { batch_size: 8, ..TrainSettings::default() };
        let (lora, full) = (flops("lora", &settings), flops("full", &settings));
        let forward = lora.test.flops / 60.0;
        assert!((lora.validation.flops / forward - 50.0).abs() < 1e-9);
        assert_eq!(
            (lora.validation.steps, lora.test.steps),
            (4.0, 4.0),
            "two batches, and one for each text"
        );
        // The attention's own products cost twice as much again.
        let ratio = lora.step / 8.0 / forward;
        assert!((2.0..2.2).contains(&ratio), "{ratio}");
        let ratio = full.step / 8.0 / forward;
        assert!((2.9..3.1).contains(&ratio), "{ratio}");
        let again = TrainSettings { gradient_checkpointing: true, ..settings };
        assert!((flops("lora", &again).step - lora.step - 8.0 * forward).abs() < 1.0);
        // Prompts of 100 positions about double the source.
        let prompted = flops("prompt-tuning", &TrainSettings { batch_size: 8, ..TrainSettings::default() });
        assert!((1.8..2.4).contains(&(prompted.step / lora.step)));
    }

    #[test]
    fn a_training_is_its_updates_and_its_scorings() {
        let settings = TrainSettings { steps: 2500, ..TrainSettings::default() };
        let Flops { step, validation, test } = flops("lora", &settings);
        let total = flops("lora", &settings).total(&settings);
        let expected = 2500.0 * step + 3.0 * validation.flops + test.flops;
        assert!((total / expected - 1.0).abs() < 1e-12, "{total} {expected}");
    }
}
