//! Whether the trainings of a plan fit into memory, before the first of them begins.

use peft_model::Parameter;
use peft_model::layout::Layout;
use peft_model::peft::{self, ConfiguredMethod};
use serde_json::{Map, Value, json};

use super::instance::Instance;
use crate::data::{Pair, TaskData};
use crate::host::memory::{self, TooLarge};
use crate::model::footprint;
use crate::train::TrainSettings;

/// What a training must have in memory at once, at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// Method and task.
    name: String,
    parts: Vec<Part>,
}

/// One thing of a training that takes memory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    /// What it is, with the keys that decide its size.
    what: String,
    per_run: u64,
    /// Whether runs side by side have it together.
    shared: bool,
}

impl Part {
    fn bytes(&self, runs: usize) -> u64 {
        if self.shared { self.per_run } else { self.per_run.saturating_mul(runs as u64) }
    }
}

impl Demand {
    /// The demand of a method on a task's rows, of which `shots` train where it is given.
    ///
    /// # Errors
    /// When a setting of the method asks for what the backbone does not have.
    pub fn new(
        name: String,
        instance: &Instance,
        settings: &TrainSettings,
        data: &TaskData,
        shots: Option<usize>,
        layout: &Layout,
    ) -> Result<Self, String> {
        let declared = instance.built.method.parameters(layout)?;
        let method = instance.built.method.as_ref();
        let prompt = Prompt { length: method.prompt_length(), setting: method.prompt_setting() };
        let training = training(settings, data, shots, prompt, layout);
        let evaluation = evaluation(settings, data, prompt, layout);
        // One after the other.
        let larger = if total(&training, 1) > total(&evaluation, 1) { training } else { evaluation };
        let parts = [vec![trained(instance, &declared, layout)], larger].concat();
        Ok(Self { name, parts })
    }

    /// Bytes for so many runs side by side.
    pub fn bytes(&self, runs: usize) -> u64 {
        total(&self.parts, runs)
    }

    /// Refuses what does not fit even as a single run.
    ///
    /// # Errors
    /// The message names the largest part and the keys that decide its size.
    pub fn ensure(&self) -> Result<(), TooLarge> {
        let largest = || self.parts.iter().max_by_key(|part| part.per_run).map_or("", |part| &part.what);
        memory::ensure(|| format!("{}: {}", self.name, largest()), self.bytes(1))
    }

    /// How many of so many runs to train side by side: those whose demand is at most half of the memory, for much
    /// is not counted; at least one.
    pub fn side_by_side(&self, runs: usize) -> usize {
        self.side_by_side_in(memory::available_bytes() / 2, runs)
    }

    fn side_by_side_in(&self, room: u64, runs: usize) -> usize {
        let all = 1..=runs;
        all.rev().find(|&runs| self.bytes(runs) <= room).unwrap_or(1)
    }
}

fn total(parts: &[Part], runs: usize) -> u64 {
    parts.iter().fold(0, |sum: u64, part| sum.saturating_add(part.bytes(runs)))
}

/// Values, gradients and two moments of everything that trains.
fn trained(instance: &Instance, declared: &[Parameter], layout: &Layout) -> Part {
    let count = declared.iter().fold(0, |sum: usize, p| sum.saturating_add(p.len()));
    let blame = decisive_setting(&instance.method, &instance.built, count, layout);
    Part {
        what: format!("{count} trainable parameters{blame} with their gradients and moments"),
        per_run: memory::floats(&[count, 4]),
        shared: false,
    }
}

/// The setting that decides most about the number of parameters, in brackets: the one without which fewest are left.
fn decisive_setting(method: &str, built: &ConfiguredMethod, count: usize, layout: &Layout) -> String {
    let left = sizes(&built.settings).into_iter().filter_map(|(pointer, value)| {
        let mut settings = json!(built.settings);
        *settings.pointer_mut(&pointer)? = json!(1);
        let smaller = peft::build(method, settings.as_object()?).ok()?;
        let key = pointer.trim_start_matches('/').replace('/', ".");
        Some((peft::num_trainable(smaller.method.as_ref(), layout).ok()?, key, value))
    });
    match left.min() {
        Some((left, key, value)) if left < count => format!(" (`{key}` {value})"),
        _ => String::new(),
    }
}

