use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use polars::prelude::*;
use rayon::prelude::*;

use super::cell::Cell;
use super::parquet::{columns_from_parquet, from_parquet, to_parquet};
use super::record::{Record, RecordError};
use super::running::Running;
use crate::files::digest::Digest;
use crate::files::{self, atomic, checksum, lock};
use crate::host;
use crate::terminal::progress::say;
use crate::train::{self, StateFile};

/// What can go wrong with a results folder.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {problem}", path.display())]
    Table { path: PathBuf, problem: String },
    #[error("cannot set the damaged result {} aside: {source}", path.display())]
    SetAside { path: PathBuf, source: io::Error },
    #[error("{} was removed while the program ran", path.display())]
    Vanished { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Newer { path: PathBuf, source: RecordError },
    #[error("{} holds no results: there is no cell in `cells/`", path.display())]
    NoCells { path: PathBuf },
}

impl StoreError {
    /// What to do about it, if that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Vanished { .. } => {
                Some("run the same command again, which computes what is gone and nothing else")
            }
            Self::NoCells { .. } => Some("give a folder that `peft-bench run` has written"),
            _ => None,
        }
    }
}

/// A results folder: `cells/<id>.parquet`, `predictions/<id>.parquet`, `items/<digest>.parquet`,
/// `offsets/<id>.parquet`, `adapters/<id>/`, `comparison.parquet`, and in `state/` what is on its way.
///
/// Files are whole or absent, so any number of processes may share a folder.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
    /// The folder itself, so that one which takes its place is told from it.
    opened: Arc<File>,
    /// Whether nothing in it may change.
    read_only: bool,
}

/// How the names of states end, and those of locks.
const STATE: &str = "safetensors";
const LOCK: &str = "lock";
/// How the names of files with a training's progress end.
const PROGRESS: &str = "progress.json";

/// Time between looks at the locks of others.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Cells that this process alone computes for as long as this lives.
#[derive(Debug, Default)]
pub struct Claim {
    locks: Vec<(PathBuf, File)>,
}

/// What comes of claiming cells.
#[derive(Debug)]
pub enum Claimed {
    Mine(Claim),
    /// Another process computes this one.
    Busy(String),
}

