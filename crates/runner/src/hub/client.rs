//! Requests to the hub and their retries.
//!
//! Information, listings and files come through [`Http`], since hf-hub follows a listing to any host with the token and
//! reads responses of any length. Only files stored in chunks go through hf-hub, which reassembles them. Its downloads
//! into the cache are not used: they store the body of a failed GET as the file, verify nothing, and cannot resume.

use std::collections::HashSet;
use std::io::Write;
use std::ops::Range;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use hf_hub::repository::download::HFByteStream;
use hf_hub::{HFClient, HFResult, split_id};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use tokio::runtime::Runtime;

use super::cache::Partial;
use super::digest::Digest;
use super::error::{HubError, Token, brief};
use super::failure::Failure;
use super::http::{Content, Http, client_for_hf_hub, within};
use super::repo::{Repo, RepoFile, RepoKind, Snapshot, is_commit, is_plain_path};
use super::settings::HubSettings;

/// Attempts when no connection can be established: being offline should be noticed soon.
const CONNECT_ATTEMPTS: u32 = 3;
/// Attempts when a response is wrong: the next one is unlikely to differ.
const WRONG_RESPONSE_ATTEMPTS: u32 = 2;
/// The longest wait for the first response of a hub that may be unreachable.
const FIRST_RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Most pages of a listing; each has a thousand files.
const MAX_PAGES: usize = 1000;
/// Most files of a listing.
const MAX_FILES: usize = 1_000_000;

/// A connection to the hub. Its methods block, and must not be called from within a tokio runtime.
pub(super) struct Client {
    http: Http,
    hf: HFClient,
    runtime: Runtime,
    settings: HubSettings,
}

/// The information that the hub returns on a repository.
#[derive(Deserialize)]
struct Information {
    id: String,
    sha: Option<String>,
}

/// An entry of a listing.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Entry {
    File {
        path: String,
        oid: String,
        size: u64,
        lfs: Option<Lfs>,
    },
    #[serde(other)]
    Folder,
}

/// The Git LFS information on a file.
#[derive(Deserialize)]
struct Lfs {
    /// SHA-256 of the content, in hexadecimal.
    oid: String,
}

