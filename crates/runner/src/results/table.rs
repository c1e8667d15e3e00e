//! The comparison table: method by task, over seeds.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table, presets};
use polars::prelude::*;

use super::{Record, Status};
use crate::grid::ReportedSplit;
use crate::task::Reference;

/// One method on one task, or averaged over a group of tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    pub group: String,
    /// Title of the task; `average` for a group.
    pub task: String,
    /// Whether the task's rows came with a probe's text, which its name then ends in.
    pub probe: bool,
    pub method: String,
    pub metric: String,
    /// Mean score over seeds, in percent.
    pub mean: Option<f64>,
    /// Sample standard deviation over seeds; `None` for fewer than two.
    pub deviation: Option<f64>,
    pub seeds: u32,
    /// Seeds whose loss stopped being finite.
    pub diverged: u32,
    pub trainable_parameters: u64,
    /// Mean wall-clock seconds of training and evaluation per run.
    pub seconds: f64,
    pub peak_memory_bytes: Option<u64>,
}

impl Comparison {
    /// Whether this is an average or a probe rather than a task.
    pub fn is_derived(&self) -> bool {
        self.task == AVERAGE || self.probe
    }
}

pub(super) const AVERAGE: &str = "average";

/// Compares methods, in the order in which tasks and methods first occur. Scores under a task's probes
/// are rows of their own, after the group's averages.
pub fn comparison(records: &[Record], split: ReportedSplit) -> Vec<Comparison> {
    let mut rows = Vec::new();
    for group in distinct(records, |r| &r.group) {
        let records: Vec<&Record> = records.iter().filter(|r| r.group == group).collect();
        let start = rows.len();
        for cells in by_task_and_method(&records) {
            rows.extend(compare_cells(&cells, |record| match split {
                ReportedSplit::Test => record.score,
                ReportedSplit::Validation => record.score.and(record.selection_score),
            }));
        }
        let averages = average_by_method(&rows[start..]);
        rows.extend(averages);
        if split == ReportedSplit::Test {
            rows.extend(probes(&records));
        }
    }
    rows
}

/// Records that differ in their seed alone.
fn by_task_and_method<'a>(records: &[&'a Record]) -> Vec<Vec<&'a Record>> {
    let mut all = Vec::new();
    for task in distinct(records.iter().copied(), |r| &r.task_title) {
        for method in distinct(records.iter().copied(), |r| &r.method) {
            let own = records.iter().copied().filter(|r| r.task_title == task && r.method == method);
            all.push(own.collect());
        }
    }
    all
}

/// The rows of every probe: the task's name has the probe's after it.
fn probes(records: &[&Record]) -> Vec<Comparison> {
    let mut rows = Vec::new();
    for cells in by_task_and_method(records) {
        let Some(first) = cells.first() else { continue };
        let suffix = format!("/{}", first.metric);
        for key in first.test_scores().keys().filter(|key| key.ends_with(&suffix)) {
            let Some(row) = compare_cells(&cells, |record| {
                record.score.and_then(|_| record.test_scores().get(key).copied())
            }) else {
                continue;
            };
            let probe = key.trim_end_matches(&suffix);
            rows.push(Comparison { task: format!("{}, {probe}", row.task), probe: true, ..row });
        }
    }
    rows
}

fn distinct<'a>(
    records: impl IntoIterator<Item = &'a Record>,
    key: impl Fn(&'a Record) -> &'a String,
) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for record in records {
        if !seen.contains(key(record)) {
            seen.push(key(record).clone());
        }
    }
    seen
}

fn compare_cells(cells: &[&Record], score: impl Fn(&Record) -> Option<f64>) -> Option<Comparison> {
    let first = cells.first()?;
    let scores: Vec<f64> = cells.iter().filter_map(|c| score(c)).collect();
    let seconds: f64 = cells.iter().map(|c| c.train_seconds + c.evaluate_seconds).sum();
    Some(Comparison {
        group: first.group.clone(),
        task: first.task_title.clone(),
        probe: false,
        method: first.method.clone(),
        metric: first.metric.clone(),
        mean: mean(&scores),
        deviation: deviation(&scores),
        seeds: cells.len() as u32,
        diverged: cells.iter().filter(|c| c.status != Status::Completed).count() as u32,
        trainable_parameters: first.trainable_parameters,
        seconds: seconds / cells.len() as f64,
        peak_memory_bytes: cells.iter().filter_map(|c| c.peak_memory_bytes).max(),
    })
}

