//! A request that is sent again until it has an answer: over a hub's restart, a limit, a full disk.

use std::time::Duration;

use bytes::Bytes;
use hyper::{
    Method,
    header::{self, HeaderMap, HeaderValue},
};
use tokio::time::sleep;

use super::{
    CliError,
    client::Dial,
    delay,
    output::print_error,
    progress::beside,
    publish::connection::{HubConnection, HubResponse, RequestFailure},
};

/// First delay before a request is sent again; it doubles, see [`delay::next`].
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Tries of a request: with the delays about nine minutes. A hub is upgraded within, and still knows the key of a batch that it
/// may have stored at the first one.
const TRIES: u32 = 13;

/// An idempotent request with a JSON body.
#[derive(Debug)]
pub(super) struct JsonRequest {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) body: Bytes,
    /// Its `Idempotency-Key`: printable ASCII.
    pub(super) key: Option<String>,
}

impl JsonRequest {
    /// Sends it until it has an answer. Returns the body of a successful one.
    ///
    /// # Errors
    /// When the hub cannot be reached at the beginning, refuses for good, or does not answer after all tries.
    pub(super) async fn send<D: Dial>(&self, connection: &mut HubConnection<'_, D>) -> Result<Bytes, CliError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = &self.key {
            headers.insert("idempotency-key", HeaderValue::from_str(key).expect("printable ASCII"));
        }
        let mut failures = 0;
        loop {
            let sent = connection.request(self.method.clone(), &self.target, headers.clone(), self.body.clone());
            let (error, wait) = match sent.await {
                Ok(HubResponse::Success(body)) => return Ok(body),
                Ok(HubResponse::Refused(mut problem)) if problem.is_transient() => {
                    let wait = problem.take_retry_after();
                    (CliError::Refused(problem), wait)
                }
                Ok(HubResponse::Refused(problem)) => return Err(CliError::Refused(problem)),
                // When the first connection fails, the URL is probably wrong.
                Err(RequestFailure::NotSent(error)) if !connection.reached() => return Err(error),
                Err(RequestFailure::NotSent(error @ CliError::Token { .. })) => return Err(error),
                Err(RequestFailure::NotSent(error) | RequestFailure::MaybeSent(error)) => (error, Duration::ZERO),
            };
            failures += 1;
            if failures == TRIES {
                return Err(error);
            }
            let wait = delay::next(FIRST_WAIT, wait, failures, fastrand::f64());
            beside(|| print_error(delay::retry_message(&error, wait)));
            sleep(wait).await;
        }
    }
}
