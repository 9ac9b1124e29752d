//! One page of events as JSON, at once or when there is something: the fallback where streams cannot pass.

use std::{
    future::{Future, poll_fn},
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    http::{
        Response, ShardState,
        auth::Caller,
        body,
        body_memory::BodyPermit,
        envelope, json_text,
        problem::{Code, Problem},
        stream::encoding::GapNotice,
    },
    hub::{
        frame::Frame,
        subscription::{Delivery, Subscription},
    },
};

/// Bytes of envelopes after which a page ends before its limit: a page is built in memory.
const PAGE_BYTES: usize = 1 << 20;

/// Bytes that the pages of all clients may take in memory until they are read. A page that finds no room ends before its limit.
pub const ROOM: usize = 64 << 20;

const NO_ROOM: &str = "pages that other requests of this client, or of others, have not read take the memory for pages; read those, then ask \
                       again with the same cursor";

#[derive(Default, Serialize)]
struct PageBody {
    events: Vec<Box<RawValue>>,
    next: String,
    gaps: Vec<GapNotice>,
    closed: bool,
}

/// Gathers up to `limit` events; waits up to `wait` for the first one, or for a gap or an end.
///
/// # Errors
/// When the store cannot be read, or `authorization` ends meanwhile.
pub async fn response(
    shard: &Rc<ShardState>,
    mut subscription: Subscription,
    Caller { mut authorization, quotas }: Caller,
    limit: usize,
    wait: Duration,
) -> Result<Response, Problem> {
    let mut place = shard.app.pages.place(&quotas);
    let handle = shard.streams.register(subscription.feed(), authorization.expires());
    let mut page = PageBody { closed: subscription.nothing_left(), ..PageBody::default() };
    let deadline = tokio::time::sleep(if page.closed { Duration::ZERO } else { wait });
    tokio::pin!(deadline);
    // The cursor after the events in the page: the subscription may have read further.
    let mut next = subscription.cursor();
    let (mut bytes, mut full) = (0, false);
    let (removals, mut frames) = (shard.app.hub.removals(), Vec::new());
    while !full && frames.len() < limit && bytes < PAGE_BYTES && !page.closed {
        let delivery = poll_fn(|cx| {
            if handle.register_waker(cx) {
                // A page has nothing to say against idle timeouts.
                handle.mark_sent();
            }
            authorization.still_reads(&shard.app.policies, &subscription.feed().selection)?;
            match subscription.poll_next(cx) {
                Poll::Ready(delivery) => Poll::Ready(Ok(Some(delivery))),
                Poll::Pending if !subscription.caught_up() => Poll::Pending,
                Poll::Pending if !frames.is_empty() || !page.gaps.is_empty() => Poll::Ready(Ok(None)),
                Poll::Pending if shard.app.drain.is_draining() => Poll::Ready(Ok(None)),
                Poll::Pending => deadline.as_mut().poll(cx).map(|()| Ok(None)),
            }
        });
        let delivery: Result<_, Problem> = delivery.await;
        match delivery? {
            None => {
                next = subscription.cursor();
                break;
            }
            Some(Delivery::Events(run)) => {
                let stats = shard.app.hub.stats();
                for frame in run.frames().iter().take(limit - frames.len()) {
                    stats.events_out.add(1);
                    let envelope = envelope::envelope(frame);
                    if let Err(problem) = place.grow(envelope.len()) {
                        full = true;
                        if frames.is_empty() {
                            return Err(no_room(&problem));
                        }
                        break;
                    }
                    stats.bytes_out.add(envelope.len() as u64);
                    bytes += envelope.len();
                    next = frame.id;
                    frames.push(Arc::clone(frame));
                }
            }
            Some(Delivery::Gap(gap)) => {
                let gap = GapNotice::from(&gap);
                match place.grow(json_text::bytes(&gap).len()) {
                    Ok(()) => page.gaps.push(gap),
                    // It has no id to come back behind, so without an event before it there is nothing to give.
                    Err(problem) if frames.is_empty() => return Err(no_room(&problem)),
                    Err(_) => full = true,
                }
            }
            Some(Delivery::End(_)) => {}
            Some(Delivery::Finished(id)) => {
                (page.closed, next) = (true, id);
            }
            Some(Delivery::Broken) => return Err(broken()),
        }
    }
    // Some may have been taken back while others were read.
    let frames = shard.app.hub.shown(frames, removals).ok_or_else(broken)?;
    page.events = frames.iter().map(|frame| raw(frame)).collect();
    page.next = next.to_string();
    let mut text = json_text::bytes(&page);
    text.push(b'\n');
    Ok(body::json_of(Bytes::from_owner(CountedPage { text, _place: place })))
}

/// A page's text, counted until its client has read it.
struct CountedPage {
    text: Vec<u8>,
    _place: BodyPermit,
}

impl AsRef<[u8]> for CountedPage {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

fn raw(frame: &Frame) -> Box<RawValue> {
    let text = std::str::from_utf8(&envelope::envelope(frame)).expect("JSON is UTF-8").to_owned();
    RawValue::from_string(text).expect("an envelope is JSON")
}

fn no_room(problem: &Problem) -> Problem {
    Problem::new(problem.code, NO_ROOM)
}

fn broken() -> Problem {
    Problem::new(Code::StoreUnavailable, "the store cannot be read; come back with the same cursor")
}
