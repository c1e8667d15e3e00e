//! The comparison table: method by task, over seeds.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{CellAlignment, Table, presets};
use polars::prelude::*;
use serde::Serialize;

use super::record::{CellStatus, Record};
use super::score_text::{is_error, mean_text, score_text};
use super::shown::ReportedSplit;
use crate::statistics::{deviation, mean, t_interval};
use crate::task::Reference;

/// One method on one task, or averaged over a group of tasks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    pub group: String,
    /// Title of the task; `average` for a group.
    pub task: String,
    /// Whether this is the average over the group's tasks.
    pub average: bool,
    /// Whether the task's rows came with a probe's text, which its name then ends in.
    pub probe: bool,
    pub method: String,
    pub metric: String,
    /// Mean score over seeds, in percent; an error in the units of the task's targets.
    pub mean: Option<f64>,
    /// Sample standard deviation over seeds, for an average that of each seed's average; `None` for fewer than two.
    pub deviation: Option<f64>,
    /// 95 % interval of the mean over seeds, by Student's t; `None` for fewer than two.
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub seeds: u32,
    /// Seeds whose loss stopped being finite.
    pub diverged: u32,
    pub trainable_parameters: u64,
    /// Mean wall-clock seconds of training and evaluation per run.
    pub seconds: f64,
    pub peak_memory_bytes: Option<u64>,
}

impl AsRef<Self> for Comparison {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl Comparison {
    /// Whether two rows are about one task. A task may be titled as averages are.
    fn is_of(&self, task: &Self) -> bool {
        (&self.task, self.average) == (&task.task, task.average)
    }

    /// Whether this is an average or a probe rather than a task.
    pub fn is_derived(&self) -> bool {
        self.average || self.probe
    }

    /// Whether its scores are errors, of which the lowest is the best, rather than percentages.
    pub fn is_error(&self) -> bool {
        is_error(&self.metric)
    }
}

const AVERAGE: &str = "average";

/// Of intervals over seeds.
const LEVEL: f64 = 0.95;

/// Marks metrics that are errors.
pub(super) const LOWER_IS_BETTER: char = '↓';

/// Compares methods, in the order in which tasks and methods first occur. Scores under a task's probes
/// are rows of their own, after the group's averages.
pub fn comparison(records: &[Record], split: ReportedSplit) -> Vec<Comparison> {
    let score = |record: &Record| record.score_on(split);
    let mut rows = Vec::new();
    for group in distinct(records, |r| &r.group) {
        let records: Vec<&Record> = records.iter().filter(|r| r.group == group).collect();
        let start = rows.len();
        for cells in by_task_and_method(&records) {
            rows.extend(compare_cells(&cells, score));
        }
        let averages: Vec<Comparison> = distinct(records.iter().copied(), |r| &r.method)
            .iter()
            .filter_map(|method| average(method, &records, &rows[start..], score))
            .collect();
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
    let interval = t_interval(&scores, LEVEL);
    let seconds: f64 = cells.iter().map(|c| c.train_seconds + c.evaluate_seconds).sum();
    Some(Comparison {
        group: first.group.clone(),
        task: first.task_title.clone(),
        average: false,
        probe: false,
        method: first.method.clone(),
        metric: first.metric.clone(),
        mean: mean(&scores),
        deviation: deviation(&scores),
        low: interval.map(|interval| interval.low),
        high: interval.map(|interval| interval.high),
        seeds: cells.len() as u32,
        diverged: cells.iter().filter(|c| c.status != CellStatus::Completed).count() as u32,
        trainable_parameters: first.trainable_parameters,
        seconds: seconds / cells.len() as f64,
        peak_memory_bytes: cells.iter().filter_map(|c| c.peak_memory_bytes).max(),
    })
}

/// A method's unweighted mean over a group's tasks. It has a value only where the method has a score on every
/// one of them, from the same seeds, and all scores are percentages.
fn average(
    method: &str,
    records: &[&Record],
    rows: &[Comparison],
    score: impl Fn(&Record) -> Option<f64>,
) -> Option<Comparison> {
    let own: Vec<&Comparison> = rows.iter().filter(|row| row.method == method).collect();
    let tasks = distinct(records.iter().copied(), |r| &r.task_title);
    let own_records: Vec<&Record> = records.iter().copied().filter(|r| r.method == method).collect();
    let all_seeds = seeds_by_task_and_method(&own_records);
    let seeds: Vec<BTreeSet<u64>> = tasks
        .iter()
        .map(|task| all_seeds.get(&(task.as_str(), method)).cloned().unwrap_or_default())
        .collect();
    let complete = own.len() == tasks.len() && seeds.iter().all(|other| *other == seeds[0]);
    let comparable = complete && !own.iter().any(|row| row.is_error());
    let means: Option<Vec<f64>> = own.iter().map(|row| row.mean).collect();
    let of_seed = |seed: &u64| {
        let cells = own_records.iter().filter(|r| r.seed == *seed);
        mean(&cells.map(|r| score(r)).collect::<Option<Vec<f64>>>()?)
    };
    let by_seed: Option<Vec<f64>> = seeds.first()?.iter().map(of_seed).collect();
    let by_seed = by_seed.filter(|_| comparable);
    let interval = by_seed.as_deref().and_then(|averages| t_interval(averages, LEVEL));
    Some(Comparison {
        task: AVERAGE.into(),
        average: true,
        metric: AVERAGE.into(),
        mean: means.filter(|_| comparable).as_deref().and_then(mean),
        deviation: by_seed.as_deref().and_then(deviation),
        low: interval.map(|interval| interval.low),
        high: interval.map(|interval| interval.high),
        seeds: own.iter().map(|row| row.seeds).min().unwrap_or(0),
        diverged: own.iter().map(|row| row.diverged).sum(),
        seconds: own.iter().map(|row| row.seconds).sum::<f64>() / own.len() as f64,
        peak_memory_bytes: own.iter().filter_map(|row| row.peak_memory_bytes).max(),
        ..(*own.first()?).clone()
    })
}

/// Seeds by task and method.
type SeedsOf<'a> = BTreeMap<(&'a str, &'a str), BTreeSet<u64>>;

fn seeds_by_task_and_method<'a>(records: &[&'a Record]) -> SeedsOf<'a> {
    let mut seeds = SeedsOf::new();
    for record in records {
        seeds.entry((&record.task_title, &record.method)).or_default().insert(record.seed);
    }
    seeds
}

