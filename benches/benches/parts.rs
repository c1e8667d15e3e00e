//! The parts of a training step at T5-small's sizes: fused operations beside the same composed of Burn's
//! own, runs side by side beside one after the other, and generation.

use burn::tensor::{DType, Device, Distribution, Int, Tensor};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use peft_benches::{BatchSize, batch};
use peft_model::dropout::Dropout;
use peft_model::ops::{self, Attention};
use peft_model::peft;
use peft_model::t5::{T5Config, T5Configuration};
use peft_model::{Adaptation, Backbone, Batch, Configuration, Parameters, Rows};
use serde_json::Map;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: usize = 16;
const LENGTH: usize = 64;
const HEADS: usize = 8;
const WIDTH: usize = 512;
const VOCABULARY: usize = 32_128;

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
}

/// Forward and backward of a function of one tensor.
fn backward<const D: usize>(input: &Tensor<4>, f: impl Fn(Tensor<4>) -> Tensor<D>) -> Tensor<4> {
    let input = input.clone().autodiff().require_grad();
    let mut gradients = f(input.clone()).sum().backward();
    input.grad_remove(&mut gradients).expect("the output depends on the input")
}

fn operations(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward and backward");
    let x = random([1, ROWS, LENGTH, WIDTH]);
    let bias = random([1, HEADS, LENGTH, LENGTH]);
    let weights = Dropout::new(&[1], 0).mask("weights", &[1, ROWS, HEADS, LENGTH, LENGTH], 0.1);
    let qkv = |x: Tensor<4>| Attention {
        queries: x.clone(),
        keys: x.clone(),
        values: x,
        bias: Some(bias.clone()),
        mask: None,
    };
    group.bench_function("attention, fused", |b| {
        b.iter(|| backward(&x, |x| ops::attention(qkv(x), HEADS, weights.clone())))
    });
    group.bench_function("attention, composed", |b| {
        b.iter(|| backward(&x, |x| ops::attention_composed(qkv(x), HEADS, weights.clone())))
    });
    let scale = random([1, 1, WIDTH]);
    group.bench_function("RMSNorm, fused", |b| {
        b.iter(|| backward(&x, |x| ops::rms_norm(x, scale.clone(), 1e-6)))
    });
    group.bench_function("RMSNorm, composed", |b| {
        b.iter(|| backward(&x, |x| ops::rms_norm_composed(x, scale.clone(), 1e-6)))
    });
    let logits = random([1, ROWS, 3, VOCABULARY]);
    let targets = Tensor::<3, Int>::ones([1, ROWS, 3], &Device::flex());
    group.bench_function("cross-entropy, fused", |b| {
        b.iter(|| backward(&logits, |x| ops::log_probabilities(x, targets.clone())))
    });
    group.bench_function("cross-entropy, composed", |b| {
        b.iter(|| backward(&logits, |x| ops::log_probabilities_composed(x, targets.clone())))
    });
    group.finish();
}

/// What the host does for each step, beside launching it.
fn host(criterion: &mut Criterion) {
    let rows: Vec<(Vec<u32>, Vec<u32>)> =
        (0..32).map(|row| ((0..256 - row).collect(), vec![7, 8, 1])).collect();
    let pairs: Vec<(&[u32], &[u32])> = rows.iter().map(|(s, t)| (&s[..], &t[..])).collect();
    let runs = vec![pairs; 3];
    let mut group = criterion.benchmark_group("batch of 32 x 256 ids");
    for count in [1, 3] {
        group.bench_with_input(BenchmarkId::from_parameter(count), &count, |b, &count| {
            b.iter(|| Batch::new(&runs[..count], 0, &Device::flex()))
        });
    }
    group.finish();
}

/// A T5 of the pocket model's size: small products, where company pays most.
fn small() -> Box<dyn Backbone> {
    let config = T5Config {
        vocab_size: 1024,
        d_model: 128,
        d_kv: 32,
        d_ff: 384,
        num_heads: 4,
        num_layers: 3,
        num_decoder_layers: Some(2),
        ..T5Config::t5_small()
    };
    T5Configuration::new(config).expect("sizes in range").random(1, &Device::flex(), DType::F32)
}

fn runs(criterion: &mut Criterion) {
    let backbone = small();
    let mut group = criterion.benchmark_group("gradient of prompt tuning, rows in all");
    let built = peft::build("prompt-tuning", &Map::new()).expect("a registered method");
    for (runs, rows) in [(1, 32), (3, 32), (1, 96)] {
        let seeds: Vec<u64> = (0..runs as u64).collect();
        let started = backbone.start(built.method.as_ref(), &seeds, &|_| vec![3, 4, 5]);
        let parameters = started.expect("prompts fit every backbone");
        let size = BatchSize { runs, rows, source: 32, target: 2 };
        let batch = batch(backbone.layout(), size, backbone.device());
        let name = BenchmarkId::from_parameter(format!("{runs} x {rows}"));
        group.bench_function(name, |b| {
            b.iter(|| {
                let dropout = Dropout::new(&seeds, 0);
                let tracked = parameters.tracked();
                let method = built.method.as_ref();
                let adaptation = Adaptation { method, parameters: &tracked, dropout: Some(&dropout) };
                let loss = backbone.target_loss(&adaptation, &batch).sum();
                tracked.take_gradients(&mut loss.backward())
            })
        });
    }
    group.finish();
}

fn generation(criterion: &mut Criterion) {
    let backbone = small();
    let frozen = peft::frozen();
    let parameters = Parameters::none(1, backbone.dtype());
    let adaptation = Adaptation::new(frozen.method.as_ref(), &parameters);
    let rows: Vec<Vec<u32>> =
        (0..64).map(|row| (0..32).map(|i| 3 + (row * 7 + i) % 1000).collect()).collect();
    let sources = Rows::new(&[rows.iter().map(Vec::as_slice).collect()], 0, backbone.device());
    criterion.bench_function("generate 64 rows of 20 tokens", |b| {
        b.iter(|| backbone.generate(&adaptation, sources.clone(), 20))
    });
}

/// What another thread could take over: padding the rows of a batch and sending them.
fn batches(criterion: &mut Criterion) {
    let backbone = small();
    for (runs, source) in [(1, 64), (1, 256), (3, 256)] {
        let size = BatchSize { runs, rows: 32, source, target: 4 };
        criterion.bench_function(&format!("a batch of {runs} x 32 x {source} ids"), |b| {
            b.iter(|| batch(backbone.layout(), size, backbone.device()))
        });
    }
}

criterion_group!(benches, operations, host, runs, generation, batches);
criterion_main!(benches);
