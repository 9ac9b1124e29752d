//! Floor 1: storage engines.
//!
//! An engine makes a batch of events **durable, then readable, then passes it to the observer** (in seq order, once),
//! **then acknowledges it**. So nobody sees an event that a crash can still undo. After a failed flush it acknowledges
//! nothing until a restart has recovered from the disk.
//!
//! [`Engine`] has three roles: [`Log`] (append and read), [`Catalog`] (what is in memory about topics) and [`Admin`]
//! (settings, deletion, sizes). It is called once per batch or page, never once per socket, so dynamic dispatch and a
//! boxed future per call are cheap enough.
//!
//! **No method blocks the thread that calls it, except [`Engine::close`].** What may wait for a disk or a network
//! returns a future, and waits elsewhere. So an engine may be called on a thread that serves streams.
//!
//! | module | idea |
//! |---|---|
//! | this file | the engine's roles and its observer: what every engine promises |
//! | `append`, `page`, `topic`, `status`, `commit_times`, `start`, `error`, `members` | the vocabulary of these |
//! | `capabilities` | what not every engine can do |
//! | `backup` | a copy of the log that is made while it is open |
//! | [`log`] | the engine on one machine: one writer, group commit, retention; generic over a [`log::Store`] |
//! | [`memory`] | the volatile store: a reference implementation of the store's contract, and the fault injector |
//! | [`sled`] | the store on disk |
//! | [`jetstream`] | the engine over a stream of NATS JetStream: any number of hubs over one log |

use std::{future::Future, pin::Pin, sync::Arc};

use crate::event::{Epoch, Event, EventId, Millis, NewEvent, Selection, Seq, TopicName};

mod append;
mod backup;
mod capabilities;
mod commit_times;
#[cfg(test)]
mod contract;
mod error;
pub mod jetstream;
pub mod log;
mod members;
pub mod memory;
mod page;
pub mod sled;
mod start;
mod status;
mod topic;

pub use append::{Append, AppendResult, ExpectedLast, IdempotencyKey, Receipt, Rejected};
pub use backup::{BackupItem, BackupRequest, BackupStream, PartDigest, PartFacts, PartKind};
pub use capabilities::{Capabilities, RetentionKinds};
pub use commit_times::CommitTimes;
pub use error::{AppendError, ReadError};
pub use members::Members;
pub use page::{BackwardPage, BackwardRequest, LogGap, LogPage, PageItem, ReadLimit, ReadRequest};
pub use start::{LocateBy, ReadFrom, When};
pub use status::{DiskSpace, Status};
pub use topic::{LifecycleChange, MetadataChange, TopicChange, TopicFacts, TopicQuery, TopicState};

/// The future of an engine's answer; to be polled within a tokio runtime. Cancel safe: dropping the future of a write
/// cancels nothing, the queued job is still executed; dropping the future of a read abandons the read.
pub type EngineFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// A durable, ordered event log with topics.
pub trait Engine: Log + Admin {
    /// `sled`, `jetstream` or `memory`, for statistics and log messages.
    fn name(&self) -> &'static str;

    /// What the engine can do. Does not change; callers check it before they ask, and the engine need not.
    fn capabilities(&self) -> Capabilities;

    /// The hubs that share the log. A look-up in memory.
    fn members(&self) -> Members {
        Members::alone()
    }

    /// The topics, as far as they are in memory.
    fn catalog(&self) -> Arc<dyn Catalog>;

    /// Drains the queue, records a clean shutdown and closes the files. Blocks; idempotent.
    fn close(&self);
}

