//! Which cells a suite has asked for in a folder, and under which names: what its table is made of.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::files::digest::Digest;
use crate::files::{atomic, checksum};
use crate::grid::{Order, PlannedCell, ReportedSplit, Suite};
use crate::task::Reference;

/// Every run of a suite adds its cells, so that a run of a part of the suite leaves the others in the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Roster {
    checksum: String,
    pub suite: String,
    pub title: String,
    pub report: ReportedSplit,
    pub order: Order,
    /// Between which scores those of a task are to be read, by the task's title.
    pub references: BTreeMap<String, Reference>,
    pub cells: Vec<Entry>,
}

/// A cell, as a suite asked for it. Two names of one method in a suite make two entries of one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub cell: String,
    pub group: String,
    pub task: String,
    pub task_title: String,
    pub method: String,
    pub seed: u64,
    /// What the command line had changed of the method's settings.
    pub changes: String,
    /// Digest of all that set the method up, on whichever task, and of the model.
    pub configuration: String,
    /// Which run asked for it last: a higher number is later.
    pub run: u64,
}

const FOLDER: &str = "suites";

impl Roster {
    /// The cells that a run of a suite is about.
    pub fn new(
        suite: &Suite,
        references: BTreeMap<String, Reference>,
        model_revision: &str,
        cells: &[PlannedCell],
    ) -> Self {
        let entry = |cell: &PlannedCell| Entry {
            cell: cell.id.clone(),
            group: cell.group.clone(),
            task: cell.task.clone(),
            task_title: cell.task_title.clone(),
            method: cell.method.clone(),
            seed: cell.seed,
            changes: suite.changes(&cell.method),
            configuration: digest(&[model_revision, &suite.configuration(&cell.method)]),
            run: 0,
        };
        Self { cells: cells.iter().map(entry).collect(), references, ..Self::empty(suite) }
    }

    /// A suite that has asked for no cells.
    pub fn empty(suite: &Suite) -> Self {
        Self {
            checksum: checksum::blank(),
            suite: suite.name.clone(),
            title: suite.title.clone(),
            report: suite.report,
            order: suite.order.clone(),
            references: BTreeMap::new(),
            cells: Vec::new(),
        }
    }

    /// Adds the cells of earlier runs of the suite, and of those that run beside this one.
    ///
    /// # Errors
    /// When the file is there and cannot be read. A damaged one is told and made anew.
    pub fn join_others(&mut self, folder: &Path) -> Result<(), StoreError> {
        let Some(others) = Self::read(&path(folder, &self.suite))? else {
            self.number(1);
            return Ok(());
        };
        if self.cells.iter().any(|entry| entry.run == 0) {
            self.number(1 + others.cells.iter().map(|entry| entry.run).max().unwrap_or(0));
        }
        let own = std::mem::replace(&mut self.cells, others.cells);
        for entry in own {
            let same = |other: &&mut Entry| (&other.cell, &other.method) == (&entry.cell, &entry.method);
            match self.cells.iter_mut().find(same) {
                Some(other) if other.run > entry.run => {}
                Some(other) => *other = entry,
                None => self.cells.push(entry),
            }
        }
        for (title, reference) in others.references {
            self.references.entry(title).or_insert(reference);
        }
        Ok(())
    }

    fn number(&mut self, run: u64) {
        self.cells.iter_mut().filter(|entry| entry.run == 0).for_each(|entry| entry.run = run);
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When the disk is full or the folder not writable.
    pub fn write(&self, folder: &Path) -> Result<(), StoreError> {
        let path = path(folder, &self.suite);
        let mut bytes = serde_json::to_vec_pretty(self).expect("plain data serializes");
        checksum::fill_in(&mut bytes);
        atomic::write(&path, &bytes).map_err(|source| StoreError::Write { path, source })
    }

    /// Every suite that has asked for cells in a folder, by name.
    ///
    /// # Errors
    /// When a file is there and cannot be read; a damaged one is told and left out.
    pub fn all(folder: &Path) -> Result<Vec<Self>, StoreError> {
        let entries = fs::read_dir(folder.join(FOLDER)).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
        paths.sort();
        let read = paths.iter().map(|path| Self::read(path));
        Ok(read.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    fn read(path: &Path) -> Result<Option<Self>, StoreError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Read { path: path.into(), source }),
        };
        let checked = checksum::check(&bytes).map_err(|e| e.to_string());
        match checked.and_then(|()| serde_json::from_slice::<Self>(&bytes).map_err(|e| e.to_string())) {
            Ok(roster) => Ok(Some(Self { checksum: checksum::blank(), ..roster })),
            Err(problem) => {
                crate::progress::say!("note: {} is not trusted ({problem})", path.display());
                Ok(None)
            }
        }
    }
}

fn path(folder: &Path, suite: &str) -> PathBuf {
    folder.join(FOLDER).join(format!("{suite}.json"))
}

fn digest(parts: &[&str]) -> String {
    Digest::of(parts.join("\n")).short()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid;

    fn roster(cells: &[(&str, &str)]) -> Roster {
        let planned = |(id, method): &(&str, &str)| PlannedCell {
            id: id.to_string(),
            group: "Pocket".into(),
            task: "pocket-sense".into(),
            task_title: "Sense".into(),
            method: method.to_string(),
            seed: 1,
            work: 1,
        };
        let cells: Vec<PlannedCell> = cells.iter().map(planned).collect();
        Roster::new(&grid::find("pocket").unwrap(), BTreeMap::new(), "revision", &cells)
    }

    #[test]
    fn a_run_adds_to_what_earlier_ones_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        for cells in [&[("a", "lora"), ("b", "dept")][..], &[("c", "lora"), ("a", "lora"), ("a", "again")]] {
            let mut roster = roster(cells);
            for _ in 0..2 {
                roster.join_others(folder.path()).unwrap();
                roster.write(folder.path()).unwrap();
            }
        }
        let all = Roster::all(folder.path()).unwrap();
        assert_eq!(all.len(), 1);
        let cells: Vec<_> =
            all[0].cells.iter().map(|e| (e.cell.as_str(), e.method.as_str(), e.run)).collect();
        assert_eq!(cells, [("a", "lora", 2), ("b", "dept", 1), ("c", "lora", 2), ("a", "again", 2)]);
    }

    #[test]
    fn an_edited_file_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        roster(&[("a", "lora")]).write(folder.path()).unwrap();
        let path = path(folder.path(), "pocket");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"lora\"", "\"full\"")).unwrap();
        assert!(Roster::all(folder.path()).unwrap().is_empty());
    }
}
