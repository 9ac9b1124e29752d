//! Every error response: its code, status and text, as `application/problem+json` (RFC 9457).
//!
//! A [`Problem`] is created where a request is refused. One place turns it into a response and counts it.

use std::{borrow::Cow, time::Duration};

use http::{HeaderValue, StatusCode, header};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{json_text, request_id::RequestId};
use crate::{
    access::Refusal,
    engine::{AppendError, ReadError},
    event::{EventId, data::NotUtf8, record::NameError, topic::TopicError},
    http::net::response::{Response, full},
    hub::stats::Stats,
    quota::{Exceeded, memory::MemoryRefused},
};

/// The table: every code, its status, and its title.
macro_rules! codes {
    ($($name:ident, $code:literal, $status:ident, $title:literal;)*) => {
        /// Why a request was refused. The meaning of a code never changes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status of the code.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// The title: the same text for every problem of this code.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    TopicInvalid, "topic-invalid", BAD_REQUEST, "The topic is missing or breaks a rule for names";
    EventNameInvalid, "event-name-invalid", BAD_REQUEST, "The event name breaks a rule for names";
    DataNotUtf8, "data-not-utf8", BAD_REQUEST, "The data is not UTF-8 text";
    BodyInvalid, "body-invalid", BAD_REQUEST, "The body is not what this request needs";
    QueryInvalid, "query-invalid", BAD_REQUEST, "The query string is not what this request needs";
    IdInvalid, "id-invalid", BAD_REQUEST, "The id in the path is not an event id";
    HeaderInvalid, "header-invalid", BAD_REQUEST, "A header is not what this request needs";
    Unauthorized, "unauthorized", UNAUTHORIZED, "A credential is missing or not valid";
    Forbidden, "forbidden", FORBIDDEN, "The credential does not permit this";
    OriginForbidden, "origin-forbidden", FORBIDDEN, "Pages of this origin may not do this";
    HostUnknown, "host-unknown", MISDIRECTED_REQUEST, "The Host header does not name this hub";
    NotFound, "not-found", NOT_FOUND, "No resource has this path";
    TopicUnknown, "topic-unknown", NOT_FOUND, "There is no such topic";
    EventUnknown, "event-unknown", NOT_FOUND, "There is no such event";
    StreamUnknown, "stream-unknown", NOT_FOUND, "There is no such stream";
    RunUnknown, "run-unknown", NOT_FOUND, "There is no such run";
    MethodNotAllowed, "method-not-allowed", METHOD_NOT_ALLOWED, "The path does not take this method";
    RequestTimeout, "request-timeout", REQUEST_TIMEOUT, "The body did not arrive in time";
    IdempotencyConflict, "idempotency-conflict", CONFLICT, "The Idempotency-Key was used for another request";
    TopicClosed, "topic-closed", CONFLICT, "The topic is closed";
    StreamExists, "stream-exists", CONFLICT, "There is a stream of this name with another configuration";
    ContentTypeMismatch, "content-type-mismatch", CONFLICT, "The stream has another content type";
    StreamSeqConflict, "stream-seq-conflict", CONFLICT, "The Stream-Seq is not above the last one";
    ProducerGap, "producer-gap", CONFLICT, "Appends of the producer are missing";
    ProducerFenced, "producer-fenced", FORBIDDEN, "A later producer with this id has taken over";
    StreamDeleted, "stream-deleted", GONE, "The stream was deleted";
    OffsetGone, "offset-gone", GONE, "Events after the offset are gone";
    BackupRunning, "backup-running", CONFLICT, "Another backup is being made";
    BackupUnsupported, "backup-unsupported", NOT_IMPLEMENTED, "The engine has no backups of its own";
    TopicBusy, "topic-busy", CONFLICT, "The topic has a running run";
    CursorUnknown, "cursor-unknown", GONE, "The run to be resumed is not known";
    PreconditionFailed, "precondition-failed", PRECONDITION_FAILED, "The topic's last id is not the expected one";
    HeadersTooLarge, "headers-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE, "A header line is too large";
    TooLarge, "too-large", PAYLOAD_TOO_LARGE, "The request is too large";
    EncodingUnsupported, "encoding-unsupported", UNSUPPORTED_MEDIA_TYPE, "The body is compressed";
    EventFormatUnsupported, "event-format-unsupported", UNSUPPORTED_MEDIA_TYPE, "The format of the CloudEvent is not read here";
    TransferEncodingUnsupported, "transfer-encoding-unsupported", NOT_IMPLEMENTED, "The body's transfer coding is not known";
    UpstreamUnreachable, "upstream-unreachable", BAD_GATEWAY, "The provider cannot be reached";
    UpstreamFailed, "upstream-failed", BAD_GATEWAY, "The provider's answer cannot be passed on";
    UpstreamTimeout, "upstream-timeout", GATEWAY_TIMEOUT, "The provider did not answer in time";
    OverCapacity, "over-capacity", TOO_MANY_REQUESTS, "The hub is busy";
    RateLimited, "rate-limited", TOO_MANY_REQUESTS, "The client has reached its limit";
    KeysUnavailable, "keys-unavailable", SERVICE_UNAVAILABLE, "The issuer's keys are not loaded yet";
    Draining, "draining", SERVICE_UNAVAILABLE, "The hub is stopping";
    StoreUnavailable, "store-unavailable", SERVICE_UNAVAILABLE, "The store is unavailable";
    StorageFull, "storage-full", INSUFFICIENT_STORAGE, "The disk is nearly full";
}

impl Code {
    /// The range of `Retry-After` for transient codes, in seconds. Each response draws one at random, so that many
    /// refused clients do not retry together.
    ///
    /// `None` for what the client must change first.
    const fn retry_after(self) -> Option<(u32, u32)> {
        match self {
            Self::OverCapacity | Self::RateLimited => Some((1, 4)),
            Self::KeysUnavailable | Self::Draining => Some((2, 6)),
            Self::StoreUnavailable | Self::StorageFull => Some((10, 30)),
            _ => None,
        }
    }
}

/// A refused request, or a refused line of a streamed body. `detail` says what the client can change.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// The kind of problem.
    pub code: Code,
    /// What is wrong, and what to change.
    pub detail: Cow<'static, str>,
    extra: Extra,
}