/// The role of appending and reading events.
pub trait Log: Send + Sync + 'static {
    /// The newest durable and readable position: every event of its epoch at or below it can be read, unless it was
    /// trimmed or lost.
    fn head(&self) -> EventId;

    /// The epoch of [`Log::head`]: the incarnation of the store, part of every event id. It changes when the log is
    /// replaced by another one: see [`Observer::epoch_changed`]. A caller that reads it *after* a look-up in the
    /// [`Catalog`] and finds the epoch that it expects has looked up nothing of a later one.
    fn epoch(&self) -> Epoch {
        self.head().epoch
    }

    /// Resolves when the head is at or past `seq`, or when the log is known to end before it. Where several hubs share a log, a
    /// client may come with the cursor of one that is further. May take some seconds for a cursor that no hub has given out.
    ///
    /// # Errors
    /// When it cannot be found out now.
    fn reach(&self, _seq: Seq) -> EngineFuture<(), ReadError> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// The id in the present epoch in place of `id`, which is of another one: that of the newest event that came over from
    /// the log of that epoch, at or before `id`. What follows it here is what followed `id` there. `None` when nothing
    /// came over, or `id` was not given out there.
    ///
    /// # Errors
    /// When it cannot be found out now.
    fn translate(&self, _id: EventId) -> EngineFuture<Option<EventId>, ReadError> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Appends all events of `append` in one commit, in order, or none. Resolves when they are durable, readable and
    /// passed to the [`Observer`]. The queue is bounded: see [`AppendError::Busy`].
    fn append(&self, append: Append) -> EngineFuture<Vec<Receipt>, AppendError>;

    /// Like [`Log::append`], for a caller that can wait: an engine whose `append` ends with
    /// [`AppendError::Unavailable`] while what has become of it may still turn out goes on waiting here.
    fn append_patiently(&self, append: Append) -> EngineFuture<Vec<Receipt>, AppendError> {
        self.append(append)
    }

    /// Appends each of `events` independently, in order: an error in one refuses only that one. They share a queue
    /// entry, a commit and an answer, so that many small appends wake the writer once and the caller once. The answer
    /// has a result per event, and fails as a whole when the commit fails. Gives the guarantees of [`Log::append`].
    ///
    /// # Errors
    /// When the queue is full or closed. The events are returned for a retry.
    fn append_each(&self, events: Vec<NewEvent>) -> Result<EngineFuture<Vec<AppendResult>, AppendError>, Rejected>;

    /// Reads a page of the log. A read that has begun may continue after its future was dropped, so the caller bounds
    /// the number of reads until they resolve.
    fn read(&self, request: ReadRequest) -> EngineFuture<LogPage, ReadError>;

    /// Resolves a time or a count to a position, with its epoch. A read [`ReadFrom::After`] it returns every requested event, and
    /// reports every gap among them. Dropping the future stops the search. The engine bounds the number of searches;
    /// further ones wait in FIFO order.
    fn locate(&self, selection: Selection, by: LocateBy) -> EngineFuture<EventId, ReadError>;

    /// Reads the page that ends before a position. Its cost depends on the page, and not on the size of the topics. Dropping
    /// the future stops the search for its beginning. Bounded as [`Log::locate`] is.
    fn read_back(&self, request: BackwardRequest) -> EngineFuture<BackwardPage, ReadError>;

    /// Whether the position may have been given out by a store that was lost, and of which this one is a restored backup: a
    /// client with such a cursor has seen events that this log does not have. A look-up in memory.
    fn is_undone(&self, _seq: Seq) -> bool {
        false
    }

    /// Resolves a time to the timestamp to read from: see [`ReadFrom::Since`]. Bounded as [`Log::locate`] is.
    fn stamp(&self, when: When) -> EngineFuture<Millis, ReadError>;
}

/// The role of knowing topics: look-ups in memory, without I/O and without waiting for any, so that they may be made
/// on every thread and for every event. The log engine's implementation holds no store.
pub trait Catalog: Send + Sync + 'static {
    /// A topic's facts; `None` when it was never used, or was deleted and not used since.
    fn topic(&self, name: &TopicName) -> Option<TopicFacts>;

    /// Whether the topic's event at `seq`, and so every later one, is retained now: not trimmed, not deleted, not past
    /// its maximum age. A cached page whose first event of each topic is retained equals what a new read would return.
    ///
    /// Conservative: while the topic's *oldest* event is past its maximum age (or, just after a start, beyond another
    /// limit) and is not trimmed yet, the answer is `false` for all of its events. [`Log::read`] trims it first.
    fn is_retained(&self, topic: &TopicName, seq: Seq) -> bool;
}

