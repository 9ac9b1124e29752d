//! Floor 1: storage engines.
//!
//! An engine makes a batch of events **durable, then readable, then passes it to the observer** (in seq order, once),
//! **then acknowledges it**. So nobody sees an event that a crash can still undo. After a failed flush it acknowledges
//! nothing until a restart has recovered from the disk.
//!
//! [`Engine`] is called once per batch or page, never once per socket, so dynamic dispatch is cheap enough.
//!
//! | module | idea |
//! |---|---|
//! | this file | the engine's contract and its vocabulary |
//! | `error` | why an append or a read failed |
//! | `start` | start positions of a read |
//! | [`log`] | the engine on one machine: one writer, group commit, retention; generic over a [`log::Store`] |
//! | [`memory`] | the volatile store: a reference implementation of the store's contract, and the fault injector |
//! | [`sled`] | the store on disk |

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::event::{Epoch, Event, EventId, Millis, NewEvent, Retention, Selection, Seq, TopicName};

#[cfg(test)]
mod contract;
mod error;
pub mod log;
pub mod memory;
pub mod sled;
mod start;

pub use error::{AppendError, ReadError};
pub use start::{LocateBy, ReadFrom, When};

/// The future of an engine's answer. Cancel safe: dropping it cancels nothing, the queued job is still executed.
pub type EngineFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// A durable, ordered event log with topics.
pub trait Engine: Send + Sync + 'static {
    /// `sled` or `memory`, for statistics and log messages.
    fn name(&self) -> &'static str;

    /// The incarnation of the store; part of every event id.
    fn epoch(&self) -> Epoch;

    /// The newest durable and readable position: every event at or below it can be read, unless it was trimmed or lost.
    fn head(&self) -> Seq;

    /// Appends all events of `append` in one commit, in order, or none. Resolves when they are durable, readable and
    /// passed to the [`Observer`]. The queue is bounded: see [`AppendError::Busy`].
    fn append(&self, append: Append) -> EngineFuture<Vec<Receipt>, AppendError>;

    /// Appends each of `events` independently, in order: an error in one refuses only that one. They share a queue
    /// entry, a commit and an answer, so that many small appends wake the writer once and the caller once. The answer
    /// has a result per event, and fails as a whole when the commit fails. Gives the guarantees of [`Engine::append`].
    ///
    /// # Errors
    /// When the queue is full or closed. The events are returned for a retry.
    fn append_each(&self, events: Vec<NewEvent>) -> Result<EngineFuture<Vec<AppendResult>, AppendError>, Rejected>;

    /// Reads a page of the log. Blocks on disk I/O: call it on a thread that may block.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn read(&self, request: &ReadRequest) -> Result<LogPage, ReadError>;

    /// Resolves a time or a count to a position. A read [`ReadFrom::After`] it returns every requested event, and
    /// reports every gap among them. Blocks on disk I/O; stops when `keep_going` returns `false`.
    ///
    /// # Errors
    /// When the store cannot be read, or `keep_going` stopped it.
    fn locate(
        &self,
        selection: &Selection,
        by: LocateBy,
        keep_going: &(dyn Fn() -> bool + Sync),
    ) -> Result<Seq, ReadError>;

    /// Resolves a time to the timestamp to read from: see [`ReadFrom::Since`]. Blocks on disk I/O.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn stamp(&self, when: When) -> Result<Millis, ReadError>;

    /// The state of a topic; `None` when it was never used, or was deleted and not used since.
    fn topic(&self, name: &TopicName) -> Option<TopicState>;

    /// For a name not in use: the last position of its deleted incarnation, if there was one.
    fn deleted_through(&self, name: &TopicName) -> Option<Seq>;

    /// Whether the topic's event at `seq`, and so every later one, is retained now: not trimmed, not deleted, not past
    /// its maximum age. A cached page whose first event of each topic is retained equals what a new read would return.
    /// One table lookup without disk I/O, so it may be called on any thread.
    ///
    /// Conservative: while the topic's *oldest* event is past its maximum age (or, just after a start, beyond another
    /// limit) and is not trimmed yet, the answer is `false` for all of its events. [`Engine::read`] trims it first.
    fn is_retained(&self, topic: &TopicName, seq: Seq) -> bool;

    /// At most `limit` topics in byte order whose name starts with `prefix` and sorts after `after`.
    fn topics(&self, prefix: &str, after: &str, limit: usize) -> Vec<TopicState>;

    /// Durably applies the given settings; creates the topic if it does not exist. Resolves to the new state.
    fn configure(&self, topic: TopicName, change: TopicChange) -> EngineFuture<TopicState, AppendError>;

    /// Durably deletes a topic's events and settings, and keeps its trimmed-through mark. Resolves to whether the topic
    /// existed.
    fn delete(&self, topic: TopicName) -> EngineFuture<bool, AppendError>;

    /// Durably removes one event: a tombstone ([`Event::tombstone`](crate::event::Event::tombstone)) replaces it, and a
    /// removal notice is appended if the topic is open. Its bytes are erased from the disk later. Resolves to whether
    /// the event is retained: also `true` when it was removed before, which changes nothing.
    ///
    /// Idempotent: if it fails between the tombstone and the notice, repeating it completes the removal.
    fn remove(&self, topic: TopicName, seq: Seq) -> EngineFuture<bool, AppendError>;

    /// Removals that a crash or a failure interrupted, so that their notice may not have been appended. After opening,
    /// call [`Engine::remove`] for each of them once the observer is ready.
    fn pending_removals(&self) -> Vec<(TopicName, Seq)>;

    /// Health and size of the engine.
    fn status(&self) -> Status;

    /// Drains the queue, records a clean shutdown and closes the files. Blocks; idempotent.
    fn close(&self);
}

