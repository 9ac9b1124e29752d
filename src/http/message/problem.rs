//! Every error response: its code, status and text, as `application/problem+json` (RFC 9457).
//!
//! A [`Problem`] is created where a request is refused. One place turns it into a response and counts it. Its codes are in
//! `code`; what the errors of other modules become, in `conversions`.

use std::{borrow::Cow, time::Duration};

use http::{HeaderValue, header};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{json_text, request_id::RequestId};
use crate::{
    event::EventId,
    http::net::response::{Response, full},
    hub::stats::Stats,
};

mod code;
mod conversions;

pub use code::Code;

/// Bytes of a detail at most: it may quote the request, whose values have no other limit than the body's. Room for a sentence
/// and some names of full length.
const MAX_DETAIL_BYTES: usize = 4096;

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
    /// A problem with this `detail`, of which 4 KiB are kept.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: bounded(detail.into()), extra: Extra::Nothing }
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
        self.detail = bounded(format!("{place}: {}", self.detail).into());
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

fn bounded(mut detail: Cow<'static, str>) -> Cow<'static, str> {
    const CUT: &str = "…";
    if detail.len() > MAX_DETAIL_BYTES {
        let text = detail.to_mut();
        text.truncate(text.floor_char_boundary(MAX_DETAIL_BYTES - CUT.len()));
        text.push_str(CUT);
    }
    detail
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::message::request_id::RequestIds;

    fn request_id() -> RequestId {
        RequestIds::new(0).of(&http::HeaderMap::new(), false)
    }

    #[test]
    fn a_detail_is_cut_whatever_it_quotes() {
        let long = "ü".repeat(MAX_DETAIL_BYTES);
        let problem = Problem::new(Code::BodyInvalid, format!("unknown field: '{long}'"));
        assert!(problem.detail.starts_with("unknown field: 'ü") && problem.detail.ends_with("ü…"));
        assert_eq!(problem.detail.len(), MAX_DETAIL_BYTES - 1, "it is cut between two characters");
        let problem = problem.at(&long);
        assert!(problem.detail.ends_with("ü…") && problem.detail.len() <= MAX_DETAIL_BYTES);
        let fits = "x".repeat(MAX_DETAIL_BYTES);
        assert_eq!(Problem::new(Code::BodyInvalid, fits.clone()).detail, fits);
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
    fn an_answer_is_counted_once_under_its_code() {
        let stats = Stats::default();
        let response = Problem::method_not_allowed("GET, HEAD").into_response(&request_id(), &stats);
        assert_eq!(response.headers()[header::ALLOW], "GET, HEAD");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(stats.refused_by_code().into_iter().collect::<Vec<_>>(), [("method-not-allowed", 1)]);
    }
}
