//! The epochs of the engine's log, and positions that say of which epoch they are.
//!
//! The log may be replaced by another one while streams are open. Then the same position names another event, so a
//! position that outlives a call is kept with its epoch. Streams keep the epoch's number, of 4 bytes, and not its text,
//! of 17.

use crate::event::{Epoch, Seq};

/// An epoch that the hub has or had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubEpoch {
    /// The first part of the ids.
    pub epoch: Epoch,
    /// Its number.
    pub number: EpochNumber,
}

/// Counts the epochs of the engine since the process started, from 0. Wraps after 2³² replacements of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct EpochNumber(pub(super) u32);

/// A position in the log of one epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HubCursor {
    /// The epoch.
    pub epoch: EpochNumber,
    /// The position.
    pub seq: Seq,
}

impl HubEpoch {
    /// The epoch that follows `before`; the first one follows none.
    pub(super) fn following(before: Option<&Self>, epoch: Epoch) -> Self {
        let number = before.map_or(0, |before| before.number.0.wrapping_add(1));
        Self { epoch, number: EpochNumber(number) }
    }
}

impl HubCursor {
    /// A position in the first epoch of the process.
    #[cfg(test)]
    pub(crate) fn first(seq: u64) -> Self {
        Self { epoch: EpochNumber::default(), seq: Seq(seq) }
    }
}