/// Data of particular codes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Extra {
    Nothing,
    /// The topic's last id; the member `last_id`.
    LastId(Option<EventId>),
    /// The methods of the path; the header `Allow`.
    Allow(&'static str),
    /// The scheme, and the error code of RFC 6750 if a credential came; the header `WWW-Authenticate`.
    Challenge(&'static str),
    /// The exact wait of an exceeded limit; the header `Retry-After`.
    RetryAfter(Duration),
}

impl Problem {
    /// A problem with this `detail`.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), extra: Extra::Nothing }
    }

    /// 405 for a path that accepts the methods in `allow`, as the `Allow` header lists them.
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let problem = Self::new(Code::MethodNotAllowed, format!("use one of: {allow}"));
        Self { extra: Extra::Allow(allow), ..problem }
    }

    /// 401: the request has no credential, and needs one.
    #[must_use]
    pub fn missing_credential(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { extra: Extra::Challenge("Bearer realm=\"gapless\""), ..Self::new(Code::Unauthorized, detail) }
    }

    /// 401: the request's credential is not valid.
    #[must_use]
    pub fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        let challenge = "Bearer realm=\"gapless\", error=\"invalid_token\"";
        Self { extra: Extra::Challenge(challenge), ..Self::new(Code::Unauthorized, detail) }
    }

    /// 403: the credential is valid, but does not permit the request.
    #[must_use]
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        let challenge = "Bearer realm=\"gapless\", error=\"insufficient_scope\"";
        Self { extra: Extra::Challenge(challenge), ..Self::new(Code::Forbidden, detail) }
    }

    /// 429: this client has reached a limit; the same request is within it again after `wait`.
    #[must_use]
    pub fn rate_limited(wait: Duration, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { extra: Extra::RetryAfter(wait), ..Self::new(Code::RateLimited, detail) }
    }

    /// Whether the same request may succeed later without a change.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.code.retry_after().is_some()
    }

    /// The exact time to wait before a retry, if it is known; else zero.
    #[must_use]
    pub fn wait(&self) -> Duration {
        if let Extra::RetryAfter(wait) = self.extra { wait } else { Duration::ZERO }
    }

    /// 412: the topic's last id is `last`, not the one asked for.
    #[must_use]
    pub fn precondition_failed(last: Option<EventId>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { extra: Extra::LastId(last), ..Self::new(Code::PreconditionFailed, detail) }
    }

    /// Puts `place`, the part of the request that the problem is about, before the detail.
    #[must_use]
    pub fn at(mut self, place: impl std::fmt::Display) -> Self {
        self.detail = format!("{place}: {}", self.detail).into();
        self
    }

    /// The problem as a response to the request with this id; counts it in `stats`.
    #[must_use]
    pub fn into_response(self, request: &RequestId, stats: &Stats) -> Response {
        stats.refused(self.code.as_str());
        let text = json_text::text(&RequestProblem(&self, request));
        let mut response = Response::new(full(text + "\n"));
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((earliest, latest)) = self.code.retry_after() {
            let seconds = match self.extra {
                // The number in the detail. Rounded up, or a client that retries in time would be refused again.
                Extra::RetryAfter(wait) => wait.as_millis().div_ceil(1000).try_into().unwrap_or(u32::MAX).max(1),
                _ => fastrand::u32(earliest..=latest),
            };
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        match self.extra {
            Extra::Allow(methods) => {
                headers.insert(header::ALLOW, HeaderValue::from_static(methods));
            }
            Extra::Challenge(challenge) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            Extra::Nothing | Extra::LastId(_) | Extra::RetryAfter(_) => {}
        }
        response
    }
}

