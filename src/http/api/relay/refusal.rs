//! The hub's problems in the shape of a provider's errors, so that an SDK raises its own exception.

use http::{HeaderName, HeaderValue, header};

use crate::{
    http::{
        message::{
            problem::{Code, Problem},
            request_id::RequestId,
        },
        net::response::{Response, full},
    },
    hub::stats::Stats,
    relay::{dialect::Dialect, runs::JoinRefused, signals::StartFailure, upstream::WholeAnswer},
};

/// Tells OpenAI's and Anthropic's SDKs whether to send a refused request again. Without it they decide by the status, and
/// send a 409 again.
pub const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// `problem` as an error of the dialect.
#[must_use]
pub fn in_dialect(dialect: &dyn Dialect, problem: Problem, request: &RequestId, stats: &Stats) -> Response {
    let body = dialect.error_body(problem.code.status().as_u16(), problem.code.as_str(), &problem.detail);
    // A request that may have reached the provider may have been billed.
    let retry = problem.is_transient() || problem.code == Code::UpstreamUnreachable;
    let mut response = problem.into_response(request, stats);
    *response.body_mut() = full(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let value = if retry { "true" } else { "false" };
    response.headers_mut().insert(SHOULD_RETRY, HeaderValue::from_static(value));
    response
}

/// A provider's own refusal, or its answer without a stream, as it came.
#[must_use]
pub fn as_it_came(answer: &WholeAnswer) -> Response {
    let mut response = Response::new(full(answer.body.clone()));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers.clone();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl From<JoinRefused> for Problem {
    fn from(refused: JoinRefused) -> Self {
        let code = match refused {
            JoinRefused::KeyReused => Code::IdempotencyConflict,
            JoinRefused::CursorUnknown => Code::CursorUnknown,
            JoinRefused::TopicBusy(_) => Code::TopicBusy,
            JoinRefused::TooMany(_) => Code::OverCapacity,
        };
        Self::new(code, refused.to_string())
    }
}

impl From<&StartFailure> for Problem {
    fn from(failure: &StartFailure) -> Self {
        let code = match failure {
            // Nothing was billed.
            StartFailure::Unreachable(_) | StartFailure::RefusedElsewhere => Code::UpstreamUnreachable,
            StartFailure::NoAnswer(_) | StartFailure::NotStored(_) => Code::UpstreamFailed,
            StartFailure::NotRecorded(_) => Code::StoreUnavailable,
            StartFailure::KeyReused => Code::IdempotencyConflict,
            StartFailure::TopicBusy(_) => Code::TopicBusy,
            StartFailure::Limited => Code::RateLimited,
        };
        Self::new(code, failure.to_string())
    }
}
