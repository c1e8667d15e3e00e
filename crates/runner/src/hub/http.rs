//! Requests to the hub that trust no response with our credentials, memory or time.

use std::future::Future;
use std::ops::Range;
use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LINK, LOCATION, RANGE, RETRY_AFTER};
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Client, ClientBuilder, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::HubError;
use super::failure::{ErrorResponse, Failure, chain};
use super::settings::HubSettings;

/// Most bytes of a response that is read into memory. A page of a listing has a few hundred thousand.
const LONGEST_RESPONSE: usize = 64 << 20;
/// Most bytes of an error response that are read.
const LONGEST_ERROR: usize = 1 << 16;
/// Most redirects that one request follows.
const MAX_REDIRECTS: usize = 10;
/// Header of files that are stored in chunks.
const CHUNKED: &str = "X-Xet-Hash";

/// The hub's URL and our credentials for it.
pub(super) struct Http {
    client: Client,
    /// Without credentials.
    endpoint: Url,
    authorization: Option<HeaderValue>,
    timeout: Duration,
    patience: Duration,
}

/// The content of a file, as the server offers it.
pub(super) enum Content {
    Stream(Response),
    /// In chunks in the hub's content store.
    Chunks,
}

impl Http {
    pub(super) fn new(settings: &HubSettings) -> Result<Self, HubError> {
        let bad = |detail: String| HubError::NoClient { endpoint: settings.shown_endpoint(), detail };
        let mut endpoint = Url::parse(&settings.endpoint).map_err(|error| bad(error.to_string()))?;
        if !is_http(&endpoint) || endpoint.query().is_some() || endpoint.fragment().is_some() {
            return Err(bad("expected https://host/path".into()));
        }
        let client = builder().redirect(Policy::none()).build().map_err(|error| bad(chain(&error)))?;
        // A user and password in the URL become a header here.
        let plain = client.get(endpoint.clone()).build().map_err(|error| bad(chain(&error)))?;
        let authorization = match &settings.token {
            Some(token) => Some(bearer(token)?),
            None => plain.headers().get(AUTHORIZATION).cloned(),
        };
        let _ = endpoint.set_username("");
        let _ = endpoint.set_password(None);
        let HubSettings { timeout, patience, .. } = *settings;
        Ok(Self { client, endpoint, authorization, timeout, patience })
    }

    /// The hub's URL without credentials and without a trailing `/`.
    pub(super) fn endpoint(&self) -> &str {
        self.endpoint.as_str().trim_end_matches('/')
    }

    /// The URL of a path at the hub; the parts may contain any character.
    pub(super) fn url<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.endpoint.clone();
        // An HTTP URL always has a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts);
        }
        url
    }

    /// Whether a URL has the hub's origin, the only one that gets credentials.
    pub(super) fn is_ours(&self, url: &Url) -> bool {
        url.origin() == self.endpoint.origin()
    }

    /// A JSON response, and the URL of its next page.
    pub(super) async fn json<T: DeserializeOwned>(&self, url: Url) -> Result<(T, Option<Url>), Failure> {
        within(self.patience, async {
            let Content::Stream(response) = self.get(url, None).await? else {
                return Err(Failure::Malformed("a file in place of JSON".into()));
            };
            let next = self.next_page(&response)?;
            let body = self.body(response, LONGEST_RESPONSE).await?;
            let body = body.ok_or_else(|| {
                Failure::Malformed(format!("the response is longer than {LONGEST_RESPONSE} bytes"))
            })?;
            let malformed = |error| Failure::Malformed(format!("unexpected JSON ({error})"));
            Ok((serde_json::from_slice(&body).map_err(malformed)?, next))
        })
        .await
    }

    /// The status with which the hub's own address answers, without credentials.
    pub(super) async fn head(&self) -> Result<u16, Failure> {
        Ok(self.client.head(self.endpoint.clone()).send().await?.status().as_u16())
    }

    /// Requests the bytes of a file, all or those in `range`.
    pub(super) async fn get(&self, url: Url, range: Option<&Range<u64>>) -> Result<Content, Failure> {
        let mut url = url;
        for _ in 0..=MAX_REDIRECTS {
            let mut request = self.client.get(url.clone());
            if let Some(authorization) = self.authorization.clone().filter(|_| self.is_ours(&url)) {
                request = request.header(AUTHORIZATION, authorization);
            }
            if let Some(Range { start, end }) = range {
                request = request.header(RANGE, format!("bytes={start}-{}", end.saturating_sub(1)));
            }
            let response = self.limited(request.send()).await?;
            let status = response.status();
            if !status.is_success() && !status.is_redirection() {
                return Err(self.refusal(response).await);
            }
            if response.headers().contains_key(CHUNKED) {
                return Ok(Content::Chunks);
            }
            match response.headers().get(LOCATION) {
                Some(to) if status.is_redirection() => url = target(response.url(), to)?,
                _ if status.is_success() => return Ok(Content::Stream(response)),
                _ => return Err(self.refusal(response).await),
            }
        }
        Err(Failure::Malformed(format!("redirected more than {MAX_REDIRECTS} times")))
    }

    /// Waits at most as long as the server may stay silent.
    pub(super) async fn limited<T, E: Into<Failure>>(
        &self,
        request: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        within(self.timeout, request).await
    }

    /// The URL of the next page of a listing, which must be at the hub.
    fn next_page(&self, response: &Response) -> Result<Option<Url>, Failure> {
        static NEXT: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r#"<(?<url>[^<>]*)>[^<]*;\s*rel\s*=\s*"?next\b"#).expect("a valid pattern")
        });
        let links = response.headers().get_all(LINK).iter().filter_map(|link| link.to_str().ok());
        let Some(found) = links.into_iter().find_map(|link| NEXT.captures(link)) else { return Ok(None) };
        let next = response
            .url()
            .join(&found["url"])
            .map_err(|error| Failure::Malformed(format!("the next page has an invalid URL ({error})")))?;
        if !self.is_ours(&next) {
            let origin = next.origin().ascii_serialization();
            return Err(Failure::Unsafe(format!("the listing continues at {origin}, which is not the hub")));
        }
        Ok(Some(next))
    }

    /// The whole body, or `None` if it is longer than `longest`.
    async fn body(&self, mut response: Response, longest: usize) -> Result<Option<Vec<u8>>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = self.limited(response.chunk()).await? {
            body.extend_from_slice(&chunk);
            if body.len() > longest {
                return Ok(None);
            }
        }
        Ok(Some(body))
    }

    async fn refusal(&self, response: Response) -> Failure {
        #[derive(Deserialize)]
        struct Body {
            error: String,
        }
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_string());
        let mut refusal = ErrorResponse {
            status: response.status().as_u16(),
            error_code: header("X-Error-Code"),
            message: header("X-Error-Message"),
            retry_after: retry_after(response.headers()),
            from_hub: self.is_ours(response.url()),
        };
        if refusal.message.is_none() {
            // The status is enough if the body does not arrive.
            let body = within(self.timeout, self.body(response, LONGEST_ERROR)).await.ok().flatten();
            let body = body.and_then(|body| serde_json::from_slice::<Body>(&body).ok());
            refusal.message = body.map(|body| body.error);
        }
        Failure::Refused(refusal)
    }
}

