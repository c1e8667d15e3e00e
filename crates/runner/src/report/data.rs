//! All that a report shows, as data: what `report.html` reads, and what the other formats are made of.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::across::{Across, compare as compare_methods, letters_on_task, letters_over_tasks};
use super::answers::{CellAnswers, read_all};
use super::budget::{BudgetSplit, splits};
use super::curves::{MethodCurve, curves};
use super::diagnoses::{Diagnosis, diagnose};
use super::items::{ReportedItem, disputed};
use super::ledger::{LedgerRow, ledger};
use super::offsets::{OffsetNorms, norms};
use super::pairwise::{Pair, compare as compare_items};
use super::published::compare as compare_published;
use super::score_intervals::{ScoreIntervals, score_intervals};
use super::sheet::{TaskSheet, method_names, sheets};
use super::sweeps::{Sensitivity, sensitivities, trials};
use crate::host;
use crate::results::{
    CellStatus, Comparison, PublishedScore, Record, Report, ReportedSplit, Roster, Store, StoreError,
};
use crate::task::Reference;

/// Version of the data.
const FORMAT: u32 = 1;

/// A report of one suite in a results folder. Scores and their differences are in percent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReportData {
    pub format: u32,
    pub suite: String,
    pub title: String,
    pub split: ReportedSplit,
    pub generated: Generated,
    /// Names of the methods in the order of the table.
    pub methods: Vec<String>,
    pub groups: Vec<Group>,
    /// Between which scores those of a task are to be read, by its title.
    pub references: BTreeMap<String, Reference>,
    pub table: Vec<TableCell>,
    pub cells: Vec<CellSummary>,
    pub curves: Vec<MethodCurve>,
    pub pairwise: Vec<Pair>,
    pub across: Across,
    pub items: Vec<ReportedItem>,
    pub diagnoses: Vec<Diagnosis>,
    pub published: Vec<PublishedRow>,
    pub ledger: Vec<LedgerRow>,
    pub sweeps: Vec<Sensitivity>,
    pub budget: Vec<BudgetSplit>,
    pub offsets: Vec<OffsetNorms>,
    pub provenance: Vec<Named>,
    pub notes: Vec<String>,
}

/// What made a report.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Generated {
    pub program: String,
    pub commit: String,
    /// In UTC (RFC 3339).
    pub timestamp: String,
}

/// A benchmark and its tasks, by title.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    pub name: String,
    pub tasks: Vec<String>,
}

/// A method on a task, or averaged over a group.
#[derive(Debug, Clone, Serialize)]
pub struct TableCell {
    #[serde(flatten)]
    pub comparison: Comparison,
    /// Methods that share a letter are not separable; `None` where they were not compared.
    pub letters: Option<String>,
    /// 95 % interval of the mean over other seeds and other items, by the hierarchical bootstrap; `None` where the score is
    /// no mean over items, or the seeds have others.
    pub sampled_low: Option<f64>,
    pub sampled_high: Option<f64>,
}

impl AsRef<Comparison> for TableCell {
    fn as_ref(&self) -> &Comparison {
        &self.comparison
    }
}

/// One cell.
#[derive(Debug, Clone, Serialize)]
pub struct CellSummary {
    pub id: String,
    pub group: String,
    pub task: String,
    pub method: String,
    pub seed: u64,
    pub status: &'static str,
    pub problem: Option<String>,
    pub score: Option<f64>,
    pub selection_score: Option<f64>,
    pub best_step: Option<u64>,
    /// On the test split after the last update.
    pub last_score: Option<f64>,
    pub train_seconds: f64,
    pub evaluate_seconds: f64,
    pub peak_memory_bytes: Option<u64>,
    pub trainable_parameters: u64,
    /// Whether it is a trial run on some of the rows.
    pub limited: bool,
}

/// A published score beside ours.
#[derive(Debug, Clone, Serialize)]
pub struct PublishedRow {
    pub task: String,
    pub method: String,
    pub metric: String,
    pub published: Option<f64>,
    pub deviation: Option<f64>,
    pub source: String,
    pub row_of: String,
    pub ours: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub seeds: u32,
    /// Whether the published score is inside our interval; `None` where there is none.
    pub inside: Option<bool>,
    /// In what our protocol differs.
    pub differences: Vec<String>,
}

