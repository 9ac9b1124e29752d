//! Error responses of a hub as messages: RFC 9457 `application/problem+json`, or any other body.

use std::{fmt, time::Duration};

use http_body_util::{BodyExt, Limited};
use hyper::{Response, StatusCode, body::Incoming, header};
use serde::Deserialize;
use tokio::time::timeout;

use super::text::one_line;

/// Why the hub refused a request. `Display` says what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubProblem {
    status: Option<u16>,
    code: Option<String>,
    detail: String,
    /// `Retry-After`.
    retry_after: Option<Duration>,
}

/// The fields of a problem document that are shown.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Document {
    #[serde(default)]
    title: String,
    status: Option<u16>,
    #[serde(default)]
    detail: String,
    code: Option<String>,
}

/// Longest error response that is read: a problem has a few hundred bytes, a proxy's page a few thousand.
const MAX_BYTES: usize = 64 * 1024;

/// Timeout for the body, which usually arrives with the head.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest text that is shown of a response that is not a problem document, in characters: about two lines of a
/// terminal.
const MAX_TEXT: usize = 160;

impl HubProblem {
    /// Reads an error response, within bounds of size and time. An incomplete body is ignored.
    pub(super) async fn read(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = timeout(BODY_TIMEOUT, Limited::new(body, MAX_BYTES).collect()).await;
        let body = body.map(|body| body.map(http_body_util::Collected::to_bytes).unwrap_or_default());
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut problem = Self::from_body(head.status, &body.unwrap_or_default());
        problem.retry_after = header(header::RETRY_AFTER).and_then(|text| text.parse().ok()).map(Duration::from_secs);
        if let (true, Some(location)) = (head.status.is_redirection(), header(header::LOCATION)) {
            problem.detail = format!("it is at {location}; use that with --url");
        }
        problem
    }

    /// Takes `Retry-After` out, zero if it is missing or a date, so that `Display` no longer shows it: the caller shows
    /// its own delay.
    pub(super) fn take_retry_after(&mut self) -> Duration {
        self.retry_after.take().unwrap_or_default()
    }

    /// Whether a retry may succeed: after a limit, a full disk, or a proxy's error while the hub restarts. The 52x and
    /// 530 are those of content delivery networks.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self.status, Some(408 | 425 | 429 | 502..=504 | 507 | 520..=527 | 530))
    }

    /// The `code` of a hub's problem document.
    pub(super) fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The HTTP status, if it was a response.
    pub(super) fn status(&self) -> Option<u16> {
        self.status
    }

    /// Its detail.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// What to do about it on the side of the command line.
    pub(super) fn hint(&self) -> &'static str {
        self.status.map_or("", hint)
    }

    /// From the status and the body of an error response.
    pub(super) fn from_body(status: StatusCode, body: &[u8]) -> Self {
        let mut problem = match serde_json::from_slice::<Document>(body) {
            Ok(document) => Self::from(document),
            Err(_) => Self {
                status: None,
                code: None,
                detail: String::from_utf8_lossy(body).trim().chars().take(MAX_TEXT).collect(),
                retry_after: None,
            },
        };
        problem.status = Some(status.as_u16());
        if problem.detail.is_empty() {
            problem.detail = status.canonical_reason().unwrap_or("no reason given").to_lowercase();
        }
        problem
    }
}

impl From<Document> for HubProblem {
    fn from(document: Document) -> Self {
        let detail = if document.detail.is_empty() { document.title } else { document.detail };
        Self { status: document.status, code: document.code, detail, retry_after: None }
    }
}

impl fmt::Display for HubProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the hub refused: {}", one_line(&self.detail))?;
        match (self.status, self.code.as_deref().map(one_line)) {
            (Some(status), Some(code)) => write!(f, " ({status} {code})")?,
            (Some(status), None) => write!(f, " ({status})")?,
            (None, Some(code)) => write!(f, " ({code})")?,
            (None, None) => {}
        }
        match &self.retry_after {
            Some(wait) => write!(f, "; try again in {} s", wait.as_secs()),
            None => Ok(()),
        }
    }
}

/// What to do after a refusal with `status` that is about the token; else empty.
pub(super) fn hint(status: u16) -> &'static str {
    match status {
        401 => "; give a token with --token-file or GAPLESS_TOKEN; `gapless token --explain -` shows what it permits",
        403 => "; `gapless token --explain -` shows what a token permits",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_document_is_shown_with_its_detail_and_code() {
        let body = br#"{"type":"x","title":"Closed","status":409,"detail":"topic t is closed","code":"topic-closed"}"#;
        let message = HubProblem::from_body(StatusCode::CONFLICT, body).to_string();
        assert_eq!(message, "the hub refused: topic t is closed (409 topic-closed)");
    }

    #[test]
    fn any_other_response_is_shown_with_its_text_or_its_status() {
        let message = |body: &[u8]| HubProblem::from_body(StatusCode::BAD_GATEWAY, body).to_string();
        assert_eq!(message(b"upstream down\n"), "the hub refused: upstream down (502)");
        assert_eq!(message(b""), "the hub refused: bad gateway (502)");
        assert!(message(&[b'x'; 5000]).len() < 200);
    }
}
