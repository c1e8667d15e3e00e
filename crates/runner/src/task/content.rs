//! What decides a task's examples and how they are scored, whatever the task is called and wherever its files are.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::spec::{Data, Labels, Limits, TaskSpec, Text};
use super::{Quote, Role, SplitRule};

/// The part of a task's specification that decides its examples. The rows themselves have revisions of their own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Content<'a> {
    repo: Option<&'a str>,
    config: Option<&'a str>,
    generated: Option<&'a str>,
    /// By what the name of each role's local file says how it is read.
    files: Vec<&'a str>,
    quote: Option<Quote>,
    separator: Option<char>,
    split: &'a SplitRule,
    source: &'a str,
    target: Option<&'a str>,
    expand: bool,
    empty: Option<&'a str>,
    answers: Option<&'a str>,
    group: Option<&'a str>,
    labels: Option<&'a Labels>,
    limits: &'a Limits,
    probes: &'a BTreeMap<String, String>,
    /// It decides which rows train, and only where few do.
    pub few_shot_threshold: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mixture: Vec<Content<'a>>,
}

impl TaskSpec {
    /// What decides the examples.
    pub fn content(&self) -> Content<'_> {
        // Named one by one, so that a new key is put on one side or the other.
        let Self {
            title: _,
            group: _,
            description: _,
            reference: _,
            metrics: _,
            variants: _,
            data,
            split,
            text,
            labels,
            limits,
            probes,
            few_shot_threshold,
            mixture,
        } = self;
        let Data { repo, config, revision: _, files, quote, separator, generated } = data;
        // The name is in the source where it is asked for.
        let Text { name: _, source, target, expand, empty, answers, group } = text;
        let files = Role::ALL.iter().filter_map(|&role| files.get(split.split(role)));
        Content {
            repo: repo.as_deref(),
            config: config.as_deref(),
            generated: generated.as_deref(),
            files: files.map(|file| ending(file)).collect(),
            quote: *quote,
            separator: *separator,
            split,
            source,
            target: target.as_deref(),
            expand: *expand,
            empty: empty.as_deref(),
            answers: answers.as_deref(),
            group: group.as_deref(),
            labels: labels.as_ref(),
            limits,
            probes,
            few_shot_threshold: *few_shot_threshold,
            mixture: mixture.iter().map(TaskSpec::content).collect(),
        }
    }
}

fn ending(file: &str) -> &str {
    Path::new(file).extension().and_then(|ending| ending.to_str()).unwrap_or_default()
}
