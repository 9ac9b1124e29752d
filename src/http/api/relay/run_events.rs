//! The events of one run among those of its topic: other publishers may write there, too.

use std::{future::poll_fn, sync::Arc, task::Poll};

use serde::Deserialize;

use crate::{
    event::{
        Event, EventId, Selection, Seq,
        position::Cursor,
        record::{RUN_ENDED, RUN_STARTED, RUN_STOPPING},
    },
    http::message::problem::{Code, Problem},
    hub::{
        Hub,
        batch::ReadLimit,
        subscription::{Delivery, Start},
    },
    relay::{
        ending::{RunEnded, RunStarted},
        format::RunEvent,
        run::Run,
    },
};

/// What an event of the topic is to the run.
pub enum TopicEvent {
    /// Of another publisher.
    Foreign,
    /// A removed event of the run.
    Removed,
    /// `run.started`.
    Started(RunStarted),
    /// A frame.
    Frame,
    /// `run.stopping`.
    Stopping(StoppingNotice),
    /// `run.ended`.
    Ended(RunEnded),
}

/// The data of `run.stopping`.
#[derive(Debug, Deserialize)]
pub struct StoppingNotice {
    by: Option<String>,
}

impl TopicEvent {
    /// Reads an event.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let new = &event.new;
        if !new.of_run {
            return Self::Foreign;
        }
        if new.name.is_removed() {
            return Self::Removed;
        }
        let data = new.data.as_text().unwrap_or_default();
        let read = match new.name.as_str() {
            RUN_STARTED => serde_json::from_str(data).map(Self::Started),
            RUN_STOPPING => serde_json::from_str(data).map(Self::Stopping),
            RUN_ENDED => serde_json::from_str(data).map(Self::Ended),
            _ => return Self::Frame,
        };
        // The hub wrote it.
        read.unwrap_or(Self::Removed)
    }

    /// The event for an encoder; `None` when it is not one of the run.
    #[must_use]
    pub fn of_run<'e>(&'e self, event: &'e Event) -> Option<RunEvent<'e>> {
        Some(match self {
            Self::Foreign | Self::Removed => return None,
            Self::Started(started) => RunEvent::Started(started),
            Self::Frame => {
                RunEvent::Frame { name: event.new.name.as_str(), data: event.new.data.as_text().unwrap_or_default() }
            }
            Self::Stopping(notice) => RunEvent::Stopping { by: notice.by.as_deref() },
            Self::Ended(ended) => RunEvent::Ended(ended),
        })
    }
}

/// Passes each event of the topic from the run's first to its newest one to `each`.
/// Returns whether all of the run is still kept.
///
/// # Errors
/// When the log cannot be read.
pub async fn each_event(
    hub: &Arc<Hub>,
    run: &Run,
    limit: ReadLimit,
    mut each: impl FnMut(EventId, &TopicEvent, &Event),
) -> Result<bool, Problem> {
    let state = run.state();
    let (Some(first), Some(last)) = (state.first, state.last) else { return Ok(true) };
    let before = EventId { seq: Seq(first.seq.0.saturating_sub(1)), ..first };
    let start = Start::Cursor(Cursor::new(&before.to_string()));
    let selection = Selection::from(run.facts.topic.clone());
    let unreadable = || Problem::new(Code::StoreUnavailable, "the events of the run cannot be read now; retry");
    let subscribed = hub.subscribe(&selection, start, limit, 0).await;
    let mut subscription = subscribed.map_err(|_| unreadable())?;
    let (mut is_whole, mut has_start) = (true, false);
    loop {
        let next = poll_fn(|cx| match subscription.poll_next(cx) {
            Poll::Pending if subscription.caught_up() => Poll::Ready(None),
            delivery => delivery.map(Some),
        });
        match next.await {
            None | Some(Delivery::Finished(_)) => return Ok(is_whole && has_start),
            Some(Delivery::Unreadable) => return Err(unreadable()),
            Some(Delivery::Events(batch)) => {
                for frame in batch.frames() {
                    if frame.id.epoch != last.epoch || frame.id.seq > last.seq {
                        return Ok(is_whole && has_start);
                    }
                    let event = TopicEvent::of(&frame.event);
                    is_whole &= !matches!(event, TopicEvent::Removed);
                    has_start |= frame.id == first;
                    each(frame.id, &event, &frame.event);
                }
            }
            Some(Delivery::Gap(_)) => is_whole = false,
            Some(Delivery::End(_)) => {}
        }
    }
}
