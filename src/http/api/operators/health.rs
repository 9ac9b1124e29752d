//! `GET /healthz`: the process responds. `GET /readyz`: a durable publish would be accepted.

use http::{HeaderValue, header};

use super::state::OperatorsState;
use crate::http::{
    message::problem::{Code, Problem},
    net::response::{Response, full},
};

/// Always `ok`; a process that is not alive does not respond.
#[must_use]
pub fn alive() -> Response {
    let mut response = Response::new(full("ok\n"));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `ok` when a durable publish would be accepted now. Reads the engine's status, writes nothing.
///
/// # Errors
/// Says why it would not: the hub drains, the disk is full, the store has failed, or request bodies use nearly all of
/// their memory.
pub async fn ready(operators: &OperatorsState) -> Result<Response, Problem> {
    if operators.net.drain.is_draining() {
        return Err(Problem::new(Code::Draining, "the hub is stopping; use another one, or retry after its restart"));
    }
    match operators.hub.status().await.refusing {
        Some(reason) => Err(reason.into()),
        None if operators.body_memory.is_full() => Err(Problem::new(
            Code::OverCapacity,
            "publishes that are being received or committed use nearly all of publish.inflight_bytes; retry in a moment",
        )),
        None => Ok(alive()),
    }
}
