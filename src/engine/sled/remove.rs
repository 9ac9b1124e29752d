//! Taking an event back: a tombstone replaces it where it is stored, in one insert, so that a crash leaves the one or the
//! other. Called by the writer's thread.

use std::sync::Arc;

use crate::event::{Seq, TopicName};

use super::super::log::store::{StoreError, Taken, TopicKey};
use super::block::{Block, BlockEvent};
use super::database::DatabaseError;
use super::guard::guarded;
use super::parts::{self, PartError};
use super::segment::{Segment, Unusable};
use super::tables::Tables;
use super::{StoreShared, keys};

/// How often the list of segments is taken anew; each time one was replaced meanwhile.
const LOOKS: usize = 100;

/// What a segment knows of an event.
pub(super) enum FoundEvent {
    Nothing,
    /// A tombstone or a notice.
    Removed(Block),
    Stored(Block),
    /// Where the damaged block begins.
    Damaged(Seq),
}

impl StoreShared {
    pub(super) fn remove(&self, key: TopicKey, seq: Seq) -> Result<Taken, StoreError> {
        self.alive()?;
        let _waiting = self.waits.begin_write("removing an event");
        self.presence.check()?;
        'list: for _ in 0..LOOKS {
            // No segment is replaced between the look at the list and the tombstone.
            let mut removals = self.removals.lock();
            for segment in self.segments.between(Seq(seq.0.saturating_sub(1)), seq) {
                let tables = match self.tables(&segment) {
                    Ok(tables) => tables,
                    Err(Unusable::Retired) => continue 'list,
                    Err(Unusable::Failed(failure)) => {
                        drop(removals);
                        return self.unreachable(&segment, failure);
                    }
                };
                let found = guarded(|| find(&tables, key, seq)).map_err(DatabaseError::of_panic).and_then(|it| Ok(it?));
                let block = match found {
                    Ok(FoundEvent::Nothing) => continue,
                    Ok(FoundEvent::Removed(_)) if !removals.has_failed(key, seq) => return Ok(Taken::Before),
                    Ok(FoundEvent::Removed(block) | FoundEvent::Stored(block)) => block,
                    Ok(FoundEvent::Damaged(first)) => {
                        drop(removals);
                        self.lost_block(key, first);
                        return Ok(Taken::Nothing);
                    }
                    Err(failure) => {
                        drop((removals, tables));
                        return self.unreachable(&segment, failure);
                    }
                };
                let name =
                    match guarded(|| name_of(&tables, key)).map_err(DatabaseError::of_panic).and_then(|it| Ok(it?)) {
                        Ok(name) => name,
                        Err(failure) => {
                            drop((removals, tables));
                            return self.unreachable(&segment, failure);
                        }
                    };
                let Some((mut built, bytes)) = name.and_then(|name| block.without(key, &name, seq)) else {
                    return Ok(Taken::Nothing);
                };
                self.space.check_small()?;
                if let Err(error) = removals.begin(&segment, key, seq) {
                    return Ok(Taken::Unreachable(error.to_string().into()));
                }
                let bytes = removals.failed_before(key, seq).unwrap_or(bytes);
                let replaced = guarded(|| {
                    let (stem, framed) = built.finish();
                    replace(&tables, &stem, framed)
                });
                let failure = match replaced.map_err(DatabaseError::of_panic).and_then(|it| Ok(it?)) {
                    Ok(()) => return Ok(Taken::Now(bytes)),
                    Err(failure) => failure,
                };
                removals.failed(key, seq, bytes);
                // The segment that takes commits may be half written; any other is as it was, or is not.
                return match segment.summary() {
                    None => Err(self.poison("removing an event", failure.reason())),
                    Some(_) => Ok(Taken::Unreachable(Arc::clone(failure.reason()))),
                };
            }
            return Ok(Taken::Nothing);
        }
        Ok(Taken::Unreachable("segments were replaced faster than they could be read; try again".into()))
    }

    /// A sealed segment that is damaged is set aside, as when it is read.
    fn unreachable(&self, segment: &Arc<Segment>, failure: DatabaseError) -> Result<Taken, StoreError> {
        match failure {
            DatabaseError::Unavailable(reason) => Ok(Taken::Unreachable(reason)),
            DatabaseError::Damaged(reason) if segment.summary().is_none() => Err(self.poison("reading", &reason)),
            DatabaseError::Damaged(reason) => {
                self.set_aside(segment, &reason)?;
                Ok(Taken::Nothing)
            }
        }
    }
}

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

pub(super) fn name_of(tables: &Tables, key: TopicKey) -> sled::Result<Option<TopicName>> {
    let name = tables.topics.get(keys::topic(key))?;
    Ok(name.and_then(|name| TopicName::stored(std::str::from_utf8(&name).ok()?).ok()))
}

/// The new block is one part: an event of more than one has its block for itself, and a tombstone is small. The other parts of
/// the old block belong to nothing any more, and no copy takes them along.
pub(super) fn replace(tables: &Tables, stem: &[u8], framed: &mut [u8]) -> sled::Result<()> {
    parts::insert_framed(&tables.blocks, stem, framed)?;
    tables.flush()
}
