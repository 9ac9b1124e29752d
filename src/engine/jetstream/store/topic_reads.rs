//! Reading one topic's events.
//!
//! Any replica answers a read, and it may be behind: it lacks the newest messages, or still has purged ones. Each event names
//! the one before it, so what was read is complete when this chain has no hole and reaches the wanted end. If not, it is
//! read again; and since a purge leaves a hole as well, the stream's leader is asked for the topic's mark, and this hub must
//! have heard of it before the read returns.

use std::{borrow::Borrow, collections::VecDeque};

use super::super::{
    nats::{NatsError, Range, Stored},
    wire::{EventRecord, SettingsRecord, WireError},
};
use super::{log_end::AskFor, patience::Patience, reclaim::durable_mark, shared::StoreCore};
use crate::{
    engine::log::store::{EventHeader, Position, ReadLimit, StoreError, StoredEvent, TopicKey},
    event::{Seq, TopicName},
};

/// Incomplete reads before the stream's leader is asked for the mark.
const DOUBTS: usize = 3;

/// Bytes of one request.
const PAGE_BYTES: usize = 4 << 20;

/// Bytes of a message beside its data: subject and headers.
const MESSAGE: usize = 1024;

/// Messages of one request: two pages of events that are not of the size that is expected are no loss.
const PAGE_MESSAGES: usize = 4096;

/// How many times the span of positions grows in which the newest events of a topic are looked for.
const GROWTH: u64 = 4;