impl Problem {
    /// The members of RFC 9457, then `code` and `last_id`. Without `instance`: it would have to be a URI, and no request
    /// has one.
    fn members<M: SerializeMap>(&self, object: &mut M) -> Result<(), M::Error> {
        // Relative, because the hub does not know its own public name.
        object.serialize_entry("type", &format_args!("/docs/PROTOCOL.md#{}", self.code.as_str()))?;
        object.serialize_entry("title", self.code.title())?;
        object.serialize_entry("status", &self.code.status().as_u16())?;
        object.serialize_entry("detail", &self.detail)?;
        object.serialize_entry("code", self.code.as_str())?;
        if let Extra::LastId(last) = self.extra {
            object.serialize_entry("last_id", &last.map(|id| id.to_string()))?;
        }
        Ok(())
    }
}

/// A problem of a line in a streamed body. The response that contains it has the id of the request in its head.
impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut object = out.serialize_map(None)?;
        self.members(&mut object)?;
        object.end()
    }
}

/// A problem of a whole request: the member `request_id` is the last one.
struct RequestProblem<'a>(&'a Problem, &'a RequestId);

impl Serialize for RequestProblem<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let Self(problem, request) = self;
        let mut object = out.serialize_map(None)?;
        problem.members(&mut object)?;
        object.serialize_entry("request_id", &format_args!("{request}"))?;
        object.end()
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        let (code, detail): (Code, Cow<'static, str>) = match error {
            AppendError::Precondition { last } => {
                let detail = "the topic's last id does not match If-Match; read the events after yours and try again";
                return Self::precondition_failed(last, detail);
            }
            AppendError::MetadataChanged { .. } => {
                (Code::PreconditionFailed, "the topic was changed meanwhile; read its state and try again".into())
            }
            AppendError::Closed { topic } => (
                Code::TopicClosed,
                format!("topic {topic} is closed; reopen it with PUT {{\"closed\":false}} or use another").into(),
            ),
            AppendError::KeyReused => (
                Code::IdempotencyConflict,
                "this Idempotency-Key was used for another request; use a fresh key".into(),
            ),
            AppendError::KeysFull { own, wait } => {
                let code = if own { Code::RateLimited } else { Code::OverCapacity };
                return Self { extra: Extra::RetryAfter(wait), ..Self::new(code, keys_full(own, wait)) };
            }
            AppendError::KeyTooLarge => (
                Code::TooLarge,
                "this batch names too many topics for its receipts to be remembered under one Idempotency-Key; split \
                 it, and give each part its own key"
                    .into(),
            ),
            AppendError::TooMany { max } => (
                Code::TooLarge,
                format!("this hub's engine commits at most {max} events at once; split the batch").into(),
            ),
            AppendError::TooLarge { bytes, max } => (
                Code::TooLarge,
                format!("this append takes {bytes} bytes in the engine, which writes at most {max} at once; split it")
                    .into(),
            ),
            AppendError::LimitUnsupported { limit } => (
                Code::BodyInvalid,
                format!("this hub's engine cannot limit a topic by '{limit}'; leave it out").into(),
            ),
            AppendError::Busy => (Code::OverCapacity, "the write queue is full; try again in a moment".into()),
            AppendError::Full => (
                Code::StorageFull,
                "the disk is nearly full, so nothing is accepted until space is freed; what was accepted before is safe"
                    .into(),
            ),
            AppendError::NotNow { reason } => (
                Code::StoreUnavailable,
                format!("the store cannot be used now: {reason}; nothing was written, try again").into(),
            ),
            AppendError::Unavailable { reason } => (
                Code::StoreUnavailable,
                format!(
                    "it is not known whether this was written: {reason}; repeat it with the same Idempotency-Key. A \
                     store that could not flush accepts no writes until the hub is restarted and has checked the disk"
                )
                .into(),
            ),
        };
        Self::new(code, detail)
    }
}