/// A name and a value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Named {
    pub name: String,
    pub value: String,
}

impl ReportData {
    /// Reads all that a page shows beside a suite's report, published scores among it.
    ///
    /// # Errors
    /// When a file of the folder is there and cannot be read.
    pub fn read(
        store: &Store,
        roster: &Roster,
        report: &Report,
        published: &[PublishedScore],
    ) -> Result<Self, StoreError> {
        let split = report.split;
        let answers = read_all(store, &report.records, split)?;
        let sheets = sheets(&report.records, split);
        let pairwise = compare_items(&sheets, &answers);
        let items = disputed(store, &sheets, &answers, split)?;
        let mut notes = report.notes.clone();
        notes.extend(of_statistics(&sheets, &answers));
        let in_percent: Vec<TaskSheet> = sheets.iter().filter(|sheet| !sheet.is_error()).cloned().collect();
        let table = table(&report.rows, &sheets, &pairwise, &score_intervals(&sheets, &answers));
        let across = compare_methods(&in_percent, &pairwise);
        Ok(Self {
            format: FORMAT,
            suite: roster.suite.clone(),
            title: report.title.clone(),
            split,
            generated: Generated {
                program: format!("peft-bench {}", env!("CARGO_PKG_VERSION")),
                commit: host::COMMIT.into(),
                timestamp: host::timestamp(),
            },
            methods: method_names(&sheets).into_iter().map(String::from).collect(),
            groups: groups(&sheets),
            references: report.references.clone(),
            published: compare_published(&sheets, &table, published),
            table,
            cells: report.records.iter().map(|record| summarize(record, split)).collect(),
            curves: curves(&sheets),
            diagnoses: diagnose(&report.records, &answers),
            pairwise,
            across,
            items,
            ledger: ledger(&sheets, &trials(roster.sweep.as_ref())),
            sweeps: sensitivities(roster.sweep.as_ref()),
            budget: splits(&sheets),
            offsets: norms(store, &sheets),
            provenance: provenance(&report.records),
            notes,
        })
    }
}

fn groups(sheets: &[TaskSheet]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for sheet in sheets {
        match groups.iter_mut().find(|group| group.name == sheet.group) {
            Some(group) => group.tasks.push(sheet.task.into()),
            None => groups.push(Group { name: sheet.group.into(), tasks: vec![sheet.task.into()] }),
        }
    }
    groups
}

fn table(
    rows: &[Comparison],
    sheets: &[TaskSheet],
    pairwise: &[Pair],
    intervals: &ScoreIntervals,
) -> Vec<TableCell> {
    let mut letters: BTreeMap<(&str, &str, String), String> = BTreeMap::new();
    for sheet in sheets {
        for found in letters_on_task(sheet, pairwise).unwrap_or_default() {
            letters.insert((sheet.group, sheet.task, found.method), found.letters);
        }
    }
    for group in groups(sheets) {
        let own = sheets.iter().filter(|sheet| sheet.group == group.name && !sheet.is_error());
        let own: Vec<TaskSheet> = own.cloned().collect();
        let Some(name) = own.first().map(|sheet| sheet.group) else { continue };
        for found in letters_over_tasks(&own) {
            letters.insert((name, AVERAGE, found.method), found.letters);
        }
    }
    let cell = |row: &Comparison| {
        let task = if row.average { AVERAGE } else { row.task.as_str() };
        let key = (row.group.as_str(), task, row.method.clone());
        let letters = if row.probe { None } else { letters.get(&key).cloned() };
        let sampled = intervals.get(&[&*row.group, &*row.task, &*row.method]).filter(|_| !row.is_derived());
        TableCell {
            comparison: row.clone(),
            letters,
            sampled_low: sampled.map(|interval| interval.low),
            sampled_high: sampled.map(|interval| interval.high),
        }
    };
    rows.iter().map(cell).collect()
}

/// Stands for a task's title in the key of an average; titles may be anything but empty.
const AVERAGE: &str = "";

