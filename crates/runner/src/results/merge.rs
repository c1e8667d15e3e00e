//! Joins results folders of several machines.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::predictions::items_file;
use super::record::Record;
use super::roster::Roster;
use super::store::{Store, StoreError};
use crate::files::checksum::{self, Damage};
use crate::files::{self, atomic};
use crate::terminal::progress::say;
use crate::train::Scores;

/// Why folders are not joined.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Conflict(Box<Conflict>),
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// A cell of which two folders have different results.
#[derive(Debug, thiserror::Error)]
#[error(
    "cell {cell} ({name}): {what} of {} and of {} differ{}; nothing was written: they are of different machines or \
     programs, so keep one of the two (a cell is cells/{cell}.parquet and what else has its name)",
    one.display(), other.display(), others(*more)
)]
pub struct Conflict {
    cell: String,
    /// Method, task and seed.
    name: String,
    /// The column or file.
    what: String,
    one: PathBuf,
    other: PathBuf,
    /// How many more cells have conflicts.
    more: usize,
}

fn others(more: usize) -> String {
    if more == 0 { String::new() } else { format!(", and {more} more cells have conflicts") }
}

/// What has come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    /// Cells in the folder, and how many of them are new there.
    pub cells: usize,
    pub new: usize,
}

/// Columns in which two results of one cell must agree to the bit. Names, times and machines may differ.
const EQUAL: [&str; 17] = [
    "kind",
    "seed",
    "status",
    "problem",
    "selection_metric",
    "selection_score",
    "best_step",
    "trainable_parameters",
    "loss_steps",
    "losses",
    "validation_steps",
    "validation_curve",
    "train_rows",
    "validation_rows",
    "test_rows",
    "limit",
    "truncated_sources",
];

/// What a folder has beside files that belong to one cell each.
const OTHERS: [&str; 3] = ["cells", "suites", "state"];

/// The folder of predictions.
const PREDICTIONS: &str = "predictions";

/// A description with names of files, which differ between machines.
const DESCRIPTION: &str = "adapter.json";

/// Copies the cells of folders that another one lacks into it, with all files that belong to them, and joins the lists
/// of suites. Folders that have the same cell must have the same result.
///
/// # Errors
/// When two folders have different results of one cell, or a newer program wrote one of them; then nothing is written.
/// When a file cannot be read or written.
pub fn merge(folders: &[PathBuf], out: &Path) -> Result<Merged, MergeError> {
    let mut sources: Vec<Source> = Vec::new();
    for folder in folders {
        sources.push(Source::read(Store::read_only(folder)?)?);
    }
    let there = match out.exists() {
        true => Some(Source::read(Store::look_into(out)?)?),
        false => None,
    };
    let new = check(there.iter().chain(&sources))?;
    let known = there.map(|there| there.records.len()).unwrap_or(0);
    let store = Store::open(out)?;
    for source in sources.iter().filter(|source| !source.is(out)) {
        source.copy_to(&store)?;
    }
    Ok(Merged { cells: new, new: new - known })
}

/// A results folder with its results.
struct Source {
    store: Store,
    records: BTreeMap<String, Record>,
    /// Files that belong to a cell, by their place in the folder; whole ones.
    files: BTreeMap<String, Vec<PathBuf>>,
}

impl Source {
    /// Reads a folder; what is damaged is left out with a note.
    fn read(store: Store) -> Result<Self, MergeError> {
        let mut records = BTreeMap::new();
        for cell in store.ids()? {
            records.extend(store.read(&cell)?.map(|record| (cell, record)));
        }
        if store.folder().join("state").is_dir() {
            say!("note: {}: trainings that are not finished stay there", store.folder().display());
        }
        let files = belongings(store.folder(), &records);
        Ok(Self { store, records, files })
    }

    fn is(&self, folder: &Path) -> bool {
        let same = |path: &Path| path.canonicalize().ok();
        same(self.store.folder()).is_some_and(|own| Some(own) == same(folder))
    }

    fn path(&self, file: &Path) -> PathBuf {
        self.store.folder().join(file)
    }

    /// Copies what another folder lacks: a cell after what belongs to it, so that one that is there is complete.
    fn copy_to(&self, other: &Store) -> Result<(), MergeError> {
        for cell in self.records.keys() {
            for file in self.files.get(cell).into_iter().flatten() {
                self.copy(file, other.folder())?;
            }
            if other.read(cell)?.is_none() {
                self.copy(&Path::new("cells").join(format!("{cell}.parquet")), other.folder())?;
            }
        }
        for mut roster in Roster::all(self.store.folder())? {
            roster.join_others(other.folder())?;
            roster.write(other.folder())?;
        }
        Ok(())
    }

    fn copy(&self, file: &Path, folder: &Path) -> Result<(), MergeError> {
        let (from, to) = (self.path(file), folder.join(file));
        let written = |source| MergeError::Write { path: to.clone(), source };
        if fs::symlink_metadata(&to).is_ok() {
            if is_whole(&to) {
                return Ok(());
            }
            atomic::set_aside(&to).map_err(written)?;
        }
        atomic::write(&to, &read(&from)?).map_err(written)
    }
}

