//! `POST /publish`, in all its forms.
//!
//! | request | events |
//! |---|---|
//! | `?topic=T`, any Content-Type but those below | the body, as it is |
//! | no `topic` | a JSON envelope, or an array of them in one commit |
//! | `application/x-ndjson` | an envelope a line, or bare JSON with `?topic=` |
//! | `text/event-stream` and `?topic=` | one for each block with data |
//! | `ce-specversion` and `?topic=` | a CloudEvent whose data is the body |
//! | `application/cloudevents+json` and `?topic=` | a CloudEvent; an array of them in one commit with `cloudevents-batch` |
//!
//! `event`, `retry` and `close` in the query are the defaults for envelopes and blocks that leave them out. A 200 for
//! anything but a stream means that the events are durable; in a stream a receipt means that.
//!
//! | module | idea |
//! |---|---|
//! | `decode` | bytes and options become events; no I/O |
//! | `flow` | the body is read, its events are published through the hub's [`Publisher`], and the receipts are sent |
//! | [`allowance`] | what a caller may publish, and what it is charged for |
//! | `receipt` | receipts as JSON |
//! | [`shard`], [`state`] | what the publishes of a core share, and those of the process |
//!
//! [`Publisher`]: crate::hub::publisher::Publisher

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Request};

use self::{
    decode::options::PublishOptions,
    flow::{stream, whole},
    shard::PublishShard,
    state::PublishState,
};
use super::{admission, request_log};
use crate::{
    event::NewEvent,
    http::{auth::Caller, message::problem::Problem, net::response::Response},
};

pub mod allowance;
mod decode;
mod flow;
mod receipt;
pub mod shard;
pub mod state;

/// Answers `POST /publish`. The core's publisher must be running. Dropping the future does not cancel an append that
/// the engine has accepted.
///
/// # Errors
/// A problem that says why nothing was published. A stream is answered with 200 at once; it reports the problem of a
/// line in the place of the line's receipt.
pub async fn handle<B>(
    state: &PublishState,
    shard: &PublishShard,
    caller: Caller,
    request: Request<B>,
) -> Result<Response, Problem>
where
    B: http_body::Body<Data = Bytes> + 'static,
{
    let began = Instant::now();
    let (head, body) = request.into_parts();
    let authorize = || {
        admission::admit(&state.drain, &head.extensions)?;
        let options = shard.options(&head)?;
        match &options.topic {
            Some(topic) => {
                request_log::set_topic(topic);
                caller.authorization.publish(topic)?;
            }
            None => caller.authorization.publish_anywhere()?,
        }
        Ok(options)
    };
    let options = match authorize() {
        Ok(options) => options,
        Err(problem) => {
            state.bodies.discard(&head.headers, body).await;
            return Err(problem);
        }
    };
    if options.format.is_stream() {
        return Ok(stream::response(state, shard, options, caller, body));
    }
    let response = whole::response(state, shard, &options, caller, head, body).await?;
    state.hub.stats().publish_times.record(began.elapsed());
    Ok(response)
}

/// Parses a JSON body that comes without a query. The envelope parser by itself, for `fuzz/`.
///
/// # Errors
/// A problem that says why the body is refused.
#[doc(hidden)]
pub fn read_json(body: &[u8], event_bytes: usize) -> Result<Vec<NewEvent>, Problem> {
    let (head, ()) = Request::post("/publish").body(()).expect("a valid request").into_parts();
    let options = PublishOptions::new(&head, &mut decode::interner::TopicInterner::default())?;
    decode::whole(Bytes::copy_from_slice(body), &options, event_bytes).map(|(events, _)| events)
}

/// Parses a CloudEvent, or a batch of them, that comes for the topic `t` with a body of this Content-Type and these
/// headers. The parser by itself, for `fuzz/`.
///
/// # Errors
/// A problem that says why it is refused.
#[doc(hidden)]
pub fn read_cloud_events(headers: HeaderMap, body: &[u8], event_bytes: usize) -> Result<Vec<NewEvent>, Problem> {
    let (mut head, ()) = Request::post("/publish?topic=t").body(()).expect("a valid request").into_parts();
    head.headers = headers;
    let options = PublishOptions::new(&head, &mut decode::interner::TopicInterner::default())?;
    decode::whole(Bytes::copy_from_slice(body), &options, event_bytes).map(|(events, _)| events)
}

#[cfg(test)]
mod tests;