impl Store {
    /// Opens a results folder, making it where needed, and clears it of what killed processes have left. A folder that
    /// cannot be written to can be read.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        for part in ["adapters", "items", "offsets", "predictions", "state"].map(|part| folder.join(part)) {
            if fs::metadata(&part).is_ok_and(|found| !found.is_dir()) {
                return Err(StoreError::Write { path: part, source: ErrorKind::NotADirectory.into() });
            }
        }
        let cells = folder.join("cells");
        if !cells.is_dir() {
            fs::create_dir_all(&cells).map_err(|source| StoreError::Write { path: cells.clone(), source })?;
        }
        let opened = File::open(folder).map_err(|source| StoreError::Read { path: folder.into(), source })?;
        let store = Self { folder: folder.into(), opened: Arc::new(opened), read_only: false };
        let adapters = folder.join("adapters");
        for parent in [folder, &adapters] {
            entries(parent).iter().for_each(|written| atomic::sweep(written));
            atomic::sweep(parent);
        }
        // Of processes that were killed; whoever has just made one makes it anew.
        let locks = entries(&store.state_folder()).into_iter().filter(|path| has_ending(path, LOCK));
        locks.for_each(|path| lock::remove_free(&path));
        store.remove_finished_states();
        Ok(store)
    }

    /// Opens a results folder to read it, and nothing else.
    ///
    /// # Errors
    /// When there are no results in it.
    pub fn read_only(folder: &Path) -> Result<Self, StoreError> {
        let store = Self::look_into(folder)?;
        match store.ids()?.is_empty() {
            true => Err(StoreError::NoCells { path: folder.into() }),
            false => Ok(store),
        }
    }

    /// Opens a results folder that may not have results yet, to read it, and nothing else.
    ///
    /// # Errors
    /// When there is no folder.
    pub fn look_into(folder: &Path) -> Result<Self, StoreError> {
        match File::open(folder) {
            Ok(opened) => Ok(Self { folder: folder.into(), opened: Arc::new(opened), read_only: true }),
            Err(e) if e.kind() == ErrorKind::NotFound => Err(StoreError::NoCells { path: folder.into() }),
            Err(source) => Err(StoreError::Read { path: folder.into(), source }),
        }
    }

    /// Whether a folder has a file for the result of a cell, whatever is in it.
    pub fn has(folder: &Path, cell: &str) -> bool {
        cell_path(folder, cell).is_file()
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the adapter of a cell goes.
    pub fn adapter_folder(&self, cell: &str) -> PathBuf {
        self.folder.join("adapters").join(cell)
    }

    /// Reads the result of a cell, if there is one. A file that is not as it was written, or of another cell, is set
    /// aside with a note, unless nothing may change: the cell has no result then.
    ///
    /// # Errors
    /// When there is a file that cannot be read, or not be set aside, or that a newer program wrote.
    pub fn read(&self, cell: &str) -> Result<Option<Record>, StoreError> {
        let path = self.cell_path(cell);
        let Some(bytes) = bytes(&path)? else { return Ok(None) };
        let problem = match record(cell, &bytes) {
            Ok(record) => return Ok(Some(record)),
            Err(Unusable::Newer(source)) => return Err(StoreError::Newer { path, source }),
            Err(Unusable::Damaged(problem)) => problem,
        };
        if self.read_only {
            say!("note: the result {} is left out: {problem}", path.display());
            return Ok(None);
        }
        match atomic::set_aside(&path) {
            Ok(aside) => {
                let (path, aside) = (path.display(), aside.display());
                say!("note: the result {path} is set aside as {aside}: {problem}");
                Ok(None)
            }
            Err(source) => Err(StoreError::SetAside { path, source }),
        }
    }

    /// The results of all cells in the folder, in the order of their ids. Files that cannot be trusted or read are left
    /// out with a note.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn records(&self) -> Result<Vec<Record>, StoreError> {
        let cells = self.ids()?;
        let read = |cell: &String| {
            self.read(cell).unwrap_or_else(|problem| {
                say!("note: {problem}; it is left out");
                None
            })
        };
        Ok(cells.par_iter().filter_map(read).collect())
    }

    /// Names of the cells that have a result.
    pub(super) fn ids(&self) -> Result<Vec<String>, StoreError> {
        let path = self.folder.join("cells");
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            Err(source) => return Err(StoreError::Read { path, source }),
        };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let is_id = |id: &str| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let ids = names.filter_map(|name| name.strip_suffix(".parquet").map(String::from));
        let mut ids: Vec<String> = ids.filter(|id| is_id(id)).collect();
        ids.sort();
        Ok(ids)
    }

    /// Writes the result of a cell.
    ///
    /// # Errors
    /// When the disk is full or the folder not writable; or when the folder is no longer the one that was opened, after
    /// the result is written to the one in its place.
    pub fn write(&self, record: &Record) -> Result<(), StoreError> {
        let path = self.cell_path(&record.cell);
        let frame = record
            .to_frame()
            .map_err(|e| StoreError::Table { path: path.clone(), problem: e.to_string() })?;
        self.write_frame(&path, frame)?;
        match lock::is_at(&self.opened, &self.folder) {
            true => Ok(()),
            false => Err(StoreError::Vanished { path: self.folder.clone() }),
        }
    }

    /// Checks that the results of cells are still there.
    ///
    /// # Errors
    /// When one is not.
    pub fn check(&self, records: &[Record]) -> Result<(), StoreError> {
        let mut paths = records.iter().map(|record| self.cell_path(&record.cell));
        match paths.find(|path| !path.exists()) {
            Some(path) => Err(StoreError::Vanished { path }),
            None => Ok(()),
        }
    }

    /// What to say of a cell whose result was there when the program began.
    pub fn vanished(&self, cell: &str) -> StoreError {
        StoreError::Vanished { path: self.cell_path(cell) }
    }

    /// Writes a table beside the cells.
    ///
    /// # Errors
    /// When the disk is full or the folder not writable.
    pub fn write_table(&self, name: &str, frame: DataFrame) -> Result<PathBuf, StoreError> {
        let path = self.folder.join(name);
        self.write_frame(&path, frame)?;
        Ok(path)
    }

    /// Reads a table beside the cells; `None` where there is none, or it is not as it was written, which is told.
    ///
    /// # Errors
    /// When there is a file that cannot be read.
    pub fn read_table(&self, name: &str) -> Result<Option<DataFrame>, StoreError> {
        self.read_columns(name, None)
    }

    /// As [`read_table`](Self::read_table), some of its columns.
    ///
    /// # Errors
    /// When there is a file that cannot be read.
    pub fn read_columns(
        &self,
        name: &str,
        columns: Option<&[&str]>,
    ) -> Result<Option<DataFrame>, StoreError> {
        let path = self.folder.join(name);
        let Some(bytes) = bytes(&path)? else { return Ok(None) };
        match columns_from_parquet(&bytes, columns) {
            Ok(frame) => Ok(Some(frame)),
            Err(problem) => {
                say!("note: {} is left out: {problem}", path.display());
                Ok(None)
            }
        }
    }

    /// Whether a table is there, and its checksum right.
    pub(super) fn is_intact(&self, name: &str) -> bool {
        files::bytes(&self.folder.join(name)).is_ok_and(|bytes| checksum::check(&bytes).is_ok())
    }

    /// Writes a text file beside the cells.
    ///
    /// # Errors
    /// When the disk is full or the folder not writable.
    pub fn write_text(&self, name: &str, text: &str) -> Result<PathBuf, StoreError> {
        let path = self.folder.join(name);
        atomic::write(&path, text.as_bytes())
            .map_err(|source| StoreError::Write { path: path.clone(), source })?;
        Ok(path)
    }

    fn write_frame(&self, path: &Path, mut frame: DataFrame) -> Result<(), StoreError> {
        let bytes = to_parquet(&mut frame)
            .map_err(|e| StoreError::Table { path: path.into(), problem: e.to_string() })?;
        atomic::write(path, &bytes).map_err(|source| StoreError::Write { path: path.into(), source })
    }

    fn cell_path(&self, cell: &str) -> PathBuf {
        cell_path(&self.folder, cell)
    }
}

