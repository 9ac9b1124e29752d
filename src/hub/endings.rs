//! The end of topics within a subscription: which of its topics are closed or deleted, and when the stream reports
//! that: once, after their last event.

use std::collections::BTreeMap;

use super::{batch::FrameBatch, feed::Feed};
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
    /// `None` while there are none, as in nearly all streams, which so take less memory.
    found: Option<Box<FoundEndings>>,
    /// Lifecycle changes of the feed that were applied.
    applied: u64,
}

/// The endings that a subscription knows of.
#[derive(Debug, Default)]
struct FoundEndings {
    /// Ended but not reported yet: the last event may be ahead of the cursor.
    pending: BTreeMap<TopicName, Ending>,
    /// Reported and not in use again, with the last position at that time. Only topics that the selection names.
    reported: BTreeMap<TopicName, Seq>,
    /// To be confirmed with the catalog, because a reopened topic has not ended: closing events just delivered (with
    /// their position), and topics that retain no events, so that no closing event will be delivered (`None`).
    unconfirmed: Vec<(TopicName, Option<Seq>)>,
}

impl Endings {
    /// `resumed` is the cursor of a client that reconnected: one at or after the end of a deleted topic has seen all of
    /// it.
    pub(super) fn new(catalog: &dyn Catalog, feed: &Feed, resumed: Option<Seq>) -> Self {
        let mut endings = Self { found: None, applied: feed.turns() };
        endings.query(catalog, feed, resumed);
        endings
    }

    /// Looks up which of the named topics have ended.
    fn query(&mut self, catalog: &dyn Catalog, feed: &Feed, resumed: Option<Seq>) {
        for name in feed.selection.names() {
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

    /// Takes note of the events of a batch that is being delivered. An event of a topic whose end was reported shows that
    /// the name is in use again.
    pub(super) fn delivered(&mut self, batch: &FrameBatch) {
        if self.found.is_none() && !batch.closes() {
            return; // nothing to note, without a look at each frame
        }
        let found = self.found.get_or_insert_default();
        for frame in batch.frames() {
            let topic = &frame.event.new.topic;
            found.reported.remove(topic);
            if frame.event.new.close {
                found.unconfirmed.push((topic.clone(), Some(frame.id.seq)));
            }
        }
    }

    /// No event of `topic` is retained: if it is closed, no closing event will be delivered.
    pub(super) fn emptied(&mut self, topic: TopicName) {
        self.found.get_or_insert_default().unconfirmed.push((topic, None));
    }

    /// The log was read to its end. A closing event that was trimmed before its page was read was not delivered, so ask
    /// the catalog.
    pub(super) fn caught_up(&mut self, catalog: &dyn Catalog, feed: &Feed) {
        self.query(catalog, feed, None);
    }

    /// Takes the next ending to report: one whose last event is at or before `position`.
    pub(super) fn take_due(&mut self, catalog: &dyn Catalog, feed: &Feed, position: Seq) -> Option<Ending> {
        let unconfirmed = self.found.as_mut().map(|found| std::mem::take(&mut found.unconfirmed));
        for (topic, seq) in unconfirmed.into_iter().flatten() {
            let ended = |facts: &TopicFacts| facts.closed && seq.is_none_or(|seq| facts.last == Some(seq));
            let Some(facts) = catalog.topic(&topic).filter(ended) else { continue };
            self.add_pending(Ending { topic, deleted: false, last: facts.last.unwrap_or_default() });
        }
        if feed.turns() != self.applied {
            self.apply_changes(catalog, feed, position);
        }
        let FoundEndings { pending, reported, unconfirmed } = &mut **self.found.as_mut()?;
        let due = pending.values().find(|ending| ending.last <= position).map(|ending| ending.topic.clone());
        let Some(topic) = due else {
            if pending.is_empty() && reported.is_empty() && unconfirmed.is_empty() {
                self.found = None;
            }
            return None;
        };
        let ending = pending.remove(&topic).expect("just found");
        if feed.selection.names().any(|name| *name == topic) {
            reported.insert(topic, ending.last);
        }
        Some(ending)
    }

    /// Keeps an ending until the cursor has reached its last event, unless it was reported.
    fn add_pending(&mut self, ending: Ending) {
        let FoundEndings { pending, reported, .. } = &mut **self.found.get_or_insert_default();
        if reported.get(&ending.topic).is_none_or(|&last| last < ending.last) {
            pending.insert(ending.topic.clone(), ending);
        }
    }

    /// Applies the feed's lifecycle changes since the last call.
    fn apply_changes(&mut self, catalog: &dyn Catalog, feed: &Feed, position: Seq) {
        let now = feed.turns();
        if let Some(changes) = feed.changes_after(self.applied) {
            for (topic, change) in changes {
                let (last, deleted) = match change {
                    LifecycleChange::Reopened => {
                        if let Some(found) = &mut self.found {
                            found.pending.remove(&topic);
                            found.reported.remove(&topic);
                        }
                        continue;
                    }
                    LifecycleChange::Closed { last } => (last, false),
                    LifecycleChange::Deleted { last } => (last, true),
                };
                self.add_pending(Ending { topic, deleted, last });
            }
        } else {
            if let Some(found) = &mut self.found {
                found.pending.clear();
                found.reported.clear();
            }
            self.query(catalog, feed, Some(position));
        }
        self.applied = now;
    }

    /// Whether no ending is pending or was reported, so that frames without a closing event need no inspection.
    pub(super) fn is_idle(&self, feed: &Feed) -> bool {
        self.found.is_none() && feed.turns() == self.applied
    }

    /// Whether the end of every topic of the selection was reported; never true with a pattern.
    pub(super) fn all_reported(&self, selection: &Selection) -> bool {
        self.found.as_ref().is_some_and(|found| {
            !selection.never_ends() && selection.names().all(|name| found.reported.contains_key(name))
        })
    }

    /// Whether every topic of the selection has ended at or before `position`; never true with a pattern.
    pub(super) fn all_ended_by(&self, selection: &Selection, position: Seq) -> bool {
        self.found.as_ref().is_some_and(|found| {
            let ended = |name| found.pending.get(name).is_some_and(|ending| ending.last <= position);
            !selection.never_ends() && selection.names().all(|name| found.reported.contains_key(name) || ended(name))
        })
    }
}
