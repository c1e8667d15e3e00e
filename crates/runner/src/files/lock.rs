//! Advisory locks on files; the death of their holder frees them.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

/// Locks a file, made where there is none, for as long as what is returned lives; `None` while another process,
/// or another handle of this one, holds it.
///
/// # Errors
/// When the file cannot be opened, or the file system has no locks: see [`is_unsupported`].
pub fn try_lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => return Ok(Some(file)),
            // Its last holder removed it between the two calls.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(e),
        }
    }
}

/// Whether somebody holds a file's lock; one that is gone, or that cannot be looked at, is held by nobody.
pub fn is_held(path: &Path) -> bool {
    // Shared, so that those who look are in nobody's way for longer than they look.
    File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Removes a file unless somebody holds its lock. Where there are no locks, it stays.
pub fn remove_free(path: &Path) {
    // Removed while the lock is held, so that whoever opened it before sees that it is gone.
    if let Ok(file) = File::open(path)
        && file.try_lock().is_ok()
        && is_at(&file, path)
    {
        let _ = fs::remove_file(path);
    }
}

/// Whether a file of this name is the one that is open.
pub fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => identity(&open) == identity(&named),
        _ => false,
    }
}

/// Whether an error says that the file system has no locks.
pub fn is_unsupported(error: &io::Error) -> bool {
    // Network file systems whose lock service does not run answer ENOLCK, which has no kind of its own.
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(libc::ENOLCK)
}

/// What tells a file or a folder from another one of its name.
#[cfg(unix)]
pub fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

/// Elsewhere a file that is open cannot be removed.
#[cfg(not(unix))]
pub fn identity(_: &fs::Metadata) -> (u64, u64) {
    (0, 0)
}

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = try_lock(&path).unwrap().expect("nobody holds it");
        assert!(try_lock(&path).unwrap().is_none());
        drop(held);
        assert!(try_lock(&path).unwrap().is_some());
    }

    #[test]
    fn a_file_that_its_holder_removed_is_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = try_lock(&path).unwrap().unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&held, &path));
        assert!(try_lock(&path).unwrap().is_some(), "a new file has a lock of its own");
    }

    #[test]
    fn what_nobody_holds_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = try_lock(&path).unwrap().unwrap();
        remove_free(&path);
        assert!(path.exists());
        drop(held);
        remove_free(&path);
        assert!(!path.exists());
    }

    #[test]
    fn a_lock_is_held_as_long_as_its_holder_lives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert!(!is_held(&path));
        let held = try_lock(&path).unwrap().unwrap();
        assert!(is_held(&path));
        drop(held);
        assert!(path.exists() && !is_held(&path));
    }
}
