//! Letting go of a topic's oldest events, a step at a time, while others read and write.
//!
//! A step reads the oldest headers without a lock, then moves the topic's mark under one, unless another trimmer
//! was faster. Readers see the mark at once; the space is taken back later.

use super::{
    clock::Now,
    shared::LogShared,
    slot::{Flag, Slot},
    store::{EventHeader, Liveness, Store, StoreError, TopicKey},
};
use crate::event::{Millis, Retention, Seq, TopicName};

/// Headers read in the first step. Mostly one event or two exceed a limit; looking at all that a topic keeps would open
/// every segment that holds some of it, and there are more of them than may be open.
const FIRST_STEP: usize = 16;

/// Headers read in a step at most: 16 KiB of them.
const STEP: usize = 512;

/// What a topic still keeps when a header is judged, itself included.
pub(super) struct Left {
    pub(super) events: u64,
    pub(super) bytes: u64,
}

impl<S: Store> LogShared<S> {
    /// Brings a topic within its limits.
    pub(super) fn trim_to_limits(&self, key: TopicKey) -> Result<(), StoreError> {
        let now = self.now();
        let Some(limits) = ({
            let table = self.table.read();
            let slot = table.by_key(key);
            slot.map(|slot| (slot.exceeds(&table.limits(&slot.name), &now), table.limits(&slot.name)))
        }) else {
            return Ok(());
        };
        let (true, limits) = limits else { return Ok(()) };
        let oldest = limits.max_age.map_or(Millis(0), |age| now.before(age));
        self.trim_while(key, |header, left| {
            limits.max_events.is_some_and(|max| left.events > max)
                || limits.max_bytes.is_some_and(|max| left.bytes > max && left.events > 1)
                || header.time < oldest
        })
    }

    /// Whether a reader must not see all of what a topic has: some is past its age, or was trimmed before this start.
    pub(super) fn is_overdue(&self, slot: &Slot, limits: &Retention, now: &Now) -> bool {
        slot.expired(limits.max_age, now) || (!self.startup_trim.is_over() && slot.exceeds(limits, now))
    }

    /// Trims what a reader must not see of a topic.
    pub(super) fn trim_overdue(&self, name: &TopicName) -> Result<(), StoreError> {
        let now = self.now();
        let overdue = {
            let table = self.table.read();
            table.get(name).filter(|slot| self.is_overdue(slot, &table.limits(name), &now)).map(|slot| slot.key)
        };
        overdue.map_or(Ok(()), |key| self.trim_to_limits(key))
    }

    /// Trims a topic's oldest events as long as `gone` says so.
    pub(super) fn trim_while(
        &self,
        key: TopicKey,
        mut gone: impl FnMut(&EventHeader, &Left) -> bool,
    ) -> Result<(), StoreError> {
        let mut step = FIRST_STEP;
        loop {
            let _sizes = self.resizing.read(); // what the headers say is what the table counts
            let before = self.table.read().by_key(key).map(|slot| (slot.mark, slot.tail, slot.events(), slot.bytes));
            let Some((mark, tail, events @ 1.., bytes)) = before else { return Ok(()) };
            let headers = self.store.topic_headers(key, mark, step)?;
            let mut left = Left { events, bytes };
            let mut dropped = headers
                .iter()
                .take_while(|header| {
                    let gone = gone(header, &left);
                    if gone {
                        left.events = left.events.saturating_sub(1);
                        left.bytes = left.bytes.saturating_sub(header.bytes);
                    }
                    gone
                })
                .count();
            let all = dropped == headers.len();
            let more = headers.len() == step;
            step = (2 * step).min(STEP);
            let mut table = self.table.write();
            let Some(name) = table.by_key(key).filter(|slot| slot.mark == mark).map(|slot| slot.name.clone()) else {
                continue; // another trimmer was faster
            };
            let emptied = all && !more && table.get(&name).is_some_and(|slot| slot.tail == tail);
            if all && !emptied {
                dropped = dropped.saturating_sub(1); // the last one stays until the next one is known
            }
            if dropped == 0 && !emptied {
                if all {
                    continue; // events came meanwhile
                }
                return Ok(());
            }
            self.retention_queue.set_dead(true);
            table.update(&name, |slot| {
                if let Some(last) = headers[..dropped].last() {
                    (slot.mark, slot.trimmed_time) = (last.seq, last.time);
                }
                if emptied {
                    slot.mark = tail;
                    slot.keep(Seq::ZERO, Millis(0), 0, 0);
                } else {
                    let next = headers[dropped];
                    let bytes: u64 = headers[..dropped].iter().map(|header| header.bytes).sum();
                    let events = slot.events().saturating_sub(dropped as u64).max(1);
                    slot.keep(next.seq, next.time, events, slot.bytes.saturating_sub(bytes));
                }
            });
            if emptied || !all {
                return Ok(());
            }
        }
    }
}

/// What the store must keep.
impl<S: Store> Liveness for LogShared<S> {
    fn first_kept(&self, key: TopicKey) -> Option<Seq> {
        let table = self.table.read();
        match table.by_key(key) {
            // An emptied topic's last event stays as a witness until the settings remember where it ended.
            Some(slot) if slot.first().is_none() => (!slot.is(Flag::Remembered)).then_some(slot.tail),
            Some(slot) => slot.first(),
            // Durable already, but not in the table yet.
            None => (key.0 > table.head.0).then_some(Seq(key.0)),
        }
    }
}
