//! A malicious hub: after the token, files outside the cache, or all of our time and memory.

use std::time::{Duration, Instant};

use peft_bench::hub::{Hub, HubError, HubSettings, Repo};

use super::standin::{Fault, GOOD_TOKEN, git_blob, sha256};
use super::{Bench, DATASET, README, ROWS, TRAIN, assert_rows, dataset, fetch, files_below};

impl Bench {
    fn with_token(&self) -> Hub {
        Hub::new(HubSettings { token: Some(GOOD_TOKEN.into()), ..self.settings() })
    }

    /// Only the hub has received the token.
    fn assert_token_kept(&self) {
        let bearer = format!("Bearer {GOOD_TOKEN}");
        let to_hub = self.hub.requests("GET", "/api/");
        assert!(to_hub.iter().any(|request| request.token.as_ref() == Some(&bearer)));
        for request in self.hub.requests_elsewhere() {
            assert!(request.token.is_none() && !request.head.contains(GOOD_TOKEN), "{request:?}");
        }
    }
}

#[test]
fn a_listing_that_continues_at_another_host_is_not_followed() {
    let hosts = |bench: &Bench| {
        let port = bench.hub.endpoint.rsplit_once(':').unwrap().1.to_string();
        [bench.hub.store.clone(), format!("http://localhost:{port}"), format!("//{}", &bench.hub.store[7..])]
    };
    for place in 0..3 {
        let bench = Bench::new();
        let next =
            format!("{}/api/{DATASET}/tree/{}", hosts(&bench)[place], bench.hub.commit(DATASET, "main"));
        let link = format!("<{next}?cursor=2>; rel=\"next\"");
        bench.hub.spoil("GET", "/tree/", 1, Fault::Header("Link", link));
        let error = fetch(&bench.with_token(), &dataset(), TRAIN).unwrap_err();
        assert!(matches!(error, HubError::Unsafe { .. }), "{error}");
        assert!(error.to_string().contains("which is not the hub"), "{error}");
        assert_eq!(bench.hub.requests("GET", "/tree/").len(), 1, "requested once");
        assert!(bench.hub.requests_elsewhere().is_empty());
    }
}

#[test]
fn the_token_does_not_follow_redirects_to_another_host() {
    for part in ["/revision/", "/tree/", "/resolve/"] {
        let bench = Bench::new();
        let path = match part {
            "/revision/" => format!("/api/{DATASET}/revision/main"),
            "/tree/" => format!("/api/{DATASET}/tree/{}", bench.hub.commit(DATASET, "main")),
            _ => format!("/store/{}", sha256(ROWS)),
        };
        // Twice within the other host, and once to the hub and back.
        let hops = ["/hop-1", "/hop-2"].map(|hop| format!("{}{hop}", bench.hub.store));
        let hub = bench.hub.endpoint.clone();
        bench.hub.spoil("GET", part, 1, Fault::Redirect(hops[0].clone()));
        bench.hub.spoil("GET", "/hop-1", 1, Fault::Redirect(hops[1].clone()));
        bench.hub.spoil("GET", "/hop-2", 1, Fault::Redirect(format!("{hub}/hop-3")));
        bench.hub.spoil("GET", "/hop-3", 1, Fault::Redirect(format!("{}{path}", bench.hub.store)));
        assert_rows(fetch(&bench.with_token(), &dataset(), TRAIN));
        assert!(bench.hub.requests_elsewhere().len() >= 3);
        bench.assert_token_kept();
    }
}

#[test]
fn the_token_does_not_follow_a_file_in_chunks_to_another_host() {
    let bench = Bench::new();
    bench.hub.use_xet();
    let hop = format!("{}/hop", bench.hub.store);
    bench.hub.spoil("HEAD", "/resolve/", 9, Fault::Redirect(hop));
    let file = format!("{}/store/{}", bench.hub.store, sha256(ROWS));
    bench.hub.spoil("HEAD", "/hop", 9, Fault::Redirect(file));
    assert!(fetch(&bench.with_token(), &dataset(), TRAIN).is_err());
    assert!(!bench.hub.requests_elsewhere().is_empty());
    bench.assert_token_kept();
}

