//! The hub client against a fake hub: what it fetches, and that faults leave no wrong files behind.

mod hostile;
mod planted;
#[path = "../standin/mod.rs"]
mod standin;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use peft_bench::hub::{Fetched, Hub, HubError, HubSettings, Progress, Repo};
use standin::{Fault, GOOD_TOKEN, Standin, git_blob, sha256};
use tempfile::TempDir;

const DATASET: &str = "datasets/owner/data";
const TRAIN: &str = "cola/train-00000-of-00001.parquet";
const README: &str = "README.md";
const ROWS: &[u8] = b"PAR1 these are the rows of the training split PAR1";

/// A hub with one dataset of one split and a README, and an empty cache.
struct Bench {
    hub: Standin,
    cache: TempDir,
}

impl Bench {
    fn new() -> Self {
        let hub = Standin::start();
        hub.put(DATASET, "main", &[(TRAIN, ROWS), (README, b"# Data\n")]);
        Self { hub, cache: tempfile::tempdir().unwrap() }
    }

    fn settings(&self) -> HubSettings {
        HubSettings {
            attempts: 4,
            backoff: Duration::from_millis(5),
            max_backoff: Duration::from_millis(20),
            timeout: Duration::from_secs(5),
            ..HubSettings::new(&self.hub.endpoint, self.cache.path(), Progress::Silent)
        }
    }

    fn client(&self) -> Hub {
        Hub::new(self.settings())
    }

    fn offline(&self) -> Hub {
        Hub::new(HubSettings { offline: true, ..self.settings() })
    }

    fn fetch(&self, path: &str) -> Result<PathBuf, HubError> {
        fetch(&self.client(), &dataset(), path)
    }

    fn folder(&self) -> PathBuf {
        self.cache.path().join("datasets--owner--data")
    }

    /// Path of the file in the cache.
    fn cached(&self, path: &str) -> PathBuf {
        self.folder().join("snapshots").join(self.hub.commit(DATASET, "main")).join(path)
    }

    /// Puts a file into the cache like another client: a blob, a link to it, and a branch.
    fn put_cached(&self, path: &str, etag: &str, content: &[u8]) {
        let blobs = self.folder().join("blobs");
        let link = self.cached(path);
        std::fs::create_dir_all(&blobs).unwrap();
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::fs::create_dir_all(self.folder().join("refs")).unwrap();
        std::fs::write(blobs.join(etag), content).unwrap();
        std::fs::write(self.folder().join("refs/main"), self.hub.commit(DATASET, "main")).unwrap();
        std::os::unix::fs::symlink(blobs.join(etag), link).unwrap();
    }

    /// Everything that a client would take for a file of the repository.
    fn visible(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for part in ["blobs", "snapshots"] {
            files_below(&self.folder().join(part), &mut found);
        }
        found
    }
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { files_below(&path, found) } else { found.push(path) }
    }
}

fn dataset() -> Repo {
    Repo::dataset("owner/data")
}

fn fetch(hub: &Hub, repo: &Repo, path: &str) -> Result<PathBuf, HubError> {
    let snapshot = hub.resolve(repo)?;
    Ok(hub.fetch(&snapshot, &[path])?.files.remove(0).path)
}

fn assert_rows(path: Result<PathBuf, HubError>) {
    let path = path.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(std::fs::read(path).unwrap(), ROWS);
}

#[test]
fn a_file_is_fetched_once_into_the_layout_of_the_cache() {
    let bench = Bench::new();
    let snapshot = bench.client().resolve(&dataset()).unwrap();
    assert_eq!(snapshot.commit, bench.hub.commit(DATASET, "main"));
    let listed: Vec<_> = snapshot.files.iter().map(|file| (&*file.path, file.size)).collect();
    assert_eq!(listed, [(README, 7), (TRAIN, ROWS.len() as u64)]);

    assert_rows(bench.fetch(TRAIN));
    assert_eq!(std::fs::read(bench.fetch(README).unwrap()).unwrap(), b"# Data\n");
    assert_eq!(bench.fetch(TRAIN).unwrap(), bench.cached(TRAIN));
    let target = std::fs::read_link(bench.cached(TRAIN)).unwrap();
    assert_eq!(target, Path::new("../../../blobs").join(sha256(ROWS)));
    assert!(bench.folder().join("blobs").join(git_blob(b"# Data\n")).is_file());
    assert_eq!(std::fs::read_to_string(bench.folder().join("refs/main")).unwrap(), snapshot.commit);
    assert_eq!(bench.hub.downloads().len(), 2, "each file once");
}

