//! Files that are either whole or not there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::lock;

/// Writes a file through a temporary one in the same folder: synced, then renamed. What writers of it that were killed
/// on the way have left is removed.
///
/// # Errors
/// When the folder cannot be made or written to, or the disk is full; an old file stays as it was.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// As [`write()`], for what is not all in memory: `fill` writes it.
///
/// # Errors
/// As [`write()`], and those of `fill`.
pub fn write_with(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    remove_abandoned(folder, &temporary(path));
    let mut file = temporary_file(folder, path)?;
    fill(file.as_file_mut())?;
    death::step();
    file.as_file().sync_all()?;
    death::step();
    file.persist(path).map_err(|e| e.error)?;
    death::step();
    // The rename itself must survive a crash.
    File::open(folder)?.sync_all()
}

/// As [`write()`], but not synced: whole or not there for other processes, whichever it is after a crash of the machine.
///
/// # Errors
/// When the folder cannot be made or written to, or the disk is full; an old file stays as it was.
pub fn write_for_now(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    let mut file = temporary_file(folder, path)?;
    file.write_all(bytes)?;
    death::step();
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// Removes a file, and what writers of it that were killed on the way have left.
pub fn remove(path: &Path) {
    death::step();
    // A file that stays costs space and nothing else.
    let _ = fs::remove_file(path);
    remove_abandoned(folder_of(path), &temporary(path));
}

/// Removes what writers that were killed on the way have left in a folder; the files of living ones stay.
pub fn sweep(folder: &Path) {
    remove_abandoned(folder, TEMPORARY);
}

/// Gives a file that cannot be trusted another name, so that it is in nobody's way and can still be looked into.
///
/// # Errors
/// When the folder cannot be written to.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let names = (1..).map(|number| path.with_file_name(format!("{name}.damaged-{number}")));
    let free =
        names.into_iter().find(|name| fs::symlink_metadata(name).is_err()).expect("numbers do not end");
    death::step();
    fs::rename(path, &free)?;
    Ok(free)
}

/// A new file for what will be `path`, locked for as long as its writer lives.
fn temporary_file(folder: &Path, path: &Path) -> io::Result<NamedTempFile<File>> {
    let mut builder = tempfile::Builder::new();
    let prefix = temporary(path);
    builder.prefix(&prefix);
    loop {
        // Not a private temporary file: others may read results and share a cache.
        let file = builder.make_in(folder, |new| File::create_new(new))?;
        // Where there are no locks, nothing is swept either.
        let locked = file.as_file().lock();
        if locked.is_err() || lock::is_at(file.as_file(), file.path()) {
            return Ok(file);
        }
        // Somebody swept it before it was locked.
    }
}

fn remove_abandoned(folder: &Path, prefix: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && entry.file_name().to_string_lossy().starts_with(prefix) {
            lock::remove_free(&entry.path());
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// How the names of temporary files begin.
const TEMPORARY: &str = ".writing-";

/// How the names of a file's temporary ones begin.
fn temporary(path: &Path) -> String {
    format!("{TEMPORARY}{}-", path.file_name().unwrap_or_default().to_string_lossy())
}

/// What a kill at the worst moment does: for tests, which cannot time one.
pub mod death {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    static LEFT: AtomicUsize = AtomicUsize::new(0);

    /// Ends the process before the given sync, rename or removal from now on; the first one is 1.
    pub fn at(step: usize) {
        LEFT.store(step, SeqCst);
    }

    pub(crate) fn step() {
        let last = LEFT.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        if last == Ok(1) {
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn replaces_whole_files_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.txt");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        write_for_now(&path, b"three").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn removes_what_a_killed_writer_left_of_the_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let leave = || {
            for name in [".writing-state-x1", ".writing-other-x1", "stated"] {
                fs::write(folder.path().join(name), b"half").unwrap();
            }
        };
        leave();
        write(&path, b"whole").unwrap();
        assert_eq!(names(folder.path()), [".writing-other-x1", "state", "stated"]);
        leave();
        remove(&path);
        assert_eq!(names(folder.path()), [".writing-other-x1", "stated"]);
    }

    #[test]
    fn sweeping_spares_the_files_of_living_writers() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".writing-a-x1", ".writing-b-x1", "other"] {
            fs::write(folder.path().join(name), b"half").unwrap();
        }
        let living = File::open(folder.path().join(".writing-b-x1")).unwrap();
        living.lock().unwrap();
        write_with(&folder.path().join("c"), |file| {
            sweep(folder.path());
            file.write_all(b"whole")
        })
        .unwrap();
        assert_eq!(names(folder.path()), [".writing-b-x1", "c", "other"]);
    }

    #[test]
    fn what_is_set_aside_overwrites_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        for (number, text) in ["one", "two"].into_iter().enumerate() {
            fs::write(&path, text).unwrap();
            let aside = set_aside(&path).unwrap();
            assert_eq!(aside, folder.path().join(format!("x.parquet.damaged-{}", number + 1)));
            assert_eq!(fs::read(aside).unwrap(), text.as_bytes());
        }
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error() {
        assert!(write(Path::new("/proc/no/such/file"), b"x").is_err());
    }
}
