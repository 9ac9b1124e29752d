//! Floor 1, the keepers of logs.
//!
//! An engine makes a batch **durable, then readable, then hands it up** (in seq order, once), **then acknowledges
//! it**. Nobody sees what a crash can take back. After a failed flush it acknowledges nothing until a restart has
//! looked at the disk.
//!
//! [`Engine`] is crossed once a batch or page, never once a socket, so it may be a trait object.
//!
//! | room | idea |
//! |---|---|
//! | this file | what every engine promises, and the words for it |
//! | `place` | where a reader begins |
//! | [`log`] | the engine on one machine: one writer, group commit, retention; generic over a [`log::Store`] |
//! | [`memory`] | a store that forgets: the contract in a page, and the fault injector |
//! | [`sled`] | the store on disk |

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::event::{Epoch, Event, EventId, Millis, NewEvent, Retention, Selection, Seq, TopicName};

#[cfg(test)]
mod contract;
pub mod log;
pub mod memory;
mod place;
pub mod sled;

pub use place::{LocateBy, ReadFrom, When};

/// What an engine's answer comes in. Dropping it is safe: a commit that has begun is finished all the same.
pub type EngineFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// A keeper of logs.
pub trait Engine: Send + Sync + 'static {
    /// `sled` or `memory`: for stats and logs.
    fn name(&self) -> &'static str;

    /// The incarnation of the store that every id carries.
    fn epoch(&self) -> Epoch;

    /// The newest durable and readable position: every event at or below it can be read, or was trimmed.
    fn head(&self) -> Seq;

    /// Appends all of `append` in one commit and in its order, or nothing. Answers only when it is durable,
    /// readable and handed to the [`Observer`]. The queue is bounded: see [`AppendError::Busy`].
    fn append(&self, append: Append) -> EngineFuture<Vec<Receipt>, AppendError>;

    /// Appends each of `events` for itself, in their order: what is wrong with one of them refuses that one alone.
    /// They share a place in the queue, a commit and an answer, so that many small appends cost one wake of the
    /// writer and one of whoever waits. The answer has a result for each, and fails as a whole when the commit does.
    /// Promises what [`Engine::append`] does.
    ///
    /// # Errors
    /// When the queue takes nothing now; the events come back, to be tried again.
    fn append_each(&self, events: Vec<NewEvent>) -> Result<EngineFuture<Vec<AppendResult>, AppendError>, Rejected>;

    /// Reads a page of the log. Blocks on the disk: call it on a thread that may wait.
    ///
    /// # Errors
    /// When the disk does not give back what was stored.
    fn read(&self, request: &ReadRequest) -> Result<LogPage, ReadError>;

    /// The position at which a reader begins that asks by time or by number: reading [`ReadFrom::After`] it gives all that was
    /// asked for, and tells at least the gaps. Blocks on the disk, and gives up when `go_on` says no.
    ///
    /// # Errors
    /// When the disk does not give back what was stored, or it was given up.
    fn locate(
        &self,
        selection: &Selection,
        place: LocateBy,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Seq, ReadError>;

    /// The stamp that a reader begins with who asks by time: see [`ReadFrom::Since`]. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk does not give back what was stored.
    fn stamp(&self, when: When) -> Result<Millis, ReadError>;

    /// What is known of a topic; `None` when it was never used or was deleted and not used since.
    fn topic(&self, name: &TopicName) -> Option<TopicState>;

    /// For a name that is not in use: the last position of its deleted incarnation, if there was one.
    fn deleted_through(&self, name: &TopicName) -> Option<Seq>;

    /// Whether the topic's event at `seq` is kept now, and with it all that followed it: not trimmed, not deleted, not
    /// past its age. A page in memory whose first event of each topic is kept is what reading it again would give. One
    /// look at the table, no disk, so that it may be asked on any thread.
    ///
    /// On the safe side: while the topic's *oldest* event is past its age, or just after a start beyond another limit, and
    /// nobody has trimmed it yet, the answer is `false` for all of its events. [`Engine::read`] trims it first.
    fn keeps(&self, topic: &TopicName, seq: Seq) -> bool;

    /// Topics in byte order: those starting with `prefix` and after `after`, at most `limit`.
    fn topics(&self, prefix: &str, after: &str, limit: usize) -> Vec<TopicState>;

    /// Changes what is given, durably; creates the topic if need be. Answers with the new state.
    fn configure(&self, topic: TopicName, change: TopicChange) -> EngineFuture<TopicState, AppendError>;

    /// Forgets a topic's events and settings, durably, and leaves its trimmed-through mark.
    /// Answers with whether there was such a topic.
    fn delete(&self, topic: TopicName) -> EngineFuture<bool, AppendError>;

    /// Takes one event back, durably: a tombstone ([`Event::tombstone`](crate::event::Event::tombstone)) stands in its place
    /// from now on, and where the topic is open, a notice of it is appended. Its bytes leave the disk a while later. Answers
    /// with whether such an event is kept; `true` also for one that was taken back before, which changes nothing.
    ///
    /// When it fails after the event was taken back, the same request again does the rest.
    fn remove(&self, topic: TopicName, seq: Seq) -> EngineFuture<bool, AppendError>;

    /// Events that were being taken back when a crash or a failure came between, and whose readers may not have been told.
    /// [`Engine::remove`] each of them once after opening, when the observer is ready.
    fn untold(&self) -> Vec<(TopicName, Seq)>;

    /// Whether a durable append can be accepted now, and how full the store is.
    fn status(&self) -> Status;

    /// Finishes what is queued, records a clean end and lets go of the files. Blocks; idempotent.
    fn close(&self);
}