/// Receives what an engine has made durable; implemented by the hub. Every call comes from the engine's writer
/// thread, in order, and must not block.
pub trait Observer: Send + Sync + 'static {
    /// The number of live streams subscribed to `topic`. Called when a commit is built, for its receipts.
    fn subscriber_count(&self, topic: &TopicName) -> u32;

    /// These events are durable and readable, in ascending order of `seq`. Called before their receipts are sent.
    fn committed(&self, events: &[Arc<Event>]);

    /// The topic's event at `seq` was durably removed; its old bytes must not be delivered any more. Its notice, if
    /// there is one, follows in [`Observer::committed`].
    fn removed(&self, topic: &TopicName, seq: Seq);

    /// A topic was durably closed, reopened or deleted. For a closing event, called after [`Observer::committed`].
    fn lifecycle_changed(&self, topic: &TopicName, change: LifecycleChange);
}

/// A change in a topic's lifecycle that ends or resumes its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifecycleChange {
    /// The topic accepts no more events.
    Closed {
        /// The topic's newest position ever.
        last: Seq,
    },
    /// The topic accepts events again.
    Reopened,
    /// The topic and its events are gone.
    Deleted {
        /// Its trimmed-through mark.
        last: Seq,
    },
}

/// Events to append in one commit, with conditions.
#[derive(Debug, Clone)]
pub struct Append {
    /// At least one; their order is kept.
    pub events: Vec<NewEvent>,
    /// Append only if this holds for the topic, which must be the same for all `events`.
    pub expect: Option<ExpectedLast>,
    /// Makes a retry a no-op that returns the first receipts.
    pub key: Option<IdempotencyKey>,
}

/// The last id that a topic must have for a conditional append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedLast {
    /// None: the topic was never used, or was deleted.
    Empty,
    /// This one.
    Last(EventId),
}

/// Identifies one publish of one credential for the length of the idempotency window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Hash of the credential and the key.
    pub key: [u8; 16],
    /// Hash of the whole request; the same key with another fingerprint is refused.
    pub fingerprint: [u8; 16],
    /// Hash of the owner whose share of the key memory it uses; 0 when the owner is unknown.
    pub owner: u64,
}

/// The acknowledgement of one durable event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its topic.
    pub topic: TopicName,
    /// Its position.
    pub seq: Seq,
    /// When it was committed.
    pub time: Millis,
    /// Live streams subscribed to the topic at the commit.
    pub subscribers: u32,
}

/// The result of one event of [`Engine::append_each`].
pub type AppendResult = Result<Receipt, AppendError>;

