//! One repository's folder in the hub's cache.
//!
//! `refs/<revision>` names a commit, `snapshots/<commit>/<path>` is a file or a link to `blobs/<etag>`, as every client
//! of the hub lays it out. Our own records are in `.peft-bench` in the same folder, so that they need no other writable
//! place and disappear when the repository is removed from the cache: `listings/<commit>` is the hub's listing,
//! `verified/<commit>/<path>` the size and time of a verified file, `partial/` holds downloads in progress.
//!
//! Others may write to a shared cache, so everything read is checked, and writing follows no links.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::digest::Digest;
use super::error::HubError;
use super::repo::{Repo, RepoFile, is_commit};
use crate::files::atomic;

/// Most bytes of a record that is read; a listing of a million files has far fewer.
const LONGEST_RECORD: u64 = 1 << 30;
/// How a Git LFS pointer begins, which a clone without LFS has in place of a file.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

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

    /// The commit of a branch or tag when it was last fetched.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        let text = String::from_utf8(read_record(&self.reference(revision))?).ok()?;
        Some(text.trim().to_string()).filter(|commit| is_commit(commit))
    }

    /// The file that names the commit of a branch or tag.
    pub(super) fn reference(&self, revision: &str) -> PathBuf {
        self.folder.join("refs").join(revision)
    }

    pub(super) fn set_commit(&self, revision: &str, commit: &str) -> io::Result<()> {
        if self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        atomic::write(&self.reference(revision), commit.as_bytes())
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    pub(super) fn file(&self, commit: &str, path: &str) -> PathBuf {
        self.snapshot(commit).join(path)
    }

    /// The files in a snapshot's folder, sorted by path; empty if the folder does not exist.
    pub(super) fn scan(&self, commit: &str) -> Vec<RepoFile> {
        let mut files = Vec::new();
        scan_into(&self.snapshot(commit), "", &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    /// The hub's listing of a commit, if it was ever fetched.
    pub(super) fn listing(&self, commit: &str) -> Option<Vec<RepoFile>> {
        let files: Vec<RepoFile> =
            serde_json::from_slice(&read_record(&self.record("listings", commit))?).ok()?;
        files.iter().all(RepoFile::is_valid).then_some(files)
    }

    pub(super) fn store_listing(&self, commit: &str, files: &[RepoFile]) -> io::Result<()> {
        atomic::write(&self.record("listings", commit), &serde_json::to_vec(files)?)
    }

    /// Whether the file's content was verified and the file has not been modified since.
    pub(super) fn is_verified(&self, commit: &str, path: &str) -> bool {
        let record = read_record(&self.record("verified", commit).join(path));
        record.is_some() && record == stamp(&self.file(commit, path)).map(String::into_bytes)
    }

    pub(super) fn set_verified(&self, commit: &str, path: &str) -> io::Result<()> {
        match stamp(&self.file(commit, path)) {
            Some(stamp) => atomic::write(&self.record("verified", commit).join(path), stamp.as_bytes()),
            None => Ok(()),
        }
    }

    /// Whether a cached file is just a Git LFS pointer.
    pub(super) fn is_pointer(&self, commit: &str, path: &str) -> bool {
        let path = self.file(commit, path);
        let mut start = Vec::new();
        let read = |file: File| file.take(POINTER.len() as u64).read_to_end(&mut start);
        path.is_file() && File::open(&path).and_then(read).is_ok() && start == POINTER
    }

    /// Opens the partial file for content of the given hash, including what an earlier attempt downloaded. If another
    /// process holds it, calls `waiting` and waits for that process to finish. `what` is for messages.
    pub(super) fn partial(
        &self,
        what: &str,
        hash: &str,
        waiting: impl FnOnce(),
    ) -> Result<Partial, HubError> {
        let ours = self.folder.join(".peft-bench");
        let folder = ours.join("partial");
        fs::create_dir_all(&folder).map_err(|error| HubError::io(what, &folder, error))?;
        if let Some(link) = [ours, folder.clone()].into_iter().find(|folder| folder.is_symlink()) {
            return Err(HubError::Planted { what: what.into(), path: link });
        }
        let lock = open_ours(what, &folder.join(format!("{hash}.lock")))?;
        let locked = match lock.try_lock() {
            Err(fs::TryLockError::WouldBlock) => {
                waiting();
                lock.lock().is_ok()
            }
            other => other.is_ok(),
        };
        // Some cluster file systems lack locks: every process then fetches its own copy.
        let name = if locked { hash.to_string() } else { format!("{hash}.{}", std::process::id()) };
        let path = folder.join(name);
        let file = open_ours(what, &path)?;
        Ok(Partial { file, path, _lock: lock })
    }

    /// A blob with this content, which may come from another commit and path.
    pub(super) fn find_blob(&self, digest: &Digest, size: u64) -> Option<String> {
        let blobs = fs::read_dir(self.folder.join("blobs")).ok()?;
        let same_size = |blob: &fs::DirEntry| blob.metadata().is_ok_and(|found| found.len() == size);
        blobs.flatten().filter(same_size).find_map(|blob| {
            let name = digest.check(&blob.path(), size).ok()??;
            (blob.file_name() == *name).then_some(name)
        })
    }

    /// Moves a verified file to the cache's blobs.
    pub(super) fn store_blob(&self, partial: &Partial, blob: &str) -> io::Result<()> {
        partial.file.sync_all()?;
        let blobs = self.folder.join("blobs");
        fs::create_dir_all(&blobs)?;
        fs::rename(&partial.path, blobs.join(blob))
    }

    /// Links a blob into a snapshot, replacing what is there.
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

/// Opens one of our files for appending; refuses links and devices that somebody planted in its place.
fn open_ours(what: &str, path: &Path) -> Result<File, HubError> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    let planted = || HubError::Planted { what: what.into(), path: path.into() };
    let file = follow_nothing(&mut options).open(path).map_err(|error| match path.symlink_metadata() {
        Ok(found) if !found.is_file() => planted(),
        _ => HubError::io(what, path, error),
    })?;
    let found = file.metadata().map_err(|error| HubError::io(what, path, error))?;
    if found.is_file() && !has_other_names(&found) { Ok(file) } else { Err(planted()) }
}

/// The content of one of our records; `None` if it is missing or not a regular file.
fn read_record(path: &Path) -> Option<Vec<u8>> {
    let file = follow_nothing(OpenOptions::new().read(true)).open(path).ok()?;
    let found = file.metadata().ok()?;
    if !found.is_file() || found.len() > LONGEST_RECORD {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(LONGEST_RECORD).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Follows no link, and does not wait for the other end of a FIFO.
#[cfg(unix)]
fn follow_nothing(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
}

#[cfg(not(unix))]
fn follow_nothing(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Whether a file has other names, that is, hard links.
#[cfg(unix)]
fn has_other_names(file: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(file) > 1
}

#[cfg(not(unix))]
fn has_other_names(_file: &fs::Metadata) -> bool {
    false
}

/// Size and modification time, which together show whether a file was modified.
fn stamp(file: &Path) -> Option<String> {
    let metadata = fs::metadata(file).ok()?;
    let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{} {}", metadata.len(), modified.as_nanos()))
}

fn scan_into(folder: &Path, prefix: &str, files: &mut Vec<RepoFile>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = format!("{prefix}{name}");
        // A link to a folder may lead back here.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            scan_into(&entry.path(), &format!("{path}/"), files);
        } else if let Some(found) = fs::metadata(entry.path()).ok().filter(fs::Metadata::is_file) {
            let file = RepoFile { path, size: found.len(), digest: None };
            files.extend(Some(file).filter(RepoFile::is_valid));
        }
    }
}
