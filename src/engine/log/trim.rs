//! Trims a topic's oldest events in steps, concurrently with readers and the writer.
//!
//! A step reads the oldest headers without the table's lock, then advances the topic's mark under it, unless another
//! trimmer was faster. Readers see the mark at once; the space is reclaimed later.

use super::{
    shared::LogShared,
    slot::Flag,
    store::{EventHeader, Liveness, Store, StoreError, TopicKey},
    table::TopicTable,
};
use crate::event::{Millis, Seq, TopicName};

/// Headers read in the first step. Usually only one or two events exceed a limit, and reading all headers of a topic
/// would open every segment that holds some of them, which may be more than can be open at once.
const FIRST_STEP: usize = 16;

/// Maximum number of headers per step: 16 KiB of them.
const STEP: usize = 512;

/// What a topic would retain from a given header on, inclusive.
pub(super) struct Remaining {
    pub(super) events: u64,
    pub(super) bytes: u64,
}

impl<S: Store> LogShared<S> {
    /// Trims a topic to its limits.
    pub(super) fn trim_to_limits(&self, key: TopicKey) -> Result<(), StoreError> {
        let now = self.now();
        let Some(limits) = ({
            let table = self.catalog.table.read();
            let slot = table.by_key(key);
            slot.map(|slot| (slot.exceeds(&table.limits(&slot.name), &now), table.limits(&slot.name)))
        }) else {
            return Ok(());
        };
        let (true, limits) = limits else { return Ok(()) };
        let oldest = limits.max_age.map_or(Millis(0), |age| now.before(age));
        self.trim_while(key, |header, remaining| {
            limits.max_events.is_some_and(|max| remaining.events > max)
                || limits.max_bytes.is_some_and(|max| remaining.bytes > max && remaining.events > 1)
                || header.time < oldest
        })
    }

    /// The topic, if it has events that a reader must not see. A look-up in memory.
    pub(super) fn overdue(&self, name: &TopicName) -> Option<TopicKey> {
        let now = self.now();
        let table = self.catalog.table.read();
        table.get(name).filter(|slot| self.catalog.is_overdue(slot, &table.limits(name), &now)).map(|slot| slot.key)
    }

    /// Trims the events of a topic that a reader must not see.
    pub(super) fn trim_overdue(&self, name: &TopicName) -> Result<(), StoreError> {
        self.overdue(name).map_or(Ok(()), |key| self.trim_to_limits(key))
    }

    /// Trims a topic's oldest events while `should_trim` returns `true`, up to the newest one that the observer has. A
    /// reader that has caught up with the observer receives the next events from it, and would not be told that they, and
    /// others before them, are gone.
    pub(super) fn trim_while(
        &self,
        key: TopicKey,
        mut should_trim: impl FnMut(&EventHeader, &Remaining) -> bool,
    ) -> Result<(), StoreError> {
        let mut step = FIRST_STEP;
        loop {
            let _sizes = self.resizing.read(); // keeps the headers' sizes equal to those counted in the table
            let before = self
                .catalog
                .table
                .read()
                .by_key(key)
                .map(|slot| (slot.name.clone(), slot.mark, slot.tail, slot.events(), slot.bytes));
            let Some((name, mark, tail, events @ 1.., bytes)) = before else { return Ok(()) };
            // A commit may be in the store and not in the table yet; the writer counts its events when it applies it.
            let headers = self.store.topic_headers((key, &name), mark, tail, step)?;
            let (observed, mut remaining) = (self.observed(), Remaining { events, bytes });
            let mut dropped = headers
                .iter()
                .take_while(|header| {
                    let gone = header.seq <= observed && should_trim(header, &remaining);
                    if gone {
                        remaining.events = remaining.events.saturating_sub(1);
                        remaining.bytes = remaining.bytes.saturating_sub(header.bytes);
                    }
                    gone
                })
                .count();
            let all = dropped == headers.len();
            let more = headers.len() == step;
            step = (2 * step).min(STEP);
            let mut table = self.catalog.table.write();
            if table.by_key(key).is_none_or(|slot| slot.mark != mark) {
                continue; // another trimmer was faster
            }
            let emptied = all && !more && table.get(&name).is_some_and(|slot| slot.tail == tail);
            if all && !emptied {
                dropped = dropped.saturating_sub(1); // the last one stays until the next header is read
            }
            if dropped == 0 && !emptied {
                if all {
                    continue; // events were appended meanwhile
                }
                return Ok(());
            }
            if self.store.keeps_states() {
                // Also where this hub follows: if it leads next, nobody else has recorded what its readers have trimmed.
                self.trimmed.lock().insert(key);
            }
            table.update(&name, |slot| {
                if let Some(last) = headers[..dropped].last() {
                    (slot.mark, slot.trimmed_time) = (last.seq, last.time);
                }
                if emptied {
                    slot.mark = tail;
                    slot.set_retained(Seq::ZERO, Millis(0), 0, 0);
                } else {
                    let next = headers[dropped];
                    let bytes: u64 = headers[..dropped].iter().map(|header| header.bytes).sum();
                    let events = slot.events().saturating_sub(dropped as u64).max(1);
                    slot.set_retained(next.seq, next.time, events, slot.bytes.saturating_sub(bytes));
                }
            });
            self.retention_queue.set_reclaimable(true);
            if emptied || !all {
                return Ok(());
            }
        }
    }

    /// A topic's mark is recorded. Unless more was trimmed meanwhile, nothing is left to record.
    pub(super) fn mark_recorded(&self, table: &TopicTable, key: TopicKey, mark: Seq) {
        if table.by_key(key).is_none_or(|slot| slot.mark <= mark) {
            self.trimmed.lock().remove(&key);
        }
    }
}

/// Tells the store which events are live.
impl<S: Store> Liveness for LogShared<S> {
    fn first_kept(&self, key: TopicKey) -> Option<Seq> {
        let table = self.catalog.table.read();
        match table.by_key(key) {
            // The last event of an emptied topic stays until its position is recorded in the settings. A commit after it
            // may be durable, and not applied to the table yet.
            Some(slot) if slot.first().is_none() => {
                Some(if slot.is(Flag::EndRecorded) { slot.tail.next() } else { slot.tail })
            }
            Some(slot) => slot.first(),
            // Likewise the first commit of a topic.
            None => (key.0 > table.head.0).then_some(Seq(key.0)),
        }
    }
}
