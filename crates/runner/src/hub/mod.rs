//! Access to the Hugging Face hub and its cache.
//!
//! A [`Repo`] is resolved to a [`Snapshot`]: a commit and its files. Files are fetched into the cache that every other
//! client of the hub uses, and none is returned, or left where a later run would take it for complete, before its size
//! and hash match the hub's listing. Offline, or without a connection, only the cache is used.

mod cache;
mod client;
mod dataset;
mod digest;
mod error;
mod failure;
mod http;
mod model;
mod progress;
mod repo;
mod settings;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use cache::RepoCache;
use client::Client;
pub use digest::Digest;
pub use error::{HubError, Known, Token};
pub use progress::Progress;
pub use repo::{CachedFile, DEFAULT_REVISION, Fetched, Repo, RepoFile, RepoKind, Snapshot};
pub use settings::HubSettings;

/// The hub and its cache. Its methods block, and must not be called from within a tokio runtime.
pub struct Hub {
    settings: HubSettings,
    /// Created on first use: most runs read only the cache or no hub data at all.
    client: OnceLock<Client>,
    /// Set when no connection can be established, so that a run waits for a dead network only once.
    unreachable: AtomicBool,
    /// Earlier results: a run sees the same commit of a branch throughout.
    resolved: Mutex<HashMap<Repo, Arc<Snapshot>>>,
}

impl Hub {
    /// The hub as the environment describes it; see [`HubSettings::from_env`].
    ///
    /// # Errors
    /// When the environment does not determine the cache folder.
    pub fn from_env(progress: Progress) -> Result<Self, HubError> {
        Ok(Self::new(HubSettings::from_env(progress)?))
    }

    /// The hub as `settings` describe it.
    pub fn new(settings: HubSettings) -> Self {
        Self {
            settings,
            client: OnceLock::new(),
            unreachable: AtomicBool::new(false),
            resolved: Mutex::default(),
        }
    }

    /// The status with which the hub's address answers; `None` offline.
    ///
    /// # Errors
    /// [`HubError::NoNetwork`] when nothing answers within `limit`; others when the answer is not HTTP, or the settings
    /// are wrong.
    pub fn probe(&self, limit: Duration) -> Result<Option<u16>, HubError> {
        self.client()?.map(|client| client.probe(limit)).transpose()
    }

    /// Resolves a repository's revision to a commit and its files; once per revision, so that a branch cannot move
    /// under a run.
    ///
    /// A commit whose listing is cached needs no network, since it can never change. Offline, without a connection, or
    /// if the hub does not list a commit, the files are those in the cache.
    ///
    /// # Errors
    /// When the repository or revision does not exist or is not accessible, and it is not in the cache.
    pub fn resolve(&self, repo: &Repo) -> Result<Arc<Snapshot>, HubError> {
        repo.check()?;
        let mut resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(snapshot) = resolved.get(repo) {
            return Ok(snapshot.clone());
        }
        let snapshot = Arc::new(match self.client()? {
            Some(client) if !self.is_known_commit(repo) => self.resolve_online(client, repo)?,
            _ => self.resolve_cached(repo)?,
        });
        resolved.insert(repo.clone(), snapshot.clone());
        Ok(snapshot)
    }

    /// Ensures that the cache has these files of a snapshot, complete and verified.
    ///
    /// The cache's branch or tag moves to this snapshot's commit only when all files are there, so that an offline run
    /// still finds the last complete one.
    ///
    /// # Errors
    /// When a file is not in the repository, cannot be downloaded completely, or cannot be written to the cache.
    pub fn fetch(&self, snapshot: &Snapshot, paths: &[impl AsRef<str>]) -> Result<Fetched, HubError> {
        let fetched = self.fetch_files(snapshot, paths)?;
        if self.client()?.is_some() && snapshot.repo.pinned_commit().is_none() {
            let _ = self.cache(&snapshot.repo).set_commit(&snapshot.repo.revision, &snapshot.commit);
        }
        Ok(fetched)
    }

    /// Like [`Hub::fetch`], but leaves the cache's branch or tag unchanged.
    fn fetch_files(&self, snapshot: &Snapshot, paths: &[impl AsRef<str>]) -> Result<Fetched, HubError> {
        let files: Vec<CachedFile> =
            paths.iter().map(|path| self.fetch_file(snapshot, path.as_ref())).collect::<Result<_, _>>()?;
        Ok(Fetched {
            repo: snapshot.repo.clone(),
            commit: snapshot.commit.clone(),
            folder: self.cache(&snapshot.repo).snapshot(&snapshot.commit),
            files,
        })
    }

