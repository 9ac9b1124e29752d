//! Start positions of a read.

pub use crate::event::position::When;
use crate::event::{Millis, Seq};

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReadFrom {
    /// At the oldest retained event. Reports no gap for trimmed events.
    Earliest,
    /// After this position. Reports a gap for each topic that lost or trimmed events after it.
    After(Seq),
    /// At the first event with this timestamp or a later one. Reports a gap for each topic that lost or trimmed such
    /// events.
    Since(Millis),
}

/// A start that has to be resolved to a position: see [`Log::locate`](super::Log::locate).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocateBy {
    /// The first event with this timestamp or a later one.
    Since(Millis),
    /// The newest so many retained events of the selection.
    Newest(u64),
}
