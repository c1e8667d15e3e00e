//! Which cells a suite has asked for in a folder, and under which names: what its table is made of.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::shown::{Order, ReportedSplit};
use super::store::StoreError;
use super::sweep::Sweep;
use crate::files::{atomic, checksum};
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
    /// How the settings of methods were chosen, where the suite has a sweep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
    pub cells: Vec<Entry>,
    /// Cells that only others start from, which no table shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Entry>,
}

/// A cell, as a suite asked for it. Two names of one method or one task in a suite make two entries of one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub cell: String,
    pub group: String,
    pub task: String,
    pub task_title: String,
    pub method: String,
    pub seed: u64,
    /// Number of training rows, where not all of them train.
    #[serde(default)]
    pub shots: Option<usize>,
    /// Most rows of each split, in a trial run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The task's metrics, the one in tables first; none where an older version of the program asked for the cell.
    #[serde(default)]
    pub metrics: Vec<String>,
    /// What computing it takes, in millions of floating-point operations; 0 where an older version of the program asked
    /// for the cell.
    #[serde(default)]
    pub work: u64,
    /// What the command line had changed of the method's settings.
    pub changes: String,
    /// Digest of all that set the method up, on whichever task, and of the model.
    pub configuration: String,
    /// Which run asked for it last: a higher number is later.
    pub run: u64,
}

impl Entry {
    /// All that tells it from the suite's other entries: two tasks or methods can come to the same cell.
    fn asked_for(&self) -> [&str; 5] {
        [&self.cell, &self.method, &self.task, &self.group, &self.task_title]
    }
}

/// The name of a task that a suite gives by its name or its file.
pub(super) fn task_name(task: &str) -> String {
    let file = task.rsplit_once('/').map_or(task, |(_, file)| file);
    file.replace(".toml", "")
}

const FOLDER: &str = "suites";

impl Roster {
    /// A suite that has asked for no cells.
    pub fn new(
        suite: impl Into<String>,
        title: impl Into<String>,
        report: ReportedSplit,
        order: Order,
    ) -> Self {
        let (suite, title, checksum) = (suite.into(), title.into(), checksum::blank());
        let (references, sweep) = (BTreeMap::new(), None);
        let (cells, sources) = (Vec::new(), Vec::new());
        Self { checksum, suite, title, report, order, references, sweep, cells, sources }
    }

    /// Adds the cells of earlier runs of the suite, and of those that run beside this one. What has another title,
    /// group, metric or name today has it for their results too.
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
        self.reword(&own);
        self.forget_old_names(&own);
        for entry in own {
            let same = |other: &&mut Entry| other.asked_for() == entry.asked_for();
            match self.cells.iter_mut().find(same) {
                Some(other) if other.run > entry.run => {}
                Some(other) => *other = entry,
                None => self.cells.push(entry),
            }
        }
        let is_new = |source: &Entry| !self.sources.iter().any(|own| own.cell == source.cell);
        let others_only: Vec<Entry> = others.sources.into_iter().filter(is_new).collect();
        self.sources.extend(others_only);
        if let (Some(sweep), Some(earlier)) = (&mut self.sweep, others.sweep) {
            sweep.join(earlier);
        }
        for (title, reference) in others.references {
            self.references.entry(title).or_insert(reference);
        }
        Ok(())
    }

    /// Gives all cells of a task the words that it has today, which entries of this run know.
    fn reword(&mut self, today: &[Entry]) {
        let words = |entry: &Entry| (entry.group.clone(), entry.task_title.clone(), entry.metrics.clone());
        for entry in self.cells.iter_mut().filter(|entry| !entry.metrics.is_empty()) {
            let same_task = |other: &&Entry| (&other.task, other.shots) == (&entry.task, entry.shots);
            let mut named = today.iter().filter(same_task).map(words);
            let Some(first) = named.next() else { continue };
            // Tasks of one name in several folders cannot be told apart.
            if named.all(|other| other == first) {
                (entry.group, entry.task_title, entry.metrics) = first;
            }
        }
    }

    /// Drops entries of a method or a task that the suite no longer has, of cells that it has under other names today.
    fn forget_old_names(&mut self, today: &[Entry]) {
        let Order { tasks, methods } = &self.order;
        let tasks: Vec<String> = tasks.iter().map(|task| task_name(task)).collect();
        self.cells.retain(|entry| {
            let has_method =
                methods.contains(&entry.method) || today.iter().any(|e| e.method == entry.method);
            let has_task = tasks.contains(&entry.task) || today.iter().any(|e| e.task == entry.task);
            (has_method && has_task) || !today.iter().any(|other| other.cell == entry.cell)
        });
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
                crate::terminal::progress::say!("note: {} is not trusted ({problem})", path.display());
                Ok(None)
            }
        }
    }
}

fn path(folder: &Path, suite: &str) -> PathBuf {
    folder.join(FOLDER).join(format!("{suite}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A suite of LoRA and DePT that has asked for cells under these names.
    fn roster(cells: &[(&str, &str)]) -> Roster {
        let entry = |(id, method): &(&str, &str)| Entry {
            cell: id.to_string(),
            group: "Pocket".into(),
            task: "pocket-sense".into(),
            task_title: "Sense".into(),
            method: method.to_string(),
            seed: 1,
            shots: None,
            limit: None,
            metrics: vec!["accuracy".into()],
            work: 1,
            changes: String::new(),
            configuration: "configuration".into(),
            run: 0,
        };
        let order =
            Order { tasks: vec!["pocket-sense".into()], methods: ["lora", "dept"].map(String::from).into() };
        let roster = Roster::new("pocket", "Pocket", ReportedSplit::Test, order);
        Roster { cells: cells.iter().map(entry).collect(), ..roster }
    }

    /// The roster on disk after this one has joined it.
    fn joined(folder: &Path, mut roster: Roster) -> Roster {
        roster.join_others(folder).unwrap();
        roster.write(folder).unwrap();
        roster
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

    #[test]
    fn all_cells_of_a_task_have_the_words_that_it_has_today() {
        let folder = tempfile::tempdir().unwrap();
        joined(folder.path(), roster(&[("a", "lora"), ("b", "lora")]));
        let mut today = roster(&[("b", "lora")]);
        (today.cells[0].task_title, today.cells[0].metrics) = ("Senses".into(), vec!["f1".into()]);
        for entry in joined(folder.path(), today).cells {
            assert_eq!((&*entry.task_title, &entry.metrics[..]), ("Senses", &["f1".to_string()][..]));
        }
        // Two tasks of one name cannot be told apart, so what there is keeps its words.
        let mut twins = roster(&[("d", "lora"), ("c", "lora")]);
        twins.cells[1].task_title = "Other".into();
        let titles: Vec<String> =
            joined(folder.path(), twins).cells.into_iter().map(|entry| entry.task_title).collect();
        assert_eq!(titles, ["Senses", "Senses", "Sense", "Other"]);
    }

    #[test]
    fn a_method_that_has_another_name_is_not_shown_under_its_old_one() {
        let folder = tempfile::tempdir().unwrap();
        joined(folder.path(), roster(&[("a", "lora"), ("b", "old"), ("c", "old")]));
        let cells = joined(folder.path(), roster(&[("a", "lora"), ("b", "dept"), ("b", "third")])).cells;
        let names: Vec<(&str, &str)> = cells.iter().map(|e| (&*e.cell, &*e.method)).collect();
        assert_eq!(names, [("a", "lora"), ("c", "old"), ("b", "dept"), ("b", "third")]);
    }
}