fn keys_full(own: bool, wait: Duration) -> String {
    let whose = if own { "this client has used" } else { "all clients together have used" };
    format!(
        "{whose} as many Idempotency-Keys as the hub remembers at a time; the oldest expires in {} s: try again then, \
         or publish more events under one key",
        wait.as_millis().div_ceil(1000)
    )
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Self::new(Code::StoreUnavailable, error.to_string())
    }
}

impl From<TopicError> for Problem {
    fn from(error: TopicError) -> Self {
        Self::new(Code::TopicInvalid, error.to_string())
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        Self::new(Code::EventNameInvalid, error.to_string())
    }
}

impl From<NotUtf8> for Problem {
    fn from(error: NotUtf8) -> Self {
        let hint = "name the type of binary data, as in Content-Type: application/octet-stream, or send it in a JSON envelope as \
                    base64 with \"encoding\":\"base64\"";
        Self::new(Code::DataNotUtf8, format!("{error}; {hint}"))
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        if refusal.is_transient() { Self::new(Code::KeysUnavailable, detail) } else { Self::unauthorized(detail) }
    }
}

impl From<Exceeded> for Problem {
    fn from(exceeded: Exceeded) -> Self {
        Self::rate_limited(exceeded.wait, exceeded.to_string())
    }
}

impl From<MemoryRefused> for Problem {
    fn from(refused: MemoryRefused) -> Self {
        let code = match refused {
            MemoryRefused::Exhausted { .. } => Code::OverCapacity,
            MemoryRefused::TooLarge { .. } => Code::TooLarge,
        };
        Self::new(code, refused.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::message::request_id::RequestIds;

    fn request_id() -> RequestId {
        RequestIds::new(0).of(&http::HeaderMap::new(), false)
    }

    #[test]
    fn memory_that_is_in_use_is_worth_a_retry_and_a_batch_larger_than_all_memory_is_not() {
        let code = |refused: MemoryRefused| Problem::from(refused).code;
        assert_eq!(code(MemoryRefused::TooLarge { size: 9, total: 8 }), Code::TooLarge);
        let exhausted = MemoryRefused::Exhausted { used: 8, total: 8, whose: "this address", held: 8 };
        assert_eq!(code(exhausted), Code::OverCapacity);
    }

    #[test]
    fn a_code_means_one_thing() {
        let texts: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        assert!(
            texts.iter().all(|text| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
        );
    }

    #[test]
    fn a_transient_problem_has_a_retry_after() {
        for &code in Code::ALL {
            let response = Problem::new(code, "x").into_response(&request_id(), &Stats::default());
            let transient = matches!(response.status().as_u16(), 429 | 503 | 507);
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), transient, "{code:?}");
        }
    }

    #[test]
    fn a_limit_of_the_clients_own_says_one_number() {
        for (ms, seconds) in [(1, "1"), (1000, "1"), (1001, "2"), (16_000, "16")] {
            for _ in 0..20 {
                let problem = Problem::rate_limited(Duration::from_millis(ms), "x");
                assert_eq!(
                    problem.into_response(&request_id(), &Stats::default()).headers()[header::RETRY_AFTER],
                    seconds
                );
            }
        }
    }

    #[test]
    fn a_failed_precondition_carries_the_last_id_even_when_there_is_none() {
        let shown = |error: AppendError| serde_json::to_value(Problem::from(error)).expect("JSON");
        let last = EventId::parse("abcd-7");
        assert_eq!(shown(AppendError::Precondition { last })["last_id"], "abcd-7");
        assert_eq!(shown(AppendError::Precondition { last: None }).get("last_id"), Some(&serde_json::Value::Null));
        assert_eq!(shown(AppendError::KeyReused).get("last_id"), None);
    }

    #[test]
    fn an_answer_is_counted_once_under_its_code() {
        let stats = Stats::default();
        let response = Problem::method_not_allowed("GET, HEAD").into_response(&request_id(), &stats);
        assert_eq!(response.headers()[header::ALLOW], "GET, HEAD");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(stats.refused_by_code().into_iter().collect::<Vec<_>>(), [("method-not-allowed", 1)]);
    }
}