/// Events that the queue did not accept.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// The events, unchanged.
    pub events: Vec<NewEvent>,
    /// Why they were rejected.
    pub error: AppendError,
}

/// The maximum size of one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReadLimit {
    /// Maximum number of events.
    pub events: usize,
    /// Bytes of data after which the read ends; the first event is always returned.
    pub bytes: usize,
}

/// A request for one page.
#[derive(Debug, Clone)]
pub struct ReadRequest {
    /// The topics to read.
    pub selection: Selection,
    /// The start position.
    pub from: ReadFrom,
    /// Maximum number of events; 0 counts as 1.
    pub max_events: usize,
    /// Bytes of data after which the page ends; the first event is always returned.
    pub max_bytes: usize,
}

/// A contiguous part of the log for a selection. Every missing event is reported as a gap.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogPage {
    /// Events in order of `seq`; each gap stands before the first event after it.
    pub items: Vec<PageItem>,
    /// The end of the page, inclusive: `items` is complete for the selection up to here. The next page starts after it.
    pub through: Seq,
    /// `through` was the log's head: what follows is live.
    pub at_end: bool,
}

/// An element of a page.
#[derive(Debug, Clone, PartialEq)]
pub enum PageItem {
    /// The next event.
    Event(Arc<Event>),
    /// Missing events of a topic.
    Gap(LogGap),
}

/// One or more events of `topic` after the reader's cursor that are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGap {
    /// Their topic.
    pub topic: TopicName,
    /// The topic's next retained event; `None` when it retains none, or none that the page could have.
    pub resumes_at: Option<Seq>,
    /// The disk lost them; they were not trimmed by retention.
    pub lost: bool,
}

/// The state of a topic.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicState {
    /// Its name.
    pub topic: TopicName,
    /// The oldest retained event.
    pub first: Option<Seq>,
    /// The newest position ever, retained or not: what `If-Match` is compared with. `None` if nothing was ever
    /// published.
    pub last: Option<Seq>,
    /// Retained events.
    pub events: u64,
    /// Bytes of data of the retained events.
    pub bytes: u64,
    /// Accepts no more events.
    pub closed: bool,
    /// The limits in force: the topic's own, else its rule's.
    pub retention: Retention,
    /// Reconnect delay in milliseconds: the topic's own, else its rule's.
    pub retry: Option<u32>,
}

/// A change to a topic's settings. The outer `None` leaves a setting unchanged; the inner `None` resets it to the
/// rule's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TopicChange {
    /// See [`Retention::max_events`].
    pub max_events: Option<Option<u64>>,
    /// See [`Retention::max_age`].
    pub max_age: Option<Option<Duration>>,
    /// See [`Retention::max_bytes`].
    pub max_bytes: Option<Option<u64>>,
    /// Reconnect delay in milliseconds.
    pub retry: Option<Option<u32>>,
    /// `true` closes the topic, `false` reopens it.
    pub closed: Option<bool>,
}

/// An engine's health and size.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Why a durable append would be refused now: [`AppendError::Full`], [`AppendError::NotNow`] or
    /// [`AppendError::Unavailable`].
    pub refusing: Option<AppendError>,
    /// Topics in use.
    pub topics: u64,
    /// Retained events.
    pub events: u64,
    /// Bytes of data of the retained events.
    pub bytes: u64,
    /// Size of the store's files in bytes; 0 in memory.
    pub disk_bytes: u64,
    /// Commits since start.
    pub commits_total: u64,
    /// Median duration of a commit, from its first write to its durability, in milliseconds, since start.
    pub commit_ms_p50: f64,
    /// 99th percentile of the same.
    pub commit_ms_p99: f64,
    /// Bytes of jobs queued or being written, each event with its overhead.
    pub queued_bytes: u64,
    /// How far the log's clock, which timestamps events, is ahead of the machine's.
    pub clock_ahead: Duration,
    /// Sum of the remembered forward leaps of the machine's clock, which ages do not count.
    pub clock_leapt: Duration,
    /// Damaged parts of the store that were set aside or skipped since it was created.
    pub losses: u64,
    /// Parts of the store whose files still hold bytes of removed events.
    pub unscrubbed: u64,
}
