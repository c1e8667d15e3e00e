//! Where the hub and its cache are, and how patient we are. The only place that reads their environment variables.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::HubError;
use super::progress::Progress;

/// How a [`Hub`](super::Hub) reaches the hub and where it keeps files.
#[derive(Debug, Clone)]
pub struct HubSettings {
    /// Base URL of the hub, without a trailing `/`.
    pub endpoint: String,
    /// Cache folder in the hub's layout (`datasets--owner--name/snapshots/...`).
    pub cache: PathBuf,
    /// Access token; without one, no authorization is sent.
    pub token: Option<String>,
    /// Never use the network.
    pub offline: bool,
    /// How often a request that may succeed later is tried in all.
    pub attempts: u32,
    /// Wait before the second attempt; it doubles with each further one.
    pub backoff: Duration,
    /// Upper limit of the doubling.
    pub max_backoff: Duration,
    /// How long a connection may stay silent.
    pub timeout: Duration,
    /// How downloads and warnings are shown.
    pub progress: Progress,
}

impl HubSettings {
    /// Settings for the hub at `endpoint` and the cache at `cache`: no token, online, default patience.
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
            progress,
        }
    }

    /// Settings from `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME` (else `XDG_CACHE_HOME`, else the home folder),
    /// `HF_TOKEN` (else the token file at `HF_TOKEN_PATH` or in `HF_HOME`) and `HF_HUB_OFFLINE`.
    pub fn from_env(progress: Progress) -> Result<Self, HubError> {
        Self::from_variables(|name| std::env::var(name).ok(), progress)
    }

    fn from_variables(read: impl Fn(&str) -> Option<String>, progress: Progress) -> Result<Self, HubError> {
        let variable = |name: &str| read(name).filter(|value| !value.is_empty());
        let home = variable("HF_HOME").map(PathBuf::from).or_else(|| {
            let caches = variable("XDG_CACHE_HOME").map(PathBuf::from);
            let caches = caches.or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
            caches.map(|caches| caches.join("huggingface"))
        });
        let cache = variable("HF_HUB_CACHE")
            .map(PathBuf::from)
            .or_else(|| home.as_ref().map(|home| home.join("hub")));
        let token_file =
            variable("HF_TOKEN_PATH").map(PathBuf::from).or_else(|| home.map(|home| home.join("token")));
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        let offline = variable("HF_HUB_OFFLINE").map(|value| value.to_uppercase());
        Ok(Self {
            token: variable("HF_TOKEN").and_then(token).or_else(|| read_token(&token_file?)),
            offline: matches!(offline.as_deref(), Some("1" | "ON" | "YES" | "TRUE")),
            ..Self::new(endpoint, cache.ok_or(HubError::NoCacheFolder)?, progress)
        })
    }
}

fn read_token(file: &Path) -> Option<String> {
    std::fs::read_to_string(file).ok().and_then(token)
}

/// A token without the line end that secrets often come with.
fn token(text: String) -> Option<String> {
    let token = text.trim();
    (!token.is_empty()).then(|| token.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> HubSettings {
        let read =
            |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_string());
        HubSettings::from_variables(read, Progress::Silent).unwrap()
    }

    #[test]
    fn the_cache_is_the_one_named_or_in_hf_home_or_in_the_user_cache() {
        let xdg = ("XDG_CACHE_HOME", "/xdg");
        let home = ("HF_HOME", "/hf");
        assert_eq!(settings(&[xdg]).cache, Path::new("/xdg/huggingface/hub"));
        assert_eq!(settings(&[xdg, home]).cache, Path::new("/hf/hub"));
        assert_eq!(settings(&[xdg, home, ("HF_HUB_CACHE", "/c")]).cache, Path::new("/c"));
    }

    #[test]
    fn offline_and_endpoint() {
        let plain = settings(&[("HF_HOME", "/hf"), ("HF_HUB_OFFLINE", "0"), ("HF_ENDPOINT", "")]);
        assert!(!plain.offline);
        assert_eq!(plain.endpoint, "https://huggingface.co");
        let other =
            settings(&[("HF_HOME", "/hf"), ("HF_HUB_OFFLINE", "true"), ("HF_ENDPOINT", "http://mirror/")]);
        assert!(other.offline);
        assert_eq!(other.endpoint, "http://mirror");
    }

    #[test]
    fn the_token_is_the_variable_or_the_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "hf_file\n").unwrap();
        let home = ("HF_HOME", folder.path().to_str().unwrap());
        assert_eq!(settings(&[home]).token.as_deref(), Some("hf_file"));
        assert_eq!(settings(&[home, ("HF_TOKEN", "hf_variable")]).token.as_deref(), Some("hf_variable"));
        assert_eq!(settings(&[home, ("HF_TOKEN", " hf_variable\n")]).token.as_deref(), Some("hf_variable"));
        assert_eq!(settings(&[home, ("HF_TOKEN", " \n")]).token.as_deref(), Some("hf_file"));
        assert_eq!(settings(&[("HF_HOME", "/nowhere")]).token, None);
    }
}
