//! Where the hub and its cache are, timeouts and retries. The only place that reads the environment variables for them.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use regex::{Captures, Regex};

use super::error::HubError;
use super::progress::Progress;

/// How a [`Hub`](super::Hub) reaches the hub and where it keeps files.
#[derive(Debug, Clone)]
pub struct HubSettings {
    /// Base URL of the hub, without a trailing `/`.
    pub endpoint: String,
    /// Cache folder in the hub's layout (`datasets--owner--name/snapshots/...`).
    pub cache: PathBuf,
    /// Access token; without one, requests are anonymous.
    pub token: Option<String>,
    /// Never use the network.
    pub offline: bool,
    /// Most attempts of a request that may succeed later.
    pub attempts: u32,
    /// Wait before the second attempt; it doubles with each further one.
    pub backoff: Duration,
    /// Longest wait that the doubling leads to.
    pub max_backoff: Duration,
    /// How long a connection may stay silent.
    pub timeout: Duration,
    /// The longest total wait between attempts, and the longest time that a response other than a file's content may
    /// take to arrive.
    pub patience: Duration,
    /// How downloads and warnings are shown.
    pub progress: Progress,
}

impl HubSettings {
    /// Settings for the hub at `endpoint` and the cache at `cache`: no token, online, default retries.
    pub fn new(endpoint: impl Into<String>, cache: impl Into<PathBuf>, progress: Progress) -> Self {
        Self {
            endpoint: endpoint.into().trim_end_matches('/').to_string(),
            cache: cache.into(),
            token: None,
            offline: false,
            attempts: 7,
            backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(60),
            timeout: Duration::from_secs(30),
            patience: Duration::from_secs(300),
            progress,
        }
    }

    /// Settings from the environment, read as Python's huggingface_hub reads it, `~` and `$VARIABLE` in paths included:
    /// `HF_ENDPOINT`; `HF_HUB_CACHE` (or `HUGGINGFACE_HUB_CACHE`), `HF_HOME` (else `XDG_CACHE_HOME`, else the home
    /// folder); `HF_TOKEN` (or `HUGGING_FACE_HUB_TOKEN`), else the token file at `HF_TOKEN_PATH` or in `HF_HOME`, and
    /// none if `HF_HUB_DISABLE_IMPLICIT_TOKEN` is set; `HF_HUB_OFFLINE` (or `TRANSFORMERS_OFFLINE`).
    ///
    /// # Errors
    /// When the environment does not determine the cache folder.
    pub fn from_env(progress: Progress) -> Result<Self, HubError> {
        Self::from_variables(|name| std::env::var_os(name), progress)
    }

    fn from_variables(read: impl Fn(&str) -> Option<OsString>, progress: Progress) -> Result<Self, HubError> {
        let variable = |name: &str| read(name).filter(|value| !value.is_empty());
        let text = |name: &str| variable(name)?.into_string().ok();
        let is_true = |value: Option<String>| {
            matches!(value.map(|value| value.to_uppercase()).as_deref(), Some("1" | "ON" | "YES" | "TRUE"))
        };
        let set = |name: &str| read(name)?.into_string().ok();
        let path = |name: &str| variable(name).map(|value| expand(value, &set));
        let home = path("HF_HOME").or_else(|| {
            let caches = path("XDG_CACHE_HOME").or_else(|| Some(std::env::home_dir()?.join(".cache")));
            caches.map(|caches| caches.join("huggingface"))
        });
        let cache = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE"));
        let cache = cache.or_else(|| Some(home.as_ref()?.join("hub"))).ok_or(HubError::NoCacheFolder)?;
        let token_file = path("HF_TOKEN_PATH").or_else(|| Some(home?.join("token")));
        let given = text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN"));
        let token = given.and_then(clean_token).or_else(|| read_token(&token_file?));
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        Ok(Self {
            token: token.filter(|_| !is_true(text("HF_HUB_DISABLE_IMPLICIT_TOKEN"))),
            offline: is_true(text("HF_HUB_OFFLINE").or_else(|| text("TRANSFORMERS_OFFLINE"))),
            ..Self::new(endpoint, cache, progress)
        })
    }

