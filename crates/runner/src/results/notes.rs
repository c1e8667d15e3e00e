//! What is told under a suite's table.

use std::collections::{BTreeMap, BTreeSet};

use super::label::trial;
use super::member::Member;
use super::origin::Role;
use super::record::{CellStatus, Record};
use super::roster::{Entry, Roster};
use super::table::seeds_text;

/// What to do about metrics that the tasks name today and results lack.
pub(super) fn without_metrics(members: &[Member]) -> impl Iterator<Item = String> {
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

/// Which methods were trained on other rows than those of the tasks that they are scored on.
pub(super) fn trained_elsewhere(records: &[Record]) -> impl Iterator<Item = String> {
    let mut trained_on: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for record in records {
        let scored = record.started_from.iter().filter(|origin| origin.role == Role::Scored);
        for task in scored.filter_map(|origin| origin.task.as_deref()) {
            trained_on.entry(&record.method).or_default().insert(task);
        }
    }
    trained_on.into_iter().map(|(method, tasks)| {
        let tasks: Vec<&str> = tasks.into_iter().collect();
        format!(
            "note: {method} was trained on {}: its parameters are all that a training has, its seconds a task's share",
            tasks.join(" and on ")
        )
    })
}

/// What ended the runs that diverged.
pub(super) fn diverged(records: &[Record]) -> impl Iterator<Item = String> {
    records.iter().filter_map(|record| match &record.status {
        CellStatus::Completed => None,
        CellStatus::Diverged(problem) => {
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
pub(super) fn missing(roster: &Roster, records: &[Record]) -> Option<String> {
    let done: BTreeSet<&str> = records.iter().map(|record| record.cell.as_str()).collect();
    let mut groups: Vec<(String, Vec<u64>)> = Vec::new();
    for entry in roster.cells.iter().filter(|entry| !done.contains(entry.cell.as_str())) {
        let trial = trial(entry.limit).map(|trial| format!(" ({trial})")).unwrap_or_default();
        let name = format!("{}{trial} on {}", entry.method, entry.task_title);
        match groups.iter_mut().find(|(other, _)| *other == name) {
            Some((_, seeds)) => seeds.push(entry.seed),
            None => groups.push((name, vec![entry.seed])),
        }
    }
    let count: usize = groups.iter().map(|(_, seeds)| seeds.len()).sum();
    let named: Vec<String> =
        groups.iter().map(|(name, seeds)| format!("{name}, {}", seeds_text(seeds))).collect();
    (count > 0).then(|| format!("missing: {count} of {} cells: {}", roster.cells.len(), named.join("; ")))
}