#[test]
fn a_user_and_password_in_the_endpoint_authenticate_and_are_never_shown() {
    let bench = Bench::new();
    let with = |endpoint: &str| HubSettings { endpoint: endpoint.into(), ..bench.settings() };
    let endpoint = bench.hub.endpoint.replace("://", "://user:pass%40word@");
    assert_rows(fetch(&Hub::new(with(&endpoint)), &dataset(), TRAIN));
    // Base64 of `user:pass@word`.
    let basic = Some("Basic dXNlcjpwYXNzQHdvcmQ=".to_string());
    assert!(bench.hub.requests("GET", "/tree/").iter().all(|request| request.token == basic));
    assert!(bench.hub.requests_elsewhere().iter().all(|request| request.token.is_none()));

    bench.hub.gate(DATASET);
    let gated = fetch(&Hub::new(with(&endpoint)), &dataset(), README).unwrap_err();
    assert!(matches!(gated, HubError::Gated { .. }), "{gated}");
    let mut errors = vec![gated];
    for bad in ["http://user:password@127.0.0.1:1", "http://user:password@no url", "ftp://user:password@host"]
    {
        errors.push(Hub::new(with(bad)).resolve(&Repo::dataset("owner/other")).unwrap_err());
    }
    for error in errors {
        let text = error.to_string();
        assert!(!text.contains("word") && !text.contains("user"), "{text}");
    }
}

#[test]
fn an_invalid_token_is_refused_and_not_shown() {
    let bench = Bench::new();
    let hub = Hub::new(HubSettings { token: Some("hf_bad\u{1b}".into()), ..bench.settings() });
    let error = hub.resolve(&dataset()).unwrap_err();
    assert!(matches!(error, HubError::BadToken) && !error.to_string().contains("hf_bad"), "{error}");
}

/// A listing of one file with this path and this object id.
fn listing(path: &str, id: &str, lfs: bool) -> Vec<u8> {
    let content = if lfs { serde_json::json!({ "oid": id, "size": 7 }) } else { serde_json::Value::Null };
    let oid = if lfs { git_blob(ROWS) } else { id.into() };
    let entry = serde_json::json!({ "type": "file", "path": path, "size": 7, "oid": oid, "lfs": content });
    serde_json::json!([entry]).to_string().into_bytes()
}

#[test]
fn no_id_and_no_path_of_a_listing_names_a_file_outside_the_cache() {
    let long = "a".repeat(300);
    let victim = tempfile::tempdir().unwrap();
    let outside = victim.path().join("victim");
    let outside = outside.to_str().unwrap();
    for id in ["../../../../victim", outside, "", "\0", ".", "..", "x/y", &long, &git_blob(ROWS)[1..]] {
        for lfs in [false, true] {
            let bench = Bench::new();
            bench.hub.spoil("GET", "/tree/", 1, Fault::Body(listing(README, id, lfs)));
            let error = bench.fetch(README).unwrap_err();
            assert!(matches!(error, HubError::Unsafe { .. }), "{id:?}: {error}");
            assert!(error.to_string().contains(README) && error.to_string().len() < 500, "{error}");
            assert!(!bench.folder().exists(), "{id:?}");
        }
    }
    for path in ["../../../../victim", outside, "", "\0", ".", "a/..", "a//b", "a/", "\u{1b}[31m", &long] {
        let bench = Bench::new();
        bench.hub.spoil("GET", "/tree/", 1, Fault::Body(listing(path, &git_blob(b"# Data\n"), false)));
        let error = bench.fetch(path).unwrap_err();
        assert!(matches!(error, HubError::MissingFile { .. }), "{path:?}: {error}");
        assert!(bench.visible().is_empty(), "{path:?}");
    }
    assert_eq!(std::fs::read_dir(victim.path()).unwrap().count(), 0);
}

