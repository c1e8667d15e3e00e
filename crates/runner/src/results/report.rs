//! A suite's report: its table over all of its cells in a folder, and what must be known to read it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::label::label;
use super::member::members;
use super::notes;
use super::picture::to_svg;
use super::record::Record;
use super::roster::Roster;
use super::shown::ReportedSplit;
use super::store::{Store, StoreError};
use super::sweep::Sweep;
use super::table::{self, Comparison, comparison};
use crate::task::Reference;

/// What a suite's cells in a folder come to.
#[derive(Debug)]
pub struct Report {
    pub title: String,
    pub split: ReportedSplit,
    pub rows: Vec<Comparison>,
    /// The results under the names that they have in the table, in its order.
    pub records: Vec<Record>,
    /// The majority baseline and the ceiling of tasks, by title, where they are known.
    pub references: BTreeMap<String, Reference>,
    /// What is told under the table.
    pub notes: Vec<String>,
}

impl Report {
    /// Compares a suite's cells. Those whose settings differ are rows of their own.
    pub fn new(roster: &Roster, records: &[Record]) -> Self {
        let members = members(roster, records);
        let (labeled, mut notes) = label(&members, roster.report);
        let rows = comparison(&labeled, roster.report);
        notes.extend(roster.sweep.iter().flat_map(Sweep::notes));
        notes.extend(table::notes(&labeled, &rows));
        notes.extend(notes::trained_elsewhere(&labeled));
        notes.extend(notes::without_metrics(&members));
        notes.extend(notes::diverged(&labeled));
        notes.extend(notes::missing(roster, records));
        notes.extend(notes::outdated(members.iter().map(|member| member.record)));
        Self {
            title: roster.title.clone(),
            split: roster.report,
            rows,
            records: labeled,
            references: roster.references.clone(),
            notes,
        }
    }

    /// The report for a terminal.
    pub fn to_text(&self) -> String {
        let errors = match self.rows.iter().any(Comparison::is_error) {
            true => format!(
                " ({}: an error in the units of the targets, lower is better)",
                table::LOWER_IS_BETTER
            ),
            false => String::new(),
        };
        let mut text = format!(
            "{}: mean ± standard deviation over seeds, in percent{errors}, on the {} split\n{}",
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

    /// The average majority baseline, if it is known for every task that the picture shows.
    fn majority(&self) -> Option<f64> {
        let tasks =
            self.rows.iter().filter(|row| !row.is_derived() && !row.is_error()).map(|row| row.task.as_str());
        let tasks: BTreeSet<&str> = tasks.collect();
        let all: Option<Vec<f64>> =
            tasks.iter().map(|task| Some(self.references.get(*task)?.majority)).collect();
        all.filter(|all| !all.is_empty()).map(|all| all.iter().sum::<f64>() / all.len() as f64)
    }
}