impl Client {
    pub(super) fn new(settings: &HubSettings) -> Result<Self, HubError> {
        let http = Http::new(settings)?;
        let bad = |detail: String| HubError::NoClient { endpoint: settings.shown_endpoint(), detail };
        let client = client_for_hf_hub(&http).map_err(|error| bad(error.to_string()))?;
        let hf = HFClient::builder()
            .client(client)
            .endpoint(http.endpoint())
            // Without a token hf-hub would look for one itself; one that cannot be a header makes it send none.
            .token("\n")
            .cache_enabled(false)
            .retry_max_attempts(0)
            .build()
            .map_err(|error| bad(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| bad(error.to_string()))?;
        Ok(Self { http, hf, runtime, settings: settings.clone() })
    }

    /// The status with which the hub's address answers: one attempt.
    pub(super) fn probe(&self, limit: Duration) -> Result<u16, HubError> {
        let (what, endpoint) = ("the hub".to_string(), self.http.endpoint().to_string());
        let answer = self.runtime.block_on(within(limit, self.http.head()));
        answer.map_err(|failure| match failure {
            Failure::TimedOut(limit) => {
                HubError::NoNetwork { what, endpoint, detail: format!("no response within {limit:?}") }
            }
            Failure::Unreachable(detail) => HubError::NoNetwork { what, endpoint, detail },
            Failure::Dropped(detail) | Failure::Malformed(detail) | Failure::Unsafe(detail) => {
                HubError::Malformed { what, detail: brief(&detail) }
            }
            Failure::Refused(refusal) => {
                HubError::Malformed { what, detail: format!("status {}", refusal.status) }
            }
        })
    }

    /// Resolves a repository's revision to a commit and lists its files.
    pub(super) fn snapshot(&self, repo: &Repo) -> Result<Snapshot, HubError> {
        let what = repo.to_string();
        let (commit, name) = self.retry(|| {
            let patience = self.settings.timeout.min(FIRST_RESPONSE_TIMEOUT);
            let answer = self.runtime.block_on(within(patience, self.commit_and_name(repo)));
            answer.map_err(|failure| match failure {
                // Firewalls often drop packets instead of refusing the connection.
                Failure::TimedOut(limit) => HubError::NoNetwork {
                    what: what.clone(),
                    endpoint: self.http.endpoint().into(),
                    detail: format!("no response within {limit:?}"),
                },
                failure => self.failed(failure, repo, what.clone()),
            })
        })?;
        let mut files = self.retry(|| {
            let listing = self.runtime.block_on(self.list(repo, &commit));
            listing.map_err(|failure| self.failed(failure, repo, what.clone()))
        })?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let renamed_to = (name != repo.name).then_some(name);
        Ok(Snapshot { repo: repo.clone(), commit, files, complete: true, renamed_to })
    }

    /// Appends the missing bytes of a file to `partial`: one attempt, which keeps what arrived before it failed.
    pub(super) fn append(
        &self,
        snapshot: &Snapshot,
        file: &RepoFile,
        partial: &mut Partial,
    ) -> Result<(), HubError> {
        self.runtime.block_on(self.receive(snapshot, file, partial))
    }

    /// Calls `request` until it succeeds, fails permanently, or the retry budget is used up.
    pub(super) fn retry<T>(&self, mut request: impl FnMut() -> Result<T, HubError>) -> Result<T, HubError> {
        let (mut attempt, mut waited) = (0, Duration::ZERO);
        loop {
            attempt += 1;
            let error = match request() {
                Err(error) if error.is_transient() => error,
                done => return done,
            };
            let limit = match &error {
                HubError::NoNetwork { .. } => CONNECT_ATTEMPTS.min(self.settings.attempts),
                HubError::Malformed { .. } | HubError::Mismatch { .. } => {
                    WRONG_RESPONSE_ATTEMPTS.min(self.settings.attempts)
                }
                _ => self.settings.attempts,
            };
            let wait = self.wait(&error, attempt);
            waited = waited.saturating_add(wait);
            if attempt >= limit || waited > self.settings.patience {
                return Err(error);
            }
            let (next, seconds) = (attempt + 1, wait.as_secs_f32());
            self.settings
                .progress
                .say(format_args!("{error}\n  attempt {next} of {limit} in {seconds:.1} s"));
            std::thread::sleep(wait);
        }
    }

    /// The wait after a failed attempt: what the server asks for, else exponential backoff; with jitter, so that a
    /// hundred processes that failed together do not retry together.
    fn wait(&self, error: &HubError, attempt: u32) -> Duration {
        let HubSettings { backoff, max_backoff, .. } = self.settings;
        let doublings = match error {
            HubError::Busy { retry_after: Some(wait), .. } => {
                return wait.saturating_add(backoff.mul_f64(rand::random()));
            }
            // The hub counts requests in windows of five minutes, too long for the first few doublings.
            HubError::Busy { status: 429, .. } => attempt + 2,
            _ => attempt - 1,
        };
        let doubled = backoff.saturating_mul(2_u32.saturating_pow(doublings)).min(max_backoff);
        doubled.mul_f64(0.5 + 0.5 * rand::random::<f64>())
    }

    async fn commit_and_name(&self, repo: &Repo) -> Result<(String, String), Failure> {
        let mut url = self.api(repo, ["revision", &repo.revision]);
        // Asking for one property keeps the answer small.
        url.set_query(Some("expand=sha"));
        let (Information { id, sha }, _) = self.http.json(url).await?;
        match sha.filter(|sha| is_commit(sha)) {
            Some(commit) => Ok((commit, brief(&id))),
            None => Err(Failure::Malformed("the repository information has no commit".into())),
        }
    }

    async fn list(&self, repo: &Repo, commit: &str) -> Result<Vec<RepoFile>, Failure> {
        let mut url = self.api(repo, ["tree", commit]);
        url.set_query(Some("recursive=true"));
        let (mut files, mut seen) = (Vec::new(), HashSet::from([url.clone()]));
        let endless = |what: &str| Err(Failure::Malformed(format!("the listing has {what}")));
        loop {
            let (entries, next): (Vec<Entry>, _) = self.http.json(url).await?;
            for entry in entries {
                files.extend(listed_file(entry)?);
            }
            let Some(next) = next else { return Ok(files) };
            if !seen.insert(next.clone()) {
                return endless("a cycle of pages");
            }
            if files.len() > MAX_FILES || seen.len() > MAX_PAGES {
                return endless(&format!("more than {MAX_FILES} files or {MAX_PAGES} pages"));
            }
            url = next;
        }
    }

    async fn receive(
        &self,
        snapshot: &Snapshot,
        file: &RepoFile,
        partial: &mut Partial,
    ) -> Result<(), HubError> {
        let what = || snapshot.describe(&file.path);
        let failed = |failure| self.failed(failure, &snapshot.repo, what());
        let mut here = partial.len().map_err(|error| HubError::io(&what(), &partial.path, error))?;
        if here > 0 && here >= file.size {
            return Ok(());
        }
        let range = (here > 0).then_some(here..file.size);
        let content = self.http.get(self.content(snapshot, file), range.as_ref()).await.map_err(failed)?;
        let mut pieces = match content {
            Content::Stream(response) => {
                if here > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
                    // The server ignored the range.
                    partial.clear().map_err(|error| HubError::io(&what(), &partial.path, error))?;
                    here = 0;
                }
                response.bytes_stream().map_err(Failure::from).boxed()
            }
            Content::Chunks => {
                let chunks = self.http.limited(self.chunks(snapshot, file, range)).await.map_err(failed)?;
                chunks.map_err(Failure::from).boxed()
            }
        };
        let transfer = self.settings.progress.transfer(&what(), file.size, here);
        let mut missing = file.size - here;
        while let Some(piece) = self.http.limited(pieces.try_next()).await.map_err(failed)? {
            let written = partial.file.write_all(&piece);
            written.map_err(|error| HubError::io(&what(), &partial.path, error))?;
            transfer.advance(piece.len());
            match missing.checked_sub(piece.len() as u64) {
                Some(rest) => missing = rest,
                // The server has a different file; the digest check will report it.
                None => return Ok(()),
            }
        }
        match missing {
            0 => Ok(()),
            _ => Err(failed(Failure::Dropped(format!("{missing} bytes are missing")))),
        }
    }