/// What keeps methods from being compared: cells that one has and another lacks.
pub(super) fn notes(records: &[Record], rows: &[Comparison]) -> Vec<String> {
    let mut notes = Vec::new();
    for group in distinct(records, |r| &r.group) {
        let records: Vec<&Record> = records.iter().filter(|r| r.group == group).collect();
        let methods = distinct(records.iter().copied(), |r| &r.method);
        let tasks = distinct(records.iter().copied(), |r| &r.task_title);
        let errors = rows.iter().find(|row| row.group == group && row.is_error());
        notes.extend(errors.map(|row| {
            format!(
                "note: {group} has no average, since {} of {} is not a percentage but an error in the units of the \
                 task's targets",
                row.metric, row.task
            )
        }));
        let seeds = seeds_by_task_and_method(&records);
        for method in &methods {
            let lacks: Vec<String> =
                tasks.iter().filter_map(|task| lacking(&seeds, method, &methods, task)).collect();
            let average = rows.iter().find(|row| row.average && row.group == group && row.method == *method);
            let lacks_average = average.is_some_and(|row| row.mean.is_none()) && errors.is_none();
            let no_average = match lacks_average && tasks.len() > 1 {
                true => ", and so no average",
                false => "",
            };
            if !lacks.is_empty() {
                notes.push(format!(
                    "note: {method} has fewer cells than others{no_average}: {}",
                    lacks.join("; ")
                ));
            } else if !no_average.is_empty() {
                notes.push(format!(
                    "note: {method} has no average: not every task has a score from the same seeds"
                ));
            }
        }
    }
    notes
}

/// The seeds that other methods have on a task and this one lacks.
fn lacking(seeds: &SeedsOf, method: &str, methods: &[String], task: &str) -> Option<String> {
    let of = |method: &str| seeds.get(&(task, method)).cloned().unwrap_or_default();
    let own = of(method);
    let all: BTreeSet<u64> = methods.iter().flat_map(|other| of(other)).collect();
    let lacks: Vec<u64> = all.difference(&own).copied().collect();
    match (own.is_empty(), lacks.is_empty()) {
        (_, true) => None,
        (true, _) => Some(format!("none on {task}")),
        (false, _) => Some(format!("on {task} no {}", seeds_text(&lacks))),
    }
}

/// `seed 42` or `seeds 42, 43`.
pub fn seeds_text(seeds: &[u64]) -> String {
    let all: Vec<String> = seeds.iter().map(u64::to_string).collect();
    format!("seed{} {}", if seeds.len() == 1 { "" } else { "s" }, all.join(", "))
}

