//! One page of events as JSON, at once or by a long poll: the fallback where streams do not get through.

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::state::EventsState;
use crate::{
    http::{
        api::{body, envelope, stream::encoding::GapNotice},
        auth::Caller,
        message::{
            json_text,
            problem::{Code, Problem},
        },
        net::response::Response,
    },
    hub::{
        frame::Frame,
        subscription::{Delivery, Subscription},
    },
    quota::memory::BodyPermit,
};

/// Bytes of envelopes after which a page ends before it has `limit` events, because a page is built in memory.
const PAGE_BYTES: usize = 1 << 20;

/// Bytes that the pages of all clients may take in memory until they are read. A page for which there is no more memory
/// ends early.
pub const ROOM: usize = 64 << 20;

const OUT_OF_MEMORY: &str = "the memory for JSON pages is full of pages that this client, or others, have not read yet; \
                             read those, then ask again with the same cursor";

#[derive(Default, Serialize)]
struct PageBody {
    events: Vec<Box<RawValue>>,
    next: String,
    gaps: Vec<GapNotice>,
    closed: bool,
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
    limit: usize,
    wait: Duration,
) -> Result<Response, Problem> {
    let mut permit = quotas.memory(&events.pages);
    let handle = events.stream.streams.register(subscription.feed(), authorization.expires());
    let mut page = PageBody { closed: subscription.is_exhausted(), ..PageBody::default() };
    let deadline = tokio::time::sleep(if page.closed { Duration::ZERO } else { wait });
    tokio::pin!(deadline);
    // The cursor after the events in the page: the subscription may have read further.
    let mut next = subscription.cursor();
    let (mut bytes, mut full) = (0, false);
    let (removals, mut frames) = (events.stream.hub.removals(), Vec::new());
    while !full && frames.len() < limit && bytes < PAGE_BYTES && !page.closed {
        let delivery = poll_fn(|cx| {
            if handle.register_waker(cx) {
                // A page sends no keepalives.
                handle.mark_sent();
            }
            authorization.renew_subscription(&events.stream.policies, &subscription.feed().selection)?;
            match subscription.poll_next(cx) {
                Poll::Ready(delivery) => Poll::Ready(Ok(Some(delivery))),
                Poll::Pending if !subscription.caught_up() => Poll::Pending,
                Poll::Pending if !frames.is_empty() || !page.gaps.is_empty() => Poll::Ready(Ok(None)),
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
                    let envelope = envelope::envelope(frame);
                    if permit.grow(envelope.len()).is_err() {
                        full = true;
                        if frames.is_empty() {
                            return Err(out_of_memory());
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
                match permit.grow(json_text::bytes(&gap).len()) {
                    Ok(()) => page.gaps.push(gap),
                    // A gap has no id to continue after, so a page must have an event before it can end here.
                    Err(_) if frames.is_empty() => return Err(out_of_memory()),
                    Err(_) => full = true,
                }
            }
            Some(Delivery::End(_)) => {}
            Some(Delivery::Finished(id)) => {
                (page.closed, next) = (true, id);
            }
            Some(Delivery::Unreadable) => return Err(store_unreadable()),
        }
    }
    // Some events may have been removed while others were read.
    let frames = events.stream.hub.without_removed(frames, removals).ok_or_else(store_unreadable)?;
    page.events = frames.iter().map(|frame| raw_envelope(frame)).collect();
    page.next = next.to_string();
    let mut text = json_text::bytes(&page);
    text.push(b'\n');
    Ok(body::json_of(Bytes::from_owner(CountedPage { text, _permit: permit })))
}

/// A page's text, with its memory permit until the client has read it.
struct CountedPage {
    text: Vec<u8>,
    _permit: BodyPermit,
}

impl AsRef<[u8]> for CountedPage {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

fn raw_envelope(frame: &Frame) -> Box<RawValue> {
    let text = std::str::from_utf8(&envelope::envelope(frame)).expect("JSON is UTF-8").to_owned();
    RawValue::from_string(text).expect("an envelope is JSON")
}

fn out_of_memory() -> Problem {
    Problem::new(Code::OverCapacity, OUT_OF_MEMORY)
}

fn store_unreadable() -> Problem {
    Problem::new(Code::StoreUnavailable, "the store cannot be read; retry with the same cursor")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{Append, memory::InterruptedRead},
        event::{EventId, NewEvent, Seq, TopicName},
        http::{api::state::ShardState, testing},
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
        let page = response(&shard.events, subscription, testing::caller(&app), 3, Duration::ZERO).await;
        let page = testing::json(page.expect("a page")).await;
        assert_eq!(page["events"].as_array().expect("events").len(), 3);
        assert!(!page.to_string().contains("secret"), "{page}");
        assert_eq!(page["events"][1]["data"], "second");
    }
}
