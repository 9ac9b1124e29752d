//! One topic, read from its beginning and then followed, by the hub itself: it is counted as no stream, and writes nowhere.

use std::sync::Arc;

use super::{Hub, broker::FeedHandle};
use crate::{
    engine::{PageItem, ReadError, ReadFrom, ReadLimit, ReadRequest},
    event::{Epoch, Event, Selection, Seq, TopicName},
};

/// A reader of one topic.
pub struct TopicTail {
    hub: Arc<Hub>,
    feed: FeedHandle,
    from: ReadFrom,
}

/// The next events of a topic.
#[derive(Debug, Clone)]
pub struct TailPage {
    /// The epoch of their positions.
    pub epoch: Epoch,
    /// The events, in their order. What is no longer kept is left out.
    pub events: Vec<Arc<Event>>,
    /// They are complete up to this position.
    pub through: Seq,
    /// Whether there were no more when they were read.
    pub at_end: bool,
}

impl Hub {
    /// A reader of `topic`, from its oldest event on.
    #[must_use]
    pub fn tail(self: &Arc<Self>, topic: TopicName) -> TopicTail {
        // Joined before the first page is read: each event is in a page, or announced.
        let (feed, _) = self.broker.join(&Selection::from(topic), 0);
        TopicTail { hub: Arc::clone(self), feed, from: ReadFrom::Earliest }
    }
}

impl TopicTail {
    /// The next page, of at most `limit`. At the end of the topic it is empty. Cancel safe.
    ///
    /// # Errors
    /// When the log cannot be read now; a repeated call reads the same page.
    pub async fn read(&mut self, limit: ReadLimit) -> Result<TailPage, ReadError> {
        let request = ReadRequest {
            selection: self.feed.feed.selection.clone(),
            from: self.from,
            max_events: limit.events,
            max_bytes: limit.bytes,
        };
        let page = self.hub.engine.read(request).await?;
        self.from = ReadFrom::After(page.through);
        let events = page.items.into_iter().filter_map(|item| match item {
            PageItem::Event(event) => Some(event),
            PageItem::Gap(_) => None,
        });
        Ok(TailPage { epoch: page.epoch, events: events.collect(), through: page.through, at_end: page.at_end })
    }

    /// Waits until there may be more than was read. Cancel safe.
    pub async fn changed(&self) {
        if let ReadFrom::After(seq) = self.from {
            self.feed.feed.past(seq).await;
        }
    }
}
