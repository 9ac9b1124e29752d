//! `POST /publish`, in all its forms.
//!
//! | request | events | file |
//! |---|---|---|
//! | `?topic=T`, any Content-Type but a stream's | the body, as it is | this one |
//! | no `topic` | a JSON envelope, or an array of them in one commit | `envelope` |
//! | `application/x-ndjson` | an envelope a line, or bare JSON with `?topic=` | `stream` |
//! | `text/event-stream` and `?topic=` | one for each block with data | `stream` |
//!
//! `event`, `retry` and `close` in the query are what an envelope or a block leaves out. 200 means durable.

use bytes::Bytes;
use http::{Request, request::Parts};

use self::{
    batcher::Batcher,
    interner::TopicInterner,
    options::{BodyFormat, PublishOptions},
    receipt::ReceiptWriter,
};
use super::{AppState, Response, auth::Caller, body, problem::Problem};
use crate::{
    engine::Append,
    event::{Data, NewEvent},
};

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
mod stream;

/// What an event of a batch takes beside its data.
const EVENT_BYTES: usize = 200;

/// Whether a whole body was one event or a list: its receipt has the same shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BatchShape {
    One,
    Many,
}

/// Answers `POST /publish`. [`Batcher::run`] must be running.
///
/// # Errors
/// Says why nothing was published. A stream is answered at once, and says so in the place of the line's receipt.
pub async fn handle<B>(
    app: &AppState,
    batcher: &Batcher,
    caller: Caller,
    request: Request<B>,
) -> Result<Response, Problem>
where
    B: http_body::Body<Data = Bytes> + 'static,
{
    let (head, body) = request.into_parts();
    let asked = || {
        app.admit(&head.extensions)?;
        let options = batcher.options(&head)?;
        match &options.topic {
            Some(topic) => caller.authorization.publish(topic)?,
            None => caller.authorization.publish_anywhere()?,
        }
        Ok(options)
    };
    let options = match asked() {
        Ok(options) => options,
        Err(problem) => {
            body::discard(app, &head.headers, body).await;
            return Err(problem);
        }
    };
    match options.form {
        BodyFormat::Lines | BodyFormat::EventStream => Ok(stream::response(app, options, caller, body)),
        BodyFormat::Raw | BodyFormat::Json => whole(app, batcher, &options, caller, head, body).await,
    }
}

/// A publish that is there as a whole before any of it is committed: all or nothing.
async fn whole<B>(
    app: &AppState,
    batcher: &Batcher,
    options: &PublishOptions,
    mut caller: Caller,
    head: Parts,
    body: B,
) -> Result<Response, Problem>
where
    B: http_body::Body<Data = Bytes>,
{
    let limit = if options.form == BodyFormat::Raw { app.limits.event_bytes } else { app.limits.batch_bytes };
    let (bytes, mut place) = body::read(app, &caller.quotas, &head.headers, body, limit).await?;
    // It holds on to the connection's buffer, which can be used again while the event is written.
    drop(head);
    let (mut events, shape) = if let Some(topic) = &options.topic {
        (vec![options.event(topic.clone(), Data::new(bytes)?)], BatchShape::One)
    } else {
        let parsed = envelope::parse(&bytes, options, app.limits.event_bytes)?;
        // The events have copies of what they need of it.
        drop(bytes);
        parsed
    };
    if shape == BatchShape::Many {
        place.grow_arrived(events.len() * EVENT_BYTES)?;
    }
    // The body may have been long in coming.
    caller.authorization.renew(&app.policies)?;
    open_to(&caller, &events)?;
    caller.quotas.publish(&app.hub, &events)?;
    let fast_path = shape == BatchShape::One && options.key.is_none() && options.expect.is_none();
    let json = match events.pop() {
        Some(event) if fast_path => batcher.receipt(&batcher.publish(event).await?),
        last => {
            events.extend(last);
            let receipts = app.hub.publish(append(options, &caller, events, shape)?).await?;
            match (shape, &receipts[..]) {
                (BatchShape::One, [receipt]) => batcher.receipt(receipt),
                _ => ReceiptWriter::new(app.hub.epoch()).list(&receipts),
            }
        }
    };
    drop(place);
    Ok(body::json(json))
}

/// The events of a JSON body that comes without a query: the reader of envelopes by itself, for `fuzz/`.
///
/// # Errors
/// Says why it is refused.
#[doc(hidden)]
pub fn read_json(body: &[u8], event_bytes: usize) -> Result<Vec<NewEvent>, Problem> {
    let (head, ()) = Request::post("/publish").body(()).expect("a valid request").into_parts();
    envelope::parse(body, &PublishOptions::new(&head, &mut TopicInterner::default())?, event_bytes)
        .map(|(events, _)| events)
}

/// All of a batch or nothing: one topic that is not open refuses it.
fn open_to(caller: &Caller, events: &[NewEvent]) -> Result<(), Problem> {
    let mut before = None;
    for event in events {
        // The events of a batch often go to one topic, and share its name.
        if before != Some(&event.topic) {
            caller.authorization.publish(&event.topic)?;
        }
        before = Some(&event.topic);
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
