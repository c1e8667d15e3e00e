//! What a terminal shows below a suite's table: who is separable from whom, and what is wrong with runs.

use std::collections::BTreeMap;

use comfy_table::{Table, presets};

use super::data::{PublishedRow, ReportData};
use super::diagnoses::Diagnosis;
use crate::results::score_text;

/// Most lines of diagnoses; the rest is in `report.html`.
const MOST_DIAGNOSES: usize = 20;

/// The statistics and diagnoses of a report as text; empty where nothing was compared.
pub fn summary(data: &ReportData) -> String {
    let mut lines: Vec<String> = Vec::new();
    if !data.across.letters.is_empty() {
        let letters = data.across.letters.iter().map(|found| format!("{} {}", found.method, found.letters));
        lines.push(format!(
            "over tasks and seeds, best first (Wilcoxon, Holm; methods that share a letter are not separable): {}",
            letters.collect::<Vec<_>>().join(", ")
        ));
    }
    if let Some(largest) = data.across.detectable.iter().map(|found| found.difference).max_by(f64::total_cmp)
    {
        lines.push(format!(
            "mean differences below {largest:.1} points could not have been shown for every pair of methods with so \
             many tasks and seeds (power 80 %)"
        ));
    }
    let separable = data.pairwise.iter().filter(|pair| pair.is_separable()).count();
    if !data.pairwise.is_empty() {
        lines.push(format!(
            "item by item (exact McNemar, Holm): {separable} of {} pairs of methods on a task are separable",
            data.pairwise.len()
        ));
    }
    let diagnoses = grouped(&data.diagnoses);
    let more = diagnoses.len().saturating_sub(MOST_DIAGNOSES);
    lines.extend(diagnoses.into_iter().take(MOST_DIAGNOSES));
    if more > 0 {
        lines.push(format!("{more} more diagnoses are in report.html"));
    }
    lines.join("\n")
}

/// Published scores beside ours, as text.
pub fn against_published(data: &ReportData) -> String {
    let known: Vec<&PublishedRow> = data.published.iter().filter(|row| row.published.is_some()).collect();
    if known.is_empty() {
        return "no published score is of a task and a method of this table".into();
    }
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "task",
        "method",
        "published",
        "ours",
        "95 % interval",
        "inside",
        "source",
        "differences",
    ]);
    for row in known {
        let text = |score: Option<f64>| score.map_or("-".into(), |score| score_text(&row.metric, score));
        let interval = match (row.low, row.high) {
            (Some(_), Some(_)) => format!("{} to {}", text(row.low), text(row.high)),
            _ => "-".into(),
        };
        let inside = row.inside.map_or("-", |inside| if inside { "yes" } else { "no" });
        let source = match row.row_of.is_empty() {
            true => row.source.clone(),
            false => format!("{}, row of {}", row.source, row.row_of),
        };
        table.add_row([
            row.task.clone(),
            row.method.clone(),
            text(row.published),
            text(row.ours),
            interval,
            inside.into(),
            source,
            row.differences.join("; "),
        ]);
    }
    format!("published and ours, in percent\n{table}")
}

/// One line for what several seeds have in common.
fn grouped(diagnoses: &[Diagnosis]) -> Vec<String> {
    let mut groups: Vec<(&Diagnosis, Vec<u64>)> = Vec::new();
    let mut places: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    for diagnosis in diagnoses {
        let key = (diagnosis.task.as_str(), diagnosis.method.as_str(), diagnosis.kind);
        match places.get(&key) {
            Some(&place) => groups[place].1.push(diagnosis.seed),
            None => {
                places.insert(key, groups.len());
                groups.push((diagnosis, vec![diagnosis.seed]));
            }
        }
    }
    let line = |(first, mut seeds): (&Diagnosis, Vec<u64>)| {
        seeds.sort_unstable();
        let seeds = crate::results::seeds_text(&seeds);
        format!("{}: {} on {}, {seeds}: {}", first.kind, first.method, first.task, first.text)
    };
    groups.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_share_a_line() {
        let diagnosis = |seed, kind| Diagnosis {
            task: "WSC".into(),
            method: "lora".into(),
            seed,
            kind,
            text: "it is so".into(),
        };
        let found =
            grouped(&[diagnosis(2, "collapsed"), diagnosis(1, "majority"), diagnosis(1, "collapsed")]);
        assert_eq!(
            found,
            ["collapsed: lora on WSC, seeds 1, 2: it is so", "majority: lora on WSC, seed 1: it is so"]
        );
    }
}