#[test]
fn no_header_names_a_file() {
    for name in ["ETag", "X-Linked-ETag", "X-Repo-Commit"] {
        for value in ["\"../../../../victim\"", "/victim", "", &"a".repeat(300)] {
            let bench = Bench::new();
            bench.hub.spoil("GET", "/resolve/", 1, Fault::Header(name, value.into()));
            bench.hub.spoil("GET", "/store/", 1, Fault::Header(name, value.into()));
            assert_rows(bench.fetch(TRAIN));
            let mut all = Vec::new();
            files_below(bench.cache.path(), &mut all);
            assert!(!all.iter().any(|path| path.to_str().unwrap().contains("victim")), "{all:?}");
        }
    }
}

#[test]
fn an_invalid_commit_never_becomes_a_folder() {
    for sha in ["../../../../victim", "", "main", &"a".repeat(300)] {
        let bench = Bench::new();
        let body = serde_json::json!({ "id": "owner/data", "sha": sha }).to_string();
        bench.hub.spoil("GET", "/revision/", 9, Fault::Body(body.into_bytes()));
        let error = bench.fetch(TRAIN).unwrap_err();
        assert!(matches!(error, HubError::Malformed { .. }), "{error}");
        assert_eq!(bench.hub.requests("GET", "/revision/").len(), 2);
        assert!(!bench.folder().exists());
    }
}

#[test]
fn a_file_in_place_of_a_cache_folder_is_reported() {
    let bench = Bench::new();
    bench.hub.put(DATASET, "main", &[("a", b"file"), ("a/b", b"below"), ("readme.md", b"other case")]);
    assert!(bench.fetch("a").is_ok());
    let error = bench.fetch("a/b").unwrap_err();
    assert!(matches!(error, HubError::Io { .. }) && error.to_string().contains("a/b"), "{error}");
    let other = Bench::new();
    other.hub.put(DATASET, "main", &[("a", b"file"), ("a/b", b"below")]);
    assert!(other.fetch("a/b").is_ok());
    assert!(matches!(other.fetch("a").unwrap_err(), HubError::Io { .. }));
    for (path, content) in [(README, &b"# Data\n"[..]), ("readme.md", b"other case")] {
        assert_eq!(std::fs::read(bench.fetch(path).unwrap()).unwrap(), content);
    }
}

#[test]
fn a_malformed_response_is_requested_at_most_twice() {
    let gzip: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3];
    let deep = "[".repeat(100_000);
    let bodies: [&[u8]; 8] = [
        b"",
        b"<html>Sign in to the network</html>",
        b"{\"error\": \"none\"}",
        b"[1, 2]",
        b"null",
        b"\xff\xfe",
        gzip,
        deep.as_bytes(),
    ];
    for part in ["/revision/", "/tree/"] {
        for body in bodies {
            let bench = Bench::new();
            bench.hub.spoil("GET", part, 9, Fault::Body(body.to_vec()));
            assert_nonsense(&bench, part);
        }
        for raw in [&b"SSH-2.0-OpenSSH_9.6\r\n"[..], b"HTTP/9.9 what\r\n\r\n"] {
            let bench = Bench::new();
            bench.hub.spoil("GET", part, 9, Fault::Raw(raw));
            assert_nonsense(&bench, part);
        }
        let bench = Bench::new();
        bench.hub.spoil("GET", part, 99, Fault::Redirect(format!("{}{part}", bench.hub.endpoint)));
        let error = bench.fetch(README).unwrap_err();
        assert!(error.to_string().contains("redirected more than 10 times"), "{error}");
    }
}

fn assert_nonsense(bench: &Bench, part: &str) {
    let error = bench.fetch(README).unwrap_err();
    assert!(matches!(error, HubError::Malformed { .. }), "{error}");
    let text = error.to_string();
    assert!(text.lines().count() == 1 && text.len() < 500, "{text}");
    assert_eq!(bench.hub.requests("GET", part).len(), 2, "{text}");
}