fn summarize(record: &Record, split: ReportedSplit) -> CellSummary {
    let (status, problem) = match &record.status {
        CellStatus::Completed => ("completed", None),
        CellStatus::Diverged(problem) => ("diverged", Some(problem.clone())),
    };
    let last = record.evidence.as_ref().map(|evidence| evidence.last_test_scores());
    let last = last.and_then(|scores| scores.get(&record.metric).copied());
    CellSummary {
        id: record.cell.clone(),
        group: record.group.clone(),
        task: record.task_title.clone(),
        method: record.method.clone(),
        seed: record.seed,
        status,
        problem,
        score: record.score_on(split),
        selection_score: record.selection_score,
        best_step: record.best_step,
        last_score: last,
        train_seconds: record.train_seconds,
        evaluate_seconds: record.evaluate_seconds,
        peak_memory_bytes: record.peak_memory_bytes,
        trainable_parameters: record.trainable_parameters,
        limited: record.limit.is_some(),
    }
}

/// What the statistics cannot say, and why.
fn of_statistics(sheets: &[TaskSheet], answers: &BTreeMap<String, CellAnswers>) -> Vec<String> {
    let runs = || sheets.iter().flat_map(|sheet| &sheet.methods);
    let mut notes = Vec::new();
    let single = runs().filter(|method| method.runs.len() == 1).count();
    if single > 0 {
        notes.push(format!(
            "note: {single} of {} scores are of one seed: nothing is known of their spread over seeds, so they have no \
             interval, and a difference between them holds for these runs alone",
            runs().count()
        ));
    }
    let all: Vec<&Record> = runs().flat_map(|method| method.runs.iter().map(|run| run.record)).collect();
    let without = all.iter().filter(|record| !answers.contains_key(&record.cell)).count();
    if without > 0 {
        notes.push(format!(
            "note: {without} of {} cells have kept no predictions: they are not compared item by item",
            all.len()
        ));
    }
    for sheet in sheets {
        let own = sheet.methods.iter().flat_map(|method| &method.runs);
        let own: Vec<&Record> = own.map(|run| run.record).collect();
        let revisions: BTreeSet<&str> = own.iter().map(|record| record.dataset_revision.as_str()).collect();
        if revisions.len() > 1 {
            let all: Vec<&str> = revisions.into_iter().collect();
            notes.push(format!(
                "note: {} has cells of different revisions of its dataset, whose items are not compared: {}",
                sheet.task,
                all.join("; ")
            ));
        }
    }
    notes
}

fn provenance(records: &[Record]) -> Vec<Named> {
    let version = |record: &Record, key: &str| -> Option<String> {
        let versions: serde_json::Value = serde_json::from_str(&record.versions).ok()?;
        Some(versions.get(key)?.as_str()?.to_string())
    };
    let weights = |record: &Record| record.evidence.as_ref().map(|evidence| evidence.weights.clone());
    type Value<'a> = Box<dyn Fn(&Record) -> Option<String> + 'a>;
    let values: [(&str, Value); 12] = [
        ("model", Box::new(|record| Some(format!("{} ({})", record.model, record.model_revision)))),
        ("weights", Box::new(weights)),
        ("program", Box::new(move |record| version(record, "peft-bench"))),
        ("commit", Box::new(|record| Some(record.commit.clone()))),
        ("burn", Box::new(move |record| version(record, "burn"))),
        ("system", Box::new(move |record| version(record, "system"))),
        ("device", Box::new(move |record| version(record, "device"))),
        ("precision", Box::new(move |record| version(record, "precision"))),
        ("CPU", Box::new(|record| Some(record.cpu.clone()))),
        ("threads", Box::new(|record| Some(record.threads.to_string()))),
        ("finished", Box::new(|record| Some(record.timestamp.get(..10)?.to_string()))),
        ("data", Box::new(|record| Some(format!("{}: {}", record.task_title, record.dataset_revision)))),
    ];
    let of_all = |(name, value): &(&str, Value)| {
        let distinct: BTreeSet<String> = records.iter().filter_map(value).collect();
        distinct.into_iter().map(|value| Named { name: name.to_string(), value }).collect::<Vec<_>>()
    };
    let origins = |record: &Record| {
        let name = format!("{} on {}", record.method, record.task_title);
        record.started_from.iter().map(move |origin| format!("{name}: {}", origin.text())).collect::<Vec<_>>()
    };
    let origins: BTreeSet<String> = records.iter().flat_map(origins).collect();
    let origins = origins.into_iter().map(|value| Named { name: "started from".into(), value });
    values.iter().flat_map(of_all).chain(origins).collect()
}
