//! `POST /publish`, in all its forms.
//!
//! | request | events | module |
//! |---|---|---|
//! | `?topic=T`, any Content-Type but a stream's | the body, as it is | this file |
//! | no `topic` | a JSON envelope, or an array of them in one commit | `envelope` |
//! | `application/x-ndjson` | an envelope a line, or bare JSON with `?topic=` | `stream` |
//! | `text/event-stream` and `?topic=` | one for each block with data | `stream` |
//!
//! `event`, `retry` and `close` in the query are the defaults for envelopes and blocks that leave them out. A 200 for
//! anything but a stream means that the events are durable; in a stream a receipt means that.

use bytes::Bytes;
use http::{Request, request::Parts};

use self::{
    batch_shape::BatchShape,
    batcher::Batcher,
    interner::TopicInterner,
    options::{BodyFormat, PublishOptions},
    receipt::ReceiptWriter,
    state::PublishState,
};
use super::{admission, body, request_log};
use crate::{
    engine::Append,
    event::{Data, NewEvent},
    http::{auth::Caller, message::problem::Problem, net::response::Response},
};

mod batch_shape;
pub mod batcher;
mod body_reader;
mod envelope;
mod event_reader;
mod fast_path;
mod interner;
mod json;
mod key;
mod line_splitter;
mod options;
mod pipeline;
mod rate_gate;
mod receipt;
pub mod state;
mod stream;

/// Memory that an event of a batch takes besides its data, in bytes.
const EVENT_OVERHEAD_BYTES: usize = 200;

/// Answers `POST /publish`. [`Batcher::run`] must be running. Dropping the future does not cancel an append that the
/// engine has accepted.
///
/// # Errors
/// A problem that says why nothing was published. A stream is answered with 200 at once; it reports the problem of a
/// line in the place of the line's receipt.
pub async fn handle<B>(
    state: &PublishState,
    batcher: &Batcher,
    caller: Caller,
    request: Request<B>,
) -> Result<Response, Problem>
where
    B: http_body::Body<Data = Bytes> + 'static,
{
    let (head, body) = request.into_parts();
    let authorize = || {
        admission::admit(&state.drain, &head.extensions)?;
        let options = batcher.options(&head)?;
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
    match options.format {
        BodyFormat::Lines | BodyFormat::EventStream => Ok(stream::response(state, options, caller, body)),
        BodyFormat::Raw | BodyFormat::Json => publish_whole(state, batcher, &options, caller, head, body).await,
    }
}

/// Publishes a body that is read completely before any of it is committed: all of its events or none.
async fn publish_whole<B>(
    state: &PublishState,
    batcher: &Batcher,
    options: &PublishOptions,
    mut caller: Caller,
    head: Parts,
    body: B,
) -> Result<Response, Problem>
where
    B: http_body::Body<Data = Bytes>,
{
    let limit = if options.format == BodyFormat::Raw { state.event_bytes } else { state.batch_bytes };
    let (bytes, mut permit) = state.bodies.read(&caller.quotas, &head.headers, body, limit).await?;
    // The head keeps the connection's read buffer alive, which can be reused while the event is written.
    drop(head);
    let (mut events, shape) = if let Some(topic) = &options.topic {
        (vec![options.event(topic.clone(), Data::new(bytes)?)], BatchShape::One)
    } else {
        let parsed = envelope::parse(&bytes, options, state.event_bytes)?;
        // The events have copies of what they need.
        drop(bytes);
        parsed
    };
    if shape == BatchShape::Many {
        permit.grow_arrived(events.len() * EVENT_OVERHEAD_BYTES)?;
    }
    // The credential may have expired while the body was read.
    caller.authorization.renew(&state.policies)?;
    authorize_all(&caller, &events)?;
    caller.quotas.publish(&state.hub, &events)?;
    let fast_path = shape == BatchShape::One && options.key.is_none() && options.expect.is_none();
    let json = match events.pop() {
        Some(event) if fast_path => batcher.receipt(&batcher.publish(event).await?),
        last => {
            events.extend(last);
            let receipts = state.hub.publish(append(options, &caller, events, shape)?).await?;
            match (shape, &receipts[..]) {
                (BatchShape::One, [receipt]) => batcher.receipt(receipt),
                _ => ReceiptWriter::new(state.hub.epoch()).list(&receipts),
            }
        }
    };
    drop(permit);
    Ok(body::json(json))
}

/// Parses a JSON body that comes without a query. The envelope parser by itself, for `fuzz/`.
///
/// # Errors
/// A problem that says why the body is refused.
#[doc(hidden)]
pub fn read_json(body: &[u8], event_bytes: usize) -> Result<Vec<NewEvent>, Problem> {
    let (head, ()) = Request::post("/publish").body(()).expect("a valid request").into_parts();
    envelope::parse(body, &PublishOptions::new(&head, &mut TopicInterner::default())?, event_bytes)
        .map(|(events, _)| events)
}

/// Checks that the caller may publish to the topic of every event.
fn authorize_all(caller: &Caller, events: &[NewEvent]) -> Result<(), Problem> {
    let mut previous = None;
    for event in events {
        // The events of a batch often go to one topic.
        if previous != Some(&event.topic) {
            caller.authorization.publish(&event.topic)?;
        }
        previous = Some(&event.topic);
    }
    Ok(())
}

fn append(
    options: &PublishOptions,
    caller: &Caller,
    events: Vec<NewEvent>,
    shape: BatchShape,
) -> Result<Append, Problem> {
    options.check_one_topic(&events)?;
    let (holder, owner) = (caller.authorization.holder(), caller.quotas.owner);
    let key = options.key.as_deref().map(|key| key::idempotency(holder, owner, key, &events, options.expect, shape));
    Ok(Append { events, expect: options.expect, key })
}

#[cfg(test)]
mod tests;
