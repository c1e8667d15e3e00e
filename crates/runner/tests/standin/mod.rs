//! A fake hub on the loopback interface, with faults on demand.
//!
//! It serves what our client requests from the real one: a repository's commit, its listing in pages, and its files. Those in
//! LFS come from a content store at another origin, which knows neither repositories nor the hub's tokens: as they are,
//! or, if the hub is one with Xet, in chunks.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Entries of a listing per page: few, so that every test crosses pages.
const PAGE: usize = 2;
/// The token that grants access to gated and private repositories.
pub(crate) const GOOD_TOKEN: &str = "hf_good";
/// The token that the hub gives for reading chunks.
pub(crate) const CHUNK_TOKEN: &str = "chunks";
/// Bytes before the content of a chunk.
const CHUNK_HEADER: usize = 8;

/// Path at which the content store lists the chunks of a file.
const RECONSTRUCTIONS: &str = "/v2/reconstructions/";

type Files = BTreeMap<String, Vec<u8>>;

/// What goes wrong with a request.
#[derive(Clone)]
pub(crate) enum Fault {
    /// Answers with this status, these headers and a body that tells of it.
    Status(u16, Vec<(&'static str, &'static str)>),
    /// Declares the whole body, and closes the connection after this many bytes of it.
    Cut(usize),
    /// Sends this many bytes of the body, and then nothing for this long.
    Stall(usize, Duration),
    /// Flips the body's byte at this offset.
    Corrupt(usize),
    /// Ignores the requested range and sends the whole body.
    IgnoreRange,
    /// Omits headers whose name contains one of these parts.
    Without(Vec<&'static str>),
    /// Has this header, and no other of its name.
    Header(&'static str, String),
    /// Responds with this body and no headers, with a success status.
    Body(Vec<u8>),
    /// Answers with this status and body.
    Complaint(u16, &'static str),
    /// Redirects to this place.
    Redirect(String),
    /// Sends this repeatedly with this status, until the client disconnects.
    Endless(u16, &'static [u8]),
    /// Sends this, which need not be HTTP.
    Raw(&'static [u8]),
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub method: String,
    pub path: String,
    pub range: Option<String>,
    pub token: Option<String>,
    /// The name and port by which the server was called.
    pub host: String,
    /// All header lines.
    pub head: String,
}

#[derive(Default)]
struct Repo {
    revisions: BTreeMap<String, Files>,
    gated: bool,
    moved_to: Option<String>,
}

#[derive(Default)]
struct State {
    /// By `models/owner/name` or `datasets/owner/name`.
    repos: BTreeMap<String, Repo>,
    /// Method, part of the path, how often, what.
    faults: Vec<(&'static str, String, usize, Fault)>,
    log: Vec<Request>,
    xet: bool,
    /// Whether listings never end.
    endless: bool,
    hub: String,
    store: String,
}

/// The running fake hub; it ends with the test process.
pub(crate) struct Standin {
    pub endpoint: String,
    /// The origin of the content store, which also serves everything that the hub does.
    pub store: String,
    state: Arc<Mutex<State>>,
}

impl Standin {
    pub(crate) fn start() -> Self {
        let (hub, store) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let origin = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let endpoint = origin(&hub);
        let elsewhere = origin(&store);
        let state = State { hub: endpoint.clone(), store: elsewhere.clone(), ..State::default() };
        let state = Arc::new(Mutex::new(state));
        for listener in [hub, store] {
            let state = state.clone();
            std::thread::spawn(move || {
                for connection in listener.incoming().flatten() {
                    let state = state.clone();
                    std::thread::spawn(move || serve(connection, &state));
                }
            });
        }
        Self { endpoint, store: elsewhere, state }
    }

    /// Adds files to a revision of a repository, creating both as needed.
    pub(crate) fn put(&self, repo: &str, revision: &str, files: &[(&str, &[u8])]) {
        let mut state = self.state.lock().unwrap();
        let revision =
            state.repos.entry(repo.into()).or_default().revisions.entry(revision.into()).or_default();
        revision.extend(files.iter().map(|(path, content)| (path.to_string(), content.to_vec())));
    }

    pub(crate) fn gate(&self, repo: &str) {
        self.state.lock().unwrap().repos.get_mut(repo).unwrap().gated = true;
    }

    /// Serves large files in chunks to clients that support it.
    pub(crate) fn use_xet(&self) {
        self.state.lock().unwrap().xet = true;
    }

    /// Makes listings endless.
    pub(crate) fn list_without_end(&self) {
        self.state.lock().unwrap().endless = true;
    }

    /// The requests so far that named another host than the hub.
    pub(crate) fn requests_elsewhere(&self) -> Vec<Request> {
        let mut all = self.requests("", "");
        all.retain(|request| !self.endpoint.ends_with(&request.host));
        all
    }

    pub(crate) fn rename(&self, repo: &str, to: &str) {
        let mut state = self.state.lock().unwrap();
        let moved = state.repos.remove(repo).unwrap();
        let (_, name) = to.split_once('/').unwrap();
        state.repos.insert(to.into(), moved);
        state.repos.insert(repo.into(), Repo { moved_to: Some(name.into()), ..Repo::default() });
    }

    /// Injects a fault into the next `times` requests of this method whose path contains `path`.
    pub(crate) fn spoil(&self, method: &'static str, path: &str, times: usize, fault: Fault) {
        self.state.lock().unwrap().faults.push((method, path.into(), times, fault));
    }

    pub(crate) fn commit(&self, repo: &str, revision: &str) -> String {
        commit(repo, &self.state.lock().unwrap().repos[repo].revisions[revision])
    }

    /// The requests of this method, or of any if it is empty, so far whose path contains `path`.
    pub(crate) fn requests(&self, method: &str, path: &str) -> Vec<Request> {
        let state = self.state.lock().unwrap();
        state.log.iter().filter(|r| r.method.contains(method) && r.path.contains(path)).cloned().collect()
    }

    /// The requests so far for the content of files, wherever they were answered.
    pub(crate) fn downloads(&self) -> Vec<Request> {
        let mut all = self.requests("GET", "/resolve/");
        all.retain(|request| !is_lfs(&request.path));
        all.extend(self.requests("GET", "/store/"));
        all.extend(self.requests("GET", "/xorbs/"));
        all
    }
}

pub(crate) fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

pub(crate) fn git_blob(content: &[u8]) -> String {
    hex(&Sha1::new().chain_update(format!("blob {}\0", content.len())).chain_update(content).finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_lfs(path: &str) -> bool {
    [".parquet", ".safetensors", ".bin"].iter().any(|suffix| path.ends_with(suffix))
}

fn commit(repo: &str, files: &Files) -> String {
    let mut hash = Sha1::new().chain_update(repo);
    for (path, content) in files {
        hash.update(path);
        hash.update(content);
    }
    hex(&hash.finalize())
}

struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Response {
    fn json(body: Value) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.to_string().into_bytes() }
    }

    fn error(status: u16, code: &'static str, message: &str) -> Self {
        let headers = vec![("X-Error-Code", code.to_string()), ("X-Error-Message", message.to_string())];
        Self { status, headers, body: json!({ "error": message }).to_string().into_bytes() }
    }

    fn redirect(status: u16, to: String) -> Self {
        Self { status, headers: vec![("Location", to)], body: Vec::new() }
    }
}

fn serve(connection: TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut lines = BufReader::new(connection.try_clone().ok()?).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_string(), words.next()?.to_string());
    let headers: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let header = |name: &str| {
        headers.iter().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then(|| value.to_string())
        })
    };
    let (range, token) = (header("Range"), header("Authorization"));
    let host = header("Host").unwrap_or_default();
    let request = Request { method, path, range, token, host, head: headers.join("\n") };
    let (mut response, fault) = {
        let mut state = state.lock().unwrap();
        state.log.push(request.clone());
        (answer(&state, &request), take_fault(&mut state, &request))
    };
    if !matches!(fault, Some(Fault::IgnoreRange)) && !request.path.starts_with(RECONSTRUCTIONS) {
        cut_range(&mut response, request.range.as_deref());
    }
    match &fault {
        Some(Fault::Status(status, headers)) => {
            let headers = headers.iter().map(|(name, value)| (*name, value.to_string())).collect();
            response = Response { status: *status, headers, body: b"this is no file but an error".to_vec() };
        }
        Some(Fault::Corrupt(place)) => response.body[*place] ^= 0xff,
        Some(Fault::Body(body)) => {
            response = Response { status: 200, headers: Vec::new(), body: body.clone() }
        }
        Some(Fault::Complaint(status, body)) => {
            response = Response { status: *status, headers: Vec::new(), body: body.as_bytes().to_vec() }
        }
        Some(Fault::Redirect(to)) => response = Response::redirect(302, to.clone()),
        Some(Fault::Header(name, value)) => {
            response.headers.retain(|(found, _)| found != name);
            response.headers.push((name, value.clone()));
        }
        Some(Fault::Without(parts)) => {
            response.headers.retain(|(name, _)| !parts.iter().any(|p| name.contains(p)))
        }
        _ => {}
    }
    send(connection, &request, response, fault)
}

fn send(
    mut connection: TcpStream,
    request: &Request,
    response: Response,
    fault: Option<Fault>,
) -> Option<()> {
    match fault {
        Some(Fault::Raw(bytes)) => return connection.write_all(bytes).ok(),
        Some(Fault::Endless(status, bytes)) => {
            connection.write_all(format!("HTTP/1.1 {status} X\r\n\r\n").as_bytes()).ok()?;
            let block = bytes.repeat(1 + (1 << 20) / bytes.len());
            loop {
                connection.write_all(&block).ok()?;
            }
        }
        _ => {}
    }
    let length = response.body.len();
    let mut head =
        format!("HTTP/1.1 {} X\r\nContent-Length: {length}\r\nConnection: close\r\n", response.status);
    for (name, value) in &response.headers {
        head += &format!("{name}: {value}\r\n");
    }
    connection.write_all((head + "\r\n").as_bytes()).ok()?;
    if request.method == "HEAD" {
        return Some(());
    }
    let sent = match &fault {
        Some(Fault::Cut(bytes) | Fault::Stall(bytes, _)) => length.min(*bytes),
        _ => length,
    };
    connection.write_all(&response.body[..sent]).ok()?;
    if let Some(Fault::Stall(_, time)) = fault {
        std::thread::sleep(time);
        connection.write_all(&response.body[sent..]).ok()?;
    }
    Some(())
}

fn take_fault(state: &mut State, request: &Request) -> Option<Fault> {
    let (_, _, times, fault) = state.faults.iter_mut().find(|(method, path, times, _)| {
        *times > 0 && *method == request.method && request.path.contains(path.as_str())
    })?;
    *times -= 1;
    Some(fault.clone())
}

fn cut_range(response: &mut Response, range: Option<&str>) {
    let bounds = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    if let (200, Some((from, to))) = (response.status, bounds) {
        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
        let size = response.body.len();
        let to = to.min(size - 1);
        response.body = response.body[from..=to].to_vec();
        response.status = 206;
        response.headers.push(("Content-Range", format!("bytes {from}-{to}/{size}")));
    }
}

fn answer(state: &State, request: &Request) -> Response {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    for part in ["/store/", "/xorbs/", RECONSTRUCTIONS] {
        if let Some(hash) = path.strip_prefix(part) {
            return stored(state, request, part, hash);
        }
    }
    let (api, rest) = match path.strip_prefix("/api/") {
        Some(rest) => (true, rest.to_string()),
        None if path.starts_with("/datasets/") => (false, path[1..].to_string()),
        None => (false, format!("models{path}")),
    };
    let verbs: &[&str] = if api { &["/revision/", "/tree/", "/xet-read-token/"] } else { &["/resolve/"] };
    let Some((verb, (key, rest))) = verbs.iter().find_map(|verb| Some((*verb, rest.split_once(*verb)?)))
    else {
        return Response::error(404, "", "no such page");
    };
    let known_token = request.token.as_deref() == Some(&format!("Bearer {GOOD_TOKEN}"));
    let Some(repo) = state.repos.get(key) else {
        let status = if request.token.is_some() { 404 } else { 401 };
        return Response::error(status, "RepoNotFound", "Repository not found");
    };
    if let Some(new) = &repo.moved_to {
        let (_, old) = key.split_once('/').unwrap();
        return Response::redirect(307, request.path.replacen(old, new, 1));
    }
    let (revision, file) = rest.split_once('/').unwrap_or((rest, ""));
    let revision = revision.replace("%2F", "/");
    let found =
        repo.revisions.iter().find(|(name, files)| **name == revision || commit(key, files) == revision);
    let Some((_, files)) = found else {
        return Response::error(404, "RevisionNotFound", "Invalid rev id");
    };
    match verb {
        "/revision/" => {
            let (_, name) = key.split_once('/').unwrap();
            Response::json(json!({ "_id": "1", "id": name, "sha": commit(key, files) }))
        }
        "/xet-read-token/" => Response::json(
            json!({ "casUrl": state.store, "accessToken": CHUNK_TOKEN, "exp": 4_000_000_000_u64 }),
        ),
        "/tree/" => listing(state, path, query, files),
        _ if repo.gated && !known_token => {
            let status = if request.token.is_some() { 403 } else { 401 };
            Response::error(status, "GatedRepo", "Access is restricted")
        }
        _ => content(state, &commit(key, files), file, files),
    }
}

/// The content store's response for a hash: the file, the file as one chunk, or the location of its chunk.
fn stored(state: &State, request: &Request, part: &str, hash: &str) -> Response {
    let mut contents = state.repos.values().flat_map(|repo| repo.revisions.values()).flat_map(Files::values);
    let Some(content) = contents.find(|content| sha256(content) == hash) else {
        return Response::error(404, "", "no such object");
    };
    let size = content.len();
    let mut headers = vec![("ETag", "\"of-the-store\"".to_string())];
    // hf-hub follows the redirect and looks for this at its end.
    headers.extend(state.xet.then(|| ("X-Xet-Hash", hash.to_string())));
    match part {
        "/store/" => Response { status: 200, headers, body: content.clone() },
        "/xorbs/" => {
            let length = &(size as u32).to_le_bytes()[..3];
            let body = [&[0], length, &[0], length, content].concat();
            Response { status: 200, headers, body }
        }
        _ => {
            let start =
                request.range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
            let start: usize = start.map_or(0, |(start, _)| start.parse().unwrap());
            let chunks = json!({ "start": 0, "end": 1 });
            let bytes = json!({ "start": 0, "end": size + CHUNK_HEADER - 1 });
            let xorb = json!({
                "url": format!("{}/xorbs/{hash}", state.store),
                "ranges": [{ "chunks": chunks, "bytes": bytes }]
            });
            Response::json(json!({
                "offset_into_first_range": start,
                "terms": [{ "hash": hash, "unpacked_length": size, "range": chunks }],
                "xorbs": { hash: [xorb] }
            }))
        }
    }
}

fn listing(state: &State, path: &str, query: &str, files: &Files) -> Response {
    let folders = files.keys().filter_map(|path| path.rsplit_once('/')).map(|(folder, _)| folder);
    let mut entries: Vec<Value> =
        folders.map(|folder| json!({ "type": "directory", "oid": "0", "size": 0, "path": folder })).collect();
    entries.extend(files.iter().map(|(path, content)| {
        let size = content.len();
        if !is_lfs(path) {
            return json!({ "type": "file", "oid": git_blob(content), "size": size, "path": path });
        }
        let sha256 = sha256(content);
        let pointer =
            format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n");
        let lfs = json!({ "oid": sha256, "size": size, "pointerSize": pointer.len() });
        json!({ "type": "file", "oid": git_blob(pointer.as_bytes()), "size": size, "path": path, "lfs": lfs })
    }));
    let start: usize =
        query.split('&').find_map(|part| part.strip_prefix("cursor=")).map_or(0, |n| n.parse().unwrap());
    let end = start + PAGE;
    let page: Vec<&Value> = entries.iter().skip(start).take(PAGE).collect();
    let mut response = Response::json(json!(page));
    if end < entries.len() || state.endless {
        let next = format!("<{}{path}?recursive=true&cursor={end}>; rel=\"next\"", state.hub);
        response.headers.push(("Link", next));
    }
    response
}

fn content(state: &State, commit: &str, path: &str, files: &Files) -> Response {
    let Some(content) = files.get(path) else {
        return Response::error(404, "EntryNotFound", "Entry not found");
    };
    let mut response = if is_lfs(path) {
        let sha256 = sha256(content);
        let mut response = Response::redirect(302, format!("{}/store/{sha256}", state.store));
        response.headers.push(("X-Linked-ETag", format!("\"{sha256}\"")));
        response.headers.push(("X-Linked-Size", content.len().to_string()));
        response.headers.extend(state.xet.then_some(("X-Xet-Hash", sha256)));
        response
    } else {
        Response { status: 200, headers: Vec::new(), body: content.clone() }
    };
    response.headers.push(("ETag", format!("\"{}\"", git_blob(content))));
    response.headers.push(("X-Repo-Commit", commit.to_string()));
    response
}
