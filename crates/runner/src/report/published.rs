//! Paper against reproduced: published scores beside ours, and in what the protocols differ.

use peft_model::source::MIXTURE;

use super::data::{PublishedRow, TableCell};
use super::sheet::TaskSheet;
use crate::results::{Comparison, Origin, PublishedScore, Record, Regime, Role};

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

/// What a cell had learned from beside its task.
fn regime(record: &Record) -> Regime {
    let of_several = |origin: &Origin| {
        origin.role == Role::Scored && origin.task.as_ref().is_some_and(|task| task.contains(MIXTURE))
    };
    let several = record.started_from.iter().any(of_several);
    match (several, record.started_from.iter().all(of_several)) {
        (false, true) => Regime::SingleTask,
        (false, false) => Regime::Transfer,
        (true, true) => Regime::MultiTask,
        (true, false) => Regime::TransferAndMultiTask,
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
    let own = regime(record);
    if score.regime != own {
        let own = match own {
            Regime::SingleTask => "of the task alone".into(),
            other => format!("after {} training", other.name()),
        };
        found.push(format!("published after {} training, ours is {own}", score.regime.name()));
    }
    let (scored, origins): (Vec<&Origin>, Vec<&Origin>) =
        record.started_from.iter().partition(|origin| origin.role == Role::Scored);
    let trained_on: Vec<&str> = scored.into_iter().filter_map(|origin| origin.task.as_deref()).collect();
    if !trained_on.is_empty() {
        found.push(format!("ours was trained on {}", trained_on.join(", ")));
    }
    if !origins.is_empty() {
        let origins: Vec<String> = origins.into_iter().map(Origin::title).collect();
        found.push(format!("ours starts from our own {}", origins.join(", ")));
    }
    if !score.protocol.is_empty() {
        found.push(score.protocol.clone());
    }
    found
}
