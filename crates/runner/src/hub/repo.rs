//! A repository at a revision, and what it resolves to.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::error::HubError;

/// The revision that a repository is read at by default.
pub const DEFAULT_REVISION: &str = "main";

/// Longest name of an owner or a repository that the hub accepts.
const LONGEST_NAME: usize = 96;

/// Longest file name that file systems accept, in bytes.
const LONGEST_PART: usize = 255;

/// Whether a repository holds a model or a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RepoKind {
    Model,
    Dataset,
}

impl RepoKind {
    fn singular(self) -> &'static str {
        match self {
            RepoKind::Model => "model",
            RepoKind::Dataset => "dataset",
        }
    }
}

/// A repository at a revision (branch, tag, or commit).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Repo {
    pub kind: RepoKind,
    /// `owner/name`, or a legacy name without an owner.
    pub name: String,
    pub revision: String,
}

impl Repo {
    /// The dataset `name` at `main`.
    pub fn dataset(name: impl Into<String>) -> Self {
        Self { kind: RepoKind::Dataset, name: name.into(), revision: DEFAULT_REVISION.into() }
    }

    /// The model `name` at `main`.
    pub fn model(name: impl Into<String>) -> Self {
        Self { kind: RepoKind::Model, name: name.into(), revision: DEFAULT_REVISION.into() }
    }

    /// The same repository at another revision.
    pub fn at(&self, revision: impl Into<String>) -> Self {
        Self { revision: revision.into(), ..self.clone() }
    }

    /// The revision, if it is a full commit and so can never move.
    pub fn pinned_commit(&self) -> Option<&str> {
        is_commit(&self.revision).then_some(&*self.revision)
    }

    /// The folder that holds this repository in a hub cache.
    pub(super) fn cache_folder(&self) -> String {
        format!("{}s--{}", self.kind.singular(), self.name.replace('/', "--"))
    }

    /// The repository's page, where access to a gated one is requested.
    pub(super) fn page(&self, endpoint: &str) -> String {
        match self.kind {
            RepoKind::Model => format!("{endpoint}/{}", self.name),
            RepoKind::Dataset => format!("{endpoint}/datasets/{}", self.name),
        }
    }

    /// Refuses names and revisions that would escape the cache folder or the hub's paths.
    pub(super) fn check(&self) -> Result<(), HubError> {
        let segment = |s: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            (1..=LONGEST_NAME).contains(&s.len())
                && s.chars().all(plain)
                && !s.starts_with(['.', '-'])
                && !s.contains("..")
                && !s.contains("--")
        };
        if self.name.split('/').count() > 2 || !self.name.split('/').all(segment) {
            return Err(HubError::BadName { kind: self.kind.singular(), name: self.name.clone() });
        }
        if !is_plain_path(&self.revision) {
            return Err(HubError::BadRevision { repo: self.name.clone(), revision: self.revision.clone() });
        }
        Ok(())
    }
}

impl std::fmt::Display for Repo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} at {}", self.kind.singular(), self.name, self.revision)
    }
}

/// A file as a repository lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoFile {
    /// Path within the repository, with `/` between its parts.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// What the content must hash to; absent if only a cache folder could be listed.
    pub digest: Option<Digest>,
}

impl RepoFile {
    /// Whether its path and digest are valid file names.
    pub(super) fn is_valid(&self) -> bool {
        is_plain_path(&self.path) && self.digest.as_ref().is_none_or(Digest::is_hash)
    }
}

/// A repository resolved to a commit and its files, sorted by path.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub repo: Repo,
    pub commit: String,
    pub files: Vec<RepoFile>,
    /// False if the files are just those in a cache folder, so that there may be others.
    pub complete: bool,
    /// The current name of the repository, if it was renamed.
    pub renamed_to: Option<String>,
}

impl Snapshot {
    /// The listed file at `path`.
    pub fn file(&self, path: &str) -> Option<&RepoFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Names the repository and one of its files in messages.
    pub(super) fn describe(&self, path: &str) -> String {
        format!("{}: {path}", self.repo)
    }
}

/// Files of a repository in the cache, complete and verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The repository at the revision that has the files; for a dataset, this may be the hub's conversion.
    pub repo: Repo,
    /// What the revision resolved to.
    pub commit: String,
    /// The snapshot's folder, below which all the files are.
    pub folder: PathBuf,
    pub files: Vec<CachedFile>,
}

/// A file in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedFile {
    pub path: PathBuf,
    /// Size in bytes.
    pub size: u64,
    /// Whether it was downloaded by this call rather than already cached.
    pub downloaded: bool,
}

impl Fetched {
    /// Paths of the files, in the order requested.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().map(|file| file.path.clone()).collect()
    }
}

/// Whether `revision` is a full commit id.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether `path` stays below the folder it is joined to and has valid file names.
pub(super) fn is_plain_path(path: &str) -> bool {
    path.split('/').all(|part| {
        (1..=LONGEST_PART).contains(&part.len())
            && !matches!(part, "." | "..")
            && !part.contains(|c: char| c == '\\' || c.is_control())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_stays_below_its_folder() {
        for path in ["a", "a/b.parquet", ".gitattributes", "refs/convert/parquet", "a..b", "ü"] {
            assert!(is_plain_path(path), "{path}");
        }
        let long = "x".repeat(256);
        for path in
            ["", "/", "/a", "a/", "a//b", ".", "..", "a/.", "a/../b", "a\\b", "a\0b", "\u{1b}[31m", &long]
        {
            assert!(!is_plain_path(path), "{path:?}");
        }
    }
}