/// Settings that are sizes above 1, those in tables too, by their JSON pointers.
fn sizes(settings: &Map<String, Value>) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for (key, value) in settings {
        match value {
            Value::Object(inner) => {
                found.extend(sizes(inner).into_iter().map(|(inner, size)| (format!("/{key}{inner}"), size)));
            }
            value => found.extend(value.as_u64().filter(|&n| n > 1).map(|size| (format!("/{key}"), size))),
        }
    }
    found
}

/// Positions that a method puts before the source, and the setting that holds their number.
#[derive(Clone, Copy)]
struct Prompt {
    length: usize,
    setting: &'static str,
}

fn training(
    settings: &TrainSettings,
    data: &TaskData,
    shots: Option<usize>,
    prompt: Prompt,
    layout: &Layout,
) -> Vec<Part> {
    let available = shots.unwrap_or(usize::MAX).min(data.train.len());
    let rows = (settings.batch_size / settings.accumulation).min(available);
    // Whichever rows make a batch, one of them is at least this long.
    let source =
        prompt.length.saturating_add(nth_shortest(&data.train.pairs, rows, |pair| pair.source.len()));
    let target = nth_shortest(&data.train.pairs, rows, |pair| pair.target.len());
    let keys =
        "`training.batch_size`, `training.accumulation`, `limits.source_tokens`, `limits.target_tokens`";
    let batch = footprint::teacher_forcing(layout, rows, source, target);
    vec![
        Part {
            what: format!("a batch of {rows} rows with {source} source and {target} target tokens ({keys})"),
            per_run: batch.saturating_add(footprint::kept_for_gradients(layout, rows, source, target)),
            shared: false,
        },
        attention(layout, prompt, source.max(target)),
    ]
}

fn evaluation(settings: &TrainSettings, data: &TaskData, prompt: Prompt, layout: &Layout) -> Vec<Part> {
    let splits = [&data.validation, &data.test].into_iter().chain(data.probes.iter().map(|(_, split)| split));
    let longest = splits.clone().flat_map(|split| &split.pairs).map(|pair| pair.source.len()).max();
    let rows = splits.map(|split| split.len()).max().unwrap_or(0).min(settings.eval_batch_size);
    let source = prompt.length.saturating_add(longest.unwrap_or(0));
    let answer = data.max_new_tokens;
    vec![
        Part {
            what: format!(
                "answers of up to {answer} tokens to {rows} sources of {source} tokens \
                 (`training.eval_batch_size`, `limits.source_tokens`, `limits.target_tokens`)"
            ),
            // The first batch has the longest source, and it is as wide.
            per_run: footprint::generation(layout, rows, source, answer),
            shared: false,
        },
        attention(layout, prompt, source),
    ]
}

fn attention(layout: &Layout, prompt: Prompt, length: usize) -> Part {
    let keys = if prompt.length > length / 2 {
        format!("`{}`", prompt.setting)
    } else {
        "`limits.source_tokens`, `limits.target_tokens`".into()
    };
    Part {
        what: format!("the attention between {length} positions ({keys})"),
        per_run: footprint::position_bias(layout, length),
        shared: true,
    }
}