/// The content of a file; `None` where there is none.
fn bytes(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match files::bytes(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::Read { path: path.into(), source }),
    }
}

fn cell_path(folder: &Path, cell: &str) -> PathBuf {
    folder.join("cells").join(format!("{cell}.parquet"))
}

/// What is on its way.
impl Store {
    /// Claims cells, all or none.
    ///
    /// Where the file system has no locks, everybody's claim holds, and several processes may do the same work.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn claim(&self, cells: &[Cell]) -> Result<Claimed, StoreError> {
        // In one order for everybody, so that of two processes one gets all.
        let mut cells: Vec<String> = cells.iter().map(Cell::id).collect();
        cells.sort();
        let mut claim = Claim::default();
        for cell in cells {
            let path = self.lock_path(&cell);
            match self.lock(&path) {
                Ok(Some(lock)) => claim.locks.push((path, lock)),
                Ok(None) => return Ok(Claimed::Busy(cell)),
                Err(e) if lock::is_unsupported(&e) => {
                    let folder = self.folder.display();
                    say!(
                        "note: {folder} has no file locks ({e}); other processes may compute the same cells"
                    );
                    return Ok(Claimed::Mine(claim));
                }
                Err(source) => return Err(StoreError::Write { path, source }),
            }
        }
        Ok(Claimed::Mine(claim))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<File>> {
        let mut attempts = 0;
        let mut lock = loop {
            fs::create_dir_all(self.state_folder())?;
            attempts += 1;
            match lock::try_lock(path) {
                // Somebody who was done removed the folder between the two calls.
                Err(e) if e.kind() == ErrorKind::NotFound && attempts < 100 => {}
                Ok(Some(lock)) => break lock,
                other => return other,
            }
        };
        // For those who wait; a lock that does not say whose it is locks as well.
        let _ = lock.set_len(0).and_then(|()| lock.write_all(host::process().as_bytes()));
        Ok(Some(lock))
    }

    /// Who computes a cell.
    pub fn holder(&self, cell: &str) -> String {
        let holder = fs::read_to_string(self.lock_path(cell)).unwrap_or_default();
        if holder.is_empty() { "another process".into() } else { holder }
    }

    /// Whether a process computes a cell.
    pub fn is_running(&self, cell: &str) -> bool {
        lock::is_held(&self.lock_path(cell))
    }

