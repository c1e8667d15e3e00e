//! Requests to the hub through hf-hub, with our own time-outs and retries.
//!
//! Of hf-hub this uses the repository's information, the listing and the byte stream of a file. Its downloads into the
//! cache are left alone: they store the body of a failed GET as the file, check no content, and cannot resume.

use std::future::Future;
use std::io::Write;
use std::time::Duration;

use futures_util::StreamExt;
use hf_hub::repository::RepoTreeEntry;
use hf_hub::{HFClient, HFError, HFRepository, HFResult, RepoType, RepoTypeDataset, RepoTypeModel, split_id};
use tokio::runtime::Runtime;

use super::cache::Partial;
use super::digest::Digest;
use super::error::HubError;
use super::repo::{Repo, RepoFile, RepoKind, Snapshot, is_commit, is_plain_path};
use super::settings::HubSettings;

/// Attempts when not even a connection comes about: being offline is found out soon.
const CONNECT_ATTEMPTS: u32 = 3;
/// The longest wait a server may ask for before we give up instead.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// A connection to the hub. Its methods block, and must not be called from within a tokio runtime.
pub(super) struct Client {
    hf: HFClient,
    runtime: Runtime,
    settings: HubSettings,
}

// hf-hub's handle of a kind chosen at run time (`RepoTypeAny`) asks for datasets under the path of models.
enum Handle {
    Model(HFRepository<RepoTypeModel>),
    Dataset(HFRepository<RepoTypeDataset>),
}

