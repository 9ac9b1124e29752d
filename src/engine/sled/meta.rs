//! Topic settings and deletion marks, by name, in a small database of their own.
//!
//! A deletion mark is the position through which the events of a deleted topic are gone; it is kept for ever.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::event::{Seq, TopicName};

use super::super::log::store::TopicSettings;
use super::database::DatabaseError;
use super::guard::guarded;
use super::records::{decode_settings, encode_settings};
use super::{database, keys, wire};

/// The open database.
#[derive(Debug)]
pub(super) struct Meta {
    db: sled::Db,
    settings: sled::Tree,
    state: Mutex<SettingsChecksum>,
}

/// The facts about the settings that the watermark stores.
#[derive(Debug, Clone, Copy, Default)]
struct SettingsChecksum {
    /// Number of saves. Written after each save, so the settings are at least as new as it says.
    revision: u64,
    /// Sum of a checksum of each record, independent of their order.
    sum: u64,
}

/// All records, by topic name.
#[derive(Debug, Default)]
pub(super) struct TopicRecords {
    /// Settings of topics, without records that are only a deletion mark.
    pub(super) settings: Vec<(TopicName, TopicSettings)>,
    /// The highest deletion mark; 0 when there is none.
    pub(super) newest_mark: Seq,
    /// Number of damaged records.
    pub(super) damaged: u64,
}

/// A topic's name and its record, as they are stored.
pub(super) type RawRecord = (Vec<u8>, Vec<u8>);

impl Meta {
    /// Opens the database in `dir`, or creates it, and reads all records. Blocks.
    pub(super) fn open(dir: &Path) -> Result<(Self, TopicRecords), DatabaseError> {
        // Settings are small and few: a page cache of 1 MiB is enough.
        let db = database::open(dir, 1 << 20)?;
        let opened = guarded(|| {
            let settings = db.open_tree(keys::SETTINGS)?;
            let revision = db.get(keys::REVISION)?.and_then(|bytes| Some(u64::from_be_bytes(*bytes.first_chunk()?)));
            let state = SettingsChecksum { revision: revision.unwrap_or(0), sum: 0 };
            let meta = Self { db, settings, state: Mutex::new(state) };
            let known = meta.read_all()?;
            Ok::<_, sled::Error>((meta, known))
        });
        Ok(opened.map_err(DatabaseError::from_panic)??)
    }

    /// Opens a copy in `dir`, and returns its revision, the checksum of all settings, and the number of damaged records.
    pub(super) fn open_for_check(dir: &Path) -> Result<(Self, (u64, u64, u64)), DatabaseError> {
        let (meta, known) = Self::open(dir)?;
        let (revision, sum) = meta.state();
        Ok((meta, (revision, sum, known.damaged)))
    }

    fn read_all(&self) -> sled::Result<TopicRecords> {
        let mut known = TopicRecords::default();
        for entry in &self.settings {
            let (key, value) = entry?;
            let mut state = self.state.lock();
            state.sum = state.sum.wrapping_add(sum(&key, &value));
            drop(state);
            let name = std::str::from_utf8(&key).ok().and_then(|text| TopicName::stored(text).ok());
            let found = name.and_then(|name| Some((decode_settings(&name, &value)?, name)));
            let Some((settings, name)) = found else {
                known.damaged += 1;
                continue;
            };
            known.newest_mark = known.newest_mark.max(settings.deleted_through.unwrap_or_default());
            let mark = TopicSettings { deleted_through: settings.deleted_through, ..TopicSettings::default() };
            if settings != mark {
                known.settings.push((name, settings));
            }
        }
        Ok(known)
    }

    /// Replaces a topic's settings durably; default settings are removed. Blocks.
    pub(super) fn save(&self, topic: &TopicName, settings: &TopicSettings) -> Result<(), Arc<str>> {
        let key = topic.as_str();
        let save = || {
            let mut state = self.state.lock();
            let (before, after) = if *settings == TopicSettings::default() {
                (self.settings.remove(key)?, 0)
            } else {
                let record = encode_settings(topic, settings);
                let after = sum(key.as_bytes(), &record);
                (self.settings.insert(key, record)?, after)
            };
            let before = before.map_or(0, |record| sum(key.as_bytes(), &record));
            state.sum = state.sum.wrapping_sub(before).wrapping_add(after);
            state.revision += 1;
            self.db.insert(keys::REVISION, &state.revision.to_be_bytes())?;
            self.db.flush().map(drop)
        };
        guarded(save)?.map_err(|error: sled::Error| error.to_string().into())
    }