/// Who hears of what an engine has made durable: the hub. Every call comes from the engine's one writer, in order.
pub trait Observer: Send + Sync + 'static {
    /// How many live streams an event of `topic` would go to. Asked when a commit is built, for its receipts.
    fn subscriber_count(&self, topic: &TopicName) -> u32;

    /// These events are durable and readable, in rising order of `seq`, and no receipt has left yet. Must not block.
    fn committed(&self, events: &[Arc<Event>]);

    /// The topic's event at `seq` was taken back, durably, and nobody must be given its old bytes any more. Its notice, if
    /// there is one, comes by [`Observer::committed`] after this.
    fn removed(&self, topic: &TopicName, seq: Seq);

    /// A topic was closed, reopened or deleted, durably; after [`Observer::committed`] for a closing event.
    fn lifecycle_changed(&self, topic: &TopicName, change: LifecycleChange);
}

/// A change in a topic's life that ends or revives its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifecycleChange {
    /// No more events.
    Closed {
        /// The topic's newest position ever.
        last: Seq,
    },
    /// Open again.
    Reopened,
    /// Gone.
    Deleted {
        /// Its trimmed-through mark.
        last: Seq,
    },
}

/// Events to append in one commit.
#[derive(Debug, Clone)]
pub struct Append {
    /// At least one; their order is kept.
    pub events: Vec<NewEvent>,
    /// Only if the one topic of all `events` ends so.
    pub expect: Option<ExpectedLast>,
    /// Makes a retry a no-op.
    pub key: Option<IdempotencyKey>,
}

/// How a topic must end for a conditional append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedLast {
    /// It has no last id: never used, or deleted.
    Empty,
    /// Its last id is this one.
    Last(EventId),
}

/// Names one publish of one credential for the length of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Hash of the credential and the key.
    pub key: [u8; 16],
    /// Hash of all that the request asked for; the same key with another is refused.
    pub fingerprint: [u8; 16],
    /// Hash of whose share of the memory for keys it takes; 0 when that is not known.
    pub owner: u64,
}

/// An event's receipt: it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its topic.
    pub topic: TopicName,
    /// Its position.
    pub seq: Seq,
    /// When it was committed.
    pub time: Millis,
    /// Live streams it went to.
    pub subscribers: u32,
}

/// What became of one of the events of [`Engine::append_each`].
pub type AppendResult = Result<Receipt, AppendError>;

/// Events that the queue did not take.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// As they were given.
    pub events: Vec<NewEvent>,
    /// Why.
    pub error: AppendError,
}

/// Why nothing was appended. `Display` says what the caller can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// [`ExpectedLast`] does not hold.
    #[error("the topic's last id is not the one in If-Match; read on from there and try again")]
    Precondition {
        /// The topic's last id, `None` when it has none.
        last: Option<EventId>,
    },
    /// The topic takes no more events.
    #[error("topic {topic} is closed; reopen it with PUT {{\"closed\":false}} or use another")]
    Closed {
        /// Which of them.
        topic: TopicName,
    },
    /// An [`IdempotencyKey`] was used within the window with another fingerprint.
    #[error("this Idempotency-Key was used for another request; use a fresh key")]
    KeyReused,
    /// No more keys can be remembered, of this owner or of anybody. Passes.
    #[error("{}", keys_full(*own, *wait))]
    KeysFull {
        /// The owner has its share.
        own: bool,
        /// Until the oldest key is forgotten.
        wait: Duration,
    },
    /// The receipts of one append are more than can ever be remembered under a key.
    #[error(
        "with an Idempotency-Key this batch names too many topics for its receipts to be remembered; split it, each part \
         with a key of its own"
    )]
    KeyTooLarge,
    /// Too much is waiting already. Passes.
    #[error("too much is waiting to be written; try again in a moment")]
    Busy,
    /// The disk's free space is below the reserve. Passes when space returns.
    #[error("the disk is nearly full, so nothing is accepted until space is freed; all that was accepted is safe")]
    Full,
    /// The store cannot be written now, and nothing was: it is away, or does not answer. Passes without a restart.
    #[error("the store cannot be used now: {reason}; nothing was written, try again")]
    NotNow {
        /// What it waits for.
        reason: Arc<str>,
    },
    /// A flush failed, or the engine is closed; needs a restart.
    #[error("the store cannot be written until a restart has looked at the disk: {reason}")]
    Unavailable {
        /// What failed.
        reason: Arc<str>,
    },
}