impl Client {
    pub(super) fn new(settings: &HubSettings) -> Result<Self, HubError> {
        let bad = |detail: String| HubError::BadEndpoint { endpoint: settings.endpoint.clone(), detail };
        // Without a token of ours hf-hub would look for one itself; what fits no header makes it send none.
        let token = settings.token.as_deref().unwrap_or("\n");
        let hf = HFClient::builder()
            .endpoint(&settings.endpoint)
            .token(token)
            .user_agent(concat!("peft-bench/", env!("CARGO_PKG_VERSION")))
            .cache_enabled(false)
            .retry_max_attempts(0)
            .build()
            .map_err(|error| bad(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| bad(error.to_string()))?;
        Ok(Self { hf, runtime, settings: settings.clone() })
    }

    /// Resolves a repository's revision to a commit and lists its files.
    pub(super) fn snapshot(&self, repo: &Repo) -> Result<Snapshot, HubError> {
        let handle = self.handle(repo);
        let failed = |error| self.failed(error, repo, repo.to_string());
        let (commit, name) = self.retry(|| {
            let answer = self.runtime.block_on(self.limited(commit_and_name(&handle, repo)));
            answer.map_err(|error| match error {
                // Firewalls drop packets where they mean to refuse.
                HFError::Other(detail) => HubError::NoNetwork { what: repo.to_string(), detail },
                error => failed(error),
            })
        })?;
        let entries = self.retry(|| {
            let listing = async {
                match &handle {
                    Handle::Model(handle) => self.list(handle, &commit).await,
                    Handle::Dataset(handle) => self.list(handle, &commit).await,
                }
            };
            self.runtime.block_on(listing).map_err(failed)
        })?;
        let mut files: Vec<RepoFile> = entries.into_iter().filter_map(listed_file).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let renamed_to = (name != repo.name).then_some(name);
        Ok(Snapshot { repo: repo.clone(), commit, files, complete: true, renamed_to })
    }

    /// Appends to `partial` what it lacks of a file: one attempt, which keeps what arrived before it failed.
    pub(super) fn append(
        &self,
        snapshot: &Snapshot,
        file: &RepoFile,
        partial: &mut Partial,
    ) -> Result<(), HubError> {
        let received = self.runtime.block_on(async {
            match &self.handle(&snapshot.repo) {
                Handle::Model(handle) => self.receive(handle, snapshot, file, partial).await,
                Handle::Dataset(handle) => self.receive(handle, snapshot, file, partial).await,
            }
        });
        received.map_err(|error| match error {
            HFError::Io(error) => HubError::io(&snapshot.describe(&file.path), &partial.path, error),
            error => self.failed(error, &snapshot.repo, snapshot.describe(&file.path)),
        })
    }

    /// Calls `request` until it succeeds, fails for good, or patience ends.
    pub(super) fn retry<T>(&self, mut request: impl FnMut() -> Result<T, HubError>) -> Result<T, HubError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match request() {
                Err(error) if error.is_transient() => error,
                done => return done,
            };
            let limit = match &error {
                HubError::NoNetwork { .. } => CONNECT_ATTEMPTS.min(self.settings.attempts),
                _ => self.settings.attempts,
            };
            let wait = self.wait(&error, attempt);
            if attempt >= limit || wait > LONGEST_WAIT {
                return Err(error);
            }
            let (next, seconds) = (attempt + 1, wait.as_secs_f32());
            self.settings
                .progress
                .say(format_args!("{error}\n  attempt {next} of {limit} in {seconds:.1} s"));
            std::thread::sleep(wait);
        }
    }

    /// The wait after a failed attempt: what the server asks for, else doubling; with jitter, so that a hundred
    /// processes that failed together do not return together.
    fn wait(&self, error: &HubError, attempt: u32) -> Duration {
        let HubSettings { backoff, max_backoff, .. } = self.settings;
        let doublings = match error {
            HubError::Busy { retry_after: Some(wait), .. } => return *wait + backoff.mul_f64(rand::random()),
            // The hub counts requests in windows of five minutes, too long for the first few doublings.
            HubError::Busy { status: 429, .. } => attempt + 2,
            _ => attempt - 1,
        };
        let doubled = backoff.saturating_mul(2_u32.saturating_pow(doublings)).min(max_backoff);
        doubled.mul_f64(0.5 + 0.5 * rand::random::<f64>())
    }

    fn handle(&self, repo: &Repo) -> Handle {
        let (owner, name) = split_id(&repo.name);
        match repo.kind {
            RepoKind::Model => Handle::Model(self.hf.model(owner, name)),
            RepoKind::Dataset => Handle::Dataset(self.hf.dataset(owner, name)),
        }
    }

    async fn list<T: RepoType>(
        &self,
        handle: &HFRepository<T>,
        commit: &str,
    ) -> HFResult<Vec<RepoTreeEntry>> {
        let mut entries = Vec::new();
        let mut pages = Box::pin(handle.list_tree().revision(commit).recursive(true).send()?);
        while let Some(entry) = self.limited(async { pages.next().await.transpose() }).await? {
            entries.push(entry);
        }
        Ok(entries)
    }

    async fn receive<T: RepoType>(
        &self,
        handle: &HFRepository<T>,
        snapshot: &Snapshot,
        file: &RepoFile,
        partial: &mut Partial,
    ) -> HFResult<()> {
        let here = partial.len()?;
        if here > 0 && here >= file.size {
            return Ok(());
        }
        let transfer = self.settings.progress.transfer(&snapshot.describe(&file.path), file.size, here);
        let range = (here > 0).then_some(here..file.size);
        let request = handle.download_file_stream().filename(&file.path).revision(&snapshot.commit);
        let (_, mut chunks) = self.limited(request.maybe_range(range).send()).await?;
        let mut missing = file.size - here;
        while let Some(chunk) = self.limited(async { chunks.next().await.transpose() }).await? {
            partial.file.write_all(&chunk)?;
            transfer.advance(chunk.len());
            match missing.checked_sub(chunk.len() as u64) {
                Some(rest) => missing = rest,
                // The server ignored the range or has another file; the check of the content tells.
                None => return Ok(()),
            }
        }
        if missing > 0 { Err(HFError::Other(format!("{missing} bytes short"))) } else { Ok(()) }
    }

    async fn limited<T>(&self, request: impl Future<Output = HFResult<T>>) -> HFResult<T> {
        let timeout = self.settings.timeout;
        let silent = |_| HFError::Other(format!("no answer within {timeout:?}"));
        tokio::time::timeout(timeout, request).await.map_err(silent)?
    }

    fn failed(&self, error: HFError, repo: &Repo, what: String) -> HubError {
        HubError::from_hub(error, what, repo, &self.settings.endpoint, self.settings.token.is_some())
    }
}

async fn commit_and_name(handle: &Handle, repo: &Repo) -> HFResult<(String, String)> {
    // Asking for one property keeps the answer small and free of what hf-hub might not understand.
    let expand = vec!["sha".to_string()];
    let (sha, id) = match handle {
        Handle::Model(handle) => {
            let info = handle.info().revision(&repo.revision).expand(expand).send().await?;
            (info.sha, info.id)
        }
        Handle::Dataset(handle) => {
            let info = handle.info().revision(&repo.revision).expand(expand).send().await?;
            (info.sha, info.id)
        }
    };
    match sha.filter(|sha| is_commit(sha)) {
        Some(commit) => Ok((commit, id)),
        None => Err(HFError::malformed_response("no commit in the repository's information")),
    }
}

/// A file entry of a listing; none for folders and for paths that would lead out of the cache.
fn listed_file(entry: RepoTreeEntry) -> Option<RepoFile> {
    match entry {
        RepoTreeEntry::File { oid, size, path, lfs, .. } if is_plain_path(&path) => {
            let digest = match lfs {
                None => Digest::GitBlob(oid),
                Some(lfs) => lfs.sha256.map_or(Digest::LfsPointer(oid), Digest::Sha256),
            };
            Some(RepoFile { path, size, digest: Some(digest) })
        }
        _ => None,
    }
}