    /// Up to `max` records after the name `after`, in order of name: each name with its record as it is stored.
    pub(super) fn records(&self, after: &[u8], max: usize) -> Result<Vec<RawRecord>, Arc<str>> {
        let bounds = (Bound::Excluded(after), Bound::Unbounded);
        let read = || {
            let records = self.settings.range::<&[u8], _>(bounds).take(max);
            records
                .map(|entry| entry.map(|(name, record)| (name.to_vec(), record.to_vec())))
                .collect::<sled::Result<Vec<_>>>()
        };
        guarded(read)?.map_err(|error: sled::Error| error.to_string().into())
    }

    /// Stores records that another store had, without a flush. `records`: each name with its settings.
    pub(super) fn restore(&self, records: &[(TopicName, TopicSettings)]) -> Result<(), Arc<str>> {
        let insert = || {
            let mut state = self.state.lock();
            for (topic, settings) in records {
                let (key, record) = (topic.as_str(), encode_settings(topic, settings));
                state.sum = state.sum.wrapping_add(sum(key.as_bytes(), &record));
                state.revision += 1;
                self.settings.insert(key, record)?;
            }
            self.db.insert(keys::REVISION, &state.revision.to_be_bytes()).map(drop)
        };
        guarded(insert)?.map_err(|error: sled::Error| error.to_string().into())
    }

    /// Makes all records durable.
    pub(super) fn flush(&self) -> Result<(), Arc<str>> {
        guarded(|| self.db.flush())?.map(drop).map_err(|error| error.to_string().into())
    }

    /// Number of saves of settings, and the checksum of all settings.
    pub(super) fn state(&self) -> (u64, u64) {
        let state = *self.state.lock();
        (state.revision, state.sum)
    }

    /// Writes a record and flushes it, so that the caller can check that sled syncs through our shim.
    pub(super) fn probe(&self) -> Result<(), Arc<str>> {
        let probe = || {
            // A new value each time: sled writes nothing when nothing changes.
            let opened = self.db.get(keys::OPENED)?.and_then(|bytes| Some(u64::from_be_bytes(*bytes.first_chunk()?)));
            self.db.insert(keys::OPENED, &opened.unwrap_or(0).wrapping_add(1).to_be_bytes())?;
            self.db.flush().map(drop)
        };
        guarded(probe)?.map_err(|error: sled::Error| error.to_string().into())
    }

    /// The deletion mark of a topic.
    pub(super) fn mark(&self, topic: &TopicName) -> Result<Option<Seq>, Arc<str>> {
        let record = guarded(|| self.settings.get(topic.as_str()))?.map_err(|error| Arc::from(error.to_string()))?;
        Ok(record.and_then(|record| decode_settings(topic, &record)?.deleted_through))
    }

    /// Names that start with `prefix` and have a deletion mark above `after`, each with its mark.
    pub(super) fn marks(&self, prefix: &str, after: Seq) -> Result<Vec<(TopicName, Seq)>, Arc<str>> {
        let read = || {
            let mut marks = Vec::new();
            for entry in self.settings.scan_prefix(prefix) {
                let (key, value) = entry?;
                let name = std::str::from_utf8(&key).ok().and_then(|text| TopicName::stored(text).ok());
                let mark = name.and_then(|name| Some((decode_settings(&name, &value)?.deleted_through?, name)));
                marks.extend(mark.filter(|(mark, _)| *mark > after).map(|(mark, name)| (name, mark)));
            }
            Ok::<_, sled::Error>(marks)
        };
        guarded(read)?.map_err(|error| error.to_string().into())
    }
}

/// The checksum of one record.
fn sum(key: &[u8], record: &[u8]) -> u64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(record);
    wire::mix(u64::from(hasher.finalize()) << 32 | key.len() as u64)
}