impl StoreCore {
    /// Events with `after < seq <= through`, up to `limit`.
    pub(super) async fn topic_events(
        &self,
        (key, topic): (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        limit: ReadLimit,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        if after >= through {
            return Ok(Vec::new());
        }
        let full = |events: &[StoredEvent], bytes: usize| events.len() >= limit.events || bytes >= limit.bytes;
        if let Some(known) = self.ring.lock().topic(key, after, through) {
            let (mut events, mut bytes) = (Vec::new(), 0);
            for stored in known {
                bytes += stored.event.new.payload_bytes();
                events.push(stored.clone());
                if full(&events, bytes) {
                    break;
                }
            }
            return Ok(events);
        }
        let (mut events, mut bytes) = (Vec::<StoredEvent>::new(), 0usize);
        let (mut patience, mut floor) = (Patience::new(), after);
        loop {
            let last = events.last().map_or(after, |stored| stored.event.seq);
            if full(&events, bytes) || last.max(floor) >= through {
                return Ok(events);
            }
            let range = Range {
                filter: self.subjects.event(topic),
                from: last.0 + 1,
                // One more: the event behind the last one proves that none is missing between.
                max: (limit.events - events.len()).saturating_add(1).min(PAGE_MESSAGES),
                max_bytes: limit.bytes.saturating_sub(bytes).saturating_add(MESSAGE).clamp(MESSAGE, PAGE_BYTES),
            };
            let page = match self.nats.range(range).await {
                Ok(page) => page,
                Err(error) => {
                    patience.after_error(error).await?;
                    continue;
                }
            };
            let ends = page.pending == 0;
            let found = self.merged((key, topic), last, page.messages, ends.then_some(through))?;
            let before = events.len();
            let mut complete = false;
            for stored in found {
                let known = events.last().map_or(after, |stored| stored.event.seq).max(floor);
                if stored.prev > known {
                    break;
                }
                if stored.event.seq > through {
                    complete = true;
                    break;
                }
                bytes += stored.event.new.payload_bytes();
                events.push(stored);
                if full(&events, bytes) {
                    complete = true;
                    break;
                }
            }
            if complete {
                return Ok(events);
            }
            if events.len() > before {
                continue;
            }
            patience.after_doubt().await?;
            if patience.doubts == DOUBTS {
                match self.stored_mark(topic).await {
                    Ok(mark) => floor = floor.max(mark),
                    Err(error) => patience.after_error(error).await?,
                }
                // The caller tells the gap by the mark that it knows when this returns.
                self.has_heard(AskFor::Servers, &mut patience).await?;
            }
        }
    }

    /// Headers of events with `after < seq <= through`, at most `max`. Reads the data as well: JetStream gives no headers
    /// without it.
    pub(super) async fn topic_headers(
        &self,
        topic: (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        max: usize,
    ) -> Result<Vec<EventHeader>, StoreError> {
        let (mut headers, mut at) = (Vec::new(), after);
        while headers.len() < max && at < through {
            let limit = ReadLimit { events: max - headers.len(), bytes: PAGE_BYTES };
            let events = self.topic_events(topic, at, through, limit).await?;
            let Some(last) = events.last() else { break };
            at = last.event.seq;
            headers.extend(events.iter().map(header));
        }
        Ok(headers)
    }

    /// Positions of events with `after < seq <= through`, newest first, at most `max`.
    pub(super) async fn topic_newest(
        &self,
        topic: (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        max: usize,
    ) -> Result<Vec<Position>, StoreError> {
        if after >= through || max == 0 {
            return Ok(Vec::new());
        }
        if let Some(found) = self.ring.lock().newest(topic.0, after, through, max) {
            return Ok(found.into_iter().map(position).collect());
        }
        // JetStream reads forwards only: from where enough events are expected, and from further back until there are.
        let mut span = GROWTH * max as u64;
        loop {
            let start = Seq(through.0.saturating_sub(span)).max(after);
            let (mut newest, mut at) = (VecDeque::new(), start);
            while at < through {
                let limit = ReadLimit { events: PAGE_MESSAGES, bytes: PAGE_BYTES };
                let events = self.topic_events(topic, at, through, limit).await?;
                let Some(last) = events.last() else { break };
                at = last.event.seq;
                newest.extend(events.iter().map(position));
                newest.drain(..newest.len().saturating_sub(max));
            }
            if newest.len() == max || start == after {
                return Ok(newest.into_iter().rev().collect());
            }
            span = span.saturating_mul(GROWTH);
        }
    }

    /// The events among these messages, with the tombstones of removed ones. Beyond the last message, tombstones up to
    /// `end` are added if there is one.
    fn merged(
        &self,
        (key, topic): (TopicKey, &TopicName),
        after: Seq,
        messages: Vec<Stored>,
        end: Option<Seq>,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let last = messages.last().map_or(after, |message| Seq(message.seq));
        let removed = self.removed.lock().of_topic(key, after, end.unwrap_or(last).max(last));
        let mut events = Vec::with_capacity(messages.len() + removed.len());
        for message in messages {
            let seq = Seq(message.seq);
            match EventRecord::decode(topic.clone(), seq, &message.headers, message.payload) {
                // Those of a deleted incarnation may not be purged yet.
                Ok(record) if record.key == key => events.push(record.stored),
                Ok(_) => {}
                Err(error) => skip_foreign(&message.subject, seq, &error)?,
            }
        }
        Ok(replaced(events, removed, |stored| stored.event.seq))
    }

    /// A topic's mark, by the stream's leader. One that leads no more may know an earlier mark, and no later one.
    async fn stored_mark(&self, topic: &TopicName) -> Result<Seq, NatsError> {
        let malformed = |error: WireError| NatsError::Malformed(error.to_string());
        let newest = self.nats.leader_last(&self.subjects.event(topic)).await?;
        let settings = self.nats.leader_last(&self.subjects.settings(topic)).await?;
        let mut mark = Seq::ZERO;
        if let Some(message) = newest {
            let seq = Seq(message.seq);
            let event =
                EventRecord::decode(topic.clone(), seq, &message.headers, message.payload).map_err(malformed)?;
            mark = event.state.map_or(Seq::ZERO, |state| state.mark);
        }
        if let Some(message) = settings {
            let record = SettingsRecord::decode(&message.headers).map_err(malformed)?;
            mark = mark.max(durable_mark(&record.settings, &record.state));
        }
        Ok(mark)
    }
}

/// Ascending events, with these tombstones in the places of theirs.
pub(super) fn replaced<T>(events: Vec<T>, removed: Vec<T>, seq: impl Fn(&T) -> Seq) -> Vec<T> {
    if removed.is_empty() {
        return events;
    }
    let (mut merged, mut removed) = (Vec::with_capacity(events.len() + removed.len()), removed.into_iter().peekable());
    for event in events {
        while let Some(tombstone) = removed.next_if(|tombstone| seq(tombstone) < seq(&event)) {
            merged.push(tombstone);
        }
        merged.push(removed.next_if(|tombstone| seq(tombstone) == seq(&event)).unwrap_or(event));
    }
    merged.extend(removed);
    merged
}

/// A message that is no record: one of a newer version fails the read, one that somebody else has published is left out.
pub(super) fn skip_foreign(subject: &str, seq: Seq, error: &WireError) -> Result<(), StoreError> {
    if let WireError::Newer(_) = error {
        return Err(StoreError::NotNow(format!("the message at {seq}: {error}").into()));
    }
    tracing::warn!(subject, %seq, %error, "a message in the stream that is not gapless's is left out");
    Ok(())
}

fn header(stored: &StoredEvent) -> EventHeader {
    let StoredEvent { prev, event } = stored;
    EventHeader { seq: event.seq, prev: *prev, time: event.time, bytes: event.new.payload_bytes() as u64 }
}

fn position(stored: impl Borrow<StoredEvent>) -> Position {
    let event = &stored.borrow().event;
    Position { seq: event.seq, removed: event.new.name.is_removed(), bytes: event.new.payload_bytes() as u64 }
}
