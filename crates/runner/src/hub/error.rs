//! What can go wrong between us and the hub, told so that the reader knows what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::failure::{Failure, Status};
use super::repo::Repo;

/// A failure to get something from the hub or its cache. `what` names repository, revision and file.
#[derive(Debug, Error)]
pub enum HubError {
    #[error(
        "{name:?} is no {kind} on the hub: a name is `owner/name`, each of up to 96 letters, digits, `-`, `_` and `.`"
    )]
    BadName { kind: &'static str, name: String },

    #[error("{revision:?} is no revision of {repo}: give a branch, a tag or a commit")]
    BadRevision { repo: String, revision: String },

    #[error("no client for the hub at {endpoint:?} (HF_ENDPOINT): {detail}")]
    NoClient { endpoint: String, detail: String },

    #[error("the hub's token (HF_TOKEN or the token file) has characters that no token has")]
    BadToken,

    #[error("no cache folder: set HF_HOME or HF_HUB_CACHE, since there is no home folder")]
    NoCacheFolder,

    #[error(
        "{what}: access is gated: accept the conditions at {page} and set HF_TOKEN to a token of that account"
    )]
    Gated { what: String, page: String },

    #[error("{what}: no such repository, or a private one ({token})")]
    MissingRepo { what: String, token: Token },

    #[error("{what}: the repository has no such revision")]
    MissingRevision { what: String },

    #[error("{what}: the repository has no such file at this revision")]
    MissingFile { what: String },

    #[error("{what}: the hub refused with status {status}: {message}")]
    Refused { what: String, status: u16, message: String },

    #[error("{what}: the hub cannot serve this now (status {status}{}): {message}", asked(retry_after.as_ref()))]
    Busy { what: String, status: u16, message: String, retry_after: Option<Duration> },

    #[error("{what}: no connection to {endpoint} ({detail})")]
    NoNetwork { what: String, endpoint: String, detail: String },

    #[error("{what}: no whole answer from the hub: {detail}")]
    Interrupted { what: String, detail: String },

    #[error("{what}: the hub's answer is none: {detail}")]
    Malformed { what: String, detail: String },

    #[error("{what}: the hub's answer is not followed: {detail}")]
    Unsafe { what: String, detail: String },

    #[error("{what}: what arrived is not the file the hub lists ({size} bytes, {digest})")]
    Mismatch { what: String, size: u64, digest: String },

    #[error("{what}: not in the cache {}, and {why}", cache.display())]
    NotCached { what: String, cache: PathBuf, why: &'static str },

    #[error("{what}: the cached file {} is damaged", path.display())]
    Damaged { what: String, path: PathBuf },

    #[error("{what}: the cached file {} is a Git LFS pointer, not the file itself", path.display())]
    Pointer { what: String, path: PathBuf },

    #[error("{what}: {} is not a file of ours but a link or a device; remove it", path.display())]
    Planted { what: String, path: PathBuf },

    #[error("{what}: the disk is full at {}", path.display())]
    DiskFull { what: String, path: PathBuf },

    #[error("{what}: {}: {source}", path.display())]
    Io { what: String, path: PathBuf, source: io::Error },

    #[error("{what}: no Parquet files, neither there nor at refs/convert/parquet")]
    NoParquet { what: String },

    #[error(
        "{what}: no Parquet files there; the hub's own conversion is at the revision refs/convert/parquet"
    )]
    NoParquetAtRevision { what: String },

    #[error("{what}: no configuration {config:?}; there {known}")]
    UnknownConfig { what: String, config: String, known: Known },

    #[error("{what}: several configurations, name one; there {known}")]
    ConfigNeeded { what: String, known: Known },

    #[error("{what}: configuration {config:?} has no split {split:?}; there {known}")]
    UnknownSplit { what: String, config: String, split: String, known: Known },

    #[error("{what}: the Parquet files of {split:?} are not one whole set: {files}")]
    BadShards { what: String, split: String, files: String },

    #[error(
        "{what}: no weights: neither model.safetensors nor pytorch_model.bin, nor the index of either's shards; there is {files}"
    )]
    NoWeights { what: String, files: String },

    #[error("{what}: no index of weights: {detail}")]
    BadIndex { what: String, detail: String },
}

