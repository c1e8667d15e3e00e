//! How a request can fail, whichever client made it.

use std::time::Duration;

use hf_hub::HFError;

use super::http::chain;

/// Why a request brought nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// No connection came about.
    Unreachable(String),
    /// Nothing arrived for so long.
    Silent(Duration),
    /// The connection broke off.
    Broken(String),
    /// The answer makes no sense, and hardly will the next time.
    Malformed(String),
    /// The answer asks for what is not to be done.
    Unsafe(String),
    /// The server says no.
    Status(Status),
}

/// An answer that is an error, and what the server says of it.
#[derive(Debug)]
pub(super) struct Status {
    pub code: u16,
    pub error_code: Option<String>,
    pub message: Option<String>,
    /// The wait that the server asks for.
    pub retry_after: Option<Duration>,
    /// Whether the hub itself answered, and not a store that it redirected to.
    pub from_hub: bool,
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        // An address may hold the signature that opens a file.
        let error = error.without_url();
        let detail = root(&error);
        if error.is_connect() {
            Failure::Unreachable(detail)
        } else if error.is_redirect() || is_no_http(&detail) {
            Failure::Malformed(detail)
        } else {
            Failure::Broken(chain(&error))
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
            _ => return Failure::Broken(chain(&error)),
        };
        Failure::Status(Status {
            code: context.status.as_u16(),
            error_code: context.error_code.clone(),
            message: context.server_message.clone(),
            retry_after,
            // It asks the hub alone; the content store's errors are its own kind.
            from_hub: true,
        })
    }
}

/// What an error comes down to.
fn root(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root)
}

/// Whether something that does not speak HTTP answered, which only the text of the cause tells.
fn is_no_http(cause: &str) -> bool {
    cause.starts_with("invalid HTTP") || cause.starts_with("message head is too large")
}
