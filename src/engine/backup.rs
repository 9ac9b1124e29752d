//! A backup of the log, read while the engine goes on: what is asked for, and what is sent.
//!
//! A backup is a sequence of [`BackupItem`]s: [`Begin`](BackupItem::Begin), the parts with the events up to its head in
//! order of position, a part with the rest of the state, and [`End`](BackupItem::End). A part is
//! [`Kept`](BackupItem::Kept), when the asker has it, or its records between [`Part`](BackupItem::Part) and
//! [`PartEnd`](BackupItem::PartEnd). What the records say is known to the store that has written them.

use std::collections::HashSet;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::ReadError;
use crate::event::{EventId, Millis, Seq};

/// Items that wait for their reader at most. Each has at most 256 KiB, or one large event.
pub(super) const WAITING_ITEMS: usize = 4;

/// The identity of a part's content: a SHA-256 of what determines it. Parts with the same digest have the same records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartDigest(pub [u8; 32]);

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct BackupRequest {
    /// The parts that the asker has, which need not be sent.
    pub have: HashSet<PartDigest>,
}

/// The items of a backup in order. An error is the last one; without [`BackupItem::End`] it is not complete. Dropping it
/// ends the backup.
pub type BackupStream = mpsc::Receiver<Result<BackupItem, ReadError>>;

/// What a part holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    /// The events of a range of positions, with their commits and idempotency keys.
    Events,
    /// Settings, marks, lost ranges, the clock.
    State,
}

/// A part, before its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartFacts {
    /// What it holds.
    pub kind: PartKind,
    /// Its number in this backup: 0, 1, …
    pub number: u64,
    /// The position before the range of positions that it covers.
    pub after: Seq,
    /// The end of that range, inclusive.
    pub through: Seq,
    /// The time of the newest commit in its range.
    pub newest: Millis,
    /// Its identity, if a later backup may have the same part.
    pub digest: Option<PartDigest>,
}

/// An item of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupItem {
    /// The first item.
    Begin {
        /// The newest position that the backup has.
        head: EventId,
        /// The version of the records' layout.
        format: u64,
        /// An estimate of the bytes of all parts, those included that the asker has; for showing progress.
        bytes: u64,
    },
    /// A part that the asker has.
    Kept(PartFacts),
    /// A part begins.
    Part(PartFacts),
    /// Whole records of the part.
    Records(Bytes),
    /// The part is complete.
    PartEnd {
        /// The number of its records.
        records: u64,
        /// The number of its events, tombstones included.
        events: u64,
    },
    /// What was sent of the part that has begun is void: the store has rewritten it meanwhile. Its range follows again.
    PartVoid,
    /// The part of this number is void: an event was removed from it since. Its range follows again.
    Void(u64),
    /// The last item: the backup is complete, and has this many parts.
    End(u64),
}
