//! Everything that talks to the Hugging Face hub or its cache.
//!
//! A [`Repo`] is resolved to a [`Snapshot`]: a commit and its files. Files are fetched into the cache every other client
//! of the hub uses, and none is handed out, or left where a later run would take it for whole, before its size and hash
//! agree with the hub's listing. Offline, the cache is all there is.

mod cache;
mod client;
mod dataset;
mod digest;
mod error;
mod model;
mod progress;
mod repo;
mod settings;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cache::RepoCache;
use client::Client;
pub use dataset::ParquetFiles;
pub use digest::Digest;
pub use error::{HubError, Known};
pub use model::ModelFiles;
pub use progress::Progress;
pub use repo::{DEFAULT_REVISION, Repo, RepoFile, RepoKind, Snapshot};
pub use settings::HubSettings;

/// The hub and its cache. Its methods block, and must not be called from within a tokio runtime.
pub struct Hub {
    settings: HubSettings,
    /// Absent offline.
    client: Option<Client>,
    /// What was resolved before: a run sees one commit of a branch throughout.
    resolved: Mutex<HashMap<Repo, Arc<Snapshot>>>,
    /// Set when no connection came about: later requests go to the cache at once.
    unreachable: AtomicBool,
    downloaded: AtomicU64,
}

impl Hub {
    /// The hub as the environment describes it; see [`HubSettings::from_env`].
    pub fn from_env(progress: Progress) -> Result<Self, HubError> {
        Self::new(HubSettings::from_env(progress)?)
    }

    /// The hub as `settings` describe it.
    pub fn new(settings: HubSettings) -> Result<Self, HubError> {
        let client = if settings.offline { None } else { Some(Client::new(&settings)?) };
        Ok(Self {
            settings,
            client,
            resolved: Mutex::default(),
            unreachable: AtomicBool::new(false),
            downloaded: AtomicU64::new(0),
        })
    }

    /// Resolves a repository's revision to a commit and its files; once per revision, so that a branch cannot move
    /// under a run.
    ///
    /// A commit whose listing is already known needs no network, since it can never change. Offline, without a
    /// connection, and for a commit the hub will not list, the files are those in the cache.
    pub fn resolve(&self, repo: &Repo) -> Result<Arc<Snapshot>, HubError> {
        repo.check()?;
        let mut resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(snapshot) = resolved.get(repo) {
            return Ok(snapshot.clone());
        }
        let snapshot = Arc::new(match &self.client {
            Some(client) if !self.is_unreachable() && !self.is_known_commit(repo) => {
                self.resolve_online(client, repo)?
            }
            _ => self.resolve_cached(repo)?,
        });
        resolved.insert(repo.clone(), snapshot.clone());
        Ok(snapshot)
    }

    /// Makes sure that the cache has these files of a snapshot, whole and with the right content, and returns where.
    ///
    /// Only when all are there does the cache's branch or tag move to this snapshot's commit, so that what an offline
    /// run finds under a branch is complete.
    pub fn fetch(&self, snapshot: &Snapshot, paths: &[impl AsRef<str>]) -> Result<Vec<PathBuf>, HubError> {
        let fetched: Result<Vec<_>, _> =
            paths.iter().map(|path| self.fetch_file(snapshot, path.as_ref())).collect();
        if fetched.is_ok() && self.client.is_some() && snapshot.repo.pinned_commit().is_none() {
            let _ = self.cache(&snapshot.repo).set_commit(&snapshot.repo.revision, &snapshot.commit);
        }
        fetched
    }

    /// Bytes that were fetched rather than found in the cache.
    pub fn downloaded_bytes(&self) -> u64 {
        self.downloaded.load(Ordering::Relaxed)
    }

    fn is_unreachable(&self) -> bool {
        self.unreachable.load(Ordering::Relaxed)
    }

    fn is_known_commit(&self, repo: &Repo) -> bool {
        repo.pinned_commit().is_some_and(|commit| self.cache(repo).listing(commit).is_some())
    }

