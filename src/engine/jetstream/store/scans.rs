//! Reading the stream in order of positions, whatever the topics, and finding a time in it.
//!
//! What a replica has told is complete up to its last message. Whether there is more is known to the caller: the end of a
//! scan is the position of an event.

use super::super::{
    nats::{Range, Stored},
    wire::{EventRecord, SubjectPlace},
};
use super::{
    JetStreamStore,
    log_end::AskFor,
    patience::Patience,
    shared::StoreCore,
    topic_reads::{replaced, skip_foreign},
};
use crate::{
    engine::log::store::{ReadLimit, Scan, StoreError, StoredEvent, TopicKey},
    event::{Millis, Seq, TopicName},
};

/// Messages and bytes of one request: some 10 ms of work.
const PAGE_MESSAGES: usize = 2048;
const PAGE_BYTES: usize = 4 << 20;

/// Messages that are looked at for an event near a position, before a filter is used, which costs more.
const NEAR: usize = 16;

/// Bytes of them.
const NEAR_BYTES: usize = 1 << 16;

/// Messages of one scan: 0.2 s of work.
const SCAN: usize = 16_384;

/// An event of the stream.
pub(super) type KeyedEvent = (TopicKey, StoredEvent);

impl JetStreamStore {
    /// [`Store::scan`](crate::engine::log::store::Store::scan).
    pub(super) fn scan_pages(
        &self,
        after: Seq,
        through: Seq,
        limit: ReadLimit,
        wanted: &mut dyn FnMut(TopicKey) -> Option<TopicName>,
    ) -> Result<Scan, StoreError> {
        let (mut events, mut bytes, mut scanned, mut at) = (Vec::new(), 0, 0, after);
        while at < through && scanned < SCAN {
            let (page, end) = self.run(|core| async move { core.scan_page(at, through).await })?;
            scanned += page.len().max(1);
            for (_, stored) in page.into_iter().filter(|(key, _)| wanted(*key).is_some()) {
                let seq = stored.event.seq;
                bytes += stored.event.new.payload_bytes();
                events.push(stored);
                if events.len() >= limit.events || bytes >= limit.bytes {
                    return Ok(Scan { events, through: seq });
                }
            }
            at = end;
        }
        Ok(Scan { events, through: at.max(after) })
    }
}

impl StoreCore {
    /// The next events with `after < seq <= through`, and the position up to which they are complete.
    pub(super) async fn scan_page(&self, after: Seq, through: Seq) -> Result<(Vec<KeyedEvent>, Seq), StoreError> {
        if let Some(events) = self.ring.lock().all(after, through) {
            return Ok((events.cloned().collect(), through));
        }
        let mut patience = Patience::new();
        loop {
            let range =
                Range { filter: self.subjects.all(), from: after.0 + 1, max: PAGE_MESSAGES, max_bytes: PAGE_BYTES };
            match self.nats.range(range).await {
                Ok(page) if page.messages.is_empty() => patience.after_doubt().await?,
                Ok(page) => {
                    self.knows_missing(after, &page.messages, &mut patience).await?;
                    let end = page.messages.last().map_or(after, |last| Seq(last.seq)).min(through);
                    let events = page.messages.into_iter().take_while(|message| message.seq <= end.0);
                    let events = self.events_of(events)?;
                    let removed = self.removed.lock().between(after, end);
                    return Ok((replaced(events, removed, |(_, stored)| stored.event.seq), end));
                }
                Err(error) => patience.after_error(error).await?,
            }
        }
    }

    /// Waits until this hub knows why messages between these are missing, if some are.
    async fn knows_missing(&self, after: Seq, messages: &[Stored], patience: &mut Patience) -> Result<(), StoreError> {
        let span = messages.last().map_or(0, |last| last.seq - after.0);
        if span == messages.len() as u64 { Ok(()) } else { self.has_heard(AskFor::Write, patience).await }
    }

    /// The position before the first event that was committed at or after `time`; the newest known one when there is none.
    ///
    /// # Errors
    /// When the replicas that answer are behind, or none answers.
    pub(super) async fn position_before(&self, time: Millis) -> Result<Seq, StoreError> {
        // The newest position below the first such event, a position at or after it, and the first one that was found.
        let (mut below, mut at, mut found) = (Seq::ZERO, Seq(self.known()), None);
        {
            let ring = self.ring.lock();
            match ring.oldest() {
                Some(oldest) if oldest.event.time >= time => {
                    found = Some(oldest.event.seq);
                    at = Seq(oldest.event.seq.0 - 1);
                }
                Some(oldest) => {
                    let found = ring.all(Seq(oldest.event.seq.0), ring.through()).and_then(|mut events| {
                        events.find(|(_, stored)| stored.event.time >= time).map(|(_, stored)| stored.event.seq)
                    });
                    return Ok(found.map_or(at, |seq| Seq(seq.0 - 1)));
                }
                None => {}
            }
        }
        while below < at {
            let middle = Seq(below.0 + (at.0 - below.0).div_ceil(2));
            match self.event_from(middle, at).await? {
                Some((seq, stamp)) if stamp < time => below = seq,
                Some((seq, _)) => {
                    found = Some(seq);
                    at = Seq(middle.0 - 1);
                }
                None => at = Seq(middle.0 - 1),
            }
        }
        Ok(found.map_or(Seq(self.known()), |seq| Seq(seq.0 - 1)))
    }