/// The comparison as a table for Parquet.
///
/// # Errors
/// Never in practice: the columns have one length.
pub fn to_frame<T: AsRef<Comparison>>(rows: &[T]) -> PolarsResult<DataFrame> {
    let rows: Vec<&Comparison> = rows.iter().map(T::as_ref).collect();
    let texts = |f: fn(&Comparison) -> &str| rows.iter().map(|row| f(row)).collect::<Vec<&str>>();
    df!(
        "group" => texts(|r| &r.group),
        "task" => texts(|r| &r.task),
        "average" => rows.iter().map(|r| r.average).collect::<Vec<_>>(),
        "probe" => rows.iter().map(|r| r.probe).collect::<Vec<_>>(),
        "method" => texts(|r| &r.method),
        "metric" => texts(|r| &r.metric),
        "mean" => rows.iter().map(|r| r.mean).collect::<Vec<_>>(),
        "deviation" => rows.iter().map(|r| r.deviation).collect::<Vec<_>>(),
        "low" => rows.iter().map(|r| r.low).collect::<Vec<_>>(),
        "high" => rows.iter().map(|r| r.high).collect::<Vec<_>>(),
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
    let text = |block: &Block<Comparison>| format!("{}\n{}", block.title, block_table(block, references));
    blocks(rows).iter().map(text).collect::<Vec<_>>().join("\n\n")
}

/// The rows of a group, or those of its probes: one table, with a row per method and a column per task.
#[derive(Debug)]
pub struct Block<'a, T> {
    pub title: String,
    /// The first row of each task.
    pub tasks: Vec<&'a T>,
    /// Names of the methods.
    pub methods: Vec<&'a str>,
    rows: Vec<&'a T>,
}

/// The tables that rows make, in the order in which they first occur.
pub fn blocks<T: AsRef<Comparison>>(rows: &[T]) -> Vec<Block<'_, T>> {
    let mut groups: Vec<((&str, bool), Vec<&T>)> = Vec::new();
    for row in rows {
        let key = (row.as_ref().group.as_str(), row.as_ref().probe);
        match groups.iter_mut().find(|(other, _)| *other == key) {
            Some((_, own)) => own.push(row),
            None => groups.push((key, vec![row])),
        }
    }
    let title = |group: &str, probes: bool| if probes { format!("{group}, probes") } else { group.into() };
    groups.into_iter().map(|((group, probes), rows)| Block::new(title(group, probes), rows)).collect()
}

impl<'a, T: AsRef<Comparison>> Block<'a, T> {
    fn new(title: String, rows: Vec<&'a T>) -> Self {
        let (mut tasks, mut methods): (Vec<&T>, Vec<&str>) = (Vec::new(), Vec::new());
        for row in rows.iter().copied() {
            let comparison = row.as_ref();
            if !tasks.iter().any(|task| comparison.is_of((*task).as_ref())) {
                tasks.push(row);
            }
            if !methods.contains(&comparison.method.as_str()) {
                methods.push(&comparison.method);
            }
        }
        Self { title, tasks, methods, rows }
    }

    /// The rows of a method.
    pub fn of_method(&self, method: &str) -> Vec<&'a T> {
        self.rows.iter().filter(|row| (**row).as_ref().method == method).copied().collect()
    }

    /// The row of a method on the task of another row.
    pub fn cell(&self, method: &str, task: &T) -> Option<&'a T> {
        self.of_method(method).into_iter().find(|row| (*row).as_ref().is_of(task.as_ref()))
    }
}

fn block_table(block: &Block<Comparison>, references: &BTreeMap<String, Reference>) -> Table {
    let tasks = &block.tasks;
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    let mut header = vec!["method".to_string(), "trainable".to_string()];
    header.extend(tasks.iter().map(|task| match task.average {
        true => AVERAGE.to_string(),
        false if task.is_error() => format!("{}\n{} {LOWER_IS_BETTER}", task.task, task.metric),
        false => format!("{}\n{}", task.task, task.metric),
    }));
    header.extend(["seeds", "s/run", "peak MiB"].map(String::from));
    table.set_header(header);
    for method in &block.methods {
        table.add_row(method_line(&block.of_method(method), tasks));
    }
    if tasks.iter().any(|task| references.contains_key(&task.task)) {
        let line = |name: &str, value: fn(&Reference) -> f64| {
            let known = |task: &&Comparison| references.get(&task.task).filter(|_| !task.average);
            let score = |task: &&Comparison| known(task).map(|known| score_text(&task.metric, value(known)));
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
        let cell = own.iter().find(|row| row.is_of(task));
        cell.map_or("-".into(), |cell| cell_text(cell))
    }));
    let single: Vec<&&Comparison> = own.iter().filter(|row| !row.average).collect();
    let seconds = single.iter().map(|row| row.seconds).sum::<f64>() / single.len().max(1) as f64;
    let peak = single.iter().filter_map(|row| row.peak_memory_bytes).max();
    line.push(single.iter().map(|row| row.seeds).min().unwrap_or(0).to_string());
    line.push(format!("{seconds:.1}"));
    line.push(peak.map_or("-".into(), |bytes| format!("{}", bytes >> 20)));
    line
}

fn cell_text(cell: &Comparison) -> String {
    let score = cell.mean.map_or("-".into(), |mean| mean_text(&cell.metric, mean, cell.deviation));
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
