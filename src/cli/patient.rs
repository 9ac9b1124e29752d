//! A request that is sent again until it has an answer: over a hub's restart, a limit, a full disk.

use std::time::Duration;

use bytes::Bytes;
use gapless_client::{
    ClientError,
    connection::{HubConnection, HubRequest},
    delivery::{GiveUp, RetryRules, WINDOW, deliver},
};
use hyper::{
    Method,
    header::{self, HeaderMap, HeaderValue},
};

use super::{CliError, client::Dial, delay::retry_message, output::print_error, progress::beside};

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
    /// When the hub cannot be reached at the beginning, refuses for good, or does not answer within nine minutes.
    pub(super) async fn send<D: Dial>(&self, connection: &mut HubConnection<'_, D>) -> Result<Bytes, CliError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = &self.key {
            headers.insert("idempotency-key", HeaderValue::from_str(key).expect("printable ASCII"));
        }
        let Self { method, target, body, .. } = self;
        let request = HubRequest { method: method.clone(), target: target.clone(), headers, body: body.clone() };
        // When the first connection fails, the URL is probably wrong. A hub is upgraded within the window, and still knows the
        // key of a batch that it may have stored at the first try.
        let rules = RetryRules { give_up: GiveUp::After(WINDOW), awaits_first: false };
        let delivered = deliver(connection, &request, rules, note_retry).await;
        delivered.map(|delivered| delivered.body).map_err(|undelivered| undelivered.cause.into())
    }
}

/// Tells on stderr why a request is sent again, and when.
pub(super) fn note_retry(reason: &ClientError, wait: Duration) {
    beside(|| print_error(retry_message(&CliError::of(reason), wait)));
}
