//! Removes an event: one insert replaces its block by one with a tombstone, so that a crash leaves the one or the
//! other. Called by the writer's thread.

use std::sync::Arc;

use crate::event::{Seq, TopicName};

use super::super::log::store::{RemoveOutcome, StoreError, TopicKey};
use super::block::{Block, BlockEvent};
use super::database::DatabaseError;
use super::guard::guarded;
use super::keys;
use super::parts::{self, PartError};
use super::segment::{Segment, Unusable};
use super::shared::StoreShared;
use super::tables::Tables;

/// How often the list of segments is read again because one was replaced meanwhile.
const MAX_LIST_RETRIES: usize = 100;

/// The result of a lookup of an event in a segment.
pub(super) enum FoundEvent {
    Nothing,
    /// A tombstone of a removed event, or the notice of a removal.
    Removed(Block),
    Stored(Block),
    /// Its block, which begins here, is damaged.
    Damaged(Seq),
}

impl StoreShared {
    pub(super) fn remove(&self, key: TopicKey, seq: Seq) -> Result<RemoveOutcome, StoreError> {
        self.check_open()?;
        let _waiting = self.waits.begin_write("removing an event");
        self.presence.check()?;
        'list: for _ in 0..MAX_LIST_RETRIES {
            // Locked so that no segment is replaced between reading the list and inserting the tombstone.
            let mut removals = self.removals.lock();
            for segment in self.segments.between(Seq(seq.0.saturating_sub(1)), seq) {
                let tables = match self.tables(&segment) {
                    Ok(tables) => tables,
                    Err(Unusable::Retired) => continue 'list,
                    Err(Unusable::Failed(failure)) => {
                        drop(removals);
                        return self.removal_failed(&segment, failure);
                    }
                };
                let found =
                    guarded(|| find(&tables, key, seq)).map_err(DatabaseError::from_panic).and_then(|it| Ok(it?));
                let block = match found {
                    Ok(FoundEvent::Nothing) => continue,
                    Ok(FoundEvent::Removed(_)) if !removals.has_failed(key, seq) => {
                        return Ok(RemoveOutcome::AlreadyRemoved);
                    }
                    Ok(FoundEvent::Removed(block) | FoundEvent::Stored(block)) => block,
                    Ok(FoundEvent::Damaged(first)) => {
                        drop(removals);
                        self.lost_block(key, first);
                        return Ok(RemoveOutcome::NotFound);
                    }
                    Err(failure) => {
                        drop((removals, tables));
                        return self.removal_failed(&segment, failure);
                    }
                };
                let name =
                    match guarded(|| name_of(&tables, key)).map_err(DatabaseError::from_panic).and_then(|it| Ok(it?)) {
                        Ok(name) => name,
                        Err(failure) => {
                            drop((removals, tables));
                            return self.removal_failed(&segment, failure);
                        }
                    };
                let Some((mut built, bytes)) = name.and_then(|name| block.with_tombstone(key, &name, seq)) else {
                    return Ok(RemoveOutcome::NotFound);
                };
                self.space.check_small()?;
                if let Err(error) = removals.begin(&segment, key, seq) {
                    return Ok(RemoveOutcome::Unavailable(error.to_string().into()));
                }
                let bytes = removals.take_failed(key, seq).unwrap_or(bytes);
                let replaced = guarded(|| {
                    let (stem, framed) = built.finish();
                    replace_block(&tables, &stem, framed)
                });
                let failure = match replaced.map_err(DatabaseError::from_panic).and_then(|it| Ok(it?)) {
                    Ok(()) => return Ok(RemoveOutcome::Removed(bytes)),
                    Err(failure) => failure,
                };
                removals.add_failed(key, seq, bytes);
                // A failed write to the active segment poisons the store, because commits may be affected. A sealed one
                // has either the old block or the tombstone.
                return match segment.summary() {
                    None => Err(self.poison("removing an event", failure.reason())),
                    Some(_) => Ok(RemoveOutcome::Unavailable(Arc::clone(failure.reason()))),
                };
            }
            return Ok(RemoveOutcome::NotFound);
        }
        Ok(RemoveOutcome::Unavailable("the segments were replaced too often while they were read; try again".into()))
    }

    /// Handles a segment that cannot be read. A damaged sealed one is quarantined, as by a reader.
    fn removal_failed(&self, segment: &Arc<Segment>, failure: DatabaseError) -> Result<RemoveOutcome, StoreError> {
        match failure {
            DatabaseError::Unavailable(reason) => Ok(RemoveOutcome::Unavailable(reason)),
            DatabaseError::Damaged(reason) if segment.summary().is_none() => Err(self.poison("reading", &reason)),
            DatabaseError::Damaged(reason) => {
                self.quarantine(segment, &reason)?;
                Ok(RemoveOutcome::NotFound)
            }
        }
    }
}

/// Looks up the event at `seq` of a topic.
pub(super) fn find(tables: &Tables, key: TopicKey, seq: Seq) -> Result<FoundEvent, PartError> {
    for block in tables.blocks(key, Seq(seq.0.saturating_sub(1)), seq)? {
        let (first, block) = block?;
        let Some(block) = block else { return Ok(FoundEvent::Damaged(first)) };
        let mut entries =
            block.entries().skip_while(|entry| entry.as_ref().is_some_and(|entry| entry.header.seq != seq));
        let found = match entries.next() {
            None => continue,
            Some(None) => FoundEvent::Damaged(first),
            Some(Some(BlockEvent { removed, .. })) => {
                drop(entries);
                if removed { FoundEvent::Removed(block) } else { FoundEvent::Stored(block) }
            }
        };
        return Ok(found);
    }
    Ok(FoundEvent::Nothing)
}

/// The name of a topic.
pub(super) fn name_of(tables: &Tables, key: TopicKey) -> sled::Result<Option<TopicName>> {
    let name = tables.topics.get(keys::topic(key))?;
    Ok(name.and_then(|name| TopicName::stored(std::str::from_utf8(&name).ok()?).ok()))
}

/// Replaces a block by `framed` and flushes. The new block is one part: an event of several parts has a block of its
/// own, and a tombstone is small. The other parts of the old block stay unused, and a copy leaves them out.
pub(super) fn replace_block(tables: &Tables, stem: &[u8], framed: &mut [u8]) -> sled::Result<()> {
    parts::insert_framed(&tables.blocks, stem, framed)?;
    tables.flush()
}
