//! The events and the marks, batch after batch.

use std::{collections::HashSet, sync::Arc, time::SystemTime};

use bytes::Bytes;

use super::super::{
    hub_engine::BESIDE_EVENTS,
    nats::Outgoing,
    wire::{EventRecord, OldIdPart, SettingsRecord},
};
use super::{
    report::ImportError,
    run::ImportRun,
    topics::{CopiedTopics, OldMark, StoredPlace},
};
use crate::{
    engine::log::{
        Store,
        store::{ReadLimit, StoredEvent, TopicKey, TopicSettings},
    },
    event::{Event, Millis, Seq},
};

/// Bytes of data after which a batch is written: what three servers take within a fraction of a second.
const BATCH_BYTES: usize = 2 << 20;

/// Events that are read at a time.
const PAGE: ReadLimit = ReadLimit { events: 4000, bytes: 8 << 20 };

/// How far the copy is.
pub(super) struct EventCopier {
    /// All events up to this old position are in the stream or in the batch.
    read: Seq,
    /// The next of the marks.
    mark: usize,
    /// The number of the next part of the table.
    part: u64,
    batch: ImportBatch,
}

/// What is to be written together.
#[derive(Default)]
struct ImportBatch {
    messages: Vec<Outgoing>,
    /// The old position of each.
    old: Vec<Seq>,
    bytes: usize,
    /// The events among them, by their index, without their headers.
    events: Vec<(usize, EventRecord)>,
    /// Subjects of which it has a message that replaces the others.
    replacing: HashSet<String>,
}

impl EventCopier {
    /// Begins after what is in the stream.
    pub(super) fn new<S>(import: &ImportRun<'_, S>, topics: &CopiedTopics) -> Self {
        let StoredPlace { read, marks: mark } = topics.stored;
        let part = import.to.old_ids().newest().map_or(0, |(_, number)| number + 1);
        Self { read, mark, part, batch: ImportBatch::default() }
    }

    /// Copies all that is left.
    pub(super) fn run<S: Store>(
        mut self,
        import: &mut ImportRun<'_, S>,
        topics: &mut CopiedTopics,
    ) -> Result<(), ImportError> {
        let head = import.contents.head;
        while self.read < head {
            let mut wanted = |key: TopicKey| topics.old.get(&key).cloned();
            let scan = import
                .from
                .scan(self.read, head, PAGE, &mut wanted)
                .map_err(|error| ImportError::unreadable(&error))?;
            for StoredEvent { event, .. } in scan.events {
                self.marks_before(import, topics, event.seq, event.time)?;
                self.event(import, topics, &event)?;
            }
            // A scan that finds nothing more has reached its end.
            self.read = if scan.through > self.read { scan.through } else { head };
        }
        self.marks_before(import, topics, Seq(u64::MAX), Millis::from(SystemTime::now()))?;
        self.write(import, topics)
    }

    /// Adds the marks up to `seq`, whose event is of this time.
    fn marks_before<S: Store>(
        &mut self,
        import: &mut ImportRun<'_, S>,
        topics: &mut CopiedTopics,
        seq: Seq,
        time: Millis,
    ) -> Result<(), ImportError> {
        while let Some(mark) = topics.marks.get(self.mark).filter(|mark| mark.at <= seq) {
            // What was trimmed of an emptied topic is not newer than the event after it.
            let unknown = mark.empties && mark.time == Millis(0);
            let mark = OldMark { time: if unknown { time } else { mark.time }, ..mark.clone() };
            self.mark += 1;
            self.add_mark(import, topics, &mark)?;
        }
        Ok(())
    }

    fn add_mark<S: Store>(
        &mut self,
        import: &mut ImportRun<'_, S>,
        topics: &mut CopiedTopics,
        mark: &OldMark,
    ) -> Result<(), ImportError> {
        let subject = import.subjects.settings(&mark.topic);
        if self.batch.replacing.contains(&subject) {
            self.write(import, topics)?;
        }
        self.make_room(import, topics)?;
        let seq = self.position(import);
        let topic = topics.copied.entry(mark.topic.clone()).or_default();
        topic.mark(mark, seq);
        import.report.deleted += u64::from(mark.deletes);
        let deleted_through = (topic.deleted > Seq::ZERO).then_some(topic.deleted);
        let settings = TopicSettings { deleted_through, ..TopicSettings::default() };
        let record = SettingsRecord { settings, key: TopicKey(0), tail: seq, state: topic.state };
        let mut headers = record.headers();
        headers.push(("Nats-Rollup", "sub".into()));
        self.batch.replacing.insert(subject.clone());
        self.batch.push(Outgoing { subject, headers, payload: Bytes::new() }, mark.at);
        Ok(())
    }

