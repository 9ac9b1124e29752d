//! One attempt to export, and what the collector's answer means.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::Full;
use opentelemetry_proto::tonic::collector::{
    metrics::v1::ExportMetricsServiceResponse, trace::v1::ExportTraceServiceResponse,
};
use prost::Message as _;

use super::{settings::OtlpSettings, stats::Signal};
use crate::client::exchange::{ExchangeBounds, ExchangeError, MIN_HEAD_BYTES, exchange};

/// Largest answer that is read: it has a message for people at most.
const ANSWER_BYTES: u64 = 64 << 10;

/// Longest wait that the collector may ask for.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// What became of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The collector has taken it, but for this many items, and says why.
    Taken { rejected: u64, reason: String },
    /// It will never take it.
    Refused(String),
    /// It may take it later: not sooner than it says.
    Later { reason: String, wait: Option<Duration> },
}

/// Sends `body` once, within the timeout. Cancel safe: dropping the future closes the connection.
pub(super) async fn send(settings: &OtlpSettings, signal: Signal, body: Bytes) -> Outcome {
    let bounds = ExchangeBounds {
        connect: settings.timeout,
        head: settings.timeout,
        total: Some(settings.timeout),
        head_bytes: MIN_HEAD_BYTES,
        body_bytes: ANSWER_BYTES,
    };
    let sent = async {
        let mut request = Request::post(format!("{}/v1/{}", settings.path, signal.as_str())).body(Full::new(body));
        if let Ok(request) = &mut request {
            let headers = request.headers_mut();
            headers.extend(settings.headers.clone());
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        }
        let request = request.map_err(|error| ExchangeError::Http(error.into()))?;
        let response = exchange(&settings.connector, request, &bounds).await?;
        let (head, body) = response.into_parts();
        Ok((head, body.read_to_end().await?))
    };
    match sent.await {
        Ok((head, answer)) if head.status.is_success() => rejected(signal, &answer),
        Ok((head, _)) => {
            let reason = format!("it answers {}", head.status);
            if !matches!(head.status.as_u16(), 429 | 502 | 503 | 504) {
                return Outcome::Refused(reason);
            }
            let seconds = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            Outcome::Later { reason, wait: seconds.map(|seconds| Duration::from_secs(seconds).min(MAX_WAIT)) }
        }
        Err(error @ (ExchangeError::Connect(_) | ExchangeError::Timeout { .. } | ExchangeError::Http(_))) => {
            Outcome::Later { reason: error.to_string(), wait: None }
        }
        // The answer to something that it has taken, or not: sent again, it could be there twice.
        Err(error @ ExchangeError::TooLarge(_)) => Outcome::Refused(error.to_string()),
    }
}

/// What a collector that has taken a request has left out of it.
fn rejected(signal: Signal, answer: &[u8]) -> Outcome {
    let found = match signal {
        Signal::Traces => ExportTraceServiceResponse::decode(answer)
            .ok()
            .and_then(|answer| answer.partial_success)
            .map(|partial| (partial.rejected_spans, partial.error_message)),
        Signal::Metrics => ExportMetricsServiceResponse::decode(answer)
            .ok()
            .and_then(|answer| answer.partial_success)
            .map(|partial| (partial.rejected_data_points, partial.error_message)),
    };
    // An answer that is no message is that of another program which has taken the request.
    let (rejected, reason) = found.unwrap_or_default();
    Outcome::Taken { rejected: u64::try_from(rejected).unwrap_or(0), reason }
}
