//! The report over 10,000 cells with 1,000 predictions each: seconds and memory.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use peft_bench::host::memory;
use peft_bench::report::{ReportData, page};
use peft_bench::results::{
    Order, Record, RecordedEvidence, Report, ReportedSplit, Roster, Store, items_file, predictions_file,
};
use peft_model::random::hash_text;
use polars::prelude::*;

/// The program's, which counts.
#[global_allocator]
static ALLOCATOR: memory::Counting<mimalloc::MiMalloc> = memory::Counting(mimalloc::MiMalloc);

const TASKS: usize = 25;
const METHODS: usize = 20;
const SEEDS: u64 = 20;
const ITEMS: usize = 1000;

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let template = template(&folder.path().join("template"))?;
    let store = Store::open(&folder.path().join("results"))?;
    for task in 0..TASKS {
        let items = format!("{:016x}", hash_text(0, &format!("items {task}")));
        store.write_table(&items_file(&items), items_table(task, ITEMS)?)?;
        for method in 0..METHODS {
            for seed in 0..SEEDS {
                write_cell(&store, &template, &items, [task, method], seed, ITEMS)?;
            }
        }
    }
    memory::reset_peak();
    let started = Instant::now();
    let records = store.records()?;
    let read = started.elapsed();
    let roster = Roster::new("synthetic", "Synthetic", ReportedSplit::Test, Order::default());
    let data = ReportData::read(&store, &roster, &Report::new(&roster, &records), &[])?;
    let compared = started.elapsed();
    let page = page(&data);
    println!(
        "{} cells: records {:.2} s, statistics {:.2} s, page {:.2} s ({} MiB); in all {:.2} s; peak {} MiB",
        records.len(),
        read.as_secs_f64(),
        (compared - read).as_secs_f64(),
        (started.elapsed() - compared).as_secs_f64(),
        page.len() >> 20,
        started.elapsed().as_secs_f64(),
        memory::peak_bytes().unwrap_or_default() >> 20,
    );
    Ok(())
}

/// A real record, from the shortest training there is.
fn template(folder: &Path) -> Result<Record> {
    let arguments =
        "peft-bench run pocket --task pocket-sentiment --method bitfit --seed 1 --steps 1 --limit 8 --out";
    let arguments = arguments.split(' ').map(Into::into).chain([folder.as_os_str().into()]);
    peft_bench::cli::run(arguments);
    let records = Store::read_only(folder)?.records()?;
    ensure!(records.len() == 1, "the template has {} records", records.len());
    records.into_iter().next().context("a record")
}

fn target(item: usize) -> &'static str {
    ["0", "1"][item % 2]
}

fn items_table(task: usize, items: usize) -> PolarsResult<DataFrame> {
    let numbers: Vec<u32> = (0..items as u32).collect();
    let answers: Vec<Series> = (0..items).map(|item| Series::new("".into(), [target(item)])).collect();
    df!(
        "split" => vec!["test"; items],
        "item" => numbers.clone(),
        "row" => numbers,
        "source" => (0..items).map(|item| format!("sentence {item} of task {task}")).collect::<Vec<_>>(),
        "target" => (0..items).map(target).collect::<Vec<_>>(),
        "answers" => Series::new("".into(), answers),
        "group" => vec![None::<&str>; items],
    )
}

/// A cell whose method's number says how often it is wrong.
fn write_cell(
    store: &Store,
    template: &Record,
    items: &str,
    [task, method]: [usize; 2],
    seed: u64,
    count: usize,
) -> Result<()> {
    let name = format!("task {task} method {method} seed {seed}");
    let cell = format!("{:016x}", hash_text(1, &name));
    let is_right = |item: usize| hash_text(seed, &format!("{name} {item}")) % 100 >= 10 + method as u64;
    let right: Vec<bool> = (0..count).map(is_right).collect();
    let predictions = right.iter().enumerate().map(|(item, right)| target(item + usize::from(!right)));
    let table = df!(
        "split" => vec!["test"; count],
        "item" => (0..count as u32).collect::<Vec<_>>(),
        "target" => (0..count).map(target).collect::<Vec<_>>(),
        "prediction" => predictions.collect::<Vec<_>>(),
        "right" => right.clone(),
    )?;
    store.write_table(&predictions_file(&cell), table)?;
    let score = 100.0 * right.iter().filter(|right| **right).count() as f64 / count as f64;
    let evidence = template.evidence.clone();
    store.write(&Record {
        cell,
        kind: format!("task {task} method {method}"),
        suite: "synthetic".into(),
        task: format!("task-{task}"),
        task_title: format!("Task {task}"),
        method: format!("method-{method}"),
        seed,
        score: Some(score),
        test_scores: format!("{{\"{}\":{score}}}", template.metric),
        evidence: evidence.map(|evidence| RecordedEvidence { items: Some(items.into()), ..evidence }),
        ..template.clone()
    })?;
    Ok(())
}
