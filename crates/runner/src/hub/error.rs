//! What can go wrong between us and the hub, in words that tell the reader what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

/// A failure to get something from the hub or its cache. `what` names repository, revision and file.
#[derive(Debug, Error)]
pub enum HubError {
    #[error(
        "invalid {kind} name {name:?}: expected `owner/name`, each part up to 96 letters, digits, `-`, `_` and `.`"
    )]
    BadName { kind: &'static str, name: String },

    #[error("{repo}: invalid revision {revision:?}: expected a branch, a tag or a commit")]
    BadRevision { repo: String, revision: String },

    #[error("invalid hub endpoint {endpoint:?} (HF_ENDPOINT): {detail}")]
    NoClient { endpoint: String, detail: String },

    #[error("the hub token (HF_TOKEN or the token file) contains invalid characters")]
    BadToken,

    #[error("no cache folder: there is no home folder, so set HF_HOME or HF_HUB_CACHE")]
    NoCacheFolder,

    #[error(
        "{what}: access is gated: accept the conditions at {page} and set HF_TOKEN to a token of that account"
    )]
    Gated { what: String, page: String },

    #[error("{what}: the repository does not exist or is private ({token})")]
    MissingRepo { what: String, token: Token },

    #[error("{what}: the repository does not have this revision")]
    MissingRevision { what: String },

    #[error("{what}: the repository does not have this file at this revision")]
    MissingFile { what: String },

    #[error("{what}: the hub refused the request with status {status}: {message}")]
    Refused { what: String, status: u16, message: String },

    #[error("{what}: the hub cannot serve this right now (status {status}{}): {message}", requested(retry_after.as_ref()))]
    Busy { what: String, status: u16, message: String, retry_after: Option<Duration> },

    #[error("{what}: no connection to {endpoint} ({detail})")]
    NoNetwork { what: String, endpoint: String, detail: String },

    #[error("{what}: the hub's response was interrupted: {detail}")]
    Interrupted { what: String, detail: String },

    #[error("{what}: the hub's response is malformed: {detail}")]
    Malformed { what: String, detail: String },

    #[error("{what}: the hub's response is unsafe to follow: {detail}")]
    Unsafe { what: String, detail: String },

    #[error("{what}: the downloaded file does not match the hub's listing ({size} bytes, {digest})")]
    Mismatch { what: String, size: u64, digest: String },

    #[error("{what}: not in the cache {}, and {why}", cache.display())]
    NotCached { what: String, cache: PathBuf, why: &'static str },

    #[error("{what}: the cached file {} is damaged", path.display())]
    Damaged { what: String, path: PathBuf },

    #[error("{what}: the cached file {} is a Git LFS pointer, not the file itself", path.display())]
    Pointer { what: String, path: PathBuf },

    #[error("{what}: {} is a link or a device, not a cache file; remove it", path.display())]
    Planted { what: String, path: PathBuf },

    #[error("{what}: the disk is full at {}", path.display())]
    DiskFull { what: String, path: PathBuf },

    #[error("{what}: {}: {source}", path.display())]
    Io { what: String, path: PathBuf, source: io::Error },

    #[error("{what}: no Parquet files at this revision or at refs/convert/parquet")]
    NoParquet { what: String },

    #[error("{what}: no Parquet files at this revision; the hub's own conversion is at refs/convert/parquet")]
    NoParquetAtRevision { what: String },

    #[error("{what}: no configuration {config:?}; {known}")]
    UnknownConfig { what: String, config: String, known: Known },

    #[error("{what}: several configurations, choose one; {known}")]
    ConfigNeeded { what: String, known: Known },

    #[error("{what}: configuration {config:?} has no split {split:?}; {known}")]
    UnknownSplit { what: String, config: String, split: String, known: Known },

    #[error("{what}: the Parquet files of split {split:?} are not one complete set: {files}")]
    BadShards { what: String, split: String, files: String },

    #[error(
        "{what}: no weights: expected model.safetensors, pytorch_model.bin or a shard index of either; the files are {files}"
    )]
    NoWeights { what: String, files: String },

    #[error("{what}: invalid shard index: {detail}")]
    BadIndex { what: String, detail: String },
}

/// The available names, and whether there may be others that are not in the cache.
#[derive(Debug)]
pub struct Known {
    /// Sorted.
    pub names: Vec<String>,
    /// Whether the list is complete.
    pub complete: bool,
}

impl std::fmt::Display for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = if self.complete { "available" } else { "in the cache" };
        write!(f, "{place}: {}", listed(&self.names))
    }
}

/// Whether a token was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    Given,
    None,
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Token::Given => "the given token may be invalid or lack read access",
            Token::None => "no token given: set HF_TOKEN if it is private",
        })
    }
}

impl HubError {
    /// Whether the same request may succeed later.
    pub(super) fn is_transient(&self) -> bool {
        use HubError::{Busy, Interrupted, Malformed, Mismatch, NoNetwork};
        matches!(
            self,
            Busy { .. } | NoNetwork { .. } | Interrupted { .. } | Mismatch { .. } | Malformed { .. }
        )
    }

    /// Whether fetching on a machine with network access would help.
    pub fn is_fixed_by_fetching(&self) -> bool {
        use HubError::{Damaged, NoNetwork, NotCached, Pointer};
        match self {
            NoNetwork { .. } | NotCached { .. } | Damaged { .. } | Pointer { .. } => true,
            HubError::UnknownConfig { known, .. }
            | HubError::ConfigNeeded { known, .. }
            | HubError::UnknownSplit { known, .. } => !known.complete,
            _ => false,
        }
    }

    /// Whether the cache has what is asked for, but not as it should be.
    pub fn is_damage(&self) -> bool {
        matches!(self, HubError::Damaged { .. } | HubError::Pointer { .. })
    }

    /// Wraps a file system error at `path`.
    pub(super) fn io(what: &str, path: &Path, source: io::Error) -> Self {
        let (what, path) = (what.to_string(), path.to_path_buf());
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => HubError::DiskFull { what, path },
            _ => HubError::Io { what, path, source },
        }
    }
}

/// Names separated by commas, at most as many as anyone would read.
pub(super) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    const MOST: usize = 100;
    let shown: Vec<&str> = names.iter().take(MOST).map(AsRef::as_ref).collect();
    let rest = names.len() - shown.len();
    let more = if rest > 0 { format!(" and {rest} others") } else { String::new() };
    shown.join(", ") + &more
}

/// A server's message on one line of reasonable length.
pub(super) fn brief(text: &str) -> String {
    const LONGEST: usize = 300;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The wait that a server asks for, as part of a message.
fn requested(wait: Option<&Duration>) -> String {
    wait.map(|wait| format!(", retry after {} s", wait.as_secs())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_has_its_own_error() {
        let full = HubError::io("x", Path::new("/p"), io::Error::from(io::ErrorKind::StorageFull));
        assert!(matches!(full, HubError::DiskFull { .. }));
        let other = HubError::io("x", Path::new("/p"), io::Error::from(io::ErrorKind::PermissionDenied));
        assert!(matches!(other, HubError::Io { .. }));
    }
}