/// The unweighted mean over a group's tasks, for methods that have a score on every one of them.
fn average_by_method(rows: &[Comparison]) -> Vec<Comparison> {
    let mut methods: Vec<&str> = Vec::new();
    for row in rows {
        if !methods.contains(&row.method.as_str()) {
            methods.push(&row.method);
        }
    }
    let tasks = |method: &str| rows.iter().filter(move |r| r.method == method).collect::<Vec<_>>();
    methods
        .into_iter()
        .map(|method| {
            let own = tasks(method);
            let means: Option<Vec<f64>> = own.iter().map(|r| r.mean).collect();
            Comparison {
                task: AVERAGE.into(),
                metric: AVERAGE.into(),
                mean: means.as_deref().and_then(mean),
                deviation: None,
                seeds: own.iter().map(|r| r.seeds).min().unwrap_or(0),
                diverged: own.iter().map(|r| r.diverged).sum(),
                seconds: own.iter().map(|r| r.seconds).sum::<f64>() / own.len() as f64,
                peak_memory_bytes: own.iter().filter_map(|r| r.peak_memory_bytes).max(),
                ..own[0].clone()
            }
        })
        .collect()
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// The comparison as a table for Parquet.
///
/// # Errors
/// Never in practice: the columns have one length.
pub fn to_frame(rows: &[Comparison]) -> PolarsResult<DataFrame> {
    let texts = |f: fn(&Comparison) -> &str| rows.iter().map(f).collect::<Vec<&str>>();
    df!(
        "group" => texts(|r| &r.group),
        "task" => texts(|r| &r.task),
        "probe" => rows.iter().map(|r| r.probe).collect::<Vec<_>>(),
        "method" => texts(|r| &r.method),
        "metric" => texts(|r| &r.metric),
        "mean" => rows.iter().map(|r| r.mean).collect::<Vec<_>>(),
        "deviation" => rows.iter().map(|r| r.deviation).collect::<Vec<_>>(),
        "seeds" => rows.iter().map(|r| r.seeds).collect::<Vec<_>>(),
        "diverged" => rows.iter().map(|r| r.diverged).collect::<Vec<_>>(),
        "trainable_parameters" => rows.iter().map(|r| r.trainable_parameters).collect::<Vec<_>>(),
        "seconds" => rows.iter().map(|r| r.seconds).collect::<Vec<_>>(),
        "peak_memory_bytes" => rows.iter().map(|r| r.peak_memory_bytes).collect::<Vec<_>>(),
    )
}

/// The comparison for a terminal, one table per group and one for its probes: one row per method, one column
/// per task; below, the majority baseline and the ceiling of the tasks, by title, for which they are known.
pub fn to_text(rows: &[Comparison], references: &BTreeMap<String, Reference>) -> String {
    let mut blocks: Vec<((&str, bool), Vec<&Comparison>)> = Vec::new();
    for row in rows {
        let key = (row.group.as_str(), row.probe);
        match blocks.iter_mut().find(|(other, _)| *other == key) {
            Some((_, block)) => block.push(row),
            None => blocks.push((key, vec![row])),
        }
    }
    let block = |((group, probes), rows): &((&str, bool), Vec<&Comparison>)| {
        let title = if *probes { format!("{group}, probes") } else { group.to_string() };
        format!("{title}\n{}", block_table(rows, references))
    };
    blocks.iter().map(block).collect::<Vec<_>>().join("\n\n")
}

fn block_table(rows: &[&Comparison], references: &BTreeMap<String, Reference>) -> Table {
    let (mut tasks, mut methods): (Vec<&Comparison>, Vec<&str>) = (Vec::new(), Vec::new());
    for row in rows {
        if !tasks.iter().any(|task| task.task == row.task) {
            tasks.push(row);
        }
        if !methods.contains(&row.method.as_str()) {
            methods.push(&row.method);
        }
    }
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    let mut header = vec!["method".to_string(), "trainable".to_string()];
    header.extend(tasks.iter().map(|task| match task.task.as_str() {
        AVERAGE => AVERAGE.to_string(),
        title => format!("{title}\n{}", task.metric),
    }));
    header.extend(["seeds", "s/run", "peak MiB"].map(String::from));
    table.set_header(header);
    for method in methods {
        let own: Vec<&Comparison> = rows.iter().filter(|row| row.method == method).copied().collect();
        table.add_row(method_line(&own, &tasks));
    }
    if tasks.iter().any(|task| references.contains_key(&task.task)) {
        let line = |name: &str, value: fn(&Reference) -> f64| {
            let score =
                |task: &&Comparison| references.get(&task.task).map(|known| format!("{:.1}", value(known)));
            let scores = tasks.iter().map(|task| score(task).unwrap_or_default());
            [name.to_string(), String::new()].into_iter().chain(scores).collect::<Vec<_>>()
        };
        table.add_row(line("(majority)", |reference| reference.majority));
        table.add_row(line("(ceiling)", |reference| reference.ceiling));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A method's row: its scores on the tasks, fewest seeds, mean seconds per run, largest peak.
fn method_line(own: &[&Comparison], tasks: &[&Comparison]) -> Vec<String> {
    let mut line = vec![own[0].method.clone(), thousands(own[0].trainable_parameters)];
    line.extend(tasks.iter().map(|task| {
        let cell = own.iter().find(|row| row.task == task.task);
        cell.map_or("-".into(), |cell| score_text(cell))
    }));
    let single: Vec<&&Comparison> = own.iter().filter(|row| row.task != AVERAGE).collect();
    let seconds = single.iter().map(|row| row.seconds).sum::<f64>() / single.len().max(1) as f64;
    let peak = single.iter().filter_map(|row| row.peak_memory_bytes).max();
    line.push(single.iter().map(|row| row.seeds).min().unwrap_or(0).to_string());
    line.push(format!("{seconds:.1}"));
    line.push(peak.map_or("-".into(), |bytes| format!("{}", bytes >> 20)));
    line
}

fn score_text(cell: &Comparison) -> String {
    let score = match (cell.mean, cell.deviation) {
        (Some(mean), Some(deviation)) => format!("{mean:.1} ±{deviation:.1}"),
        (Some(mean), None) => format!("{mean:.1}"),
        (None, _) => "-".into(),
    };
    match cell.diverged {
        0 => score,
        diverged => format!("{score} ({diverged} of {} diverged)", cell.seeds),
    }
}

/// A count with its digits in groups of three.
pub fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
