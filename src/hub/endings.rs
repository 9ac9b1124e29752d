//! Which of a subscription's topics have ended, and when to say so: after their last event, once.

use std::{collections::BTreeMap, sync::Arc};

use super::{feed::Feed, frame::Frame};
use crate::{
    engine::{Engine, LifecycleChange, TopicState},
    event::{Selection, Seq, TopicName},
};

/// A topic that takes no more events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Its name.
    pub topic: TopicName,
    /// Deleted rather than closed.
    pub deleted: bool,
    /// Its newest position ever; 0 when nothing was ever published.
    pub last: Seq,
}

/// The endings of one subscription's topics. Bounded by the names asked for, and for patterns by what one delivery
/// and one feed's memory of turns hold.
#[derive(Debug)]
pub(super) struct Endings {
    selection: Selection,
    /// Ended but not yet told: their last event may be ahead of the cursor.
    pending: BTreeMap<TopicName, Ending>,
    /// Told, by their last position then, and not in use again; only topics asked for by name.
    told: BTreeMap<TopicName, Seq>,
    /// Closing events just delivered, and topics just told to keep nothing, whose closing event nobody will see. To be
    /// checked with the engine: a reopened topic has not ended.
    passed: Vec<(TopicName, Option<Seq>)>,
    /// How many of the feed's turns were seen.
    seen: u64,
}

impl Endings {
    /// `resumed` is the cursor of a client that came back: one that has seen all of a deleted topic is at its end.
    pub(super) fn new(engine: &Arc<dyn Engine>, feed: &Feed, resumed: Option<Seq>) -> Self {
        let mut endings = Self {
            selection: feed.selection.clone(),
            pending: BTreeMap::new(),
            told: BTreeMap::new(),
            passed: Vec::new(),
            seen: feed.turns(),
        };
        endings.ask(engine, resumed);
        endings
    }

    /// Asks the engine which of the topics asked for by name have ended without being told.
    fn ask(&mut self, engine: &Arc<dyn Engine>, resumed: Option<Seq>) {
        let selection = self.selection.clone();
        for name in selection.names() {
            let ending = match engine.topic(name) {
                Some(state) => state.closed.then(|| Ending {
                    topic: name.clone(),
                    deleted: false,
                    last: state.last.unwrap_or_default(),
                }),
                None => engine
                    .deleted_through(name)
                    .filter(|mark| resumed.is_some_and(|cursor| cursor >= *mark))
                    .map(|last| Ending { topic: name.clone(), deleted: true, last }),
            };
            if let Some(ending) = ending {
                self.expect(ending);
            }
        }
    }

    /// Events that are being delivered. One of a topic whose end was told shows that its name is used again.
    pub(super) fn passed(&mut self, frames: &[Arc<Frame>]) {
        for frame in frames {
            let topic = &frame.event.new.topic;
            self.told.remove(topic);
            if frame.event.new.close {
                self.passed.push((topic.clone(), Some(frame.id.seq)));
            }
        }
    }

    /// Nothing of `topic` is kept, so if it is closed no event says so.
    pub(super) fn emptied(&mut self, topic: TopicName) {
        self.passed.push((topic, None));
    }

    /// The log was read to its end: a closing event that was trimmed before its page was read is not among its events.
    pub(super) fn caught_up(&mut self, engine: &Arc<dyn Engine>) {
        self.ask(engine, None);
    }

    /// An ending whose last event is behind `position`, if there is one to tell.
    pub(super) fn due(&mut self, engine: &Arc<dyn Engine>, feed: &Feed, position: Seq) -> Option<Ending> {
        for (topic, seq) in std::mem::take(&mut self.passed) {
            let ended = |state: &TopicState| state.closed && seq.is_none_or(|seq| state.last == Some(seq));
            let Some(state) = engine.topic(&topic).filter(ended) else { continue };
            self.expect(Ending { topic, deleted: false, last: state.last.unwrap_or_default() });
        }
        if feed.turns() != self.seen {
            self.follow(engine, feed, position);
        }
        let topic = self.pending.values().find(|ending| ending.last <= position)?.topic.clone();
        let ending = self.pending.remove(&topic).expect("just found");
        if self.selection.names().any(|name| *name == topic) {
            self.told.insert(topic, ending.last);
        }
        Some(ending)
    }

    /// Keeps an ending until its last event is behind the cursor, unless it was told.
    fn expect(&mut self, ending: Ending) {
        if self.told.get(&ending.topic).is_none_or(|&told| told < ending.last) {
            self.pending.insert(ending.topic.clone(), ending);
        }
    }

    /// Catches up with the feed's turns.
    fn follow(&mut self, engine: &Arc<dyn Engine>, feed: &Feed, position: Seq) {
        let now = feed.turns();
        if let Some(turns) = feed.turns_after(self.seen) {
            for (topic, change) in turns {
                let (last, deleted) = match change {
                    LifecycleChange::Reopened => {
                        self.pending.remove(&topic);
                        self.told.remove(&topic);
                        continue;
                    }
                    LifecycleChange::Closed { last } => (last, false),
                    LifecycleChange::Deleted { last } => (last, true),
                };
                self.expect(Ending { topic, deleted, last });
            }
        } else {
            self.pending.clear();
            self.told.clear();
            self.ask(engine, Some(position));
        }
        self.seen = now;
    }

    /// Whether no ending is awaited or was told, so that events without a closing one need not be looked at.
    pub(super) fn quiet(&self, feed: &Feed) -> bool {
        self.pending.is_empty() && self.told.is_empty() && self.passed.is_empty() && feed.turns() == self.seen
    }

    /// Whether every topic asked for has ended and was told so; never with a pattern.
    pub(super) fn all_ended(&self) -> bool {
        !self.selection.is_open_ended() && self.selection.names().all(|name| self.told.contains_key(name))
    }

    /// Whether every topic asked for has ended, with nothing after `position`.
    pub(super) fn nothing_after(&self, position: Seq) -> bool {
        !self.selection.is_open_ended()
            && self.selection.names().all(|name| {
                self.told.contains_key(name) || self.pending.get(name).is_some_and(|ending| ending.last <= position)
            })
    }
}
