//! An event of a run, and how a response ends.

use crate::relay::ending::{RunEnded, RunStarted};

/// An event of a run, as the log has it.
#[derive(Debug, Clone, Copy)]
pub enum RunEvent<'a> {
    /// `run.started`: the first one.
    Started(&'a RunStarted),
    /// A frame of the provider.
    Frame {
        /// Its event name; empty or `message` when it has none.
        name: &'a str,
        /// Its data.
        data: &'a str,
    },
    /// The run is being stopped, and the provider is read on for its token counts. Frames that follow are read for
    /// these alone.
    Stopping {
        /// The holder's name that stopped it.
        by: Option<&'a str>,
    },
    /// `run.ended`: the last one.
    Ended(&'a RunEnded),
}

/// How a response ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// The body is complete.
    Complete,
    /// The connection must be broken off, because the format has no word for a bad ending.
    Broken,
}
