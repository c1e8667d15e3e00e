//! A run's numbers do not depend on the runs beside it: not on how many there are, nor on how wide their rows are.

mod common;

use burn::tensor::{DType, Device};
use common::{every_path, initial, method, tell_tasks};
use peft_model::dropout::Dropout;
use peft_model::optim::{AdamW, AdamWSettings, Part, Rates, Update};
use peft_model::peft::ConfiguredMethod;
use peft_model::random::mix;
use peft_model::t5::{FeedForward, T5Config, T5Configuration};
use peft_model::{Adaptation, Backbone, Batch, Configuration, Rows, StepCount};

/// How a training is cut out.
#[derive(Clone, Copy)]
struct Shape {
    updates: u64,
    batch: usize,
    /// Rows have from 1 to so many source tokens.
    source: u64,
    target: u64,
}

type Pairs = Vec<(Vec<u32>, Vec<u32>)>;

/// A run's rows for one update; their lengths differ from run to run.
fn rows(vocab_size: usize, seed: u64, update: u64, shape: Shape) -> Pairs {
    let draw = |row: usize, what: u64, below: u64| {
        mix(mix(seed << 20 | update) ^ ((row as u64) << 32 | what)) % below
    };
    let ids = |row, side: u64, longest| -> Vec<u32> {
        let length = 1 + draw(row, side, longest);
        (0..length).map(|i| 2 + draw(row, side + 1 + i, vocab_size as u64 - 2) as u32).collect()
    };
    (0..shape.batch).map(|row| (ids(row, 0, shape.source), ids(row, 1 << 20, shape.target))).collect()
}

/// The rows side by side, of each of the method's tasks in turn where it tells them apart.
fn batch(runs: &[Pairs], built: &ConfiguredMethod) -> Batch {
    let pairs: Vec<Vec<(&[u32], &[u32])>> =
        runs.iter().map(|rows| rows.iter().map(|(s, t)| (&s[..], &t[..])).collect()).collect();
    let mut batch = Batch::new(&pairs, 0, &Device::flex());
    tell_tasks(&mut batch, built, runs.len(), runs[0].len());
    batch
}

/// What a training leaves of each run: the bits of its parameters and of its losses.
type Trace = (Vec<Vec<u32>>, Vec<u32>);

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn train(backbone: &dyn Backbone, built: &ConfiguredMethod, seeds: &[u64], shape: Shape) -> Vec<Trace> {
    let mut parameters = initial(built, seeds, backbone);
    let settings = AdamWSettings { epsilon: 1e-6, weight_decay: 0.03, max_gradient_norm: 1.0 };
    let mut optimizer = AdamW::new(&parameters, settings);
    // All parameters move, whatever their rates in practice.
    let rate = |(group, _)| (group, 3e-3);
    let rates = vec![built.method.learning_rates().into_iter().map(rate).collect::<Rates>(); seeds.len()];
    let mut losses = vec![Vec::new(); seeds.len()];
    for update in 0..shape.updates {
        let runs: Vec<Pairs> =
            seeds.iter().map(|&seed| rows(backbone.layout().vocab_size, seed, update, shape)).collect();
        let part =
            Part { slices: vec![batch(&runs, built)], dropout: Dropout::new(seeds, update), share: 1.0 };
        let (method, count) = (built.method.as_ref(), StepCount { step: update + 1, steps: shape.updates });
        let update =
            Update { backbone, method, count, rates: &rates, factor: 1.0, gradient_checkpointing: false };
        let loss = update.apply(&mut parameters, &mut optimizer, [part]).remove(0);
        let all: Vec<f32> = loss.try_into_vec_as().unwrap();
        losses.iter_mut().zip(all).for_each(|(losses, loss)| losses.push(loss.to_bits()));
    }
    let values = |run| parameters.run_to_host(run).iter().map(|v| bits(v)).collect();
    losses.into_iter().enumerate().map(|(run, losses)| (values(run), losses)).collect()
}

/// The configured model with random weights.
fn random(config: &T5Config, seed: u64) -> Box<dyn Backbone> {
    T5Configuration::new(config.clone()).unwrap().random(seed, &Device::flex(), DType::F32)
}

fn assert_alone_as_together(config: &T5Config, seeds: &[u64], shape: Shape) {
    let backbone = random(config, 1);
    for (label, name, mut settings) in every_path() {
        if name == "dept" {
            settings["max_length"] = shape.source.into();
        }
        let built = method(name, settings);
        let together = train(backbone.as_ref(), &built, seeds, shape);
        for (&seed, together) in seeds.iter().zip(&together) {
            let alone = train(backbone.as_ref(), &built, &[seed], shape).remove(0);
            assert_eq!(alone.1, together.1, "{label}, seed {seed}: losses");
            let names = built.method.parameters(backbone.layout()).unwrap().into_iter().map(|p| p.name);
            for (name, (a, b)) in names.zip(alone.0.iter().zip(&together.0)) {
                assert!(a == b, "{label}, seed {seed}: {name}");
            }
        }
    }
}

#[test]
fn a_run_ends_bit_for_bit_the_same_alone_and_in_company() {
    let config = T5Config {
        vocab_size: 96,
        d_model: 12,
        d_kv: 4,
        d_ff: 20,
        num_layers: 1,
        num_decoder_layers: Some(2),
        num_heads: 2,
        ..T5Config::t5_small()
    };
    assert_alone_as_together(&config, &[3, 4], Shape { updates: 60, batch: 4, source: 10, target: 4 });
}

#[test]
fn so_it_does_where_products_are_large_enough_for_several_threads() {
    let config = T5Config {
        vocab_size: 700,
        d_model: 80,
        d_kv: 16,
        d_ff: 1100,
        num_layers: 1,
        num_decoder_layers: Some(2),
        num_heads: 5,
        feed_forward_proj: FeedForward::GATED_GELU,
        tie_word_embeddings: false,
        scale_decoder_outputs: false,
        ..T5Config::t5_small()
    };
    assert_alone_as_together(&config, &[8, 9], Shape { updates: 2, batch: 16, source: 40, target: 5 });
}

#[test]
fn so_do_its_scores_and_answers() {
    let shipped = common::backbone("v1_1");
    let (backbone, seeds) = (shipped.configuration().random(2, &Device::flex(), DType::F32), [6, 7, 8]);
    let shape = Shape { updates: 0, batch: 4, source: 14, target: 5 };
    for (label, name, settings) in every_path() {
        let built = method(name, settings);
        let scores = |seeds: &[u64]| {
            let parameters = initial(&built, seeds, backbone.as_ref());
            let adaptation = Adaptation::new(built.method.as_ref(), &parameters);
            let runs = vec![rows(backbone.layout().vocab_size, 1, 0, shape); seeds.len()];
            let scores = backbone.target_log_probabilities(&adaptation, &batch(&runs, &built));
            let scores: Vec<f32> = scores.try_into_vec_as().unwrap();
            let sources: Vec<Vec<&[u32]>> =
                runs.iter().map(|rows| rows.iter().map(|(source, _)| &source[..]).collect()).collect();
            (bits(&scores), backbone.generate(&adaptation, Rows::new(&sources, 0, &Device::flex()), 6))
        };
        let (together, answers) = scores(&seeds);
        for (run, &seed) in seeds.iter().enumerate() {
            let (alone, answer) = scores(&[seed]);
            assert_eq!(alone, together[run * shape.batch..][..shape.batch], "{label}, seed {seed}");
            assert_eq!(answer[0], answers[run], "{label}, seed {seed}");
        }
    }
}