/// The whole files that belong to cells: in every folder but a few, those that have a cell's id for a name.
fn belongings(folder: &Path, records: &BTreeMap<String, Record>) -> BTreeMap<String, Vec<PathBuf>> {
    let mut all: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for kind in names(folder).into_iter().filter(|kind| !OTHERS.contains(&kind.as_str())) {
        for name in names(&folder.join(&kind)) {
            let cell = name.split('.').next().unwrap_or_default().to_string();
            if !records.contains_key(&cell) {
                continue;
            }
            let path = Path::new(&kind).join(&name);
            let files = match folder.join(&path).is_dir() {
                true => names(&folder.join(&path)).into_iter().map(|inner| path.join(inner)).collect(),
                false => vec![path],
            };
            all.entry(cell)
                .or_default()
                .extend(files.into_iter().filter(|file| is_whole(&folder.join(file))));
        }
    }
    // Items belong to all cells that answer them.
    for (cell, record) in records {
        let items = record.evidence.as_ref().and_then(|evidence| evidence.items.as_deref());
        let file = items.map(|items| PathBuf::from(items_file(items)));
        let whole = file.filter(|file| folder.join(file).exists() && is_whole(&folder.join(file)));
        all.entry(cell.clone()).or_default().extend(whole);
    }
    all
}

/// Names in a folder, sorted, without those of files that are being written or were set aside.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> =
        names.filter(|name| !name.starts_with('.') && !name.contains(".damaged-")).collect();
    names.sort();
    names
}

/// Whether a file is as it was written; one that is not is left out with a note.
fn is_whole(path: &Path) -> bool {
    let problem = match files::bytes(path) {
        Ok(bytes) => match checksum::check(&bytes) {
            Ok(()) | Err(Damage::Missing) => return true,
            Err(damage) => damage.to_string(),
        },
        Err(problem) => problem.to_string(),
    };
    say!("note: {} is left out: {problem}", path.display());
    false
}

fn read(path: &Path) -> Result<Vec<u8>, MergeError> {
    files::bytes(path).map_err(|source| MergeError::Read { path: path.into(), source })
}

/// Compares every cell with the first one of its id; gives the number of cells.
fn check<'a>(sources: impl Iterator<Item = &'a Source>) -> Result<usize, MergeError> {
    let mut first: BTreeMap<&str, &Source> = BTreeMap::new();
    let (mut conflict, mut conflicting) = (None, BTreeSet::new());
    for source in sources {
        for cell in source.records.keys() {
            let known = *first.entry(cell).or_insert(source);
            let what = if std::ptr::eq(known, source) { None } else { difference(cell, known, source)? };
            let Some(what) = what else { continue };
            conflicting.insert(cell);
            conflict.get_or_insert((cell, what, known, source));
        }
    }
    match conflict {
        None => Ok(first.len()),
        Some((cell, what, known, source)) => {
            let Record { method, task_title, seed, .. } = &source.records[cell];
            Err(MergeError::Conflict(Box::new(Conflict {
                cell: cell.clone(),
                name: format!("{method} on {task_title}, seed {seed}"),
                what,
                one: known.store.folder().into(),
                other: source.store.folder().into(),
                more: conflicting.len() - 1,
            })))
        }
    }
}

/// The first thing in which two results of one cell differ and must not.
fn difference(cell: &str, one: &Source, other: &Source) -> Result<Option<String>, MergeError> {
    if let Some(column) = different_column(&one.records[cell], &other.records[cell]) {
        return Ok(Some(format!("`{column}`")));
    }
    let files = |source: &Source| source.files.get(cell).cloned().unwrap_or_default();
    let theirs: BTreeSet<PathBuf> = files(other).into_iter().collect();
    for file in files(one).into_iter().filter(|file| theirs.contains(file) && !file.ends_with(DESCRIPTION)) {
        let is_equal = match file.starts_with(PREDICTIONS) {
            true => same_answers(&file, one, other)?,
            false => read(&one.path(&file))? == read(&other.path(&file))?,
        };
        if !is_equal {
            return Ok(Some(file.display().to_string()));
        }
    }
    Ok(None)
}

/// Whether two tables of predictions are equal in the columns that both have: one may have been given more scores.
fn same_answers(file: &Path, one: &Source, other: &Source) -> Result<bool, MergeError> {
    let name = file.to_string_lossy();
    let (Some(one), Some(other)) = (one.store.read_table(&name)?, other.store.read_table(&name)?) else {
        return Ok(false);
    };
    let columns = one.columns().iter().filter_map(|column| Some((column, other.column(column.name()).ok()?)));
    let mut shared = 0;
    let mut are_equal = true;
    for (column, same) in columns {
        shared += 1;
        are_equal &= column.equals_missing(same);
    }
    Ok(are_equal && shared > 0)
}

fn different_column(one: &Record, other: &Record) -> Option<String> {
    let frames: PolarsResult<Vec<DataFrame>> = [one, other].into_iter().map(Record::to_frame).collect();
    let Ok(frames) = frames else { return Some("format".into()) };
    let is_equal = |column: &str| match (frames[0].column(column), frames[1].column(column)) {
        (Ok(one), Ok(other)) => one.equals_missing(other),
        _ => false,
    };
    let scores = [
        ("test_scores", one.test_scores(), other.test_scores()),
        ("validation_scores", one.validation_scores(), other.validation_scores()),
    ];
    let column = EQUAL.into_iter().find(|column| !is_equal(column));
    let scores = scores.into_iter().find(|(_, one, other)| !agree(one, other)).map(|(column, ..)| column);
    column.or(scores).map(String::from)
}

/// Whether the metrics that both have are equal to the bit; a task may have been given more of them.
fn agree(one: &Scores, other: &Scores) -> bool {
    one.iter().all(|(metric, score)| other.get(metric).is_none_or(|same| same.to_bits() == score.to_bits()))
}