    /// The bytes of a file that is stored in chunks.
    async fn chunks(
        &self,
        snapshot: &Snapshot,
        file: &RepoFile,
        range: Option<Range<u64>>,
    ) -> HFResult<HFByteStream> {
        let (owner, name) = split_id(&snapshot.repo.name);
        let (path, commit) = (&file.path, &snapshot.commit);
        // hf-hub's handle of a kind chosen at run time (`RepoTypeAny`) requests datasets under the path of models.
        let (_, chunks) = match snapshot.repo.kind {
            RepoKind::Model => {
                let repo = self.hf.model(owner, name);
                let stream = repo.download_file_stream().filename(path).revision(commit);
                stream.maybe_range(range).send().await?
            }
            RepoKind::Dataset => {
                let repo = self.hf.dataset(owner, name);
                let stream = repo.download_file_stream().filename(path).revision(commit);
                stream.maybe_range(range).send().await?
            }
        };
        Ok(chunks)
    }

    /// The API URL of a repository.
    fn api(&self, repo: &Repo, more: [&str; 2]) -> Url {
        let kind = match repo.kind {
            RepoKind::Model => "models",
            RepoKind::Dataset => "datasets",
        };
        self.http.url(["api", kind].into_iter().chain(repo.name.split('/')).chain(more))
    }

    /// The URL of a file's content.
    fn content(&self, snapshot: &Snapshot, file: &RepoFile) -> Url {
        let kind = match snapshot.repo.kind {
            RepoKind::Model => None,
            RepoKind::Dataset => Some("datasets"),
        };
        let repo = kind.into_iter().chain(snapshot.repo.name.split('/'));
        self.http.url(repo.chain(["resolve", &snapshot.commit]).chain(file.path.split('/')))
    }

    fn failed(&self, failure: Failure, repo: &Repo, what: String) -> HubError {
        let token = if self.settings.token.is_some() { Token::Given } else { Token::None };
        failure.into_error(what, repo, self.http.endpoint(), token)
    }
}

/// A file of a listing; `None` for folders and for paths that a cache cannot hold.
fn listed_file(entry: Entry) -> Result<Option<RepoFile>, Failure> {
    let Entry::File { path, oid, size, lfs } = entry else { return Ok(None) };
    if !is_plain_path(&path) {
        return Ok(None);
    }
    let digest = lfs.map_or(Digest::GitBlob(oid), |lfs| Digest::Sha256(lfs.oid));
    if !digest.is_hash() {
        return Err(Failure::Unsafe(format!(
            "the listing has {path} with {digest}, which is not a valid hash"
        )));
    }
    Ok(Some(RepoFile { path, size, digest: Some(digest) }))
}
