//! The end of topics within a subscription: which of its topics are closed or deleted, and when the stream reports
//! that: once, after their last event.

use std::{collections::BTreeMap, sync::Arc};

use super::{feed::Feed, frame::Frame};
use crate::{
    engine::{Catalog, LifecycleChange, TopicFacts},
    event::{Selection, Seq, TopicName},
};

/// A topic that takes no more events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Its name.
    pub topic: TopicName,
    /// True when it was deleted, false when it was closed.
    pub deleted: bool,
    /// Its highest position ever; 0 when no event was ever published.
    pub last: Seq,
}

/// The endings of one subscription's topics. Bounded by the names in the selection; for patterns, by the events of one
/// delivery and by the lifecycle changes that one feed remembers.
#[derive(Debug)]
pub(super) struct Endings {
    selection: Selection,
    /// Ended but not reported yet: the last event may be ahead of the cursor.
    pending: BTreeMap<TopicName, Ending>,
    /// Reported and not in use again, with the last position at that time. Only topics that the selection names.
    reported: BTreeMap<TopicName, Seq>,
    /// To be confirmed with the catalog, because a reopened topic has not ended: closing events just delivered (with
    /// their position), and topics that retain no events, so that no closing event will be delivered (`None`).
    unconfirmed: Vec<(TopicName, Option<Seq>)>,
    /// Lifecycle changes of the feed that were applied.
    applied: u64,
}

impl Endings {
    /// `resumed` is the cursor of a client that reconnected: one at or after the end of a deleted topic has seen all of
    /// it.
    pub(super) fn new(catalog: &dyn Catalog, feed: &Feed, resumed: Option<Seq>) -> Self {
        let mut endings = Self {
            selection: feed.selection.clone(),
            pending: BTreeMap::new(),
            reported: BTreeMap::new(),
            unconfirmed: Vec::new(),
            applied: feed.turns(),
        };
        endings.query(catalog, feed, resumed);
        endings
    }

    /// Looks up which of the named topics have ended.
    fn query(&mut self, catalog: &dyn Catalog, feed: &Feed, resumed: Option<Seq>) {
        let selection = self.selection.clone();
        for name in selection.names() {
            let ending = match catalog.topic(name) {
                Some(facts) => facts.closed.then(|| Ending {
                    topic: name.clone(),
                    deleted: false,
                    last: facts.last.unwrap_or_default(),
                }),
                None => feed
                    .deletions
                    .get(name)
                    .filter(|mark| resumed.is_some_and(|cursor| cursor >= *mark))
                    .map(|last| Ending { topic: name.clone(), deleted: true, last }),
            };
            if let Some(ending) = ending {
                self.add_pending(ending);
            }
        }
    }

    /// Takes note of events that are being delivered. An event of a topic whose end was reported shows that the name is
    /// in use again.
    pub(super) fn delivered(&mut self, frames: &[Arc<Frame>]) {
        for frame in frames {
            let topic = &frame.event.new.topic;
            self.reported.remove(topic);
            if frame.event.new.close {
                self.unconfirmed.push((topic.clone(), Some(frame.id.seq)));
            }
        }
    }

    /// No event of `topic` is retained: if it is closed, no closing event will be delivered.
    pub(super) fn emptied(&mut self, topic: TopicName) {
        self.unconfirmed.push((topic, None));
    }

    /// The log was read to its end. A closing event that was trimmed before its page was read was not delivered, so ask
    /// the catalog.
    pub(super) fn caught_up(&mut self, catalog: &dyn Catalog, feed: &Feed) {
        self.query(catalog, feed, None);
    }

    /// Takes the next ending to report: one whose last event is at or before `position`.
    pub(super) fn take_due(&mut self, catalog: &dyn Catalog, feed: &Feed, position: Seq) -> Option<Ending> {
        for (topic, seq) in std::mem::take(&mut self.unconfirmed) {
            let ended = |facts: &TopicFacts| facts.closed && seq.is_none_or(|seq| facts.last == Some(seq));
            let Some(facts) = catalog.topic(&topic).filter(ended) else { continue };
            self.add_pending(Ending { topic, deleted: false, last: facts.last.unwrap_or_default() });
        }
        if feed.turns() != self.applied {
            self.apply_changes(catalog, feed, position);
        }
        let topic = self.pending.values().find(|ending| ending.last <= position)?.topic.clone();
        let ending = self.pending.remove(&topic).expect("just found");
        if self.selection.names().any(|name| *name == topic) {
            self.reported.insert(topic, ending.last);
        }
        Some(ending)
    }

    /// Keeps an ending until the cursor has reached its last event, unless it was reported.
    fn add_pending(&mut self, ending: Ending) {
        if self.reported.get(&ending.topic).is_none_or(|&last| last < ending.last) {
            self.pending.insert(ending.topic.clone(), ending);
        }
    }

    /// Applies the feed's lifecycle changes since the last call.
    fn apply_changes(&mut self, catalog: &dyn Catalog, feed: &Feed, position: Seq) {
        let now = feed.turns();
        if let Some(changes) = feed.changes_after(self.applied) {
            for (topic, change) in changes {
                let (last, deleted) = match change {
                    LifecycleChange::Reopened => {
                        self.pending.remove(&topic);
                        self.reported.remove(&topic);
                        continue;
                    }
                    LifecycleChange::Closed { last } => (last, false),
                    LifecycleChange::Deleted { last } => (last, true),
                };
                self.add_pending(Ending { topic, deleted, last });
            }
        } else {
            self.pending.clear();
            self.reported.clear();
            self.query(catalog, feed, Some(position));
        }
        self.applied = now;
    }

    /// Whether no ending is pending or was reported, so that frames without a closing event need no inspection.
    pub(super) fn is_idle(&self, feed: &Feed) -> bool {
        self.pending.is_empty()
            && self.reported.is_empty()
            && self.unconfirmed.is_empty()
            && feed.turns() == self.applied
    }

    /// Whether the end of every topic of the selection was reported; never true with a pattern.
    pub(super) fn all_reported(&self) -> bool {
        !self.selection.is_open_ended() && self.selection.names().all(|name| self.reported.contains_key(name))
    }

    /// Whether every topic of the selection has ended at or before `position`; never true with a pattern.
    pub(super) fn all_ended_by(&self, position: Seq) -> bool {
        !self.selection.is_open_ended()
            && self.selection.names().all(|name| {
                self.reported.contains_key(name) || self.pending.get(name).is_some_and(|ending| ending.last <= position)
            })
    }
}
