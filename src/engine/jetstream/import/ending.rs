//! The end of an import: the topics' settings, the idempotency keys, and the write after which hubs use the stream.

use super::super::{
    nats::Outgoing,
    wire::{ImportRecord, KeyPart, encode_keys},
};
use super::{
    report::ImportError,
    run::ImportRun,
    topics::{CopiedTopic, CopiedTopics},
};
use crate::{
    engine::log::{
        Store,
        store::{KeyRecord, StoredReceipts, TopicKey, TopicRecord, TopicSettings},
    },
    event::{Seq, TopicName},
};

/// CopiedTopics whose settings are made at a time.
const SETTINGS: usize = 500;

/// Parts of the idempotency keys, of half a MiB each, that are imported: those of the newest million or so.
const KEY_PARTS: usize = 16;

impl<S: Store> ImportRun<'_, S> {
    /// Writes all that is left after the events.
    pub(super) fn end(&mut self, topics: &CopiedTopics) -> Result<(), ImportError> {
        let records: Vec<TopicRecord> =
            self.contents.topics.iter().filter_map(|old| record(old, topics.copied.get(&old.name))).collect();
        for records in records.chunks(SETTINGS) {
            self.to.save_settings(records)?;
        }
        let keys = self.keys()?;
        let first = Seq(self.next());
        let mut messages = self.key_messages(&keys, first);
        let done = ImportRecord { done: true, ..self.record };
        messages.push(self.record_message(&done));
        self.write(&messages)
    }

    /// The keys whose receipts all name an imported event, in the new positions.
    fn keys(&mut self) -> Result<Vec<KeyRecord>, ImportError> {
        let mut keys = Vec::new();
        for old in &self.contents.keys {
            if let Some(receipts) = self.receipts(&old.receipts)? {
                keys.push(KeyRecord { key: old.key, time: old.time, receipts });
            }
        }
        while encode_keys(&keys).len() > KEY_PARTS {
            keys.drain(..keys.len() / 2);
        }
        self.report.keys = keys.len() as u64;
        self.report.keys_left = self.contents.keys.len() as u64 - self.report.keys;
        Ok(keys)
    }

    fn receipts(&self, old: &StoredReceipts) -> Result<Option<StoredReceipts>, ImportError> {
        let all: Vec<(&TopicName, Seq)> = old.iter().collect();
        let mut first = None;
        for ((_, seq), index) in all.iter().zip(0..) {
            let now = self.to.old_position(*seq)?.ok_or(ImportError::TableExpired)?;
            let before = self.to.old_position(Seq(seq.0.saturating_sub(1)))?.ok_or(ImportError::TableExpired)?;
            let begin = *first.get_or_insert(now);
            // Receipts are consecutive positions.
            if now <= before || now.0 != begin.0 + index {
                return Ok(None);
            }
        }
        Ok(first.map(|first| StoredReceipts::new(first, all.iter().map(|(topic, _)| *topic))))
    }

    fn key_messages(&self, keys: &[KeyRecord], commit: Seq) -> Vec<Outgoing> {
        let message = |part: KeyPart| {
            let mut headers = part.headers();
            headers.push(("Nats-TTL", format!("{}s", self.key_ttl.as_secs().max(1))));
            Outgoing { subject: self.subjects.keys(commit, part.index), headers, payload: part.payload }
        };
        encode_keys(keys).into_iter().map(message).collect()
    }
}

/// The record of a topic that has settings, or no events any more; `None` when its events tell all.
fn record(old: &TopicRecord, copied: Option<&CopiedTopic>) -> Option<TopicRecord> {
    let fresh = CopiedTopic::default();
    let copied = copied.unwrap_or(&fresh);
    let is_emptied = copied.state.events == 0 && old.tail > Seq::ZERO && copied.tail > copied.deleted;
    let TopicSettings { exists, max_events, max_age_ms, max_bytes, retry, closed, .. } = old.settings;
    let metadata = old.settings.metadata.clone();
    let settings = TopicSettings {
        exists,
        max_events,
        max_age_ms,
        max_bytes,
        retry,
        closed: closed.map(|(closed, _)| (closed, copied.tail)),
        deleted_through: None,
        emptied_through: is_emptied.then_some(copied.tail),
        metadata,
    };
    if settings == TopicSettings::default() {
        return None;
    }
    let settings =
        TopicSettings { deleted_through: (copied.deleted > Seq::ZERO).then_some(copied.deleted), ..settings };
    let key = copied.key.unwrap_or(TopicKey(if is_emptied { copied.tail.0 } else { 0 }));
    Some(TopicRecord { name: old.name.clone(), key, tail: copied.tail, snapshot: copied.state, settings })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Metadata;

    #[test]
    fn a_topic_keeps_its_metadata_with_events_and_without() {
        let metadata = Metadata::new(1, b"x").ok();
        let settings = TopicSettings { exists: true, metadata: metadata.clone(), ..TopicSettings::default() };
        let old = TopicRecord::new(TopicName::new("a").expect("valid"), settings);
        let used = CopiedTopic { key: Some(TopicKey(5)), tail: Seq(9), ..CopiedTopic::default() };
        for copied in [None, Some(&used)] {
            let record = record(&old, copied).expect("it has settings");
            assert_eq!((record.settings.metadata, record.settings.exists), (metadata.clone(), true));
        }
    }
}
