//! Results by task, method and seed: what statistics compare.

use crate::metric::Metric;
use crate::results::{Record, ReportedSplit};

/// The results of one task.
#[derive(Debug, Clone)]
pub(super) struct TaskSheet<'a> {
    /// Title of the task.
    pub task: &'a str,
    pub group: &'a str,
    pub methods: Vec<MethodSheet<'a>>,
}

/// The results of one method on one task.
#[derive(Debug, Clone)]
pub(super) struct MethodSheet<'a> {
    pub method: &'a str,
    pub runs: Vec<Run<'a>>,
}

impl TaskSheet<'_> {
    /// Whether its scores are errors, of which lower ones are better and which no percentage can be averaged with.
    pub(super) fn is_error(&self) -> bool {
        let record = self.methods.iter().flat_map(|sheet| &sheet.runs).map(|run| run.record).next();
        let metric = record.and_then(|record| record.metric.parse::<Metric>().ok());
        metric.is_some_and(Metric::is_error)
    }
}

/// One cell and its score in the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    pub record: &'a Record,
    /// In percent; `None` where the run diverged.
    pub score: Option<f64>,
}

/// Sorts results by task and method, in the order in which they first occur.
pub(super) fn sheets(records: &[Record], split: ReportedSplit) -> Vec<TaskSheet<'_>> {
    let mut sheets: Vec<TaskSheet> = Vec::new();
    for record in records {
        let (task, group) = (record.task_title.as_str(), record.group.as_str());
        let place = sheets.iter().position(|sheet| (sheet.task, sheet.group) == (task, group));
        let place = place.unwrap_or_else(|| {
            sheets.push(TaskSheet { task, group, methods: Vec::new() });
            sheets.len() - 1
        });
        let run = Run { record, score: record.score_on(split) };
        let methods = &mut sheets[place].methods;
        match methods.iter_mut().find(|sheet| sheet.method == record.method) {
            Some(sheet) => sheet.runs.push(run),
            None => methods.push(MethodSheet { method: &record.method, runs: vec![run] }),
        }
    }
    sheets
}

impl MethodSheet<'_> {
    /// The scores of the runs that have one.
    pub(super) fn scores(&self) -> Vec<f64> {
        self.runs.iter().filter_map(|run| run.score).collect()
    }

    /// Runs of this method and of another one with the same seed, both with scores.
    pub(super) fn matched<'b>(
        &'b self,
        other: &'b MethodSheet<'b>,
    ) -> impl Iterator<Item = (Run<'b>, Run<'b>)> {
        let of_seed =
            |seed| other.runs.iter().find(move |run| run.record.seed == seed && run.score.is_some());
        let own = self.runs.iter().filter(|run| run.score.is_some());
        own.filter_map(move |run| Some((*run, *of_seed(run.record.seed)?)))
    }
}

impl<'a> TaskSheet<'a> {
    /// A method's results.
    pub(super) fn method(&self, name: &str) -> Option<&MethodSheet<'a>> {
        self.methods.iter().find(|sheet| sheet.method == name)
    }
}

/// The names of all methods, in the order in which they first occur.
pub(super) fn method_names<'a>(sheets: &[TaskSheet<'a>]) -> Vec<&'a str> {
    let mut names = Vec::new();
    for sheet in sheets.iter().flat_map(|sheet| &sheet.methods) {
        if !names.contains(&sheet.method) {
            names.push(sheet.method);
        }
    }
    names
}

/// Every pair of different elements, in order.
pub(super) fn pairs<T: Copy>(elements: &[T]) -> impl Iterator<Item = (T, T)> + '_ {
    let rest = |place: usize| elements[place + 1..].iter().copied();
    elements
        .iter()
        .enumerate()
        .flat_map(move |(place, first)| rest(place).map(move |second| (*first, second)))
}
