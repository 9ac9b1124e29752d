//! Whether the records of a part fit together: as the start of a hub decides for a segment.

use std::collections::HashMap;

use bytes::Bytes;

use super::super::{inspect::BlockSetDigest, tally::SegmentTally};
use super::record::{self, BackupRecord, RecordError, StateFacts};
use crate::{
    engine::{
        PartFacts, PartKind,
        log::store::{KeptClock, KeyRecord, TopicKey, TopicSettings},
    },
    event::{Seq, TopicName},
};

/// Reads the records of one part, in order.
#[derive(Debug)]
pub struct PartCheck {
    facts: PartFacts,
    names: HashMap<TopicKey, TopicName>,
    /// The blocks that were read, and those that commits name.
    blocks: BlockSetDigest,
    committed: BlockSetDigest,
    /// The last block of the part so far, by which they are in order.
    last_block: Option<(TopicKey, Seq)>,
    /// The end of the last commit.
    last_commit: Seq,
    contents: PartContents,
}

/// What a part holds.
#[derive(Debug)]
pub struct PartContents {
    pub(in crate::engine::sled) tally: SegmentTally,
    pub(in crate::engine::sled) keys: Vec<(KeyRecord, Seq)>,
    pub(in crate::engine::sled) settings: Vec<(TopicName, TopicSettings)>,
    pub(in crate::engine::sled) removals: Vec<(TopicKey, Seq)>,
    pub(in crate::engine::sled) clock: KeptClock,
    pub(in crate::engine::sled) undone: Vec<(Seq, Seq)>,
    pub(in crate::engine::sled) state: Option<StateFacts>,
    records: u64,
    events: u64,
}

impl PartContents {
    /// Number of events, tombstones included.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Number of records.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// What the store knows of itself; only in a part with the state.
    #[must_use]
    pub fn state(&self) -> Option<&StateFacts> {
        self.state.as_ref()
    }
}

impl PartCheck {
    /// The check of a part with these facts.
    #[must_use]
    pub fn new(facts: PartFacts) -> Self {
        let contents = PartContents {
            tally: SegmentTally::empty_after(facts.after),
            keys: Vec::new(),
            settings: Vec::new(),
            removals: Vec::new(),
            clock: KeptClock::default(),
            undone: Vec::new(),
            state: None,
            records: 0,
            events: 0,
        };
        Self {
            facts,
            names: HashMap::new(),
            blocks: BlockSetDigest::default(),
            committed: BlockSetDigest::default(),
            last_block: None,
            last_commit: Seq::ZERO,
            contents,
        }
    }

    /// Reads the next records, which are whole.
    ///
    /// # Errors
    /// When one is damaged, or in the wrong place.
    pub fn records(&mut self, records: &Bytes) -> Result<(), RecordError> {
        self.each(records, |_| Ok::<_, RecordError>(()))
    }

    /// The same, and passes each record to `each` after it was checked.
    pub(in crate::engine::sled) fn each<E: From<RecordError>>(
        &mut self,
        records: &Bytes,
        mut each: impl FnMut(&BackupRecord) -> Result<(), E>,
    ) -> Result<(), E> {
        for record in record::decode(records) {
            let record = record?;
            self.contents.records += 1;
            let of_state = matches!(
                record,
                BackupRecord::Settings(..)
                    | BackupRecord::Removal(..)
                    | BackupRecord::Facts(_)
                    | BackupRecord::Clock(_)
                    | BackupRecord::Restores(_)
            );
            if of_state != (self.facts.kind == PartKind::State) {
                return Err(RecordError::new("a record is in the wrong part").into());
            }
            self.add(&record)?;
            each(&record)?;
            match record {
                BackupRecord::Key(record, commit) => self.contents.keys.push((record, commit)),
                BackupRecord::Settings(name, settings) => self.contents.settings.push((name, settings)),
                BackupRecord::Removal(topic, seq) => self.contents.removals.push((topic, seq)),
                BackupRecord::Facts(facts) => self.contents.state = Some(facts),
                BackupRecord::Clock(clock) => self.contents.clock = clock,
                BackupRecord::Restores(undone) => self.contents.undone = undone,
                BackupRecord::Topic(key, name) => drop(self.names.insert(key, name)),
                BackupRecord::Block(..) | BackupRecord::Commit(_) => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, record: &BackupRecord) -> Result<(), RecordError> {
        match record {
            BackupRecord::Block(topic, first, block) => {
                let after = self.last_block.is_none_or(|last| last < (*topic, *first));
                let here = self.facts.after < *first && *first <= self.facts.through;
                if !after || !here {
                    return Err(RecordError::new(format!("the block at {} is in the wrong place", first.0)));
                }
                let name = self.names.get(topic);
                let name = name.ok_or_else(|| RecordError::new(format!("the topic of {} has no name", first.0)))?;
                if !self.contents.tally.add_block(*topic, name, block) {
                    return Err(RecordError::new(format!("the block at {} is damaged", first.0)));
                }
                self.contents.events += block.entries().flatten().count() as u64;
                self.last_block = Some((*topic, *first));
                self.blocks.add(*topic, *first);
            }
            BackupRecord::Commit(commit) => {
                if commit.first <= self.last_commit || commit.before > self.last_commit.max(self.facts.after) {
                    return Err(RecordError::new(format!("a commit before {} is missing", commit.first.0)));
                }
                if commit.last > self.facts.through {
                    return Err(RecordError::new(format!("the commit at {} is in the wrong place", commit.first.0)));
                }
                self.last_commit = commit.last;
                commit.blocks.iter().for_each(|(topic, first)| self.committed.add(*topic, *first));
                self.contents.tally.add_commit(commit.last, commit.time);
            }
            _ => {}
        }
        Ok(())
    }

    /// Ends the part, which has this many records and events.
    ///
    /// # Errors
    /// When something is missing.
    pub fn finish(mut self, records: u64, events: u64) -> Result<PartContents, RecordError> {
        let found = (self.contents.records, self.contents.events);
        if found != (records, events) {
            return Err(RecordError::new(format!(
                "it has {} records and {} events instead of {records} and {events}",
                found.0, found.1
            )));
        }
        if self.blocks != self.committed {
            return Err(RecordError::new("its commits and its blocks do not belong together"));
        }
        if self.facts.kind == PartKind::State && self.contents.state.is_none() {
            return Err(RecordError::new("the state of the store is missing"));
        }
        let span = &mut self.contents.tally.span;
        span.head = span.head.max(self.facts.through);
        span.newest = span.newest.max(self.facts.newest);
        Ok(self.contents)
    }
}
