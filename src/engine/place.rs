//! Where a reader begins.

use std::time::Duration;

use crate::event::{Millis, Seq};

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReadFrom {
    /// The oldest kept event. Tells no gap.
    Earliest,
    /// After this position. Tells a gap for each topic that lost events after it.
    After(Seq),
    /// The first event with this stamp or a later one. Tells a gap for each topic that lost such events.
    Since(Millis),
}

/// Where a reader begins that has no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocateBy {
    /// At the first event with this stamp or a later one.
    Since(Millis),
    /// At the oldest of the newest so many kept events of the selection.
    Newest(u64),
}

/// When a reader begins that asks by time. Stamps follow the machine's clock, which may have been wrong: what is meant is
/// not always the stamp of that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// With what was published at this moment or later, as the machine's clock showed it.
    Moment(Millis),
    /// With what was published so long ago or later, by the time that has passed.
    Ago(Duration),
}
