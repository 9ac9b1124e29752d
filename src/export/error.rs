//! What can be wrong with a file of an export.

use std::{io, path::PathBuf};

use super::MAX_LINE_BYTES;
use crate::event::EventId;

/// Why a file is not read or not written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A line is not one of an export.
    #[error("line {line} is not a line of an export: {problem}")]
    Line {
        /// From 1.
        line: u64,
        /// What is wrong.
        problem: String,
    },
    /// A line is longer than any event.
    #[error("line {0} has more than {MAX_LINE_BYTES} bytes; it is not a line of an export")]
    TooLong(u64),
    /// The first line is missing.
    #[error("it does not begin as an export does; `gapless publish --ndjson` publishes envelopes of another origin")]
    NotAnExport,
    /// The file has another export.
    #[error("{path:?} has an export of {has}; name another file, or export the same again to go on with it")]
    Another {
        /// The file.
        path: PathBuf,
        /// What it has.
        has: String,
    },
    /// There is nothing left to do.
    #[error("{0:?} has a complete export; name another file, or remove it")]
    Complete(PathBuf),
    /// The last line is missing.
    #[error("it ends after line {0} and is not complete; run the same `gapless export` again, which goes on with it")]
    Incomplete(u64),
    /// It goes on after its last line.
    #[error("line {0} follows the last line of an export; a file holds one")]
    AfterEnd(u64),
    /// An id is not above the one before it.
    #[error("line {line} has the id {id}, which is not after the one before; the file is not as it was exported")]
    Order {
        /// From 1.
        line: u64,
        /// The id.
        id: EventId,
    },
    /// It says that it has another number of events.
    #[error("it says that it has {told} events, and has {found}; the file is not as it was exported")]
    Count {
        /// What the last line says.
        told: u64,
        /// Events in it.
        found: u64,
    },
    /// A file of ids is something else.
    #[error("{} is not a file of ids of an import; name another with --ids", .0.display())]
    NotIds(PathBuf),
    /// Another process writes the file.
    #[error("another gapless writes {0:?} now")]
    InUse(PathBuf),
    /// The system does not read or write it.
    #[error("cannot use {path:?}: {reason}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// What is read, which is not a file, cannot be read.
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
}

impl ExportError {
    pub(super) fn io(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |reason| Self::Io { path, reason }
    }
}
