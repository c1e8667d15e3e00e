//! What can go wrong between us and the hub, told so that the reader knows what to do.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::HFError;
use thiserror::Error;

use super::repo::Repo;

/// A failure to get something from the hub or its cache. `what` names repository, revision and file.
#[derive(Debug, Error)]
pub enum HubError {
    #[error("{name:?} is no {kind} on the hub: a name is `owner/name`, of letters, digits, `-`, `_` and `.`")]
    BadName { kind: &'static str, name: String },

    #[error("{revision:?} is no revision of {repo}: give a branch, a tag or a commit")]
    BadRevision { repo: String, revision: String },

    #[error("no client for the hub at {endpoint:?} (HF_ENDPOINT): {detail}")]
    NoClient { endpoint: String, detail: String },

    #[error("no cache folder: set HF_HOME or HF_HUB_CACHE, since there is no home folder")]
    NoCacheFolder,

    #[error(
        "{what}: access is gated: accept the conditions at {page} and set HF_TOKEN to a token of that account"
    )]
    Gated { what: String, page: String },

    #[error("{what}: no such repository, or a private one ({token})")]
    MissingRepo { what: String, token: &'static str },

    #[error("{what}: the repository has no such revision")]
    MissingRevision { what: String },

    #[error("{what}: the repository has no such file at this revision")]
    MissingFile { what: String },

    #[error("{what}: the hub refused with status {status}: {message}")]
    Refused { what: String, status: u16, message: String },

    #[error("{what}: the hub cannot serve this now (status {status}): {message}")]
    Busy { what: String, status: u16, message: String, retry_after: Option<Duration> },

    #[error(
        "{what}: no connection to {endpoint} ({detail}); `peft-bench fetch SUITE` where there is a network fills the cache"
    )]
    NoNetwork { what: String, endpoint: String, detail: String },

    #[error("{what}: no whole answer from the hub: {detail}")]
    Interrupted { what: String, detail: String },

    #[error("{what}: what arrived is not the file the hub lists ({size} bytes, {digest})")]
    Mismatch { what: String, size: u64, digest: String },

    #[error(
        "{what}: not in the cache {}, and {why}; `peft-bench fetch SUITE` where there is a network fills the cache",
        cache.display()
    )]
    NotCached { what: String, cache: PathBuf, why: &'static str },

    #[error(
        "{what}: the cached file {} is damaged; `peft-bench fetch SUITE` where there is a network replaces it",
        path.display()
    )]
    Damaged { what: String, path: PathBuf },

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
        "{what}: no weights: neither model.safetensors, model.safetensors.index.json nor pytorch_model.bin; there is {files}"
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
        write!(f, "{verb} {}", self.names.join(", "))?;
        if self.complete { Ok(()) } else { write!(f, " in the cache (`peft-bench fetch SUITE` gets others)") }
    }
}

impl HubError {
    /// Whether the same request may succeed later.
    pub(super) fn is_transient(&self) -> bool {
        use HubError::{Busy, Interrupted, Mismatch, NoNetwork};
        matches!(self, Busy { .. } | NoNetwork { .. } | Interrupted { .. } | Mismatch { .. })
    }

    /// Turns an error of the file system at `path` into ours.
    pub(super) fn io(what: &str, path: &Path, source: io::Error) -> Self {
        let (what, path) = (what.to_string(), path.to_path_buf());
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => HubError::DiskFull { what, path },
            _ => HubError::Io { what, path, source },
        }
    }

    /// Turns what hf-hub reports about `what`, a part of `repo`, into ours.
    pub(super) fn from_hub(
        error: HFError,
        what: String,
        repo: &Repo,
        endpoint: &str,
        has_token: bool,
    ) -> Self {
        let missing_repo = |what| HubError::MissingRepo {
            what,
            token: match has_token {
                true => "the token given may be invalid or not allowed to read it",
                false => "no token is given: set HF_TOKEN if it is private",
            },
        };
        let (context, retry_after) = match &error {
            HFError::Http { context }
            | HFError::AuthRequired { context }
            | HFError::Forbidden { context }
            | HFError::Conflict { context } => (context, None),
            HFError::RateLimited { context, retry_after } => (context, *retry_after),
            HFError::RepoNotFound { context: Some(context), .. }
            | HFError::RevisionNotFound { context: Some(context), .. }
            | HFError::EntryNotFound { context: Some(context), .. } => (context, None),
            HFError::Request { source, .. } if source.is_connect() => {
                return HubError::NoNetwork {
                    what,
                    endpoint: endpoint.into(),
                    detail: root(source).to_string(),
                };
            }
            _ => return HubError::Interrupted { what, detail: chain(&error) },
        };
        let status = context.status.as_u16();
        let message = context.server_message.clone().unwrap_or_else(|| "no reason given".into());
        // A link to the content store expires; the hub gives a fresh one to the next request.
        let expired_link = status == 403 && !context.url.starts_with(&format!("{endpoint}/"));
        match (context.error_code.as_deref(), status) {
            (Some("GatedRepo"), _) => HubError::Gated { what, page: repo.page(endpoint) },
            (Some("RepoNotFound"), _) | (_, 401) => missing_repo(what),
            (Some("RevisionNotFound"), _) => HubError::MissingRevision { what },
            (Some("EntryNotFound"), _) => HubError::MissingFile { what },
            (_, 408 | 425 | 429 | 500..) => HubError::Busy { what, status, message, retry_after },
            _ if expired_link => HubError::Busy { what, status, message, retry_after },
            _ => HubError::Refused { what, status, message },
        }
    }
}

/// What an error comes down to: all that reqwest's outer errors add is the request's address.
fn root(error: &dyn Error) -> &dyn Error {
    error.source().map_or(error, root)
}

/// An error with its causes, which reqwest's own message leaves out.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
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
