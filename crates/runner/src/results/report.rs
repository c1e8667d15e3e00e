//! A suite's report: its table over all of its cells in a folder, and what must be known to read it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::picture::to_svg;
use super::record::{Record, Status};
use super::roster::{Entry, Roster, task_name};
use super::shown::{Order, ReportedSplit};
use super::store::{Store, StoreError};
use super::table::{self, Comparison, comparison, seeds_text};
use crate::task::Reference;

/// What a suite's cells in a folder come to.
#[derive(Debug)]
pub struct Report {
    pub title: String,
    pub split: ReportedSplit,
    pub rows: Vec<Comparison>,
    references: BTreeMap<String, Reference>,
    /// What is told under the table.
    pub notes: Vec<String>,
}

/// A cell of the suite that has a result, and the one that asked for it.
struct Member<'a> {
    entry: Entry,
    record: &'a Record,
}

impl Report {
    /// Compares a suite's cells. Those whose settings differ are rows of their own.
    pub fn new(roster: &Roster, records: &[Record]) -> Self {
        let by_id: BTreeMap<&str, &Record> = records.iter().map(|r| (r.cell.as_str(), r)).collect();
        let known: BTreeSet<&str> = roster.cells.iter().map(|entry| entry.cell.as_str()).collect();
        let listed = roster.cells.iter().filter_map(|entry| {
            Some(Member { entry: entry.clone(), record: by_id.get(entry.cell.as_str())? })
        });
        // Of a process that wrote its result, and whose entry another one's overwrote.
        let unlisted = records.iter().filter(|r| r.suite == roster.suite && !known.contains(r.cell.as_str()));
        let unlisted = unlisted.map(|record| Member { entry: Entry::of(record), record });
        let mut members: Vec<Member> = listed.chain(unlisted).collect();
        in_order(&mut members, &roster.order);
        let (labeled, mut notes) = label(&members, roster.report);
        let rows = comparison(&labeled, roster.report);
        notes.extend(table::notes(&labeled, &rows));
        notes.extend(without_metrics(&members));
        notes.extend(diverged(&labeled));
        notes.extend(missing(roster, &by_id));
        notes.extend(outdated(members.iter().map(|member| member.record)));
        Self {
            title: roster.title.clone(),
            split: roster.report,
            rows,
            references: roster.references.clone(),
            notes,
        }
    }

    /// The report for a terminal.
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "{}: mean ± standard deviation over seeds, in percent, on the {} split\n{}",
            self.title,
            self.split.name(),
            table::to_text(&self.rows, &self.references)
        );
        for note in &self.notes {
            text += &format!("\n{note}");
        }
        text
    }

    /// Writes the table and, where there are scores, the picture; gives their paths.
    ///
    /// # Errors
    /// When the disk is full or the folder not writable.
    pub fn write(&self, store: &Store) -> Result<Vec<PathBuf>, StoreError> {
        let path = store.folder().join("comparison.parquet");
        let frame = table::to_frame(&self.rows)
            .map_err(|e| StoreError::Table { path: path.clone(), problem: e.to_string() })?;
        let mut paths = vec![store.write_table("comparison.parquet", frame)?];
        let path = store.folder().join("comparison.svg");
        let svg = to_svg(&self.title, self.split, &self.rows, self.majority());
        let svg = svg.map_err(|e| StoreError::Table { path: path.clone(), problem: e.to_string() })?;
        if !svg.is_empty() {
            paths.push(store.write_text("comparison.svg", &svg)?);
        }
        Ok(paths)
    }

    /// The average majority baseline, if it is known for every task.
    fn majority(&self) -> Option<f64> {
        let tasks = self.rows.iter().filter(|row| !row.is_derived()).map(|row| row.task.as_str());
        let tasks: BTreeSet<&str> = tasks.collect();
        let all: Option<Vec<f64>> =
            tasks.iter().map(|task| Some(self.references.get(*task)?.majority)).collect();
        all.filter(|all| !all.is_empty()).map(|all| all.iter().sum::<f64>() / all.len() as f64)
    }
}

impl Entry {
    /// What a record itself says of who asked for it.
    fn of(record: &Record) -> Self {
        Self {
            cell: record.cell.clone(),
            group: record.group.clone(),
            task: record.task.clone(),
            task_title: record.task_title.clone(),
            method: record.method.clone(),
            seed: record.seed,
            shots: None,
            metrics: Vec::new(),
            kind: String::new(),
            changes: String::new(),
            configuration: String::new(),
            run: 0,
        }
    }
}