    /// The endpoint for messages, without user and password.
    pub fn shown_endpoint(&self) -> String {
        let (scheme, rest) = self.endpoint.split_once("://").unwrap_or(("", &self.endpoint));
        match rest.rsplit_once('@') {
            Some((_, host)) if scheme.is_empty() => format!("…@{host}"),
            Some((_, host)) => format!("{scheme}://…@{host}"),
            None => self.endpoint.clone(),
        }
    }
}

/// Most bytes of a token file that are read.
const LONGEST_TOKEN: u64 = 1 << 16;

fn read_token(file: &Path) -> Option<String> {
    let mut text = String::new();
    // Opening a FIFO would block.
    let file = fs::File::open(Some(file).filter(|file| file.is_file())?).ok()?;
    file.take(LONGEST_TOKEN).read_to_string(&mut text).ok()?;
    clean_token(text)
}

/// A token without the line ends that secrets often have.
fn clean_token(text: String) -> Option<String> {
    let token = text.replace(['\r', '\n'], "").trim().to_string();
    (!token.is_empty()).then_some(token)
}

/// A path with `~`, `~user`, `$NAME` and `${NAME}` replaced, as Python's `expandvars(expanduser(path))` does:
/// unknown names stay as they are.
fn expand(path: OsString, variable: &impl Fn(&str) -> Option<String>) -> PathBuf {
    static NAME: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\$(?:(?<plain>[0-9A-Za-z_]+)|\{(?<braced>[^}]*)\})").expect("a pattern")
    });
    let path = match path.into_string() {
        Ok(path) => path,
        Err(path) => return path.into(),
    };
    let path = expand_user(&path).unwrap_or(path);
    let value = |found: &Captures| {
        let name = found.name("plain").or_else(|| found.name("braced")).map_or("", |name| name.as_str());
        variable(name).unwrap_or_else(|| found[0].to_string())
    };
    NAME.replace_all(&path, value).into_owned().into()
}

