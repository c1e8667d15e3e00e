//! How fast a method trains and answers on a device, from a few batches of made-up rows.

use std::time::Instant;

use peft_model::dropout::Dropout;
use peft_model::optim::{AdamW, Part, Update};
use peft_model::{Adaptation, Backbone, Batch, Parameters, Rows, StepCount};

use super::flops::{Counts, Flops, Width, answering_width, training_width};
use super::instance::Instance;
use crate::data::TaskLengths;
use crate::train::TrainSettings;

/// What a method takes on a device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Speed {
    /// Per update.
    training: Cost,
    /// Per step of decoding.
    answering: Cost,
}

/// Seconds of something, as far as they depend on its size and as far as they do not.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cost {
    fixed: f64,
    per_flop: f64,
}

/// Seconds that a batch may take to be measured on.
const BUDGET: f64 = 1.0;

/// Batches of one size whose times are averaged.
const BATCHES: u32 = 2;

/// The seed of what is measured.
const SEED: u64 = 42;

impl Speed {
    /// Trains on, and answers, rows as long as a task's.
    ///
    /// # Errors
    /// When a setting of the method asks for what the backbone does not have.
    pub(super) fn measure(
        backbone: &dyn Backbone,
        instance: &Instance,
        settings: &TrainSettings,
        lengths: &TaskLengths,
    ) -> Result<Self, String> {
        let counts = Counts::new(instance, backbone.layout())?;
        let mut probe = Probe::new(backbone, instance, settings)?;
        let prompt = instance.built.method.prompt_length();
        let most = settings.rows_per_batch().min(lengths.train.rows()).max(1);
        let width = whole(training_width(&lengths.train, prompt, settings.batching, most), prompt);
        let flops = counts.training(width, settings.gradient_checkpointing);
        let training = Cost::measure(most, |rows| {
            probe.update(rows, width);
            rows as f64 * flops
        });
        let width = whole(answering_width(&lengths.validation, prompt, settings, lengths), prompt);
        let most = settings.eval_batch_size.min(lengths.validation.rows()).max(1);
        let mut target = width.target;
        let answering = Cost::measure(most, |rows| {
            // Random weights may end their answers early.
            target = probe.answer(rows, width) as f64;
            rows as f64 * counts.forward(Width { target, ..width })
        });
        let answering = Cost { fixed: answering.fixed / target.max(1.0), ..answering };
        Ok(Self { training, answering })
    }

    /// Seconds of a whole training.
    pub(super) fn seconds(&self, flops: &Flops, settings: &TrainSettings) -> f64 {
        let (steps, scoring) = (flops.updates(settings) as f64, flops.scoring(settings));
        self.training.seconds(steps, steps * flops.step)
            + self.answering.seconds(scoring.steps, scoring.flops)
    }
}

impl Cost {
    /// Does something to one row and to as many as there is time for, at most `most`; `run` gives the operations.
    fn measure(most: usize, mut run: impl FnMut(usize) -> f64) -> Self {
        let mut timed = |rows: usize| {
            // What a device compiles and tunes for a shape, it does once.
            let flops = run(rows);
            let started = Instant::now();
            (0..BATCHES).for_each(|_| {
                run(rows);
            });
            (flops, started.elapsed().as_secs_f64() / f64::from(BATCHES))
        };
        let one = timed(1);
        let rows = ((BUDGET / one.1) as usize).max(4).min(most);
        Self::of_sizes([one, if rows > 1 { timed(rows) } else { one }])
    }

    /// From the operations and the seconds of a small and of a large one.
    fn of_sizes([(small, short), (large, long)]: [(f64, f64); 2]) -> Self {
        let per_flop = (long - short) / (large - small);
        // Where the clock saw no difference, all of it goes by size.
        match per_flop.is_finite() && per_flop > 0.0 {
            true => Self { fixed: (short - per_flop * small).max(0.0), per_flop },
            false => Self { fixed: 0.0, per_flop: long / large },
        }
    }

    fn seconds(&self, times: f64, flops: f64) -> f64 {
        times * self.fixed + flops * self.per_flop
    }
}

/// Whole tokens, at least one behind the prompt.
fn whole(width: Width, prompt: usize) -> Width {
    Width { source: width.source.round().max(prompt as f64 + 1.0), target: width.target.round().max(1.0) }
}

/// A method that trains on nothing in particular.
struct Probe<'a> {
    backbone: &'a dyn Backbone,
    instance: &'a Instance,
    settings: &'a TrainSettings,
    parameters: Parameters,
    optimizer: AdamW,
    step: u64,
}

impl<'a> Probe<'a> {
    fn new(
        backbone: &'a dyn Backbone,
        instance: &'a Instance,
        settings: &'a TrainSettings,
    ) -> Result<Self, String> {
        let eos = backbone.layout().tokens.eos;
        let (method, tokenize) = (instance.built.method.as_ref(), |_: &str| vec![eos]);
        let sources = backbone.untrained_sources(method, SEED, &tokenize)?;
        let parameters = backbone.start_from(&sources, method, &[SEED], &tokenize)?;
        let optimizer = AdamW::new(&parameters, settings.optimizer());
        Ok(Self { backbone, instance, settings, parameters, optimizer, step: 0 })
    }

    /// Ids of a text of so many tokens.
    fn text(&self, tokens: f64) -> Vec<u32> {
        vec![self.backbone.layout().tokens.eos; tokens as usize]
    }

    fn source(&self, width: Width) -> Vec<u32> {
        self.text(width.source - self.instance.built.method.prompt_length() as f64)
    }

    fn update(&mut self, rows: usize, width: Width) {
        let method = self.instance.built.method.as_ref();
        let (source, target) = (self.source(width), self.text(width.target));
        let padding = self.backbone.padding(method);
        let batch = Batch::new(&[vec![(&*source, &*target); rows]], padding, self.backbone.device());
        let part = Part { slices: vec![batch], dropout: Dropout::new(&[SEED], self.step), share: 1.0 };
        self.step += 1;
        let update = Update {
            backbone: self.backbone,
            method,
            count: StepCount { step: self.step, steps: u64::MAX },
            rates: &[method.learning_rates()],
            // Nothing moves, so nothing can diverge.
            factor: 0.0,
            gradient_checkpointing: self.settings.gradient_checkpointing,
        };
        let losses = update.apply(&mut self.parameters, &mut self.optimizer, [part]);
        // Reading waits for the device.
        losses.into_iter().for_each(|loss| drop(loss.into_data()));
    }

    /// Gives the number of new tokens.
    fn answer(&self, rows: usize, width: Width) -> usize {
        let method = self.instance.built.method.as_ref();
        let source = self.source(width);
        let padding = self.backbone.padding(method);
        let sources = Rows::new(&[vec![&*source; rows]], padding, self.backbone.device());
        let adaptation = Adaptation::new(method, &self.parameters);
        let answers = self.backbone.generate(&adaptation, sources, width.target as usize);
        answers.iter().flatten().map(Vec::len).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_depend_on_size_is_told_from_what_does() {
        let cost = Cost::of_sizes([(10.0, 3.0), (50.0, 7.0)]);
        assert_eq!(cost, Cost { fixed: 2.0, per_flop: 0.1 });
        assert_eq!(cost.seconds(5.0, 100.0), 20.0);
        for noise in [[(10.0, 3.0), (50.0, 2.0)], [(50.0, 2.0), (50.0, 2.0)]] {
            assert_eq!(Cost::of_sizes(noise), Cost { fixed: 0.0, per_flop: 0.04 });
        }
    }
}