    /// The connection to the hub; `None` offline.
    fn client(&self) -> Result<Option<&Client>, HubError> {
        if self.settings.offline || self.unreachable.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if self.client.get().is_none() {
            let _ = self.client.set(Client::new(&self.settings)?);
        }
        Ok(self.client.get())
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
                self.unreachable.fetch_or(unreachable, Ordering::Relaxed);
                return match self.resolve_cached(repo) {
                    Ok(cached) if unreachable || repo.pinned_commit().is_some() => {
                        progress.say(format_args!(
                            "warning: {error}\n  using the cached commit {}",
                            cached.commit
                        ));
                        Ok(cached)
                    }
                    _ => Err(error),
                };
            }
        };
        if let Some(name) = &snapshot.renamed_to {
            progress.say(format_args!("warning: {repo} was renamed to {name}"));
        }
        // Records only save work later, so failing to write them is not an error.
        let _ = self.cache(repo).store_listing(&snapshot.commit, &snapshot.files);
        Ok(snapshot)
    }

    fn resolve_cached(&self, repo: &Repo) -> Result<Snapshot, HubError> {
        let cache = self.cache(repo);
        let commit = repo.pinned_commit().map(String::from).or_else(|| cache.commit(&repo.revision));
        let commit = commit.ok_or_else(|| match cache.reference(&repo.revision) {
            path if path.is_file() => HubError::Damaged { what: repo.to_string(), path },
            _ => self.not_cached(repo.to_string()),
        })?;
        let (files, complete) = match cache.listing(&commit) {
            Some(files) => (files, true),
            None => (cache.scan(&commit), false),
        };
        if files.is_empty() {
            return Err(self.not_cached(repo.to_string()));
        }
        Ok(Snapshot { repo: repo.clone(), commit, files, complete, renamed_to: None })
    }

    fn fetch_file(&self, snapshot: &Snapshot, path: &str) -> Result<CachedFile, HubError> {
        let what = snapshot.describe(path);
        let file = match snapshot.file(path) {
            Some(file) => file,
            None if snapshot.complete => return Err(HubError::MissingFile { what }),
            None => return Err(self.not_cached(what)),
        };
        let place = self.cache(&snapshot.repo).file(&snapshot.commit, path);
        let downloaded = if self.is_intact(snapshot, file)? {
            false
        } else if let Some(client) = self.client()? {
            if place.exists() {
                self.settings
                    .progress
                    .say(format_args!("warning: {what}: replacing the damaged cached file"));
            }
            self.download(client, snapshot, file)?
        } else if place.exists() {
            return Err(HubError::Damaged { what, path: place });
        } else {
            return Err(self.not_cached(what));
        };
        Ok(CachedFile { path: place, size: file.size, downloaded })
    }

    /// Whether the cached file exists and its content is right as far as is known; verified once per file.
    fn is_intact(&self, snapshot: &Snapshot, file: &RepoFile) -> Result<bool, HubError> {
        let cache = self.cache(&snapshot.repo);
        let path = cache.file(&snapshot.commit, &file.path);
        if !path.exists() {
            return Ok(false);
        }
        let Some(digest) = &file.digest else {
            return match cache.is_pointer(&snapshot.commit, &file.path) {
                true => Err(HubError::Pointer { what: snapshot.describe(&file.path), path }),
                false => Ok(true),
            };
        };
        if cache.is_verified(&snapshot.commit, &file.path) {
            return Ok(true);
        }
        let failed = |error| HubError::io(&snapshot.describe(&file.path), &path, error);
        let right = digest.check(&path, file.size).map_err(failed)?.is_some();
        if right {
            let _ = cache.set_verified(&snapshot.commit, &file.path);
        }
        Ok(right)
    }

    /// Puts a file into the cache; `false` if another process or commit already had it.
    fn download(&self, client: &Client, snapshot: &Snapshot, file: &RepoFile) -> Result<bool, HubError> {
        let cache = self.cache(&snapshot.repo);
        let what = snapshot.describe(&file.path);
        let Some(digest) = &file.digest else { return Err(self.not_cached(what)) };
        let failed = |error| HubError::io(&what, &cache.file(&snapshot.commit, &file.path), error);
        let waiting =
            || self.settings.progress.say(format_args!("{what}: waiting for another process to fetch it"));
        let mut partial = cache.partial(&what, digest.hex(), waiting)?;
        // The process that we waited for may have fetched it.
        if self.is_intact(snapshot, file)? {
            return Ok(false);
        }
        if let Some(blob) = cache.find_blob(digest, file.size) {
            cache.link(&blob, &snapshot.commit, &file.path).map_err(failed)?;
            return Ok(false);
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
        cache.link(&blob, &snapshot.commit, &file.path).map_err(failed)?;
        let _ = cache.set_verified(&snapshot.commit, &file.path);
        Ok(true)
    }

    fn cache(&self, repo: &Repo) -> RepoCache {
        RepoCache::new(&self.settings.cache, repo)
    }

    fn not_cached(&self, what: String) -> HubError {
        let why = if self.settings.offline { "HF_HUB_OFFLINE is set" } else { "the hub is unreachable" };
        HubError::NotCached { what, cache: self.settings.cache.clone(), why }
    }
}