/// The names there are, and whether others may exist that the cache does not hold.
#[derive(Debug)]
pub struct Known {
    /// Sorted.
    pub names: Vec<String>,
    /// Whether these are all.
    pub complete: bool,
}

impl std::fmt::Display for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verb = if self.names.len() == 1 { "is" } else { "are" };
        write!(f, "{verb} {}", listed(&self.names))?;
        if self.complete { Ok(()) } else { write!(f, " in the cache") }
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
            Token::Given => "the token given may be invalid or not allowed to read it",
            Token::None => "no token is given: set HF_TOKEN if it is private",
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

    /// Whether fetching where there is a network would help.
    pub fn is_cured_by_fetching(&self) -> bool {
        use HubError::{Damaged, NoNetwork, NotCached, Pointer};
        match self {
            NoNetwork { .. } | NotCached { .. } | Damaged { .. } | Pointer { .. } => true,
            HubError::UnknownConfig { known, .. }
            | HubError::ConfigNeeded { known, .. }
            | HubError::UnknownSplit { known, .. } => !known.complete,
            _ => false,
        }
    }

    /// Turns an error of the file system at `path` into ours.
    pub(super) fn io(what: &str, path: &Path, source: io::Error) -> Self {
        let (what, path) = (what.to_string(), path.to_path_buf());
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => HubError::DiskFull { what, path },
            _ => HubError::Io { what, path, source },
        }
    }

    /// Turns a failed request for `what`, a part of `repo`, into ours.
    pub(super) fn request(failure: Failure, what: String, repo: &Repo, endpoint: &str, token: Token) -> Self {
        let status = match failure {
            Failure::Unreachable(detail) => {
                return HubError::NoNetwork { what, endpoint: endpoint.into(), detail };
            }
            Failure::Silent(limit) => {
                return HubError::Interrupted { what, detail: format!("none within {limit:?}") };
            }
            Failure::Broken(detail) => return HubError::Interrupted { what, detail: brief(&detail) },
            Failure::Malformed(detail) => return HubError::Malformed { what, detail: brief(&detail) },
            Failure::Unsafe(detail) => return HubError::Unsafe { what, detail: brief(&detail) },
            Failure::Status(status) => status,
        };
        let Status { code, error_code, message, retry_after, from_hub } = status;
        let message = message.map_or_else(|| "no reason given".into(), |message| brief(&message));
        match (error_code.as_deref(), code) {
            (Some("GatedRepo"), _) => HubError::Gated { what, page: repo.page(endpoint) },
            (Some("RepoNotFound"), _) | (_, 401) => HubError::MissingRepo { what, token },
            (Some("RevisionNotFound"), _) => HubError::MissingRevision { what },
            (Some("EntryNotFound"), _) => HubError::MissingFile { what },
            (_, 408 | 425 | 429 | 500..) => HubError::Busy { what, status: code, message, retry_after },
            // A link to the content store expires; the hub gives a fresh one to the next request.
            (_, 403) if !from_hub => HubError::Busy { what, status: code, message, retry_after },
            _ => HubError::Refused { what, status: code, message },
        }
    }
}

/// Names one after the other, unless there are too many to read.
pub(super) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    const MOST: usize = 100;
    let shown: Vec<&str> = names.iter().take(MOST).map(AsRef::as_ref).collect();
    let rest = names.len() - shown.len();
    let more = if rest > 0 { format!(" and {rest} others") } else { String::new() };
    shown.join(", ") + &more
}

/// What a server says, in one line of sensible length.
pub(super) fn brief(text: &str) -> String {
    const LONGEST: usize = 300;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The wait that a server asks for, as a part of a message.
fn asked(wait: Option<&Duration>) -> String {
    wait.map(|wait| format!(", come back in {} s", wait.as_secs())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_apart() {
        let full = HubError::io("x", Path::new("/p"), io::Error::from(io::ErrorKind::StorageFull));
        assert!(matches!(full, HubError::DiskFull { .. }));
        let other = HubError::io("x", Path::new("/p"), io::Error::from(io::ErrorKind::PermissionDenied));
        assert!(matches!(other, HubError::Io { .. }));
    }
}
