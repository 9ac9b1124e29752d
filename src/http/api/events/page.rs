//! One page of events, at once or by a long poll: the fallback where streams do not get through.

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use super::state::EventsState;
use crate::{
    event::EventId,
    http::{
        auth::Caller,
        message::problem::{Code, Problem},
        net::response::Response,
    },
    hub::{
        frame::{EventEncoder, Frame},
        subscription::{Delivery, Gap, GapReason, Subscription},
    },
    quota::memory::BodyPermit,
};

/// Bytes of encoded events after which a page ends before it has `limit` events, because a page is built in memory.
pub(super) const PAGE_BYTES: usize = 1 << 20;

/// Bytes that the pages of all clients may take in memory until they are read. A page for which there is no more memory
/// ends early.
pub const ROOM: usize = 64 << 20;

const OUT_OF_MEMORY: &str = "the memory for JSON pages is full of pages that this client, or others, have not read yet; \
                             read those, then ask again with the same cursor";

/// The events of one response, and where to continue.
pub struct Page {
    /// The events, in order.
    pub frames: Vec<Arc<Frame>>,
    /// The cursor after the page.
    pub next: EventId,
    /// What the page lacks.
    pub gaps: Vec<Gap>,
    /// What is known of the events beyond the page.
    pub edge: PageEdge,
    /// The memory of the page. Must be held until the client has read the response.
    pub permit: BodyPermit,
}

/// What is known of the events beyond a page, in the direction in which it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageEdge {
    /// Of those after it.
    Newer {
        /// Whether no event can follow.
        closed: bool,
    },
    /// Of those before it.
    Older {
        /// The id that the next older page is before; `None` when nothing older is retained.
        previous: Option<EventId>,
    },
}

/// The form of a page in one protocol.
#[derive(Debug)]
pub struct PageFormat {
    /// Encodes an event; its bytes count for the size of the page.
    pub event: &'static EventEncoder,
    /// Bytes that a gap takes in the response.
    pub gap_bytes: fn(&Gap) -> usize,
    /// The response.
    pub response: fn(Page) -> Response,
}

