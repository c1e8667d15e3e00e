//! Milliseconds and peak memory of one training step, method by method, on made-up ids.
//!
//! One JSON line per method; `benches/side_by_side.py` sets them beside PyTorch and peft.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, anyhow};
use clap::Parser;
use peft_bench::host::device::DeviceName;
use peft_bench::model::Precision;
use peft_benches::{BatchSize, batch};
use peft_model::dropout::Dropout;
use peft_model::optim::{AdamW, AdamWSettings};
use peft_model::peft::{self, METHODS};
use peft_model::{Adaptation, Backbone, families};
use serde_json::{Map, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Arguments {
    /// Folder of a model in the hub's layout [default: T5-base with random weights]
    #[arg(long)]
    model: Option<PathBuf>,
    /// Device: cpu, cuda, cuda:1, vulkan, metal or wgpu
    #[arg(long, default_value = "cpu")]
    device: DeviceName,
    /// Precision of the backbone: f32 or bf16
    #[arg(long, default_value = "f32")]
    precision: Precision,
    /// Methods; all where left out
    #[arg(long = "method")]
    methods: Vec<String>,
    #[arg(long, default_value_t = 1)]
    runs: usize,
    #[arg(long, default_value_t = 16)]
    rows: usize,
    #[arg(long, default_value_t = 64)]
    source: usize,
    #[arg(long, default_value_t = 3)]
    target: usize,
    #[arg(long, default_value_t = 5)]
    steps: u64,
}

const SETTINGS: AdamWSettings = AdamWSettings { epsilon: 1e-6, weight_decay: 0.0, max_gradient_norm: 1.0 };

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let device = arguments.device.open()?;
    arguments.precision.ensure(&device, arguments.device)?;
    let dtype = arguments.precision.dtype();
    let backbone = match &arguments.model {
        Some(folder) => families::load(folder, &device, dtype)?,
        None => families::reference().random(1, &device, dtype),
    };
    let all = METHODS.iter().map(|m| m.name.to_string());
    let methods: Vec<String> =
        if arguments.methods.is_empty() { all.collect() } else { arguments.methods.clone() };
    for name in methods {
        println!("{}", measure(&name, backbone.as_ref(), &arguments)?);
    }
    Ok(())
}

fn measure(name: &str, backbone: &dyn Backbone, arguments: &Arguments) -> Result<serde_json::Value> {
    let built = peft::build(name, &Map::new())?;
    let method = built.method.as_ref();
    let seeds: Vec<u64> = (0..arguments.runs as u64).collect();
    let tokenize = |_: &str| vec![3, 4, 5];
    let sources = backbone.untrained_sources(method, 0, &tokenize).map_err(anyhow::Error::msg)?;
    let started = backbone.start_from(&sources, method, &seeds, &tokenize);
    let mut parameters = started.map_err(anyhow::Error::msg)?;
    let mut optimizer = AdamW::new(&parameters, SETTINGS);
    let rates = vec![method.learning_rates(); arguments.runs];
    let &Arguments { runs, rows, source, target, .. } = arguments;
    let batch = batch(backbone.layout(), BatchSize { runs, rows, source, target }, backbone.device());
    let mut milliseconds = Vec::new();
    // The first steps warm caches, and compile kernels on a GPU; the first is not counted.
    for step in 0..=arguments.steps {
        let started = Instant::now();
        let dropout = Dropout::new(&seeds, step);
        let tracked = parameters.tracked();
        let adaptation = Adaptation { method, parameters: &tracked, dropout: Some(&dropout) };
        let loss = backbone.target_loss(&adaptation, &batch).sum();
        let gradients = tracked.take_gradients(&mut loss.backward());
        drop(tracked);
        parameters = optimizer.step(parameters, &gradients, step + 1, &rates, 1e-3);
        backbone.device().sync().map_err(|e| anyhow!("{e:?}"))?;
        if step > 0 {
            milliseconds.push(started.elapsed().as_secs_f64() * 1e3);
        }
    }
    milliseconds.sort_by(f64::total_cmp);
    Ok(json!({
        "method": name,
        "device": arguments.device.to_string(),
        "precision": arguments.precision,
        "ms_per_step": milliseconds[milliseconds.len() / 2],
        "ms_min": milliseconds[0],
        "peak_mib": peak_resident_mib(),
    }))
}

/// Largest resident memory of this process, as the other side of the comparison measures its own; `None`
/// where the system does not tell (it is Linux that does).
fn peak_resident_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kibibytes| kibibytes >> 10)
}
