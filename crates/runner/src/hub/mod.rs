//! Everything that talks to the Hugging Face hub or its cache.
//!
//! A [`Repo`] is resolved to a [`Snapshot`]: a commit and its files. Files are fetched into the cache every other client
//! of the hub uses, and none is handed out, or left where a later run would take it for whole, before its size and hash
//! agree with the hub's listing. Offline, and where no connection comes about, the cache is all there is.

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
    /// Made when first needed: most runs read the cache or no hub data at all.
    client: OnceLock<Client>,
    /// Set when no connection comes about, so that a run waits for a dead network only once.
    unreachable: AtomicBool,
    /// What was resolved before: a run sees one commit of a branch throughout.
    resolved: Mutex<HashMap<Repo, Arc<Snapshot>>>,
}

impl Hub {
    /// The hub as the environment describes it; see [`HubSettings::from_env`].
    ///
    /// # Errors
    /// When the environment leaves open where the cache is.
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

    /// Resolves a repository's revision to a commit and its files; once per revision, so that a branch cannot move
    /// under a run.
    ///
    /// A commit whose listing is already known needs no network, since it can never change. Offline, without a
    /// connection, and for a commit the hub will not list, the files are those in the cache.
    ///
    /// # Errors
    /// When the hub has no such repository or revision or keeps it from us, or neither hub nor cache has it.
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

    /// Makes sure that the cache has these files of a snapshot, whole and with the right content.
    ///
    /// Only when all are there does the cache's branch or tag move to this snapshot's commit, so that an offline run
    /// goes on finding the commit that was fetched last.
    ///
    /// # Errors
    /// When a file is not in the repository, cannot be downloaded whole, or cannot be written to the cache.
    pub fn fetch(&self, snapshot: &Snapshot, paths: &[impl AsRef<str>]) -> Result<Fetched, HubError> {
        let fetched = self.fetch_files(snapshot, paths)?;
        if self.client()?.is_some() && snapshot.repo.pinned_commit().is_none() {
            let _ = self.cache(&snapshot.repo).set_commit(&snapshot.repo.revision, &snapshot.commit);
        }
        Ok(fetched)
    }

    /// As [`Hub::fetch`], but leaves the cache's branch or tag where it is.
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

    /// The connection to the hub; none offline.
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
                            "warning: {error}\n  going on with the cache's commit {}",
                            cached.commit
                        ));
                        Ok(cached)
                    }
                    _ => Err(error),
                };
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
                    .say(format_args!("warning: {what}: replacing the cached file, which is damaged"));
            }
            self.download(client, snapshot, file)?
        } else if place.exists() {
            return Err(HubError::Damaged { what, path: place });
        } else {
            return Err(self.not_cached(what));
        };
        Ok(CachedFile { path: place, size: file.size, downloaded })
    }

    /// Whether the cached file is there and its content right as far as anyone can tell; checked once per file.
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

    /// Puts a file into the cache; tells whether that took a download, or another process or commit had it.
    fn download(&self, client: &Client, snapshot: &Snapshot, file: &RepoFile) -> Result<bool, HubError> {
        let cache = self.cache(&snapshot.repo);
        let what = snapshot.describe(&file.path);
        let Some(digest) = &file.digest else { return Err(self.not_cached(what)) };
        let failed = |error| HubError::io(&what, &cache.file(&snapshot.commit, &file.path), error);
        let waiting =
            || self.settings.progress.say(format_args!("{what}: waiting for another process to fetch it"));
        let mut partial = cache.partial(&what, digest.hex(), waiting)?;
        // The process we waited for may have fetched it.
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
        let why = if self.settings.offline { "HF_HUB_OFFLINE is set" } else { "the hub cannot be asked" };
        HubError::NotCached { what, cache: self.settings.cache.clone(), why }
    }
}