/// The role of administration: settings, deletion and removal, sizes and health.
pub trait Admin: Send + Sync + 'static {
    /// The state of a topic, without events past a limit that readers may not see; `None` when it was never used, or was
    /// deleted and not used since. Bounded as [`Log::locate`] is.
    fn measure(&self, name: &TopicName) -> EngineFuture<Option<TopicState>, ReadError>;

    /// At most `limit` of these topics, in byte order. Looks at each name in memory once, in slices. Bounded as
    /// [`Log::locate`] is.
    fn topics(&self, query: TopicQuery, limit: usize) -> EngineFuture<Vec<TopicState>, ReadError>;

    /// For each of `names` that is not in use: the last position of its deleted incarnation, if there was one. Bounded
    /// as [`Log::locate`] is, unless no topic was ever deleted.
    fn deleted_through(&self, names: Vec<TopicName>) -> EngineFuture<Vec<Option<Seq>>, ReadError>;

    /// Durably applies the given settings; creates the topic if it does not exist. Resolves to the new state.
    ///
    /// A [conditional](TopicChange::is_conditional) change is compared and applied in one step: of several that depend on the
    /// same state, one is applied. When it fails as [`AppendError::Unavailable`], it may have been applied.
    fn configure(&self, topic: TopicName, change: TopicChange) -> EngineFuture<TopicState, AppendError>;

    /// Durably deletes a topic's events and settings, and keeps its trimmed-through mark. Resolves to whether the topic
    /// existed.
    fn delete(&self, topic: TopicName) -> EngineFuture<bool, AppendError>;

    /// Durably removes one event: a tombstone ([`Event::tombstone`](crate::event::Event::tombstone)) replaces it, and a
    /// removal notice is appended if the topic is open. Its bytes are erased from the disk later. Resolves to whether
    /// the event is retained: also `true` when it was removed before, which changes nothing.
    ///
    /// An id of another epoch names no event of this store: nothing is removed, and the answer is `false`.
    ///
    /// Idempotent: if it fails between the tombstone and the notice, repeating it completes the removal.
    fn remove(&self, topic: TopicName, id: EventId) -> EngineFuture<bool, AppendError>;

    /// Removals that a crash or a failure interrupted, so that their notice may not have been appended. After opening,
    /// call [`Admin::remove`] for each of them once the observer is ready. A look-up in memory.
    fn pending_removals(&self) -> Vec<(TopicName, Seq)>;

    /// Begins a backup of everything up to the present head; `None` when the engine has none of its own. It is read at a low
    /// priority by a thread of its own, which ends with the stream. The caller bounds the number of backups.
    fn backup(&self, _request: BackupRequest) -> Option<BackupStream> {
        None
    }

    /// The durations of all commits since start. A look-up in memory.
    fn commit_times(&self) -> CommitTimes;

    /// Health and size of the engine. Resolves within about a second, also when the disk does not respond; then
    /// [`Status::refusing`] says so.
    fn status(&self) -> Pin<Box<dyn Future<Output = Status> + Send>>;
}

/// Receives what an engine has made durable; implemented by the hub. Every call comes from the engine's writer
/// thread, in order, and must not block.
pub trait Observer: Send + Sync + 'static {
    /// These events are durable and readable, in ascending order of `seq`. Called before their receipts are sent, and
    /// before any of them is trimmed: a reader that has caught up with the observer is told of no gap ahead of it.
    fn committed(&self, events: &[Arc<Event>]);

    /// The log was read up to `head`, and events were passed over: they were gone before the engine has read them, or it has
    /// not known what was gone. A reader that has not come to `head` continues in the log, which tells it of the gap. Only
    /// of an engine that follows a log that others write.
    fn skipped(&self, head: Seq);

    /// The topic's event at `seq` was durably removed; its old bytes must not be delivered any more. Its notice, if
    /// there is one, follows in [`Observer::committed`].
    fn removed(&self, topic: &TopicName, seq: Seq);

    /// A topic was durably closed, reopened or deleted. For a closing event, called after [`Observer::committed`].
    fn lifecycle_changed(&self, topic: &TopicName, change: LifecycleChange);

    /// The log was replaced by another one, in which `head` is the newest position: its topics, events and ids have
    /// nothing in common with the old one's. Every later call is about the new log. An engine that cannot be replaced
    /// while it is open, like the log engine, never calls it.
    ///
    /// The engine answers from the new log before it calls this (epoch, head, catalog, then reads), and sends no receipt
    /// of the new log before this has returned: as with a commit, what is reported can be read. An answer that was begun
    /// before may still be of the old log; so each has its epoch. An epoch that was left never returns.
    fn epoch_changed(&self, head: EventId);
}