#[test]
fn the_token_goes_to_the_hub_and_not_to_the_content_store() {
    let bench = Bench::new();
    let hub = Hub::new(HubSettings { token: Some(GOOD_TOKEN.into()), ..bench.settings() });
    assert_rows(fetch(&hub, &dataset(), TRAIN));
    let bearer = format!("Bearer {GOOD_TOKEN}");
    assert!(bench.hub.requests("GET", "/api/").iter().all(|request| request.token.as_ref() == Some(&bearer)));
    let stored = bench.hub.requests("GET", "/store/");
    assert!(!stored.is_empty() && stored.iter().all(|request| request.token.is_none()));
}

#[test]
fn without_a_token_none_is_sent() {
    let bench = Bench::new();
    assert_rows(bench.fetch(TRAIN));
    assert!(bench.hub.requests("GET", "").iter().all(|request| request.token.is_none()));
}

#[test]
fn headers_may_be_missing() {
    let bench = Bench::new();
    for path in ["/resolve/", "/store/"] {
        bench.hub.spoil("GET", path, 9, Fault::Without(vec!["ETag", "X-Repo-Commit", "X-Linked"]));
    }
    assert_rows(bench.fetch(TRAIN));
    assert!(bench.fetch(README).is_ok());
}

#[test]
fn a_cut_connection_is_resumed() {
    let bench = Bench::new();
    bench.hub.spoil("GET", "/store/", 1, Fault::Cut(10));
    bench.hub.spoil("GET", "/store/", 1, Fault::Cut(5));
    assert_rows(bench.fetch(TRAIN));
    let ranges: Vec<_> = bench.hub.downloads().into_iter().map(|request| request.range).collect();
    let last = ROWS.len() - 1;
    assert_eq!(ranges, [None, Some(format!("bytes=10-{last}")), Some(format!("bytes=15-{last}"))]);
}

#[test]
fn a_server_that_ignores_the_range_is_detected() {
    let bench = Bench::new();
    bench.hub.spoil("GET", "/store/", 1, Fault::Cut(10));
    bench.hub.spoil("GET", "/store/", 1, Fault::IgnoreRange);
    assert_rows(bench.fetch(TRAIN));
}

#[test]
fn a_connection_that_falls_silent_is_given_up_and_resumed() {
    let bench = Bench::new();
    bench.hub.spoil("GET", "/store/", 1, Fault::Stall(10, Duration::from_secs(60)));
    let hub = Hub::new(HubSettings { timeout: Duration::from_millis(500), ..bench.settings() });
    assert_rows(fetch(&hub, &dataset(), TRAIN));
}

#[test]
fn wrong_content_is_fetched_again() {
    for (path, part) in [(TRAIN, "/store/"), (README, "/resolve/")] {
        let bench = Bench::new();
        bench.hub.spoil("GET", part, 1, Fault::Corrupt(0));
        let fetched = std::fs::read(bench.fetch(path).unwrap()).unwrap();
        assert_eq!(fetched, if path == TRAIN { ROWS } else { b"# Data\n" });
        assert_eq!(bench.hub.downloads().len(), 2);
    }
}

