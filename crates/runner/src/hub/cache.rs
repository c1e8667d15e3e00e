//! One repository's folder in the hub's cache.
//!
//! `refs/<revision>` names a commit, `snapshots/<commit>/<path>` is a file or a link to `blobs/<etag>`, as every client
//! of the hub has it. Our own records lie in `.peft-bench` in the same folder, so that they need no other writable
//! place and go when the repository is removed from the cache: `listings/<commit>` is the hub's listing,
//! `verified/<commit>/<path>` the size and time of a file whose content was checked, `partial/` what is being fetched.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::digest::Digest;
use super::repo::{Repo, RepoFile};

pub(super) struct RepoCache {
    folder: PathBuf,
}

/// A file being fetched, locked against other processes until dropped.
pub(super) struct Partial {
    pub file: File,
    pub path: PathBuf,
    _lock: File,
}

impl RepoCache {
    pub(super) fn new(cache: &Path, repo: &Repo) -> Self {
        Self { folder: cache.join(repo.cache_folder()) }
    }

    /// The commit a branch or tag had when it was last fetched.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        let commit = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        Some(commit.trim().to_string())
    }

    pub(super) fn set_commit(&self, revision: &str, commit: &str) -> io::Result<()> {
        if self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        write_whole(&self.folder.join("refs").join(revision), commit.as_bytes())
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    pub(super) fn file(&self, commit: &str, path: &str) -> PathBuf {
        self.snapshot(commit).join(path)
    }

    /// The files in a snapshot's folder, sorted by path; none if there is no such folder.
    pub(super) fn scan(&self, commit: &str) -> Vec<RepoFile> {
        let mut files = Vec::new();
        scan_into(&self.snapshot(commit), "", &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    /// The hub's listing of a commit, if it was ever seen.
    pub(super) fn listing(&self, commit: &str) -> Option<Vec<RepoFile>> {
        serde_json::from_slice(&fs::read(self.record("listings", commit)).ok()?).ok()
    }

    pub(super) fn store_listing(&self, commit: &str, files: &[RepoFile]) -> io::Result<()> {
        write_whole(&self.record("listings", commit), &serde_json::to_vec(files)?)
    }

    /// Whether the file's content was checked and the file has not been touched since.
    pub(super) fn is_verified(&self, commit: &str, path: &str) -> bool {
        let record = fs::read_to_string(self.record("verified", commit).join(path)).ok();
        record.is_some() && record == stamp(&self.file(commit, path))
    }

    pub(super) fn set_verified(&self, commit: &str, path: &str) -> io::Result<()> {
        match stamp(&self.file(commit, path)) {
            Some(stamp) => write_whole(&self.record("verified", commit).join(path), stamp.as_bytes()),
            None => Ok(()),
        }
    }

    /// Opens the partial file for content of the given hash, with what an earlier attempt left in it. If another
    /// process has it, calls `waiting` and waits for that process to end or finish.
    pub(super) fn partial(&self, hash: &str, waiting: impl FnOnce()) -> io::Result<Partial> {
        let folder = self.folder.join(".peft-bench").join("partial");
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join(format!("{hash}.lock")))?;
        let locked = match lock.try_lock() {
            Err(fs::TryLockError::WouldBlock) => {
                waiting();
                lock.lock().is_ok()
            }
            other => other.is_ok(),
        };
        // Some cluster file systems have no locks: there, every process fetches for itself.
        let name = if locked { hash.to_string() } else { format!("{hash}.{}", std::process::id()) };
        let path = folder.join(name);
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        Ok(Partial { file, path, _lock: lock })
    }

    /// A blob of this content, which another commit may have left here under any path.
    pub(super) fn find_blob(&self, digest: &Digest, size: u64) -> Option<String> {
        let blobs = fs::read_dir(self.folder.join("blobs")).ok()?;
        let same_size = |blob: &fs::DirEntry| blob.metadata().is_ok_and(|found| found.len() == size);
        blobs.flatten().filter(same_size).find_map(|blob| {
            let name = digest.check(&blob.path(), size).ok()??;
            (blob.file_name() == *name).then_some(name)
        })
    }

    /// Moves a checked file to where the cache keeps content.
    pub(super) fn store_blob(&self, partial: &Partial, blob: &str) -> io::Result<()> {
        partial.file.sync_all()?;
        let blobs = self.folder.join("blobs");
        fs::create_dir_all(&blobs)?;
        fs::rename(&partial.path, blobs.join(blob))
    }

    /// Puts a blob into a snapshot, in place of what is there.
    pub(super) fn link(&self, blob: &str, commit: &str, path: &str) -> io::Result<PathBuf> {
        let file = self.file(commit, path);
        let folder = file.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder)?;
        let to_folder = "../".repeat(Path::new(path).components().count() + 1);
        let target = Path::new(&to_folder).join("blobs").join(blob);
        let link = tempfile::Builder::new().make_in(folder, |new| place(&target, folder, new))?;
        link.persist(&file)?;
        Ok(file)
    }

    fn record(&self, kind: &str, commit: &str) -> PathBuf {
        self.folder.join(".peft-bench").join(kind).join(commit)
    }
}

impl Partial {
    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    pub(super) fn clear(&self) -> io::Result<()> {
        self.file.set_len(0)
    }
}

#[cfg(unix)]
fn place(target: &Path, _folder: &Path, new: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, new)
}

#[cfg(not(unix))]
fn place(target: &Path, folder: &Path, new: &Path) -> io::Result<()> {
    fs::copy(folder.join(target), new).map(|_| ())
}

/// Size and time of the last change, which together tell whether a file was touched.
fn stamp(file: &Path) -> Option<String> {
    let metadata = fs::metadata(file).ok()?;
    let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{} {}", metadata.len(), modified.as_nanos()))
}

fn scan_into(folder: &Path, prefix: &str, files: &mut Vec<RepoFile>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = format!("{prefix}{name}");
        // Follows links; a link whose blob is gone is no file.
        match fs::metadata(entry.path()) {
            Ok(found) if found.is_dir() => scan_into(&entry.path(), &format!("{path}/"), files),
            Ok(found) => files.push(RepoFile { path, size: found.len(), digest: None }),
            Err(_) => {}
        }
    }
}

/// Writes a file so that no reader ever sees a part of it.
fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    // Not a private temporary file: others may share the cache.
    let mut file = tempfile::Builder::new().make_in(folder, |new| File::create_new(new))?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(())
}
