//! How many rows of a batch a device takes at once, planned from its memory before anything starts.

use peft_model::layout::Layout;
use peft_model::peft;

use super::instance::Instance;
use crate::data::SplitLengths;
use crate::host::memory::{floats, gibibytes};
use crate::model::{Precision, footprint};
use crate::train::TrainSettings;

/// Share of an estimate that is added for what the allocator holds back.
const MARGIN: f64 = 0.15;

/// What a training is taken to have in memory at its peak: enough rather than exact.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Estimate {
    /// Method and task.
    name: String,
    /// The frozen backbone, which runs share.
    weights: u64,
    /// Values, gradients and moments of one run.
    trained: u64,
    /// The attention's bias, which runs share.
    bias: u64,
    /// One row of one run.
    row: u64,
    /// Rows of a batch.
    rows: usize,
}

/// A row that does not fit.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{name}: one row at a time would need {} of memory, and the limit is {}", gibibytes(*needed), gibibytes(*limit))]
pub(super) struct RowTooLarge {
    name: String,
    needed: u64,
    limit: u64,
}

impl Estimate {
    /// For a method on a task's training rows, of which `shots` train where it is given.
    ///
    /// # Errors
    /// When a setting of the method asks for what the backbone does not have.
    pub(super) fn new(
        name: String,
        instance: &Instance,
        settings: &TrainSettings,
        lengths: &SplitLengths,
        shots: Option<usize>,
        layout: &Layout,
        precision: Precision,
    ) -> Result<Self, String> {
        let method = instance.built.method.as_ref();
        let source = method.prompt_length().saturating_add(lengths.sources.longest());
        let target = lengths.targets.longest();
        let bytes = precision.bytes();
        Ok(Self {
            name,
            weights: bytes.saturating_mul(layout.num_parameters() as u64),
            trained: floats(&[peft::num_trainable(method, layout)?, 4]),
            bias: footprint::position_bias(layout, source.max(target)),
            row: footprint::training_row(layout, bytes, source, target, settings.gradient_checkpointing),
            rows: settings.rows_per_batch().min(shots.unwrap_or(usize::MAX)).min(lengths.rows()),
        })
    }

    /// Bytes for so many runs side by side and so many rows of each at once.
    pub(super) fn bytes(&self, runs: usize, rows: usize) -> u64 {
        let runs = runs as u64;
        let rows = self.row.saturating_mul(runs).saturating_mul(rows as u64);
        let all = [self.weights, self.bias, self.trained.saturating_mul(runs), rows];
        let sum = all.into_iter().fold(0, u64::saturating_add);
        sum.saturating_add((sum as f64 * MARGIN) as u64)
    }

    /// Bytes for one run with whole batches.
    pub(super) fn of_one_run(&self) -> u64 {
        self.bytes(1, self.rows)
    }

    /// As many of so many runs as fit with whole batches; at least one.
    pub(super) fn runs(&self, limit: u64, runs: usize) -> usize {
        (1..=runs).rev().find(|&runs| self.bytes(runs, self.rows) <= limit).unwrap_or(1)
    }

    /// Rows of each of so many runs at once: all of a batch, or equal slices of it, as few as will do.
    ///
    /// # Errors
    /// When not even one row fits.
    pub(super) fn rows_at_once(&self, limit: u64, runs: usize) -> Result<usize, RowTooLarge> {
        let most = self.rows.max(1);
        let fitting = (1..=most).rev().find(|&rows| self.bytes(runs, rows) <= limit);
        let fitting = fitting.ok_or_else(|| {
            let needed = self.bytes(runs, 1);
            RowTooLarge { name: self.name.clone(), needed, limit }
        })?;
        Ok(most.div_ceil(most.div_ceil(fitting)))
    }

    /// What is said of it before anything starts.
    pub(super) fn describe(&self, limit: u64, runs: usize) -> Result<String, RowTooLarge> {
        let at_once = self.rows_at_once(limit, runs)?;
        let trained = self.trained.saturating_mul(runs as u64);
        let rows = self.bytes(runs, at_once).saturating_sub(self.weights + trained);
        let slices = match self.rows.max(1).div_ceil(at_once) {
            1 => String::new(),
            slices => format!("; each batch in {slices} slices of {at_once} rows"),
        };
        Ok(format!(
            "memory: {}, {runs} at once: weights {}, trained values with gradients and moments {}, activations and \
             reserve {}; the limit is {}{slices}",
            self.name,
            gibibytes(self.weights),
            gibibytes(trained),
            gibibytes(rows),
            gibibytes(limit),
        ))
    }
}

#[cfg(test)]
mod tests {
    use peft_model::families;
    use serde_json::json;

    use super::*;
    fn estimate(method: &str, precision: Precision, source: usize) -> Estimate {
        let instance = Instance::of(method, json!({}));
        let all = |length| std::iter::repeat_n(length, 100).collect();
        let lengths = SplitLengths { sources: all(source), targets: all(3) };
        let (settings, reference) = (TrainSettings::default(), families::reference());
        let name = format!("{method} on task");
        Estimate::new(name, &instance, &settings, &lengths, None, reference.layout(), precision).unwrap()
    }

    const GIBIBYTE: u64 = 1 << 30;

    #[test]
    fn t5_base_fits_where_it_should() {
        for method in ["lora", "prompt-tuning", "full"] {
            let bf16 = estimate(method, Precision::Bf16, 256);
            assert_eq!(bf16.rows_at_once(24 * GIBIBYTE, 1), Ok(32), "{bf16:?}");
            let f32 = estimate(method, Precision::F32, 256);
            assert!(f32.bytes(1, 32) > bf16.bytes(1, 32) && f32.bytes(3, 8) > f32.bytes(1, 8));
        }
    }

    #[test]
    fn slices_are_equal_and_within_the_limit() {
        let lora = estimate("lora", Precision::F32, 512);
        let whole = lora.bytes(3, 32);
        assert_eq!(lora.rows_at_once(whole, 3), Ok(32));
        assert_eq!(lora.rows_at_once(whole - 1, 3), Ok(16));
        let small = lora.bytes(3, 11);
        assert_eq!(lora.rows_at_once(small, 3), Ok(11), "three slices");
        assert_eq!(lora.rows_at_once(lora.bytes(3, 1), 3), Ok(1));
        let error = lora.rows_at_once(lora.bytes(3, 1) - 1, 3).unwrap_err().to_string();
        assert!(error.starts_with("lora on task: one row at a time would need "), "{error}");
        assert_eq!((lora.runs(lora.bytes(2, 32), 5), lora.runs(0, 5)), (2, 1));
        let line = lora.describe(small, 3).unwrap();
        assert!(
            line.contains("lora on task, 3 at once: weights 0.8 GiB")
                && line.ends_with("3 slices of 11 rows"),
            "{line}"
        );
    }
}