    fn event<S: Store>(
        &mut self,
        import: &mut ImportRun<'_, S>,
        topics: &mut CopiedTopics,
        event: &Arc<Event>,
    ) -> Result<(), ImportError> {
        let (name, old) = (&event.new.topic, event.seq);
        if topics.after.get(name).is_none_or(|mark| old <= *mark) {
            return Ok(());
        }
        self.make_room(import, topics)?;
        let seq = self.position(import);
        let topic = topics.copied.entry(name.clone()).or_default();
        let prev = topic.tail;
        let key = topic.push(event, seq);
        let event = Arc::new(Event { seq, ..Event::clone(event) });
        let report = &mut import.report;
        report.events += 1;
        report.bytes += event.new.payload_bytes() as u64;
        let stored = StoredEvent { prev, event: Arc::clone(&event) };
        let record = EventRecord { key, stored, state: None, job: None };
        self.batch.events.push((self.batch.messages.len(), record));
        let payload = event.new.data.bytes().clone();
        // Its metadata is in its headers, which are made when the batch is written.
        self.batch.bytes += event.new.payload_bytes() - payload.len();
        self.batch.push(Outgoing { subject: import.subjects.event(name), headers: Vec::new(), payload }, old);
        Ok(())
    }

    fn position<S: Store>(&self, import: &ImportRun<'_, S>) -> Seq {
        Seq(import.next() + self.batch.messages.len() as u64)
    }

    /// Writes the batch when it is full.
    fn make_room<S: Store>(&mut self, import: &mut ImportRun<'_, S>, topics: &CopiedTopics) -> Result<(), ImportError> {
        let most = import.config.max_batch.saturating_sub(BESIDE_EVENTS);
        if self.batch.is_full(most) { self.write(import, topics) } else { Ok(()) }
    }

    fn write<S: Store>(&mut self, import: &mut ImportRun<'_, S>, topics: &CopiedTopics) -> Result<(), ImportError> {
        let ImportBatch { mut messages, old, events, .. } = std::mem::take(&mut self.batch);
        if messages.is_empty() {
            return Ok(());
        }
        let imported = events.len() as u64;
        let mut told = HashSet::new();
        for (index, mut record) in events.into_iter().rev() {
            let topic = &record.stored.event.new.topic;
            if told.insert(topic.clone()) {
                record.state = Some(topics.copied[topic].state);
            }
            messages[index].headers = record.headers();
        }
        let first = Seq(import.next());
        let (part, payload) = OldIdPart::of(&old, first);
        let mut headers = part.headers();
        headers.push(("Nats-TTL", format!("{}s", import.table_ttl().as_secs().max(1))));
        let subject = import.subjects.old_ids(import.contents.epoch, self.part);
        messages.push(Outgoing { subject, headers, payload });
        let at = first.0 + messages.len() as u64 - 1;
        import.write(&messages)?;
        import.to.old_ids().add(import.contents.epoch, self.part, part, at);
        self.part += 1;
        import.progress.add(imported);
        Ok(())
    }
}

impl ImportBatch {
    /// It takes no more. Any number of topics may have their mark at one old position, as after a restore, so also between
    /// two messages of one.
    fn is_full(&self, most: usize) -> bool {
        self.messages.len() >= most || self.bytes >= BATCH_BYTES
    }

    fn push(&mut self, message: Outgoing, old: Seq) {
        self.bytes += message.payload.len();
        self.messages.push(message);
        self.old.push(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_full_in_the_midst_of_what_is_of_one_old_position() {
        let mut batch = ImportBatch::default();
        while !batch.is_full(984) {
            assert!(batch.messages.len() < 1500, "the servers would refuse it");
            batch.push(Outgoing { subject: "s".into(), headers: Vec::new(), payload: Bytes::new() }, Seq(7));
        }
        assert_eq!((batch.messages.len(), batch.old.len()), (984, 984));
    }
}
