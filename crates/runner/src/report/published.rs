//! Paper against reproduced: published scores beside ours, and in what the protocols differ.

use super::data::{PublishedRow, TableCell};
use super::sheet::TaskSheet;
use crate::results::{Comparison, Origin, PublishedScore, Record, Regime};

/// The published scores of the tasks and methods of a report.
pub(super) fn compare(
    sheets: &[TaskSheet],
    table: &[TableCell],
    published: &[PublishedScore],
) -> Vec<PublishedRow> {
    let mut rows = Vec::new();
    for sheet in sheets {
        for method in &sheet.methods {
            let Some(record) = method.runs.first().map(|run| run.record) else { continue };
            let of_sheet = |row: &&Comparison| {
                !row.is_derived()
                    && (&*row.task, &*row.group, &*row.method) == (sheet.task, sheet.group, method.method)
            };
            let ours = table.iter().map(|cell| &cell.comparison).find(of_sheet);
            let Some(ours) = ours else { continue };
            let of_cell = published.iter().filter(|score| is_of(score, record));
            rows.extend(of_cell.map(|score| row(score, ours, record)));
        }
    }
    rows
}

/// Whether a published score is of a cell's task and method.
fn is_of(score: &PublishedScore, record: &Record) -> bool {
    let task = record.task.split('@').next().unwrap_or_default();
    !score.average && score.task == task && score.method == record.method
}

fn row(score: &PublishedScore, ours: &Comparison, record: &Record) -> PublishedRow {
    let inside = match (score.score, ours.low, ours.high) {
        (Some(published), Some(low), Some(high)) => Some((low..=high).contains(&published)),
        _ => None,
    };
    PublishedRow {
        task: ours.task.clone(),
        method: ours.method.clone(),
        metric: score.metric.clone(),
        published: score.score,
        deviation: score.deviation,
        source: [&score.source, &score.table].map(String::as_str).join(", ").trim_end_matches(", ").into(),
        row_of: score.row_of.clone(),
        ours: ours.mean,
        low: ours.low,
        high: ours.high,
        seeds: ours.seeds,
        inside,
        differences: differences(score, ours, record),
    }
}

/// In what our protocol is known to differ from that of a published score.
fn differences(score: &PublishedScore, ours: &Comparison, record: &Record) -> Vec<String> {
    let mut found = Vec::new();
    if !score.model.is_empty() && score.model != record.model {
        found.push(format!("published for {}, ours is of {}", score.model, record.model));
    }
    if score.metric != ours.metric {
        found.push(format!("published as {}, ours is {}", score.metric, ours.metric));
    }
    match score.seeds {
        None => found.push("the number of published seeds is not known".into()),
        Some(seeds) if seeds != ours.seeds => {
            found.push(format!("{seeds} published seeds, ours are {}", ours.seeds))
        }
        Some(_) => {}
    }
    if let Some(limit) = record.limit {
        found.push(format!("ours is a trial run on {limit} rows of each split"));
    }
    let own = match record.started_from.is_empty() {
        true => Regime::SingleTask,
        false => Regime::Transfer,
    };
    if score.regime != own {
        let own = if own == Regime::SingleTask { "of the task alone" } else { "after transfer training" };
        found.push(format!("published after {} training, ours is {own}", score.regime.name()));
    }
    if own == Regime::Transfer {
        let origins: Vec<String> = record.started_from.iter().map(Origin::title).collect();
        found.push(format!("ours starts from our own {}", origins.join(", ")));
    }
    if !score.protocol.is_empty() {
        found.push(score.protocol.clone());
    }
    found
}
