//! Reading the stream in order of positions, whatever the topics, and finding a time in it.
//!
//! What a replica has told is complete up to its last message. Whether there is more is known to the caller: the end of a
//! scan is the position of an event.

use super::super::{
    nats::{Range, Stored},
    wire::{EventRecord, SubjectPlace},
};
use super::{
    shared::StoreCore,
    topic_reads::{Patience, replaced, skip_foreign},
};
use crate::{
    engine::log::store::{StoreError, StoredEvent, TopicKey},
    event::{Millis, Seq},
};

/// Messages and bytes of one request: some 10 ms of work.
const PAGE_MESSAGES: usize = 2048;
const PAGE_BYTES: usize = 4 << 20;

/// Messages that are looked at for an event near a position, before a filter is used, which costs more.
const NEAR: usize = 16;

/// Bytes of them.
const NEAR_BYTES: usize = 1 << 16;

/// Answers without a message where there must be one, before it counts as purged.
const EMPTY: usize = 5;

/// An event of the stream.
pub(super) type KeyedEvent = (TopicKey, StoredEvent);

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
        if span == messages.len() as u64 { Ok(()) } else { self.has_heard(patience).await }
    }

    /// The position before the first event that was committed at or after `time`; the newest known one when there is none.
    pub(super) async fn position_before(&self, time: Millis) -> Result<Seq, StoreError> {
        // The newest position below the first such event, and the position of an event at or after it.
        let (mut below, mut at) = (Seq::ZERO, Seq(self.known()));
        {
            let ring = self.ring.lock();
            match ring.oldest() {
                Some(oldest) if oldest.event.time >= time => at = oldest.event.seq,
                Some(oldest) => {
                    let found = ring.all(Seq(oldest.event.seq.0), ring.through()).and_then(|mut events| {
                        events.find(|(_, stored)| stored.event.time >= time).map(|(_, stored)| stored.event.seq)
                    });
                    return Ok(found.map_or(at, |seq| Seq(seq.0 - 1)));
                }
                None => {}
            }
        }
        let mut found = None;
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

    /// The first event from `from` to `to` whose message is there, with its time.
    async fn message_from(&self, from: Seq, to: Seq) -> Result<Option<(Seq, Millis)>, StoreError> {
        let (mut patience, mut filtered) = (Patience::new(), false);
        loop {
            let filter = if filtered { self.subjects.events() } else { self.subjects.all() };
            let max = if filtered { 1 } else { NEAR };
            let page = match self.nats.range(Range { filter, from: from.0, max, max_bytes: NEAR_BYTES }).await {
                Ok(page) => page,
                Err(error) => {
                    patience.after_error(error).await?;
                    continue;
                }
            };
            let last = page.messages.last().map(|message| Seq(message.seq));
            let first = self.events_of(page.messages)?.into_iter().next();
            match (first, last) {
                (Some((_, stored)), _) => {
                    let (seq, time) = (stored.event.seq, stored.event.time);
                    return Ok((seq <= to).then_some((seq, time)));
                }
                (None, Some(last)) if last >= to => return Ok(None),
                (None, Some(_)) => filtered = true,
                (None, None) if patience.doubts >= EMPTY => return Ok(None),
                (None, None) => patience.after_doubt().await?,
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
