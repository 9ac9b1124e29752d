//! Error responses of a hub as messages: RFC 9457 `application/problem+json`, or any other body.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use http_body_util::{BodyExt, Limited};
use hyper::{Response, StatusCode, body::Incoming, header};
use serde::Deserialize;
use tokio::time::timeout;

/// Why the hub refused a request, or another server on the way to it. `Display` says what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubProblem(Box<ProblemParts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct ProblemParts {
    status: Option<u16>,
    code: Option<String>,
    title: String,
    detail: String,
    request_id: Option<String>,
    last_id: Option<String>,
    /// `Retry-After`.
    retry_after: Option<Duration>,
}

/// The fields of a problem document.
#[derive(Debug, Default, Deserialize)]
pub struct ProblemDocument {
    #[serde(default)]
    title: String,
    status: Option<u16>,
    #[serde(default)]
    detail: String,
    code: Option<String>,
    request_id: Option<String>,
    last_id: Option<String>,
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
    pub async fn read(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = timeout(BODY_TIMEOUT, Limited::new(body, MAX_BYTES).collect()).await;
        let body = body.map(|body| body.map(http_body_util::Collected::to_bytes).unwrap_or_default());
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut problem = Self::from_body(head.status, &body.unwrap_or_default());
        problem.0.retry_after = header(header::RETRY_AFTER).and_then(|text| retry_after(&text, SystemTime::now()));
        if head.status.is_redirection() {
            problem.0.title = "The answer is a redirect".into();
            if let Some(location) = header(header::LOCATION) {
                problem.0.detail = format!("it is at {location}; give that URL");
            }
        }
        problem
    }

    /// Takes `Retry-After` out, zero if it is missing, so that `Display` no longer shows it: the caller shows
    /// its own delay.
    pub fn take_retry_after(&mut self) -> Duration {
        self.0.retry_after.take().unwrap_or_default()
    }

    /// Whether a retry may succeed: after a limit, a full disk, or a proxy's error while the hub restarts. The 52x and
    /// 530 are those of content delivery networks.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.0.status, Some(408 | 425 | 429 | 502..=504 | 507 | 520..=527 | 530))
    }

    /// The `code` of a hub's problem document.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The HTTP status, if it was a response.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// Its detail.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Its title, which is the same for all problems of one `code`. Without a document it names the status.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.0.title
    }

    /// Under which the hub's operator finds the request in the log.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// With the code `precondition-failed`: the topic's last id, `None` for a topic without events.
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        self.0.last_id.as_deref()
    }

    /// How long the hub asked to wait; `None` if it did not.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// From the status and the body of an error response.
    #[must_use]
    pub fn from_body(status: StatusCode, body: &[u8]) -> Self {
        let mut problem = match serde_json::from_slice::<ProblemDocument>(body) {
            Ok(document) => Self::from(document),
            Err(_) => Self::from(ProblemDocument {
                detail: String::from_utf8_lossy(body).trim().chars().take(MAX_TEXT).collect(),
                ..ProblemDocument::default()
            }),
        };
        problem.0.status = Some(status.as_u16());
        if problem.0.title.is_empty() {
            problem.0.title = format!("HTTP status {}", status.as_u16());
        }
        if problem.0.detail.is_empty() {
            problem.0.detail = status.canonical_reason().unwrap_or("no reason given").to_lowercase();
        }
        problem
    }
}

impl From<ProblemDocument> for HubProblem {
    fn from(document: ProblemDocument) -> Self {
        let ProblemDocument { title, status, detail, code, request_id, last_id } = document;
        let detail = if detail.is_empty() { title.clone() } else { detail };
        Self(Box::new(ProblemParts { status, code, title, detail, request_id, last_id, retry_after: None }))
    }
}

/// `Retry-After` at the time `now`: seconds, or a date, as proxies may send it.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// Untrusted `text` as one line: line breaks become spaces, so that it cannot imitate another message.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

impl fmt::Display for HubProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the hub refused: {}", one_line(&self.0.detail))?;
        match (self.0.status, self.0.code.as_deref().map(one_line)) {
            (Some(status), Some(code)) => write!(f, " ({status} {code})")?,
            (Some(status), None) => write!(f, " ({status})")?,
            (None, Some(code)) => write!(f, " ({code})")?,
            (None, None) => {}
        }
        match &self.0.retry_after {
            Some(wait) => write!(f, "; try again in {} s", wait.as_secs()),
            None => Ok(()),
        }
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
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_763_975_000);
        for (text, want) in [
            ("7", Some(7)),
            ("Mon, 24 Nov 2025 09:03:30 GMT", Some(10)),
            ("Mon, 24 Nov 2025 09:03:10 GMT", Some(0)),
            ("soon", None),
        ] {
            assert_eq!(retry_after(text, now), want.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn any_other_response_is_shown_with_its_text_or_its_status() {
        let message = |body: &[u8]| HubProblem::from_body(StatusCode::BAD_GATEWAY, body).to_string();
        assert_eq!(message(b"upstream down\n"), "the hub refused: upstream down (502)");
        assert_eq!(message(b""), "the hub refused: bad gateway (502)");
        assert!(message(&[b'x'; 5000]).len() < 200);
    }
}
