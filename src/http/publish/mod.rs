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
    ask::{Ask, Form},
    gather::Gather,
    names::Names,
    receipt::Receipts,
};
use super::{Answer, Door, body, problem::Problem, visitor::Visitor};
use crate::{
    engine::Append,
    event::{Data, NewEvent},
};

mod ask;
mod envelope;
mod gate;
pub mod gather;
mod intake;
mod json;
mod key;
mod lines;
mod names;
mod pipeline;
mod plain;
mod receipt;
mod source;
mod stream;

/// What an event of a batch takes beside its data.
const EVENT_BYTES: usize = 200;

/// Whether a whole body was one event or a list: its receipt has the same shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    One,
    Many,
}

/// Answers `POST /publish`. [`Gather::run`] must be running.
///
/// # Errors
/// Says why nothing was published. A stream is answered at once, and says so in the place of the line's receipt.
pub async fn handle<B>(door: &Door, gather: &Gather, visitor: Visitor, request: Request<B>) -> Result<Answer, Problem>
where
    B: http_body::Body<Data = Bytes> + 'static,
{
    let (head, body) = request.into_parts();
    let asked = || {
        door.admit(&head.extensions)?;
        let ask = gather.ask(&head)?;
        match &ask.topic {
            Some(topic) => visitor.right.publish(topic)?,
            None => visitor.right.publish_anywhere()?,
        }
        Ok(ask)
    };
    let ask = match asked() {
        Ok(ask) => ask,
        Err(problem) => {
            body::discard(door, &head.headers, body).await;
            return Err(problem);
        }
    };
    match ask.form {
        Form::Lines | Form::EventStream => Ok(stream::answer(door, ask, visitor, body)),
        Form::Raw | Form::Json => whole(door, gather, &ask, visitor, head, body).await,
    }
}

/// A publish that is there as a whole before any of it is committed: all or nothing.
async fn whole<B>(
    door: &Door,
    gather: &Gather,
    ask: &Ask,
    mut visitor: Visitor,
    head: Parts,
    body: B,
) -> Result<Answer, Problem>
where
    B: http_body::Body<Data = Bytes>,
{
    let limit = if ask.form == Form::Raw { door.limits.event_bytes } else { door.limits.batch_bytes };
    let (bytes, mut place) = body::read(door, &visitor.means, &head.headers, body, limit).await?;
    // It holds on to the connection's buffer, which can be used again while the event is written.
    drop(head);
    let (mut events, shape) = match &ask.topic {
        Some(topic) => (vec![ask.event(topic.clone(), Data::new(bytes)?)], Shape::One),
        None => {
            let parsed = envelope::parse(&bytes, ask, door.limits.event_bytes)?;
            // The events have copies of what they need of it.
            drop(bytes);
            parsed
        }
    };
    if shape == Shape::Many {
        place.grow_arrived(events.len() * EVENT_BYTES)?;
    }
    // The body may have been long in coming.
    visitor.right.renew(&door.policies)?;
    open_to(&visitor, &events)?;
    visitor.means.publish(&door.hub, &events)?;
    let plain = shape == Shape::One && ask.key.is_none() && ask.expect.is_none();
    let json = match events.pop() {
        Some(event) if plain => gather.receipt(&gather.publish(event).await?),
        last => {
            events.extend(last);
            let receipts = door.hub.publish(append(ask, &visitor, events, shape)?).await?;
            match (shape, &receipts[..]) {
                (Shape::One, [receipt]) => gather.receipt(receipt),
                _ => Receipts::new(door.hub.epoch()).list(&receipts),
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
    envelope::parse(body, &Ask::new(&head, &mut Names::default())?, event_bytes).map(|(events, _)| events)
}

/// All of a batch or nothing: one topic that is not open refuses it.
fn open_to(visitor: &Visitor, events: &[NewEvent]) -> Result<(), Problem> {
    let mut before = None;
    for event in events {
        // The events of a batch often go to one topic, and share its name.
        if before != Some(&event.topic) {
            visitor.right.publish(&event.topic)?;
        }
        before = Some(&event.topic);
    }
    Ok(())
}

fn append(ask: &Ask, visitor: &Visitor, events: Vec<NewEvent>, shape: Shape) -> Result<Append, Problem> {
    ask.check_one_topic(&events)?;
    let (holder, owner) = (visitor.right.holder(), visitor.means.owner);
    let key = ask.key.as_deref().map(|key| key::idempotency(holder, owner, key, &events, ask.expect, shape));
    Ok(Append { events, expect: ask.expect, key })
}

#[cfg(test)]
mod tests;
