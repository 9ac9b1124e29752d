//! The place of a removed event: all that is left of it.

use std::sync::Arc;

use super::{
    error::WireError,
    event::{EventRecord, snapshot, snapshot_text},
    fields::{FieldText, Fields, GL, GL_TOPIC, HeaderLookup, HeaderText},
};
use crate::{
    engine::log::store::{StoredEvent, TopicKey, TopicSnapshot},
    event::{Event, EventName, Millis, NewEvent, Seq, TopicName},
};

/// The place of a removed event in its topic. Topic and position are in the subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine::jetstream) struct TombstoneRecord {
    /// The incarnation of its topic.
    pub(in crate::engine::jetstream) key: TopicKey,
    /// The position of the event before it in its topic.
    pub(in crate::engine::jetstream) prev: Seq,
    /// When the event was committed.
    pub(in crate::engine::jetstream) time: Millis,
    /// The position at which the removal was stored first.
    pub(in crate::engine::jetstream) at: Seq,
    /// The topic's state that the event's message told: see [`EventRecord::state`](super::EventRecord::state).
    pub(in crate::engine::jetstream) state: Option<TopicSnapshot>,
    /// Bytes of data that the event had.
    pub(in crate::engine::jetstream) bytes: u64,
    /// Whether it closes its topic.
    pub(in crate::engine::jetstream) close: bool,
    /// Whether the relay wrote it.
    pub(in crate::engine::jetstream) of_run: bool,
    /// Whether the notice of the removal may not be committed yet.
    pub(in crate::engine::jetstream) pending: bool,
}

impl TombstoneRecord {
    /// The place of an event, its removal pending. `at`: the position at which the removal will be stored.
    pub(in crate::engine::jetstream) fn of(record: &EventRecord, at: Seq) -> Self {
        let StoredEvent { prev, event } = &record.stored;
        Self {
            key: record.key,
            prev: *prev,
            time: event.time,
            at,
            state: record.state,
            bytes: event.new.payload_bytes() as u64,
            close: event.new.close,
            of_run: event.new.of_run,
            pending: true,
        }
    }

    /// The headers of the message, which has no payload.
    pub(in crate::engine::jetstream) fn headers(&self) -> HeaderText {
        let flags: String = [(self.close, 'c'), (self.of_run, 'r'), (self.pending, 'p')]
            .into_iter()
            .filter_map(|(on, flag)| on.then_some(flag))
            .collect();
        let text = FieldText::versioned()
            .number('k', self.key.0)
            .number_unless_0('p', self.prev.0)
            .number('t', self.time.0)
            .number_unless_0('b', self.bytes)
            .verbatim('f', &flags);
        let mut headers = vec![(GL, text.number('a', self.at.0).finish())];
        headers.extend(self.state.as_ref().map(|state| (GL_TOPIC, snapshot_text(state))));
        headers
    }

    /// The tombstone that a message tells.
    ///
    /// # Errors
    /// When it is none, or of a newer version.
    pub(in crate::engine::jetstream) fn decode(headers: &(impl HeaderLookup + ?Sized)) -> Result<Self, WireError> {
        let fields = Fields::of(headers)?;
        let flags = fields.verbatim('f').unwrap_or_default();
        Ok(Self {
            key: TopicKey(fields.number('k')?.ok_or(WireError::Malformed("a tombstone without its topic's key"))?),
            prev: Seq(fields.number_or_0('p')?),
            time: Millis(fields.number('t')?.ok_or(WireError::Malformed("a tombstone without a time"))?),
            at: Seq(fields.number_or_0('a')?),
            state: snapshot(headers)?,
            bytes: fields.number_or_0('b')?,
            close: flags.contains('c'),
            of_run: flags.contains('r'),
            pending: flags.contains('p'),
        })
    }

    /// The event that stands in its place.
    pub(in crate::engine::jetstream) fn event(&self, topic: TopicName, seq: Seq) -> StoredEvent {
        let new =
            NewEvent { name: EventName::removed(), close: self.close, of_run: self.of_run, ..NewEvent::new(topic, "") };
        StoredEvent { prev: self.prev, event: Arc::new(Event { seq, time: self.time, new }) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::event::tests::snapshots, *};

    proptest! {
        #[test]
        fn a_tombstone_survives_its_message(
            [key, prev, time, bytes, at] in any::<[u64; 5]>(),
            state in prop::option::of(snapshots()),
            [close, of_run, pending] in any::<[bool; 3]>(),
        ) {
            let (key, prev, time, at) = (TopicKey(key), Seq(prev), Millis(time), Seq(at));
            let tombstone = TombstoneRecord { key, prev, time, at, state, bytes, close, of_run, pending };
            prop_assert_eq!(TombstoneRecord::decode(tombstone.headers().as_slice()), Ok(tombstone));
        }
    }

    #[test]
    fn it_is_what_the_events_own_tombstone_is() {
        let topic = TopicName::new("a").expect("valid");
        let new = NewEvent { retry: Some(7), close: true, ..NewEvent::new(topic.clone(), "secret") };
        let stored = StoredEvent { prev: Seq(3), event: Arc::new(Event { seq: Seq(9), time: Millis(5), new }) };
        let record = EventRecord { key: TopicKey(1), stored: stored.clone(), state: None, job: None };
        let tombstone = TombstoneRecord::of(&record, Seq(12));
        assert!(tombstone.pending);
        assert_eq!(tombstone.event(topic, Seq(9)), stored.tombstone());
        assert!(!format!("{:?}", tombstone.headers()).contains("secret"));
    }

    #[test]
    fn what_is_no_tombstone_is_refused() {
        for text in ["1", "1 k=1", "1 t=1", "1 k=a t=1"] {
            let error = TombstoneRecord::decode([(GL, text.to_owned())].as_slice());
            assert!(matches!(error, Err(WireError::Malformed(_))), "{text}");
        }
    }
}