/// The n-th smallest length of rows, counted from 1.
fn nth_shortest(pairs: &[Pair], n: usize, length: impl Fn(&Pair) -> usize) -> usize {
    let mut lengths: Vec<usize> = pairs.iter().map(length).collect();
    match n.min(lengths.len()) {
        0 => 0,
        n => *lengths.select_nth_unstable(n - 1).1,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use peft_model::families;

    use super::*;
    use crate::data::Split;

    fn split(lengths: &[(usize, usize)]) -> Arc<Split> {
        let pairs = lengths.iter().map(|&(s, t)| Pair { source: vec![5; s], target: vec![5; t] }).collect();
        Arc::new(Split { examples: Vec::new(), pairs, truncated_sources: vec![], truncated_targets: vec![] })
    }

    fn demand(method: &str, settings: serde_json::Value, training: TrainSettings, data: &TaskData) -> Demand {
        let instance = Instance::of(method, settings);
        let (name, reference) = (format!("{method} on cola"), families::reference());
        Demand::new(name, &instance, &training, data, None, reference.layout()).unwrap()
    }

    fn data() -> TaskData {
        let eval = split(&[(30, 3); 50]);
        TaskData {
            train: split(&[(10, 3), (20, 3), (30, 3), (4000, 900)]),
            validation: eval.clone(),
            test: eval,
            probes: Vec::new(),
            classes: Vec::new(),
            classes_of_tasks: Vec::new(),
            labels: Vec::new(),
            max_new_tokens: 4,
        }
    }

    fn message(demand: &Demand) -> String {
        assert!(demand.bytes(1) > memory::available_bytes(), "too small for this test: {demand:?}");
        demand.ensure().unwrap_err().to_string()
    }

    #[test]
    fn what_the_paper_trains_is_not_refused() {
        let data = TaskData { train: split(&[(256, 3); 40]), ..data() };
        for method in peft::METHODS {
            let demand = demand(method.name, json!({}), TrainSettings::default(), &data);
            // Full fine-tuning of T5-base: 222,903,552 values, gradients, and moments, beside a batch.
            assert!(demand.bytes(1) < 6_000_000_000, "{demand:?}");
        }
    }

    #[test]
    fn absurd_settings_are_named() {
        for (method, settings, key) in [
            ("lora", json!({"rank": 1 << 24}), "(`rank` 16777216)"),
            ("adapter", json!({"bottleneck": 1 << 24}), "(`bottleneck` 16777216)"),
            ("adept", json!({"bottleneck": 1 << 24}), "(`bottleneck` 16777216)"),
            ("dept", json!({"max_length": 1 << 24, "rank": 1 << 14}), "(`max_length` 16777216)"),
            ("prompt-tuning", json!({"prompt": {"length": 1 << 24}}), "(`prompt.length`)"),
            ("prefix-tuning", json!({"prefix_length": 1 << 24, "hidden": 0}), "(`prefix_length`"),
        ] {
            let message = message(&demand(method, settings, TrainSettings::default(), &data()));
            assert!(message.contains(key) && message.starts_with(method), "{message}");
        }
        let mut long = data();
        long.max_new_tokens = 1 << 24;
        let message = message(&demand("lora", json!({}), TrainSettings::default(), &long));
        assert!(message.contains("`limits.target_tokens`") && message.contains("GiB"), "{message}");
    }

    #[test]
    fn a_batch_is_as_wide_as_its_rows_must_be() {
        let bytes = |batch_size| {
            let settings = TrainSettings { batch_size, eval_batch_size: 1, ..TrainSettings::default() };
            demand("lora", json!({}), settings, &data()).bytes(1)
        };
        // A batch of three may miss the longest row, one of four cannot.
        assert!(bytes(4) > 20 * bytes(3) / 10 && bytes(3) < bytes(4));
        assert_eq!(bytes(4), bytes(1 << 20), "there are no more rows than four");
    }

    #[test]
    fn so_many_runs_as_fit_train_side_by_side() {
        let demand = demand("lora", json!({}), TrainSettings::default(), &data());
        let shared = 2 * demand.bytes(1) - demand.bytes(2);
        let per_run = demand.bytes(1) - shared;
        assert_eq!(demand.side_by_side_in(u64::MAX, 1000), 1000);
        assert_eq!(demand.side_by_side_in(shared + 7 * per_run, 1000), 7);
        assert_eq!(demand.side_by_side_in(shared + 7 * per_run - 1, 1000), 6);
        assert_eq!(demand.side_by_side_in(0, 1000), 1);
    }
}