/// A path that begins with `~` or `~user`, with the home folder in its place.
fn expand_user(path: &str) -> Option<String> {
    let rest = path.strip_prefix('~')?;
    let (user, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let home = match user {
        "" => std::env::home_dir()?.into_os_string().into_string().ok()?,
        _ => home_of(user, &fs::read_to_string("/etc/passwd").ok()?)?,
    };
    let path = format!("{}{rest}", home.trim_end_matches('/'));
    Some(if path.is_empty() { "/".into() } else { path })
}

/// A user's home folder in a table such as `/etc/passwd`.
fn home_of(user: &str, table: &str) -> Option<String> {
    let line = table.lines().find(|line| line.split(':').next() == Some(user))?;
    line.split(':').nth(5).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> HubSettings {
        let read = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into());
        HubSettings::from_variables(read, Progress::Silent).unwrap()
    }

    #[test]
    fn the_cache_folder_comes_from_its_variable_or_hf_home_or_the_user_cache() {
        let xdg = ("XDG_CACHE_HOME", "/xdg");
        let home = ("HF_HOME", "/hf");
        assert_eq!(settings(&[xdg]).cache, Path::new("/xdg/huggingface/hub"));
        assert_eq!(settings(&[xdg, home]).cache, Path::new("/hf/hub"));
        assert_eq!(settings(&[xdg, home, ("HF_HUB_CACHE", "/c")]).cache, Path::new("/c"));
    }

    #[test]
    fn paths_are_expanded_as_python_expands_them() {
        let home = std::env::home_dir().unwrap();
        let name = ("NAME", "n");
        for (value, expected) in [
            ("~", home.clone()),
            ("~/hf", home.join("hf")),
            ("/x/$NAME/y", "/x/n/y".into()),
            ("/x/${NAME}y", "/x/ny".into()),
            ("/x/$NAMEy/${MISSING}/$", "/x/$NAMEy/${MISSING}/$".into()),
            ("/x$EMPTY/y", "/x/y".into()),
            ("$TILDE", "~/z".into()),
            ("$NESTED", "$NAME".into()),
            ("~no-such-user/x", "~no-such-user/x".into()),
            ("x/~/y", "x/~/y".into()),
        ] {
            let others = [name, ("EMPTY", ""), ("TILDE", "~/z"), ("NESTED", "$NAME")];
            let with = |variable| settings(&[&others[..], &[(variable, value)]].concat());
            assert_eq!(with("HF_HOME").cache, expected.join("hub"), "{value}");
            assert_eq!(with("HF_HUB_CACHE").cache, expected, "{value}");
            assert_eq!(with("HUGGINGFACE_HUB_CACHE").cache, expected, "{value}");
            assert_eq!(with("XDG_CACHE_HOME").cache, expected.join("huggingface/hub"), "{value}");
        }
        let table = "root:x:0:0:root:/root:/bin/sh\nme:x:1:1::/home/me:/bin/sh\n";
        assert_eq!(home_of("me", table).as_deref(), Some("/home/me"));
        assert_eq!(home_of("m", table), None);
    }

    #[test]
    fn older_variable_names_apply_if_the_newer_ones_are_not_set() {
        let (old, new) = (("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "/new"));
        assert_eq!(settings(&[old, ("HF_HOME", "/hf")]).cache, Path::new("/old"));
        assert_eq!(settings(&[old, new]).cache, Path::new("/new"));
        let home = ("HF_HOME", "/nowhere");
        let (old, new) = (("HUGGING_FACE_HUB_TOKEN", "hf_old"), ("HF_TOKEN", "hf_new"));
        assert_eq!(settings(&[home, old]).token.as_deref(), Some("hf_old"));
        assert_eq!(settings(&[home, old, new]).token.as_deref(), Some("hf_new"));
        let old = ("TRANSFORMERS_OFFLINE", "1");
        assert!(settings(&[home, old]).offline);
        assert!(!settings(&[home, old, ("HF_HUB_OFFLINE", "0")]).offline);
        assert!(settings(&[home, old, ("HF_HUB_OFFLINE", "")]).offline);
    }

    #[test]
    fn an_implicit_token_can_be_disabled() {
        let given = [("HF_HOME", "/nowhere"), ("HF_TOKEN", "hf_x"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")];
        assert_eq!(settings(&given).token, None);
    }

    #[test]
    fn a_password_in_the_endpoint_is_not_shown() {
        for (endpoint, shown) in [
            ("https://user:secret@host:1/x", "https://…@host:1/x"),
            ("http://user:se/cret@host", "http://…@host"),
            ("http://user:se@cret@ho st", "http://…@ho st"),
            ("user:secret@host", "…@host"),
            ("https://host/x", "https://host/x"),
        ] {
            assert_eq!(HubSettings::new(endpoint, "/c", Progress::Silent).shown_endpoint(), shown);
        }
    }

    #[test]
    fn offline_and_endpoint_come_from_their_variables() {
        let plain = settings(&[("HF_HOME", "/hf"), ("HF_HUB_OFFLINE", "0"), ("HF_ENDPOINT", "")]);
        assert!(!plain.offline);
        assert_eq!(plain.endpoint, "https://huggingface.co");
        let other =
            settings(&[("HF_HOME", "/hf"), ("HF_HUB_OFFLINE", "true"), ("HF_ENDPOINT", "http://mirror/")]);
        assert!(other.offline);
        assert_eq!(other.endpoint, "http://mirror");
    }

    #[test]
    fn the_token_comes_from_the_variable_or_the_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "hf_file\n").unwrap();
        let home = ("HF_HOME", folder.path().to_str().unwrap());
        assert_eq!(settings(&[home]).token.as_deref(), Some("hf_file"));
        assert_eq!(settings(&[home, ("HF_TOKEN", "hf_variable")]).token.as_deref(), Some("hf_variable"));
        assert_eq!(settings(&[home, ("HF_TOKEN", " hf_variable\n")]).token.as_deref(), Some("hf_variable"));
        assert_eq!(settings(&[home, ("HF_TOKEN", " \n")]).token.as_deref(), Some("hf_file"));
        let path = ("HF_TOKEN_PATH", "$HF_HOME/token");
        assert_eq!(settings(&[home, path]).token.as_deref(), Some("hf_file"));
        assert_eq!(settings(&[("HF_HOME", "/nowhere")]).token, None);
    }
}
