//! What an import has done, and why not.

use std::fmt::{self, Display};

use super::super::JetStreamError;
use crate::{
    engine::log::{contents::StoreContents, store::StoreError},
    event::{Epoch, Millis, Seq, byte_size},
};

/// What an import has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportReport {
    /// The epoch of the old ids.
    pub from: Epoch,
    /// The newest old position.
    pub head: Seq,
    /// The epoch of the stream's ids.
    pub epoch: Epoch,
    /// Until when old ids are translated.
    pub until: Millis,
    /// It was complete before, and nothing was done.
    pub already: bool,
    /// An earlier call had begun it.
    pub resumed: bool,
    /// Events that were imported by this call, tombstones of removed ones included.
    pub events: u64,
    /// Bytes of their data.
    pub bytes: u64,
    /// CopiedTopics in use.
    pub topics: u64,
    /// Marks of deleted topics that were imported by this call.
    pub deleted: u64,
    /// Idempotency keys.
    pub keys: u64,
    /// Idempotency keys that were left out, because an event of theirs is gone, or because there are too many.
    pub keys_left: u64,
    /// Ranges in which the old store had lost events. Readers of the stream are not told of them.
    pub lost: u64,
}

/// Why an import has stopped.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A hub leads the stream.
    #[error("the hub {0} uses the stream; stop all hubs of this stream and try again")]
    HubRuns(String),
    /// Something else was written.
    #[error(
        "another process has written into the stream; stop all hubs of this stream, and run the import again: it goes on"
    )]
    Fenced,
    /// The stream has events of its own.
    #[error(
        "the stream has events or settings already, and an import must come first: its events are older. Import into a \
         stream that `gapless jetstream init` has just made; nats.stream and nats.prefix name it"
    )]
    NotEmpty,
    /// The stream has the import of another store.
    #[error("the stream has the import of another store, of the epoch {0}; one store can be imported into a stream")]
    Other(Epoch),
    /// The store has changed since the import began.
    #[error(
        "the store has changed since its import began: its newest position was {before} and is {now}. Delete the stream, \
         make it again with `gapless jetstream init`, and import again"
    )]
    Changed {
        /// The newest position when the import began.
        before: Seq,
        /// The newest position now.
        now: Seq,
    },
    /// Where earlier events are is not known any more.
    #[error(
        "the import began too long ago to go on; delete the stream, make it again with `gapless jetstream init`, and import again"
    )]
    TableExpired,
    /// The old store cannot be read.
    #[error("the store cannot be read: {0}; check it with `gapless check --store`")]
    Unreadable(String),
    /// The stream is full.
    #[error("the servers have no room for more; give the stream more, and run the import again: it goes on")]
    Full,
    /// The servers or the stream cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// They do not take it now.
    #[error("{0}; check the servers with `gapless check`, and run the import again: it goes on")]
    NotNow(String),
}

impl ImportError {
    pub(super) fn unreadable(error: &StoreError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> Self {
        match error {
            // In doubt, the next run finds out where to go on.
            StoreError::Fenced | StoreError::Doubtful(_) => Self::Fenced,
            StoreError::Full => Self::Full,
            StoreError::NotNow(reason) | StoreError::Failed(reason) => Self::NotNow(reason.to_string()),
        }
    }
}

impl From<JetStreamError> for ImportError {
    fn from(error: JetStreamError) -> Self {
        match error {
            JetStreamError::Unusable(text) => Self::Unusable(text),
            JetStreamError::NotNow(text) => Self::NotNow(text),
        }
    }
}

impl ImportReport {
    pub(super) fn new(contents: &StoreContents, epoch: Epoch) -> Self {
        Self {
            from: contents.epoch,
            head: contents.head,
            epoch,
            until: Millis(0),
            already: false,
            resumed: false,
            events: 0,
            bytes: 0,
            topics: contents.topics.len() as u64,
            deleted: 0,
            keys: 0,
            keys_left: 0,
            lost: contents.lost as u64,
        }
    }
}

impl Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, head, epoch, events, bytes, topics, deleted, keys, keys_left, lost, .. } = self;
        if self.already {
            return writeln!(f, "the store of the epoch {from} is imported already; nothing was done");
        }
        let more = if self.resumed { "more " } else { "" };
        writeln!(
            f,
            "imported {events} {more}events of {}, {topics} topics, {deleted} marks of deleted topics",
            byte_size::spell(*bytes)
        )?;
        writeln!(f, "idempotency keys: {keys} imported, {keys_left} left out")?;
        if *lost > 0 {
            writeln!(f, "the store had lost events in {lost} ranges; readers of the stream are not told of these")?;
        }
        writeln!(
            f,
            "ids of the epoch {from} up to {from}-{head} are translated to those of {epoch} until {}",
            self.until
        )
    }
}