    /// The first event or tombstone from `from` to `to`, with its time.
    async fn event_from(&self, from: Seq, to: Seq) -> Result<Option<(Seq, Millis)>, StoreError> {
        let removed = self.removed.lock().first(from, to);
        let event = self.message_from(from, to).await?;
        Ok(match (event, removed) {
            (Some(event), Some(removed)) => Some(event.min(removed)),
            (event, removed) => event.or(removed),
        })
    }

    /// The first event from `from` to `to` whose message is there, with its time. `to` is at most what is [known](Self::known).
    async fn message_from(&self, from: Seq, to: Seq) -> Result<Option<(Seq, Millis)>, StoreError> {
        let near = Range { filter: self.subjects.all(), from: from.0, max: NEAR, max_bytes: NEAR_BYTES };
        let next = Range { filter: self.subjects.events(), from: from.0, max: 1, max_bytes: NEAR_BYTES };
        let mut patience = Patience::new();
        for range in [near, next] {
            let page = self.some_page(range, &mut patience).await?;
            let last = page.last().map(|message| Seq(message.seq));
            if let Some((_, stored)) = self.events_of(page)?.into_iter().next() {
                let (seq, time) = (stored.event.seq, stored.event.time);
                return Ok((seq <= to).then_some((seq, time)));
            }
            if last.is_some_and(|last| last >= to) {
                return Ok(None);
            }
        }
        self.message_walked_to(from, to, &mut patience).await
    }

    /// The same, by a walk over all messages: an answer without an event may be of a replica that is behind, and an answer with
    /// a message proves that it is not, up to there. What was walked over once is not walked over again.
    async fn message_walked_to(
        &self,
        from: Seq,
        to: Seq,
        patience: &mut Patience,
    ) -> Result<Option<(Seq, Millis)>, StoreError> {
        let mut at = from;
        loop {
            let (first, end) = *self.eventless.lock();
            if (first..end).contains(&at.0) {
                at = Seq(end);
            }
            // A message at or after it is there for as long as the stream exists.
            if at > to || at.0 > self.lasting() {
                return Ok(None);
            }
            let range = Range { filter: self.subjects.all(), from: at.0, max: PAGE_MESSAGES, max_bytes: PAGE_BYTES };
            let page = self.some_page(range, patience).await?;
            let Some(last) = page.last().map(|message| message.seq) else {
                patience.after_doubt().await?;
                continue;
            };
            if let Some((_, stored)) = self.events_of(page)?.into_iter().next() {
                let (seq, time) = (stored.event.seq, stored.event.time);
                return Ok((seq <= to).then_some((seq, time)));
            }
            let mut eventless = self.eventless.lock();
            // Of two ranges that do not meet, the one behind: what is appended follows it.
            *eventless = match *eventless {
                (first, end) if at.0 <= end && last + 1 >= first => (first.min(at.0), end.max(last + 1)),
                known if known.1 > last => known,
                _ => (at.0, last + 1),
            };
            drop(eventless);
            at = Seq(last + 1);
        }
    }

    /// What one replica answers; empty also when it is behind.
    async fn some_page(&self, range: Range, patience: &mut Patience) -> Result<Vec<Stored>, StoreError> {
        loop {
            match self.nats.range(range.clone()).await {
                Ok(page) => return Ok(page.messages),
                Err(error) => patience.after_error(error).await?,
            }
        }
    }

    fn events_of(&self, messages: impl IntoIterator<Item = Stored>) -> Result<Vec<KeyedEvent>, StoreError> {
        let mut events = Vec::new();
        for message in messages {
            let Some(SubjectPlace::Event(topic)) = self.subjects.parse(&message.subject) else { continue };
            let seq = Seq(message.seq);
            match EventRecord::decode(topic, seq, &message.headers, message.payload) {
                Ok(record) => events.push((record.key, record.stored)),
                Err(error) => skip_foreign(&message.subject, seq, &error)?,
            }
        }
        Ok(events)
    }
}
