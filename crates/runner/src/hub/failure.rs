//! How a request can fail, whichever client made it.

use std::time::Duration;

use hf_hub::HFError;

use super::error::{HubError, Token, brief};
use super::repo::Repo;

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection could not be established.
    Unreachable(String),
    /// Nothing arrived within the timeout.
    TimedOut(Duration),
    /// The connection was dropped.
    Dropped(String),
    /// The response makes no sense; another attempt is unlikely to help.
    Malformed(String),
    /// Following the response would leak credentials or lower security.
    Unsafe(String),
    /// The server responded with an error.
    Refused(ErrorResponse),
}

/// A response with an error status.
#[derive(Debug)]
pub(super) struct ErrorResponse {
    pub status: u16,
    pub error_code: Option<String>,
    pub message: Option<String>,
    /// The wait that the server asks for.
    pub retry_after: Option<Duration>,
    /// Whether the hub itself responded, rather than a content store that it redirected to.
    pub from_hub: bool,
}

impl Failure {
    /// The error for a failed request for `what`, a part of `repo`.
    pub(super) fn into_error(self, what: String, repo: &Repo, endpoint: &str, token: Token) -> HubError {
        match self {
            Failure::Unreachable(detail) => HubError::NoNetwork { what, endpoint: endpoint.into(), detail },
            Failure::TimedOut(limit) => {
                HubError::Interrupted { what, detail: format!("nothing arrived within {limit:?}") }
            }
            Failure::Dropped(detail) => HubError::Interrupted { what, detail: brief(&detail) },
            Failure::Malformed(detail) => HubError::Malformed { what, detail: brief(&detail) },
            Failure::Unsafe(detail) => HubError::Unsafe { what, detail: brief(&detail) },
            Failure::Refused(response) => response.into_error(what, repo.page(endpoint), token),
        }
    }
}

impl ErrorResponse {
    fn into_error(self, what: String, page: String, token: Token) -> HubError {
        let Self { status, error_code, message, retry_after, from_hub } = self;
        let message = message.map_or_else(|| "no reason given".into(), |message| brief(&message));
        match (error_code.as_deref(), status) {
            (Some("GatedRepo"), _) => HubError::Gated { what, page },
            (Some("RepoNotFound"), _) | (_, 401) => HubError::MissingRepo { what, token },
            (Some("RevisionNotFound"), _) => HubError::MissingRevision { what },
            (Some("EntryNotFound"), _) => HubError::MissingFile { what },
            (_, 408 | 425 | 429 | 500..) => HubError::Busy { what, status, message, retry_after },
            // A signed link to the content store expires; the hub gives a fresh one to the next request.
            (_, 403) if !from_hub => HubError::Busy { what, status, message, retry_after },
            _ => HubError::Refused { what, status, message },
        }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        // A URL may contain the signature that grants access to a file.
        let error = error.without_url();
        let detail = root(&error);
        if error.is_connect() {
            Failure::Unreachable(detail)
        } else if error.is_redirect() || is_not_http(&detail) {
            Failure::Malformed(detail)
        } else {
            Failure::Dropped(chain(&error))
        }
    }
}

impl From<HFError> for Failure {
    fn from(error: HFError) -> Self {
        let (context, retry_after) = match error {
            HFError::Http { context }
            | HFError::AuthRequired { context }
            | HFError::Forbidden { context }
            | HFError::Conflict { context } => (context, None),
            HFError::RateLimited { context, retry_after } => (context, retry_after),
            HFError::RepoNotFound { context: Some(context), .. }
            | HFError::RevisionNotFound { context: Some(context), .. }
            | HFError::EntryNotFound { context: Some(context), .. } => (context, None),
            HFError::Request { source, .. } if source.is_decode() => {
                return Failure::Malformed(root(&source.without_url()));
            }
            HFError::Request { source, .. } => return source.into(),
            HFError::Json(_) | HFError::Url(_) | HFError::MalformedResponse { .. } => {
                return Failure::Malformed(chain(&error));
            }
            _ => return Failure::Dropped(chain(&error)),
        };
        Failure::Refused(ErrorResponse {
            status: context.status.as_u16(),
            error_code: context.error_code.clone(),
            message: context.server_message.clone(),
            retry_after,
            // hf-hub reports errors of the content store in variants of their own.
            from_hub: true,
        })
    }
}

/// The innermost cause of an error.
fn root(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root)
}

/// Whether something that does not speak HTTP responded, which only the text of the cause shows.
fn is_not_http(cause: &str) -> bool {
    cause.starts_with("invalid HTTP") || cause.starts_with("message head is too large")
}

/// An error with its causes, which reqwest's own message leaves out.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