#[test]
fn an_endless_response_is_cut_off() {
    for part in ["/revision/", "/tree/"] {
        let bench = Bench::new();
        bench.hub.spoil("GET", part, 9, Fault::Endless(200, b"[\"a\", "));
        let error = bench.fetch(README).unwrap_err();
        assert!(matches!(error, HubError::Malformed { .. }), "{error}");
        assert!(error.to_string().contains("longer than"), "{error}");
        assert_eq!(bench.hub.requests("GET", part).len(), 2);
    }
    for part in ["/revision/", "/tree/", "/resolve/"] {
        let bench = Bench::new();
        bench.hub.spoil("GET", part, 9, Fault::Endless(404, b"{\"error\": \"a "));
        let start = Instant::now();
        let error = bench.fetch(README).unwrap_err();
        assert!(matches!(error, HubError::Refused { status: 404, .. }), "{error}");
        assert!(start.elapsed() < Duration::from_secs(4), "{part}");
    }
    let bench = Bench::new();
    bench.hub.spoil("GET", "/resolve/", 9, Fault::Endless(200, b"rows "));
    let error = bench.fetch(README).unwrap_err();
    assert!(matches!(error, HubError::Mismatch { .. }), "{error}");
    assert_eq!(bench.hub.downloads().len(), 2);
}

#[test]
fn a_response_that_trickles_is_given_up() {
    let bench = Bench::new();
    bench.hub.spoil("GET", "/tree/", 9, Fault::Stall(1, Duration::from_secs(60)));
    let patience = Duration::from_millis(200);
    let hub = Hub::new(HubSettings { patience, attempts: 2, ..bench.settings() });
    let start = Instant::now();
    let error = hub.resolve(&dataset()).unwrap_err();
    assert!(matches!(error, HubError::Interrupted { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[test]
fn an_endless_listing_is_given_up() {
    let bench = Bench::new();
    bench.hub.list_without_end();
    let error = bench.client().resolve(&dataset()).unwrap_err();
    assert!(error.to_string().contains("more than 1000000 files or 1000 pages"), "{error}");

    let bench = Bench::new();
    let here = format!("<{}/api/{DATASET}/tree/x?cursor=2>; rel=next", bench.hub.endpoint);
    bench.hub.spoil("GET", "/tree/", 99, Fault::Header("Link", here));
    let error = bench.client().resolve(&dataset()).unwrap_err();
    assert!(matches!(error, HubError::MissingRevision { .. } | HubError::Malformed { .. }), "{error}");
    assert!(bench.hub.requests("GET", "/tree/").len() <= 4);
}

#[test]
fn a_requested_wait_beyond_the_limit_fails_immediately() {
    for (status, wait) in
        [(429, "599"), (503, "599"), (429, "18446744073709551615"), (429, "99999999999999999999")]
    {
        let bench = Bench::new();
        bench.hub.spoil("GET", "/tree/", 9, Fault::Status(status, vec![("Retry-After", wait)]));
        let error = bench.client().resolve(&dataset()).unwrap_err();
        assert!(matches!(error, HubError::Busy { .. }), "{error}");
        assert!(error.to_string().contains(", retry after "), "{error}");
        assert_eq!(bench.hub.requests("GET", "/tree/").len(), 1);
    }
}

#[test]
fn a_server_message_is_one_line_of_reasonable_length() {
    let bench = Bench::new();
    let complaint = serde_json::json!({ "error": format!("a\nb {}", "x".repeat(10_000)) }).to_string();
    let message = Fault::Status(400, vec![("X-Error-Message", complaint.leak())]);
    bench.hub.spoil("GET", "/tree/", 1, message);
    let error = bench.client().resolve(&dataset()).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, HubError::Refused { .. }) && text.len() < 500 && text.lines().count() == 1,
        "{text}"
    );
}