/// Sorts by the suite's own order of tasks and methods, what is not in it last.
fn in_order(members: &mut [Member], order: &Order) {
    let place = |names: &[String], name: &str| names.iter().position(|n| n == name).unwrap_or(names.len());
    let tasks: Vec<String> = order.tasks.iter().map(|task| task_name(task)).collect();
    members.sort_by_key(|m| (place(&tasks, &m.entry.task), place(&order.methods, &m.entry.method)));
}

impl Member<'_> {
    /// The record in the suite's words, with the score that its table shows, under this name of the method.
    fn shown(&self, method: String, split: ReportedSplit) -> Record {
        let Self { entry, record } = self;
        let Record { status, score, selection_score, selection_metric, .. } = record;
        let (metric, score) = match (split, entry.metrics.first()) {
            (ReportedSplit::Validation, _) => (selection_metric, *score),
            (ReportedSplit::Test, Some(metric)) if *metric != record.metric => {
                let scores = record.test_scores();
                (metric, scores.get(metric).copied().filter(|_| *status == Status::Completed))
            }
            (ReportedSplit::Test, _) => (&record.metric, *score),
        };
        Record {
            method,
            group: entry.group.clone(),
            task_title: entry.task_title.clone(),
            metric: metric.clone(),
            score,
            selection_score: *selection_score,
            ..(*record).clone()
        }
    }

    /// Metrics that its task names today, and that the result was made without.
    fn lacks(&self) -> Vec<&str> {
        let scores = self.record.test_scores();
        let named = self.entry.metrics.iter().filter(|metric| !scores.contains_key(*metric));
        // What diverged before its first checkpoint has no scores at all.
        named.map(String::as_str).filter(|_| self.record.best_step.is_some()).collect()
    }

    /// All that makes the record but its seed.
    fn kind(&self) -> String {
        match self.entry.kind.as_str() {
            "" => identity(self.record),
            kind => kind.into(),
        }
    }
}

/// What to do about metrics that the tasks name today and results lack.
fn without_metrics(members: &[Member]) -> impl Iterator<Item = String> {
    let mut lacking: BTreeMap<(Vec<&str>, &str, &str), Vec<&Member>> = BTreeMap::new();
    for member in members {
        let lacks = member.lacks();
        if !lacks.is_empty() {
            let Entry { method, task_title, .. } = &member.entry;
            lacking.entry((lacks, task_title, method)).or_default().push(member);
        }
    }
    lacking.into_iter().map(|((metrics, task, method), members)| {
        let seeds: Vec<u64> = members.iter().map(|member| member.entry.seed).collect();
        let files: Vec<String> =
            members.iter().map(|member| format!("cells/{}.parquet", member.entry.cell)).collect();
        format!(
            "note: {method} on {task}, {}: no {}, which the task did not name when it was scored; to get it, remove {} \
             and run again, which trains again",
            seeds_text(&seeds),
            metrics.join(", "),
            files.join(", ")
        )
    })
}

/// The records under the names that they have in the table: a method that was set up in several ways has one
/// row for each, so that nothing is averaged over different things.
fn label(members: &[Member], split: ReportedSplit) -> (Vec<Record>, Vec<String>) {
    let mut labels: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let labeled = members.iter().map(|member| {
        let method = label_of(member, members);
        let all = labels.entry(&member.entry.method).or_default();
        if !all.contains(&method) {
            all.push(method.clone());
        }
        member.shown(method, split)
    });
    let labeled = labeled.collect();
    let several = labels.into_iter().filter(|(_, labels)| labels.len() > 1);
    let note = |(method, labels): (&str, Vec<String>)| {
        format!(
            "note: {method} was run in {} ways, which are rows of their own: {}",
            labels.len(),
            labels.join("; ")
        )
    };
    (labeled, several.map(note).collect())
}

