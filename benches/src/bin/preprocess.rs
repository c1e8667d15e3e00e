//! Rows per second from a dataset's rows to token ids, on an input of QQP's size.
//!
//! `crates/runner/tests/fixtures/tasks/bench_reference.py` measures the reference on the same input: the
//! train rows that the hub's cache has, repeated up to the number that QQP has.

use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use peft_bench::data::Split;
use peft_bench::data::{Key, TokenCache};
use peft_bench::hub::{Hub, Progress};
use peft_bench::model;
use peft_bench::task::{self, Role};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Arguments {
    /// Task whose train rows are read
    #[arg(long, default_value = "qqp")]
    task: String,
    /// Whose tokenizer: a folder or a hub id
    #[arg(long, default_value = "google-t5/t5-base")]
    model: String,
    #[arg(long, default_value_t = 363_846)]
    rows: usize,
    /// Repetitions of the measurement
    #[arg(long, default_value_t = 3)]
    repeat: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let hub = Hub::from_env(Progress::Silent)?;
    let tokenizer = model::tokenizer(&arguments.model, &hub)?;
    let task = task::find(&arguments.task)?;
    let loaded = task.load(Role::Train, &hub)?;
    let indices: Vec<u32> = (0..loaded.rows.len() as u32).cycle().take(arguments.rows).collect();
    let labels = task.spec.labels.as_ref().map(|labels| labels.words());
    let longest =
        labels.and_then(|words| words.iter().map(|w| tokenizer.encode(w, usize::MAX).ids.len()).max());
    let target_limit = longest.unwrap_or(task.spec.limits.target_tokens);
    let source_limit = task.spec.limits.source_tokens;
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let cache = TokenCache::at(folder.path());
    let key = Key {
        task: &task.spec,
        role: "train",
        rows: "bench",
        limit: None,
        tokenizer: tokenizer.digest(),
        source_limit,
        target_limit,
    };
    let report = |what: &str, started: Instant| {
        println!("{what}: {:.0} rows/s", arguments.rows as f64 / started.elapsed().as_secs_f64());
    };
    println!("{} rows, {} of them different", arguments.rows, loaded.rows.len());
    for _ in 0..arguments.repeat {
        let started = Instant::now();
        let examples = task.examples(&loaded.rows, &indices)?;
        report("text only", started);
        let split = Split::new(examples, &tokenizer, source_limit, target_limit);
        report("text and tokenization", started);
        let stored = Instant::now();
        let stored_split = cache.get_or_make(&key, || anyhow::Ok(split.clone()))?;
        report("into the cache or out of it", stored);
        assert!(stored_split == split, "the cache gives what was put into it");
    }
    Ok(())
}