fn keys_full(own: bool, wait: Duration) -> String {
    let whose = if own { "this client has used" } else { "all clients together have used" };
    format!(
        "{whose} as many Idempotency-Keys as the hub remembers at a time; some are forgotten in {} s: try again then, or put \
         more events under one key",
        wait.as_millis().div_ceil(1000)
    )
}

/// How much one read may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReadLimit {
    /// Events at most.
    pub events: usize,
    /// Bytes of data after which it ends; the first event is always given.
    pub bytes: usize,
}

/// A wish for a page.
#[derive(Debug, Clone)]
pub struct ReadRequest {
    /// Events of which topics.
    pub selection: Selection,
    /// Where to start.
    pub from: ReadFrom,
    /// Events at most; at least 1.
    pub max_events: usize,
    /// Bytes of data after which the page ends; one event is always given.
    pub max_bytes: usize,
}

/// A run of the log for a selection, without holes but for those it tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogPage {
    /// Events in order of `seq`, and gaps before the first event after them.
    pub items: Vec<PageItem>,
    /// The selection has nothing between the start and here but what `items` holds: the next page starts after it.
    pub through: Seq,
    /// `through` was the log's head: what comes now is live.
    pub at_end: bool,
}

/// What a reader meets in a log.
#[derive(Debug, Clone, PartialEq)]
pub enum PageItem {
    /// The next event.
    Event(Arc<Event>),
    /// Events of a topic that are gone.
    Gap(LogGap),
}

/// Events of `topic` between the reader's cursor and here that are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGap {
    /// The topic that lost them.
    pub topic: TopicName,
    /// Its next kept event; `None` when it keeps nothing, or nothing that the page could have.
    pub resumes_at: Option<Seq>,
    /// They were lost by the disk, not trimmed by retention.
    pub lost: bool,
}

/// The log cannot be read there. Passes, or needs a restart; never an empty answer in silence.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the store cannot be read: {reason}")]
pub struct ReadError {
    /// What the store said.
    pub reason: Arc<str>,
}

/// What is known of a topic.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicState {
    /// Its name.
    pub topic: TopicName,
    /// The oldest kept event.
    pub first: Option<Seq>,
    /// The newest position ever, kept or not: what `If-Match` compares with. `None` when nothing was ever published.
    pub last: Option<Seq>,
    /// Events kept.
    pub events: u64,
    /// Bytes of data kept.
    pub bytes: u64,
    /// Takes no more events.
    pub closed: bool,
    /// In force: its own, else its rule's.
    pub retention: Retention,
    /// Reconnect delay in milliseconds: its own, else its rule's.
    pub retry: Option<u32>,
}

/// A change to a topic's settings. The outer `None` leaves a setting, the inner one goes back to the rule.
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
    /// Close or reopen.
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
    /// Events kept.
    pub events: u64,
    /// Bytes of data kept.
    pub bytes: u64,
    /// Bytes the store's files take; 0 in memory.
    pub disk_bytes: u64,
    /// Commits since start.
    pub commits_total: u64,
    /// Median time of a commit, from its first write to its durability, in milliseconds, since start.
    pub commit_ms_p50: f64,
    /// The same, 99th percentile.
    pub commit_ms_p99: f64,
    /// Bytes of appends waiting or being written.
    pub queued_bytes: u64,
    /// By how much the log's clock, by which events are stamped, is ahead of the machine's.
    pub clock_ahead: Duration,
    /// By how much the machine's clock leapt ahead, in all leaps that are remembered: what ages do not count.
    pub clock_leapt: Duration,
    /// Parts of the store that were damaged and set aside, since the store was made.
    pub losses: u64,
    /// Parts of the store whose files still hold bytes of events that were taken back.
    pub unscrubbed: u64,
}