/// Collects up to `limit` events. Waits up to `wait` for the first event, gap or end. Dropping the future ends the
/// subscription; nothing is lost, because the cursor is the client's.
///
/// # Errors
/// When the store cannot be read, when there is no memory for the page, or when the caller's authorization ends
/// meanwhile.
pub async fn response(
    events: &EventsState,
    mut subscription: Subscription,
    Caller { mut authorization, quotas }: Caller,
    format: &PageFormat,
    limit: usize,
    wait: Duration,
) -> Result<Response, Problem> {
    let mut permit = quotas.memory(&events.pages);
    let handle = events.stream.streams.register(subscription.feed(), authorization.expires(), None, None);
    let (mut gaps, mut closed) = (Vec::new(), subscription.is_exhausted());
    let deadline = tokio::time::sleep(if closed { Duration::ZERO } else { wait });
    tokio::pin!(deadline);
    // The cursor after the events in the page: the subscription may have read further.
    let mut next = subscription.cursor();
    let (mut bytes, mut full) = (0, false);
    let (mut removals, mut frames) = (events.stream.hub.removals(), Vec::new());
    // Only its size counts here: an event may be removed until the page is complete.
    let mut encoded = Vec::new();
    while !full && frames.len() < limit && bytes < PAGE_BYTES && !closed {
        if frames.is_empty() {
            // When an epoch ends its removals are forgotten: those that count are the ones from the first frame on.
            removals = events.stream.hub.removals();
        }
        let delivery = poll_fn(|cx| {
            if handle.register_waker(cx) {
                // A page sends no keepalives.
                handle.mark_sent();
            }
            authorization.renew_subscription(&events.stream.policies, &subscription.feed().selection)?;
            match subscription.poll_next(cx) {
                Poll::Ready(delivery) => Poll::Ready(Ok(Some(delivery))),
                Poll::Pending if !subscription.caught_up() => Poll::Pending,
                Poll::Pending if !frames.is_empty() || !gaps.is_empty() => Poll::Ready(Ok(None)),
                Poll::Pending if events.stream.drain.is_draining() => Poll::Ready(Ok(None)),
                Poll::Pending => deadline.as_mut().poll(cx).map(|()| Ok(None)),
            }
        });
        let delivery: Result<_, Problem> = delivery.await;
        match delivery? {
            None => {
                next = subscription.cursor();
                break;
            }
            Some(Delivery::Events(batch)) => {
                let stats = events.stream.hub.stats();
                for frame in batch.frames().iter().take(limit - frames.len()) {
                    stats.events_out.add(1);
                    encoded.clear();
                    frame.write(format.event, &mut encoded);
                    if permit.grow(encoded.len()).is_err() {
                        full = true;
                        if frames.is_empty() {
                            return Err(out_of_memory());
                        }
                        break;
                    }
                    stats.bytes_out.add(encoded.len() as u64);
                    bytes += encoded.len();
                    next = frame.id;
                    frames.push(Arc::clone(frame));
                }
            }
            // The epoch of the frames has ended: the page has no frames of another one. The client receives this gap when
            // it asks again with the page's cursor.
            Some(Delivery::Gap(gap)) if gap.reason == GapReason::Unknown && !frames.is_empty() => full = true,
            Some(Delivery::Gap(gap)) => {
                match permit.grow((format.gap_bytes)(&gap)) {
                    Ok(()) => gaps.push(gap),
                    // A gap has no id to continue after, so a page must have an event before it can end here.
                    Err(_) if frames.is_empty() => return Err(out_of_memory()),
                    Err(_) => full = true,
                }
            }
            Some(Delivery::End(_)) => {}
            Some(Delivery::Finished(id)) => {
                (closed, next) = (true, id);
            }
            Some(Delivery::Unreadable) => return Err(store_unreadable()),
        }
    }
    // Some events may have been removed while others were read.
    let frames = events.stream.hub.without_removed(frames, removals).ok_or_else(store_unreadable)?;
    Ok((format.response)(Page { frames, next, gaps, edge: PageEdge::Newer { closed }, permit }))
}

pub(super) fn out_of_memory() -> Problem {
    Problem::new(Code::OverCapacity, OUT_OF_MEMORY)
}

pub(super) fn store_unreadable() -> Problem {
    Problem::new(Code::StoreUnavailable, "the store cannot be read; retry with the same cursor")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{Append, memory::InterruptedRead},
        event::{NewEvent, Seq, TopicName},
        http::{
            api::{events::json_page::FORMAT, state::ShardState},
            testing,
        },
        hub::{batch::ReadLimit, subscription::Start},
    };

    #[tokio::test]
    async fn an_event_that_is_removed_while_later_ones_are_read_is_not_in_the_page() {
        let (app, store) = testing::app();
        let topic = TopicName::new("t").expect("valid");
        for data in ["a secret", "second", "third"] {
            let events = vec![NewEvent::new(topic.clone(), data)];
            app.hub.publish(Append { events, expect: None, key: None }).await.expect("published");
        }
        let first = EventId { epoch: app.hub.epoch(), seq: Seq(1) };
        let (hub, runtime, removed) = (Arc::clone(&app.hub), tokio::runtime::Handle::current(), topic.clone());
        store.faults().after_next(InterruptedRead::Events, || {});
        store.faults().after_next(InterruptedRead::Events, move || {
            assert!(runtime.block_on(hub.remove(removed, first)).expect("removed"));
        });
        let one_each = ReadLimit { events: 1, bytes: 1 << 20 };
        let subscription = app.hub.subscribe(&topic.into(), Start::Earliest, one_each, 0).await.expect("readable");
        let shard = ShardState::new(Arc::clone(&app), 0);
        let page = response(&shard.events, subscription, testing::caller(&app), &FORMAT, 3, Duration::ZERO).await;
        let page = testing::json(page.expect("a page")).await;
        assert_eq!(page["events"].as_array().expect("events").len(), 3);
        assert!(!page.to_string().contains("secret"), "{page}");
        assert_eq!(page["events"][1]["data"], "second");
    }
}
