//! Topics' settings and the marks of deleted ones, by name, in a small database of their own.

use std::path::Path;
use std::sync::Arc;

use crate::event::{Seq, TopicName};

use super::super::log::store::TopicSettings;
use super::guard::guarded;
use super::records::{decode_settings, encode_settings};
use super::{database, keys};

/// The open database.
#[derive(Debug)]
pub(super) struct Meta {
    db: sled::Db,
    settings: sled::Tree,
}

/// What is known of topics by name.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Those that are more than a mark.
    pub(super) settings: Vec<(TopicName, TopicSettings)>,
    /// The highest mark; 0 when there is none.
    pub(super) newest_mark: Seq,
    /// Records that could not be read.
    pub(super) damaged: u64,
}

impl Meta {
    /// Opens it, or makes it, and reads it through. Blocks.
    pub(super) fn open(dir: &Path) -> Result<(Self, Known), Arc<str>> {
        // Settings are small and few: a megabyte of pages.
        let db = database::open(dir, 1 << 20)?;
        let meta = guarded(|| {
            let settings = db.open_tree(keys::SETTINGS)?;
            let meta = Self { db, settings };
            let known = meta.read_all()?;
            Ok::<_, sled::Error>((meta, known))
        })?;
        meta.map_err(|error| error.to_string().into())
    }

    fn read_all(&self) -> sled::Result<Known> {
        let mut known = Known::default();
        for entry in &self.settings {
            let (key, value) = entry?;
            let name = std::str::from_utf8(&key).ok().and_then(|text| TopicName::new(text).ok());
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

    /// Replaces a topic's settings durably; those that say nothing are removed. Blocks.
    pub(super) fn save(&self, topic: &TopicName, settings: &TopicSettings) -> Result<(), Arc<str>> {
        let save = || {
            if *settings == TopicSettings::default() {
                self.settings.remove(topic.as_str())?;
            } else {
                self.settings.insert(topic.as_str(), encode_settings(topic, settings))?;
            }
            self.db.flush().map(drop)
        };
        guarded(save)?.map_err(|error| error.to_string().into())
    }

    /// Writes something and flushes it, to see what sled does then.
    pub(super) fn probe(&self) -> Result<(), Arc<str>> {
        let probe = || {
            self.db.insert(
                "opened",
                &self.db.get("opened")?.map_or(0, |n| n.first().map_or(0, |n| n.wrapping_add(1))).to_be_bytes(),
            )?;
            self.db.flush().map(drop)
        };
        guarded(probe)?.map_err(|error: sled::Error| error.to_string().into())
    }

    /// The mark of a deleted topic.
    pub(super) fn mark(&self, topic: &TopicName) -> Result<Option<Seq>, Arc<str>> {
        let record = guarded(|| self.settings.get(topic.as_str()))?.map_err(|error| Arc::from(error.to_string()))?;
        Ok(record.and_then(|record| decode_settings(topic, &record)?.deleted_through))
    }

    /// Names starting with `prefix` that have a mark above `after`, with it.
    pub(super) fn marks(&self, prefix: &str, after: Seq) -> Result<Vec<(TopicName, Seq)>, Arc<str>> {
        let read = || {
            let mut marks = Vec::new();
            for entry in self.settings.scan_prefix(prefix) {
                let (key, value) = entry?;
                let name = std::str::from_utf8(&key).ok().and_then(|text| TopicName::new(text).ok());
                let mark = name.and_then(|name| Some((decode_settings(&name, &value)?.deleted_through?, name)));
                marks.extend(mark.filter(|(mark, _)| *mark > after).map(|(mark, name)| (name, mark)));
            }
            Ok::<_, sled::Error>(marks)
        };
        guarded(read)?.map_err(|error| error.to_string().into())
    }
}