    /// Waits until one of these cells is computed by nobody.
    pub fn wait(&self, cells: &[String]) {
        while cells.iter().all(|cell| self.is_running(cell)) {
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// The file for the state of cells that train side by side, in this order.
    pub fn state_file(&self, cells: &[Cell], interval: Duration) -> StateFile {
        let owner = owner(cells);
        StateFile::new(self.state_path(&owner), owner, interval)
    }

    /// The file in which the training of cells side by side tells how far it is.
    pub fn progress_file(&self, cells: &[Cell]) -> PathBuf {
        self.state_path(&owner(cells)).with_extension(PROGRESS)
    }

    /// The trainings that run and tell how far they are.
    pub fn running(&self) -> Vec<Running> {
        let told = self.progress_files().into_iter().filter_map(|(_, running)| running);
        told.filter(|running| self.is_running(&running.cells[0])).collect()
    }

    /// What trainings have told, whether they still run or not.
    fn progress_files(&self) -> Vec<(PathBuf, Option<Running>)> {
        let ending = format!(".{PROGRESS}");
        let paths = entries(&self.state_folder()).into_iter();
        let paths = paths.filter(|path| path.to_string_lossy().ends_with(&ending));
        paths.map(|path| (path.clone(), Running::read(&path))).collect()
    }

    fn state_path(&self, owner: &str) -> PathBuf {
        self.state_folder().join(format!("{}.{STATE}", Digest::of(owner).short()))
    }

    /// The ids and seeds of cells that train side by side in a state on disk: of these, where these do, else of any
    /// that do so with some of these.
    pub fn on_their_way(&self, cells: &[Cell]) -> Option<Vec<(String, u64)>> {
        let own = owner(cells);
        // Whether it can be trusted or even read is seen when it is gone on from.
        if fs::symlink_metadata(self.state_path(&own)).is_ok() {
            return Some(owned(&own));
        }
        let ids: Vec<String> = cells.iter().map(Cell::id).collect();
        let mut states = self.states().into_iter().map(|(_, owner)| owned(&owner));
        states.find(|group| group.iter().any(|(id, _)| ids.contains(id)))
    }

    /// The states on disk, and whose they are. One that does not say so is set aside, where it can be.
    fn states(&self) -> Vec<(PathBuf, String)> {
        let mut states = Vec::new();
        for path in entries(&self.state_folder()) {
            match train::owner(&path) {
                Ok(Some(owner)) if path == self.state_path(&owner) => states.push((path, owner)),
                Ok(_) if has_ending(&path, STATE) => {
                    let _ = train::set_aside(&path, "it does not say whose it is, so it is damaged");
                }
                _ => {}
            }
        }
        states
    }

    /// Removes the states of which every cell has its result, and what trainings that died have told of themselves.
    pub fn remove_finished_states(&self) {
        for (path, owner) in self.states() {
            if owned(&owner).iter().all(|(cell, _)| self.cell_path(cell).exists()) {
                atomic::remove(&path);
            }
        }
        for (path, told) in self.progress_files() {
            if told.is_none_or(|running| !self.is_running(&running.cells[0])) {
                atomic::remove(&path);
            }
        }
        // Other cells may have theirs.
        let _ = fs::remove_dir(self.state_folder());
    }

    fn state_folder(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn lock_path(&self, cell: &str) -> PathBuf {
        self.state_folder().join(format!("{cell}.{LOCK}"))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        for (path, _held) in self.locks.drain(..) {
            // While it is held: whoever opened it before sees that it is gone.
            let _ = fs::remove_file(&path);
            let _ = path.parent().map(fs::remove_dir);
        }
    }
}

/// How a state file names the cells whose it is: by ids and seeds.
fn owner(cells: &[Cell]) -> String {
    cells.iter().map(|cell| format!("{}:{}", cell.id(), cell.seed)).collect::<Vec<_>>().join(" ")
}

/// The ids and seeds that a state file names.
fn owned(owner: &str) -> Vec<(String, u64)> {
    let pairs = owner.split(' ').filter_map(|cell| cell.split_once(':'));
    pairs.filter_map(|(id, seed)| Some((id.to_string(), seed.parse().ok()?))).collect()
}

/// Why a file is no result that counts.
enum Unusable {
    Newer(RecordError),
    Damaged(String),
}

fn record(cell: &str, bytes: &[u8]) -> Result<Record, Unusable> {
    let frame = from_parquet(bytes).map_err(Unusable::Damaged)?;
    let record = Record::from_frame(&frame).map_err(|problem| match problem {
        RecordError::Newer { .. } => Unusable::Newer(problem),
        RecordError::Table(problem) => Unusable::Damaged(problem.to_string()),
    })?;
    if record.cell != cell {
        return Err(Unusable::Damaged(format!("it is the result of cell {}", record.cell)));
    }
    match record.score.filter(|score| !score.is_finite()) {
        None => Ok(record),
        Some(score) => Err(Unusable::Damaged(format!("its score is {score}"))),
    }
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found == ending)
}

/// What is in a folder; nothing if it is not there.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