/// A client for hf-hub, which sends the token with every request and leaves it to the client to drop it on redirects.
pub(super) fn client_for_hf_hub(http: &Http) -> Result<Client, reqwest::Error> {
    let hub = http.endpoint.origin();
    let follow = move |attempt: Attempt| -> Action {
        let (next, previous) = (attempt.url().clone(), attempt.previous());
        let last = previous.last().cloned();
        let stays = last.as_ref().is_some_and(|last| last.origin() == next.origin());
        if previous.len() > MAX_REDIRECTS {
            attempt.error("too many redirects")
        } else if last.is_some_and(|last| is_downgrade(&last, &next)) {
            attempt.error("redirected from https to http")
        } else if stays && next.origin() != hub {
            // reqwest resends the headers of the first request when a redirect stays within a host.
            attempt.error("redirected twice within another host")
        } else {
            attempt.follow()
        }
    };
    let mut headers = HeaderMap::new();
    headers.extend(http.authorization.clone().map(|authorization| (AUTHORIZATION, authorization)));
    builder().default_headers(headers).redirect(Policy::custom(follow)).build()
}

fn builder() -> ClientBuilder {
    Client::builder().user_agent(concat!("peft-bench/", env!("CARGO_PKG_VERSION")))
}

fn bearer(token: &str) -> Result<HeaderValue, HubError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| HubError::BadToken)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Where a redirect leads.
fn target(from: &Url, location: &HeaderValue) -> Result<Url, Failure> {
    let to = location.to_str().ok().and_then(|to| from.join(to).ok());
    let to = to.ok_or_else(|| Failure::Malformed("redirected to an invalid URL".into()))?;
    if is_http(&to) && !is_downgrade(from, &to) {
        return Ok(to);
    }
    let place = |url: &Url| format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
    Err(Failure::Unsafe(format!("redirected from {} to {}", place(from), place(&to))))
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

fn is_downgrade(from: &Url, to: &Url) -> bool {
    from.scheme() == "https" && to.scheme() != "https"
}

/// The wait that a server asks for, in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Duration::from_secs(text.parse().unwrap_or(u64::MAX)))
}

/// Fails with [`Failure::TimedOut`] after `limit`.
pub(super) async fn within<T, E: Into<Failure>>(
    limit: Duration,
    request: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, request).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(Failure::TimedOut(limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_never_lowers_security() {
        let to = |location: &'static str| {
            let from = Url::parse("https://hub/a/b").unwrap();
            target(&from, &HeaderValue::from_static(location)).map(String::from)
        };
        assert_eq!(to("/c").unwrap(), "https://hub/c");
        assert_eq!(to("https://store/c").unwrap(), "https://store/c");
        for unsafe_place in ["http://hub/a/b", "http://store/c", "file:///etc/passwd", "ftp://hub/a"] {
            assert!(matches!(to(unsafe_place), Err(Failure::Unsafe(_))), "{unsafe_place}");
        }
        assert!(matches!(to("https://"), Err(Failure::Malformed(_))));
    }

    #[test]
    fn retry_after_is_read_as_seconds_of_any_size() {
        let wait = |text: &'static str| {
            retry_after(&HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]))
        };
        assert_eq!(wait("599"), Some(Duration::from_secs(599)));
        assert_eq!(wait("99999999999999999999999"), Some(Duration::from_secs(u64::MAX)));
        assert_eq!((wait("-1"), wait("soon"), wait("")), (None, None, None));
    }
}