#[test]
fn persistently_wrong_content_is_an_error_and_leaves_no_file() {
    let bench = Bench::new();
    bench.hub.spoil("GET", "/store/", 2, Fault::Corrupt(0));
    let error = bench.fetch(TRAIN).unwrap_err();
    assert!(matches!(error, HubError::Mismatch { .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("dataset owner/data at main: {TRAIN}: ")), "{error}");
    assert_eq!(bench.visible(), [] as [PathBuf; 0]);
    assert_rows(bench.fetch(TRAIN));
}

#[test]
fn an_unknown_repository() {
    let bench = Bench::new();
    let unknown = Repo::dataset("owner/other");
    let error = bench.client().resolve(&unknown).unwrap_err();
    assert!(matches!(error, HubError::MissingRepo { .. }));
    let text = error.to_string();
    assert!(
        text.contains("dataset owner/other at main") && text.contains("does not exist or is private"),
        "{text}"
    );
    assert!(text.contains("set HF_TOKEN"), "{text}");
    let hub = Hub::new(HubSettings { token: Some("hf_bad".into()), ..bench.settings() });
    let text = hub.resolve(&unknown).unwrap_err().to_string();
    assert!(text.contains("the given token may be invalid"), "{text}");
    assert_eq!(bench.hub.requests("GET", "other").len(), 2, "requested once each time");
}

#[test]
fn a_name_that_escapes_the_cache_is_refused() {
    let hub = Bench::new().client();
    for name in ["", "../x", "a/b/c", "owner/", "o--x/name", "owner/na me"] {
        assert!(matches!(hub.resolve(&Repo::dataset(name)), Err(HubError::BadName { .. })), "{name}");
    }
    for revision in ["", "../../x", "/main"] {
        assert!(
            matches!(hub.resolve(&dataset().at(revision)), Err(HubError::BadRevision { .. })),
            "{revision}"
        );
    }
}

#[test]
fn a_gated_repository() {
    let bench = Bench::new();
    bench.hub.gate(DATASET);
    for token in [None, Some("hf_other")] {
        let hub = Hub::new(HubSettings { token: token.map(String::from), ..bench.settings() });
        let error = fetch(&hub, &dataset(), TRAIN).unwrap_err();
        assert!(matches!(error, HubError::Gated { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains(&format!("{}/datasets/owner/data and set HF_TOKEN", bench.hub.endpoint)),
            "{text}"
        );
    }
    let hub = Hub::new(HubSettings { token: Some(GOOD_TOKEN.into()), ..bench.settings() });
    assert_rows(fetch(&hub, &dataset(), TRAIN));
}

#[test]
fn a_missing_revision_and_a_missing_file() {
    let bench = Bench::new();
    let error = bench.client().resolve(&dataset().at("v2")).unwrap_err();
    assert!(matches!(error, HubError::MissingRevision { .. }));
    assert!(error.to_string().contains("owner/data at v2"), "{error}");
    let error = bench.fetch("none.txt").unwrap_err();
    assert!(matches!(error, HubError::MissingFile { .. }));
    assert!(error.to_string().contains("owner/data at main: none.txt"), "{error}");
}

#[test]
fn a_rate_limit_is_waited_out_as_long_as_the_hub_says() {
    for (status, path) in [(429, "/revision/"), (503, "/tree/"), (429, "/resolve/"), (429, "/store/")] {
        let bench = Bench::new();
        bench.hub.spoil("GET", path, 1, Fault::Status(status, vec![("Retry-After", "1")]));
        let start = Instant::now();
        assert_rows(bench.fetch(TRAIN));
        assert!(start.elapsed() >= Duration::from_secs(1), "{path}");
    }
}

#[test]
fn a_rate_limit_of_an_hour_is_an_error() {
    let bench = Bench::new();
    bench.hub.spoil("GET", "/revision/", 9, Fault::Status(429, vec![("Retry-After", "3600")]));
    let error = bench.fetch(TRAIN).unwrap_err();
    assert!(matches!(error, HubError::Busy { status: 429, .. }), "{error}");
    assert!(error.to_string().contains("status 429, retry after 3600 s"), "{error}");
    assert_eq!(bench.hub.requests("GET", "/revision/").len(), 1);
}

#[test]
fn the_total_wait_between_attempts_is_limited() {
    let bench = Bench::new();
    bench.hub.spoil("GET", "/revision/", 1000, Fault::Status(503, vec![]));
    let patience = Duration::from_millis(100);
    let hub = Hub::new(HubSettings { attempts: 1000, patience, ..bench.settings() });
    let error = hub.resolve(&dataset()).unwrap_err();
    assert!(matches!(error, HubError::Busy { status: 503, .. }), "{error}");
    // Each wait is at least half of the longest, which is 20 ms.
    assert!(bench.hub.requests("GET", "/revision/").len() <= 15);
}

#[test]
fn a_hub_that_is_down_briefly_is_retried() {
    for status in [500, 502, 503, 504, 429] {
        let bench = Bench::new();
        for (path, times) in [("/revision/", 3), ("/tree/", 3), ("/resolve/", 1), ("/store/", 2)] {
            bench.hub.spoil("GET", path, times, Fault::Status(status, vec![]));
        }
        assert_rows(bench.fetch(TRAIN));
    }
}

#[test]
fn the_body_of_an_error_is_never_the_file() {
    for status in [403, 429, 500, 503] {
        let bench = Bench::new();
        bench.hub.spoil("GET", "/resolve/", 9, Fault::Status(status, vec![]));
        let error = bench.fetch(README).unwrap_err();
        match status {
            403 => assert!(matches!(error, HubError::Refused { status: 403, .. }), "{error}"),
            _ => assert!(matches!(error, HubError::Busy { .. }), "{error}"),
        }
        assert_eq!(bench.visible(), [] as [PathBuf; 0]);
        let tries = bench.hub.requests("GET", "/resolve/").len();
        assert_eq!(tries, if status == 403 { 1 } else { 4 });
    }
}

#[test]
fn an_expired_link_to_the_content_store_is_renewed() {
    let bench = Bench::new();
    bench.hub.spoil("GET", "/store/", 1, Fault::Status(403, vec![]));
    assert_rows(bench.fetch(TRAIN));
}

#[test]
fn without_a_network_the_cache_is_used_and_missing_files_are_named() {
    let bench = Bench::new();
    let dead = || Hub::new(HubSettings { endpoint: "http://127.0.0.1:1".into(), ..bench.settings() });
    let hub = dead();
    let error = hub.resolve(&dataset()).unwrap_err();
    assert!(matches!(error, HubError::NoNetwork { .. }), "{error}");
    assert!(error.is_fixed_by_fetching() && !error.to_string().contains("peft-bench"), "{error}");
    let error = hub.resolve(&Repo::dataset("owner/other")).unwrap_err();
    assert!(matches!(error, HubError::NotCached { .. }), "the network is tried once: {error}");
    assert!(error.to_string().contains("the hub is unreachable"), "{error}");

    assert_rows(bench.fetch(TRAIN));
    assert_rows(fetch(&dead(), &dataset(), TRAIN));
    let error = fetch(&dead(), &dataset(), README).unwrap_err();
    assert!(matches!(error, HubError::NotCached { .. }), "{error}");
}

#[test]
fn a_hub_that_never_responds_counts_as_no_network() {
    let bench = Bench::new();
    assert_rows(bench.fetch(TRAIN));
    bench.hub.put("datasets/owner/other", "main", &[("train.parquet", b"rows")]);
    bench.hub.spoil("GET", "/revision/", 9, Fault::Stall(0, Duration::from_secs(60)));
    let hub = Hub::new(HubSettings { timeout: Duration::from_millis(100), ..bench.settings() });
    let error = hub.resolve(&Repo::dataset("owner/other")).unwrap_err();
    assert!(matches!(error, HubError::NoNetwork { .. }), "{error}");
    assert_rows(fetch(&hub, &dataset(), TRAIN));
}

#[test]
fn an_invalid_endpoint_is_reported_when_needed() {
    let bench = Bench::new();
    assert_rows(bench.fetch(TRAIN));
    let bad = HubSettings { endpoint: "no url".into(), ..bench.settings() };
    let error = Hub::new(bad.clone()).resolve(&dataset()).unwrap_err();
    assert!(error.to_string().contains("\"no url\" (HF_ENDPOINT)"), "{error}");
    assert_rows(fetch(&Hub::new(HubSettings { offline: true, ..bad }), &dataset(), TRAIN));
}

#[test]
fn offline_only_fetched_files_are_available() {
    let bench = Bench::new();
    let error = fetch(&bench.offline(), &dataset(), TRAIN).unwrap_err();
    assert!(matches!(error, HubError::NotCached { .. }));
    assert!(error.is_fixed_by_fetching() && !error.to_string().contains("peft-bench"), "{error}");

    assert_rows(bench.fetch(TRAIN));
    let before = bench.hub.requests("GET", "").len();
    assert_rows(fetch(&bench.offline(), &dataset(), TRAIN));
    let error = fetch(&bench.offline(), &dataset(), README).unwrap_err();
    assert!(matches!(error, HubError::NotCached { .. }), "{error}");
    assert!(error.to_string().contains(README), "{error}");
    assert_eq!(bench.hub.requests("GET", "").len(), before);
}

#[test]
fn offline_a_cache_filled_by_other_clients_works() {
    let bench = Bench::new();
    bench.put_cached(TRAIN, &sha256(ROWS), ROWS);
    let snapshot = bench.offline().resolve(&dataset()).unwrap();
    assert_eq!(snapshot.files.iter().map(|file| &*file.path).collect::<Vec<_>>(), [TRAIN]);
    assert!(!snapshot.complete);
    assert_rows(fetch(&bench.offline(), &dataset(), TRAIN));
    assert!(matches!(fetch(&bench.offline(), &dataset(), README), Err(HubError::NotCached { .. })));
    let error = bench.offline().split_files(&dataset(), Some("rte"), "train").unwrap_err();
    assert!(error.to_string().contains("in the cache: cola"), "{error}");
    assert!(error.is_fixed_by_fetching());
    assert_rows(bench.fetch(TRAIN));
    assert_eq!(bench.hub.downloads().len(), 0, "valid files are kept");
}

#[test]
fn an_error_cached_as_a_file_by_an_earlier_crash_is_replaced() {
    for content in [&b"<html>503 Service Unavailable</html>"[..], &[0; ROWS.len()]] {
        let bench = Bench::new();
        bench.put_cached(TRAIN, &sha256(ROWS), content);
        assert_rows(bench.fetch(TRAIN));
        assert_eq!(std::fs::read(bench.folder().join("blobs").join(sha256(ROWS))).unwrap(), ROWS);
    }
}

#[test]
fn a_change_to_a_verified_file_is_detected() {
    let bench = Bench::new();
    assert_rows(bench.fetch(TRAIN));
    std::fs::write(bench.cached(TRAIN), b"<html>503 Service Unavailable</html>").unwrap();
    let error = fetch(&bench.offline(), &dataset(), TRAIN).unwrap_err();
    assert!(matches!(error, HubError::Damaged { .. }), "{error}");
    assert_rows(bench.fetch(TRAIN));
    assert_rows(fetch(&bench.offline(), &dataset(), TRAIN));
}

#[test]
fn a_renamed_repository_is_followed() {
    let bench = Bench::new();
    bench.hub.rename(DATASET, "datasets/new-owner/new");
    let hub = bench.client();
    assert_eq!(hub.resolve(&dataset()).unwrap().renamed_to.as_deref(), Some("new-owner/new"));
    assert_rows(fetch(&hub, &dataset(), TRAIN));
    assert!(fetch(&hub, &dataset(), README).is_ok());
    assert_rows(fetch(&bench.offline(), &dataset(), TRAIN));
}

#[test]
fn a_commit_once_listed_needs_no_network() {
    let bench = Bench::new();
    let pinned = dataset().at(bench.hub.commit(DATASET, "main"));
    assert_rows(fetch(&bench.client(), &pinned, TRAIN));
    assert!(!bench.folder().join("refs").exists(), "a commit is not a branch");
    let before = bench.hub.requests("GET", "").len();
    assert_rows(fetch(&bench.client(), &pinned, TRAIN));
    assert_eq!(bench.hub.requests("GET", "").len(), before);
    assert!(fetch(&bench.client(), &pinned, README).is_ok(), "the rest of it can still be fetched");
}

#[test]
fn a_cached_commit_works_without_the_hub() {
    let bench = Bench::new();
    bench.put_cached(TRAIN, &sha256(ROWS), ROWS);
    let pinned = dataset().at(bench.hub.commit(DATASET, "main"));
    let gone = HubSettings { endpoint: "http://127.0.0.1:1".into(), ..bench.settings() };
    assert_rows(fetch(&Hub::new(gone), &pinned, TRAIN));
    assert_rows(fetch(&bench.client(), &pinned, TRAIN));
    assert_eq!(bench.hub.downloads().len(), 0);
}

#[test]
fn content_that_another_commit_brought_is_not_fetched_again() {
    let bench = Bench::new();
    assert_rows(bench.fetch(TRAIN));
    bench.hub.put(DATASET, "main", &[(README, b"# New\n")]);
    assert_rows(bench.fetch(TRAIN));
    assert_eq!(bench.hub.downloads().len(), 1);
}

#[test]
fn a_branch_moves_only_after_a_complete_fetch_and_not_within_a_run() {
    let bench = Bench::new();
    let hub = bench.client();
    let old = hub.resolve(&dataset()).unwrap();
    hub.fetch(&old, &[TRAIN, README]).unwrap();
    bench.hub.put(DATASET, "main", &[(TRAIN, b"PAR1 newer rows"), (README, b"# New\n")]);
    assert_eq!(hub.resolve(&dataset()).unwrap().commit, old.commit);

    bench.hub.spoil("GET", "/resolve/", 4, Fault::Status(503, vec![]));
    let next = bench.client();
    let new = next.resolve(&dataset()).unwrap();
    assert!(next.fetch(&new, &[TRAIN, README]).is_err());
    assert_eq!(bench.offline().resolve(&dataset()).unwrap().commit, old.commit);
    assert_rows(fetch(&bench.offline(), &dataset(), TRAIN));
    next.fetch(&new, &[TRAIN, README]).unwrap();
    assert_eq!(bench.offline().resolve(&dataset()).unwrap().commit, new.commit);
}

#[test]
fn a_listing_that_escapes_the_cache_is_not_followed() {
    let bench = Bench::new();
    bench.hub.put(DATASET, "main", &[("../../../evil.parquet", b"x")]);
    let snapshot = bench.client().resolve(&dataset()).unwrap();
    assert_eq!(snapshot.files.len(), 2);
}

fn contents(fetched: &Fetched) -> Vec<String> {
    fetched.paths().iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn the_shards_of_a_split_are_in_order() {
    let bench = Bench::new();
    let shards: Vec<String> = (0..11).map(|i| format!("big/train-{i:05}-of-00011.parquet")).collect();
    for (number, path) in shards.iter().enumerate().rev() {
        bench.hub.put(DATASET, "main", &[(path, number.to_string().as_bytes())]);
    }
    bench.hub.put(DATASET, "main", &[("big/train_extra-00000-of-00001.parquet", b"other")]);
    let files = bench.client().split_files(&dataset(), Some("big"), "train").unwrap();
    assert_eq!(contents(&files), (0..11).map(|i| i.to_string()).collect::<Vec<_>>());
    assert_eq!((&files.commit, &files.repo), (&bench.hub.commit(DATASET, "main"), &dataset()));
    assert_eq!(bench.offline().split_files(&dataset(), Some("big"), "train").unwrap().paths(), files.paths());
}

#[test]
fn offline_a_partially_fetched_split_is_incomplete() {
    let bench = Bench::new();
    bench.hub.put(DATASET, "main", &[("c/train/0000.parquet", b"0"), ("c/train/0001.parquet", b"1")]);
    assert!(bench.fetch("c/train/0000.parquet").is_ok());
    let error = bench.offline().split_files(&dataset(), Some("c"), "train").unwrap_err();
    assert!(matches!(error, HubError::NotCached { .. }), "{error}");
}

#[test]
fn without_parquet_the_hubs_conversion_is_used() {
    let bench = Bench::new();
    let (repo, script) = ("datasets/owner/script", Repo::dataset("owner/script"));
    bench.hub.put(repo, "main", &[("script.py", b"print()")]);
    let error = bench.client().split_files(&script, Some("cola"), "train").unwrap_err();
    assert!(matches!(error, HubError::NoParquet { .. }), "{error}");

    let converted = "refs/convert/parquet";
    let files: [(&str, &[u8]); 3] = [
        ("cola/train/0001.parquet", b"b"),
        ("cola/train/0000.parquet", b"a"),
        ("cola/partial-test/0000.parquet", b"t"),
    ];
    bench.hub.put(repo, converted, &files);
    let train = bench.client().split_files(&script, Some("cola"), "train").unwrap();
    assert_eq!(contents(&train), ["a", "b"]);
    assert_eq!((train.commit, train.repo), (bench.hub.commit(repo, converted), script.at(converted)));
    let test = bench.client().split_files(&script, None, "test").unwrap();
    assert_eq!(contents(&test), ["t"]);
    assert_eq!(contents(&bench.offline().split_files(&script, Some("cola"), "train").unwrap()), ["a", "b"]);
    let dead = Hub::new(HubSettings { endpoint: "http://127.0.0.1:1".into(), ..bench.settings() });
    assert_eq!(contents(&dead.split_files(&script, Some("cola"), "train").unwrap()), ["a", "b"]);

    let pinned = script.at(bench.hub.commit(repo, "main"));
    let error = bench.client().split_files(&pinned, Some("cola"), "train").unwrap_err();
    assert!(
        matches!(error, HubError::NoParquetAtRevision { .. }),
        "a pinned revision is not replaced: {error}"
    );
}

#[test]
fn an_unknown_configuration_or_split_lists_the_known_ones() {
    let bench = Bench::new();
    let error = bench.client().split_files(&dataset(), Some("rte"), "train").unwrap_err();
    assert_eq!(error.to_string(), "dataset owner/data at main: no configuration \"rte\"; available: cola");
    let error = bench.client().split_files(&dataset(), None, "test").unwrap_err();
    let expected =
        "dataset owner/data at main: configuration \"cola\" has no split \"test\"; available: train";
    assert_eq!(error.to_string(), expected);
    assert_eq!(bench.hub.downloads().len(), 0);
}

#[test]
fn only_one_format_of_weights_is_fetched() {
    let bench = Bench::new();
    let index = br#"{"metadata": {}, "weight_map": {"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors"}}"#;
    let shared: [(&str, &[u8]); 3] =
        [("config.json", b"{}"), ("tokenizer.json", b"{ }"), ("pytorch_model.bin", b"bin")];
    bench.hub.put("models/t5", "main", &shared);
    bench.hub.put("models/o/sharded", "main", &shared);
    let shards: [(&str, &[u8]); 3] = [
        ("model.safetensors.index.json", index),
        ("model-1.safetensors", b"1"),
        ("model-2.safetensors", b"2"),
    ];
    bench.hub.put("models/o/sharded", "main", &shards);
    bench.hub.put("models/o/plain", "main", &shared);
    bench.hub.put("models/o/plain", "main", &[("model.safetensors", b"whole")]);

    let names = |fetched: &Fetched| -> Vec<String> {
        let below = |path: &PathBuf| path.strip_prefix(&fetched.folder).unwrap().display().to_string();
        fetched.paths().iter().map(below).collect()
    };
    let hub = bench.client();
    let legacy = hub.model_files(&Repo::model("t5")).unwrap();
    assert_eq!(names(&legacy), ["config.json", "tokenizer.json", "pytorch_model.bin"]);
    assert_eq!(legacy.folder, bench.cache.path().join("models--t5/snapshots").join(&legacy.commit));
    let sharded = hub.model_files(&Repo::model("o/sharded")).unwrap();
    assert_eq!(
        names(&sharded)[2..],
        ["model.safetensors.index.json", "model-1.safetensors", "model-2.safetensors"]
    );
    let index = br#"{"weight_map": {"a": "pytorch_model-2.bin", "b": "pytorch_model-1.bin"}}"#;
    let shards: [(&str, &[u8]); 5] = [
        ("config.json", b"{}"),
        ("tokenizer.json", b"{ }"),
        ("pytorch_model.bin.index.json", index),
        ("pytorch_model-1.bin", b"1"),
        ("pytorch_model-2.bin", b"2"),
    ];
    bench.hub.put("models/o/sharded-bin", "main", &shards);
    let sharded = hub.model_files(&Repo::model("o/sharded-bin")).unwrap();
    assert_eq!(
        names(&sharded)[2..],
        ["pytorch_model.bin.index.json", "pytorch_model-1.bin", "pytorch_model-2.bin"]
    );
    let plain = hub.model_files(&Repo::model("o/plain")).unwrap();
    assert_eq!(names(&plain)[2..], ["model.safetensors"]);
    assert!(plain.files.iter().all(|file| file.downloaded));
    let again = bench.offline().model_files(&Repo::model("o/plain")).unwrap();
    assert_eq!(again.paths(), plain.paths());
    assert!(again.files.iter().all(|file| !file.downloaded));
}

#[test]
fn configuration_and_tokenizer_can_be_fetched_alone() {
    let bench = Bench::new();
    let files: [(&str, &[u8]); 3] =
        [("config.json", b"{}"), ("tokenizer.json", b"{ }"), ("model.safetensors", b"whole")];
    bench.hub.put("models/o/m", "main", &files);
    let model = Repo::model("o/m");
    let hub = bench.client();
    assert_eq!(std::fs::read(hub.model_config(&model).unwrap()).unwrap(), b"{}");
    assert_eq!(std::fs::read(hub.model_tokenizer(&model).unwrap()).unwrap(), b"{ }");
    assert_eq!(bench.hub.downloads().len(), 2);
    assert!(matches!(bench.offline().model_files(&model), Err(HubError::NotCached { .. })));
}

#[test]
fn a_model_without_weights_or_with_an_invalid_index_is_refused() {
    let bench = Bench::new();
    bench.hub.put("models/o/none", "main", &[("config.json", b"{}"), ("tf_model.h5", b"h5")]);
    let error = bench.client().model_files(&Repo::model("o/none")).unwrap_err();
    assert!(matches!(error, HubError::NoWeights { .. }), "{error}");
    assert!(error.to_string().contains("tf_model.h5"), "{error}");
    let shards = |name: &str| format!(r#"{{"weight_map": {{"a": "{name}"}}}}"#);
    let bad = ["[1]", "{}", &shards("../../../x"), &shards("/etc/passwd"), &shards("")];
    for (number, index) in bad.into_iter().enumerate() {
        for (kind, name) in
            [("safe", "model.safetensors.index.json"), ("torch", "pytorch_model.bin.index.json")]
        {
            let repo = format!("o/bad-{number}-{kind}");
            let files = [("config.json", &b"{}"[..]), (name, index.as_bytes())];
            bench.hub.put(&format!("models/{repo}"), "main", &files);
            let error = bench.client().model_files(&Repo::model(repo)).unwrap_err();
            assert!(matches!(error, HubError::BadIndex { .. }), "{index}: {error}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}

#[test]
fn a_model_with_random_weights_is_fetched_without_its_weights() {
    let bench = Bench::new();
    let files: [(&str, &[u8]); 3] =
        [("config.json", b"{}"), ("tokenizer.json", b"{ }"), ("model.safetensors", b"whole")];
    bench.hub.put("models/o/m", "main", &files);
    let model = Repo::model("o/m");
    assert_eq!(bench.client().model_shape(&model).unwrap().files.len(), 2);
    assert_eq!(bench.hub.downloads().len(), 2);
    assert_eq!(bench.offline().model_shape(&model).unwrap().files.len(), 2);

    let old = bench.client().model_files(&model).unwrap().commit;
    bench.hub.put("models/o/m", "main", &[("config.json", b"{ \"new\": 1 }")]);
    assert_ne!(bench.client().model_shape(&model).unwrap().commit, old);
    assert_eq!(bench.offline().model_files(&model).unwrap().commit, old, "whose weights are there");
}

/// A cache with real rows next to the workspace, if there is one.
fn shared_cache() -> Option<PathBuf> {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/hf-home/hub");
    if !cache.is_dir() {
        eprintln!("skipped: no cache at {}", cache.display());
        return None;
    }
    Some(cache)
}

#[test]
fn the_shared_cache_offline() {
    let Some(cache) = shared_cache() else { return };
    let settings = HubSettings::new("http://127.0.0.1:1", cache, Progress::Silent);
    let hub = Hub::new(HubSettings { offline: true, ..settings });
    let glue = Repo::dataset("nyu-mll/glue");
    let snapshot = hub.resolve(&glue).unwrap();
    let cola: Vec<_> =
        snapshot.files.iter().map(|file| &*file.path).filter(|path| path.starts_with("cola/")).collect();
    assert_eq!(cola, [TRAIN, "cola/validation-00000-of-00001.parquet"]);
    let matched = hub.split_files(&glue, Some("mnli"), "validation_matched").unwrap();
    let [matched] = &matched.paths()[..] else { panic!("one file") };
    assert!(matched.is_file() && matched.ends_with("mnli/validation_matched-00000-of-00001.parquet"));
    let error = hub.split_files(&glue, Some("mnli"), "validation").unwrap_err();
    assert!(error.to_string().contains("train, validation_matched, validation_mismatched"), "{error}");
    let t5 = Repo::model("google-t5/t5-base");
    assert!(hub.model_tokenizer(&t5).unwrap().is_file());
    assert!(matches!(hub.model_files(&t5), Err(HubError::NotCached { .. })));
}