fn label_of(member: &Member, all: &[Member]) -> String {
    let named = |other: &&Member| other.entry.method == member.entry.method;
    let is_outdated = member.record.is_outdated();
    if is_outdated && all.iter().filter(named).any(|other| !other.record.is_outdated()) {
        return format!("{} (earlier version)", member.entry.method);
    }
    let own: Vec<&Member> =
        all.iter().filter(named).filter(|other| other.record.is_outdated() == is_outdated).collect();
    let mut parts = Vec::new();
    let mut configurations: Vec<&str> = own.iter().map(|m| m.entry.configuration.as_str()).collect();
    configurations.sort_unstable();
    configurations.dedup();
    if configurations.len() > 1 {
        let changes = &member.entry.changes;
        parts.extend((!changes.is_empty()).then(|| changes.clone()));
        let alike = own.iter().filter(|other| other.entry.changes == *changes);
        let runs = alike.map(|other| (other.entry.configuration.clone(), other.entry.run));
        parts.extend(age(runs, &member.entry.configuration).map(|age| format!("earlier settings{age}")));
    }
    // What one configuration has on one task differs only where the task or its rows have changed.
    let twins = own.iter().filter(|other| is_twin(&other.entry, &member.entry));
    let runs = twins.map(|other| (other.kind(), other.entry.run));
    parts.extend(age(runs, &member.kind()).map(|age| format!("earlier data{age}")));
    match parts.is_empty() {
        true => member.entry.method.clone(),
        false => format!("{} ({})", member.entry.method, parts.join("; ")),
    }
}

fn is_twin(a: &Entry, b: &Entry) -> bool {
    let same_setting = (&a.configuration, &a.changes) == (&b.configuration, &b.changes);
    same_setting && (&a.group, &a.task_title) == (&b.group, &b.task_title)
}

/// All that a record itself tells of what makes it but its seed.
fn identity(record: &Record) -> String {
    let Record { model_revision, dataset_revision, settings, training, task_spec, .. } = record;
    [model_revision, dataset_revision, settings, training, task_spec].map(String::as_str).join("\n")
}

/// How many others were run later than this one: nothing for none, then `""`, ` 2`, ...
fn age(runs: impl Iterator<Item = (String, u64)>, own: &str) -> Option<String> {
    let mut latest: BTreeMap<String, u64> = BTreeMap::new();
    for (name, run) in runs {
        let known = latest.entry(name).or_default();
        *known = run.max(*known);
    }
    let rank = |name: &str| (latest.get(name).copied(), name.to_string());
    match latest.keys().filter(|name| rank(name) > rank(own)).count() {
        0 => None,
        1 => Some(String::new()),
        more => Some(format!(" {more}")),
    }
}

fn diverged(records: &[Record]) -> impl Iterator<Item = String> {
    records.iter().filter_map(|record| match &record.status {
        Status::Completed => None,
        Status::Diverged(problem) => {
            let Record { method, task_title, seed, .. } = record;
            Some(format!("{method} on {task_title}, seed {seed}: {problem}"))
        }
    })
}

/// What becomes of results of an earlier version of the program, if there are some.
pub fn outdated<'a>(records: impl IntoIterator<Item = &'a Record>) -> Option<String> {
    let mut cells: Vec<&str> =
        records.into_iter().filter(|r| r.is_outdated()).map(|r| r.cell.as_str()).collect();
    cells.sort_unstable();
    cells.dedup();
    let (count, first) = (cells.len(), cells.first()?);
    Some(format!(
        "note: {count} results are of an earlier version of the program, such as cells/{first}.parquet: tables show \
         them, but `run` computes their cells anew; to keep them apart, give another folder with --out"
    ))
}

/// What the suite has asked for and has no result yet.
fn missing(roster: &Roster, records: &BTreeMap<&str, &Record>) -> Option<String> {
    let mut groups: Vec<((&str, &str), Vec<u64>)> = Vec::new();
    for entry in roster.cells.iter().filter(|entry| !records.contains_key(entry.cell.as_str())) {
        let key = (entry.method.as_str(), entry.task_title.as_str());
        match groups.iter_mut().find(|(other, _)| *other == key) {
            Some((_, seeds)) => seeds.push(entry.seed),
            None => groups.push((key, vec![entry.seed])),
        }
    }
    let count: usize = groups.iter().map(|(_, seeds)| seeds.len()).sum();
    let named =
        groups.iter().map(|((method, task), seeds)| format!("{method} on {task}, {}", seeds_text(seeds)));
    let named: Vec<String> = named.collect();
    (count > 0).then(|| format!("missing: {count} of {} cells: {}", roster.cells.len(), named.join("; ")))
}
