//! Writes a results folder of many cells with many predictions, from one that has a real cell: what reports are timed
//! on.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use peft_bench::results::{Record, RecordedEvidence, Store, items_file, predictions_file};
use peft_model::random::hash_text;
use polars::prelude::*;

#[derive(Parser)]
struct Arguments {
    /// Results folder with at least one cell that has predictions
    template: PathBuf,
    /// Results folder to write
    out: PathBuf,
    #[arg(long, default_value_t = 25)]
    tasks: usize,
    #[arg(long, default_value_t = 20)]
    methods: usize,
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// Items of each task
    #[arg(long, default_value_t = 1000)]
    items: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let template = Store::read_only(&arguments.template)?.records()?;
    let template = template.into_iter().find(|record| record.evidence.is_some());
    let template = template.context("the template has no cell with predictions")?;
    let store = Store::open(&arguments.out)?;
    for task in 0..arguments.tasks {
        let items = format!("{:016x}", hash_text(0, &format!("items {task}")));
        store.write_table(&items_file(&items), items_table(task, arguments.items)?)?;
        for method in 0..arguments.methods {
            for seed in 0..arguments.seeds {
                write_cell(&store, &template, &items, [task, method], seed, arguments.items)?;
            }
        }
    }
    Ok(())
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
