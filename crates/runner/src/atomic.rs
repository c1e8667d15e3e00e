//! Files that are either whole or not there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Writes a file through a temporary one in the same folder: synced, then renamed.
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
    // Not a private temporary file: others may read results and share a cache.
    let mut file =
        tempfile::Builder::new().prefix(&temporary(path)).make_in(folder, |new| File::create_new(new))?;
    fill(file.as_file_mut())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    // The rename itself must survive a crash.
    File::open(folder)?.sync_all()
}

/// Removes a file, and what writers of it that were killed on the way have left.
pub fn remove(path: &Path) {
    // A file that stays costs space and nothing else.
    let _ = fs::remove_file(path);
    let temporary = temporary(path);
    for entry in fs::read_dir(folder_of(path)).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&temporary) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// How the names of a file's temporary ones begin.
fn temporary(path: &Path) -> String {
    format!(".writing-{}-", path.file_name().unwrap_or_default().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_files_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.txt");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn removes_what_a_killed_writer_left_of_the_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        for name in [".writing-state-x1", ".writing-other-x1", "stated"] {
            fs::write(folder.path().join(name), b"half").unwrap();
        }
        write(&path, b"whole").unwrap();
        remove(&path);
        assert!(!path.exists() && !folder.path().join(".writing-state-x1").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error() {
        assert!(write(Path::new("/proc/no/such/file"), b"x").is_err());
    }
}