    fn resolve_online(&self, client: &Client, repo: &Repo) -> Result<Snapshot, HubError> {
        let progress = self.settings.progress;
        let snapshot = match client.snapshot(repo) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                let unreachable = matches!(error, HubError::NoNetwork { .. });
                let cached = match unreachable || repo.pinned_commit().is_some() {
                    true => self.resolve_cached(repo),
                    false => return Err(error),
                };
                let Ok(cached) = cached else { return Err(error) };
                self.unreachable.fetch_or(unreachable, Ordering::Relaxed);
                progress.say(format_args!("warning: {error}\n  going on with what the cache has"));
                return Ok(cached);
            }
        };
        if let Some(name) = &snapshot.renamed_to {
            progress.say(format_args!("warning: {repo}: the hub now calls it {name}"));
        }
        // Records spare work later; a cache that cannot be written to is no error.
        let _ = self.cache(repo).store_listing(&snapshot.commit, &snapshot.files);
        Ok(snapshot)
    }

    fn resolve_cached(&self, repo: &Repo) -> Result<Snapshot, HubError> {
        let cache = self.cache(repo);
        let commit = repo.pinned_commit().map(String::from).or_else(|| cache.commit(&repo.revision));
        let commit = commit.ok_or_else(|| self.not_cached(repo.to_string()))?;
        let (files, complete) = match cache.listing(&commit) {
            Some(files) => (files, true),
            None => (cache.scan(&commit), false),
        };
        if files.is_empty() {
            return Err(self.not_cached(repo.to_string()));
        }
        Ok(Snapshot { repo: repo.clone(), commit, files, complete, renamed_to: None })
    }

    fn fetch_file(&self, snapshot: &Snapshot, path: &str) -> Result<PathBuf, HubError> {
        let what = snapshot.describe(path);
        let file = match snapshot.file(path) {
            Some(file) => file,
            None if snapshot.complete => return Err(HubError::MissingFile { what }),
            None => return Err(self.not_cached(what)),
        };
        if let Some(cached) = self.intact(snapshot, file)? {
            return Ok(cached);
        }
        let cached = self.cache(&snapshot.repo).file(&snapshot.commit, path);
        match &self.client {
            Some(client) => {
                if cached.exists() {
                    let progress = self.settings.progress;
                    progress
                        .say(format_args!("warning: {what}: replacing the cached file, which is damaged"));
                }
                self.download(client, snapshot, file)
            }
            None if cached.exists() => Err(HubError::Damaged { what, path: cached }),
            None => Err(self.not_cached(what)),
        }
    }

    /// The cached file if its content is right as far as anyone can tell; checked once per file.
    fn intact(&self, snapshot: &Snapshot, file: &RepoFile) -> Result<Option<PathBuf>, HubError> {
        let cache = self.cache(&snapshot.repo);
        let path = cache.file(&snapshot.commit, &file.path);
        if !path.exists() {
            return Ok(None);
        }
        let Some(digest) = &file.digest else { return Ok(Some(path)) };
        if cache.is_verified(&snapshot.commit, &file.path) {
            return Ok(Some(path));
        }
        let checked = digest.check(&path, file.size);
        match checked.map_err(|error| HubError::io(&snapshot.describe(&file.path), &path, error))? {
            Some(_) => {
                let _ = cache.set_verified(&snapshot.commit, &file.path);
                Ok(Some(path))
            }
            None => Ok(None),
        }
    }

    fn download(&self, client: &Client, snapshot: &Snapshot, file: &RepoFile) -> Result<PathBuf, HubError> {
        let cache = self.cache(&snapshot.repo);
        let what = snapshot.describe(&file.path);
        let Some(digest) = &file.digest else { return Err(self.not_cached(what)) };
        let failed = |error| HubError::io(&what, &self.settings.cache, error);
        let waiting =
            || self.settings.progress.say(format_args!("{what}: waiting for another process to fetch it"));
        let mut partial = cache.partial(digest.hex(), waiting).map_err(failed)?;
        // The process we waited for may have fetched it.
        if let Some(cached) = self.intact(snapshot, file)? {
            return Ok(cached);
        }
        if let Some(blob) = cache.find_blob(digest, file.size) {
            return cache.link(&blob, &snapshot.commit, &file.path).map_err(failed);
        }
        let blob = client.retry(|| {
            client.append(snapshot, file, &mut partial)?;
            if let Some(blob) = digest.check(&partial.path, file.size).map_err(failed)? {
                return Ok(blob);
            }
            partial.clear().map_err(failed)?;
            Err(HubError::Mismatch { what: what.clone(), size: file.size, digest: digest.to_string() })
        })?;
        cache.store_blob(&partial, &blob).map_err(failed)?;
        self.downloaded.fetch_add(file.size, Ordering::Relaxed);
        let path = cache.link(&blob, &snapshot.commit, &file.path).map_err(failed)?;
        let _ = cache.set_verified(&snapshot.commit, &file.path);
        Ok(path)
    }

    fn cache(&self, repo: &Repo) -> RepoCache {
        RepoCache::new(&self.settings.cache, repo)
    }

    fn not_cached(&self, what: String) -> HubError {
        HubError::NotCached { what, cache: self.settings.cache.clone() }
    }
}
