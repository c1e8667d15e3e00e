//! The names of a suite's methods in its table: one for each way in which a method was set up.

use std::collections::BTreeMap;

use super::member::Member;
use super::record::Record;
use super::roster::Entry;
use super::shown::ReportedSplit;

/// The records under the names that they have in the table: a method that was set up in several ways has one
/// row for each, so that nothing is averaged over different things.
pub(super) fn label(members: &[Member], split: ReportedSplit) -> (Vec<Record>, Vec<String>) {
    let mut labels: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut named: BTreeMap<(&str, Option<u64>), Vec<&Member>> = BTreeMap::new();
    for member in members {
        named.entry((&member.entry.method, member.record.limit)).or_default().push(member);
    }
    let labeled = members.iter().map(|member| {
        let method = label_of(member, &named[&(member.entry.method.as_str(), member.record.limit)]);
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

/// The name of a cell in the table, given all of the same method and limit.
fn label_of(member: &Member, named: &[&Member]) -> String {
    let limit = member.record.limit;
    let is_outdated = member.record.is_outdated();
    if is_outdated && named.iter().any(|other| !other.record.is_outdated()) {
        let mut parts = Vec::from_iter(trial(limit));
        parts.push("earlier version".into());
        return format!("{} ({})", member.entry.method, parts.join("; "));
    }
    let own: Vec<&&Member> = named.iter().filter(|other| other.record.is_outdated() == is_outdated).collect();
    let mut parts = Vec::from_iter(trial(limit));
    if own.iter().any(|other| other.entry.configuration != member.entry.configuration) {
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

/// What marks results that are of no more than the first rows of each split.
pub(super) fn trial(limit: Option<u64>) -> Option<String> {
    Some(format!("trial run: {} rows of each split", limit?))
}

fn is_twin(a: &Entry, b: &Entry) -> bool {
    let same_setting = (&a.configuration, &a.changes) == (&b.configuration, &b.changes);
    same_setting && (&a.group, &a.task_title) == (&b.group, &b.task_title)
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
