//! Floor 2: the in-memory part of the hub. It maps topics to subscriptions and holds the newest frames.
//!
//! A subscription is a cursor over one log. It reads the log until its end, then follows a [`feed`]'s ring of the
//! newest frames. When the ring has moved past the cursor, it reads the log again. Replay, live delivery and lag share
//! this one code path.
//!
//! | module | purpose |
//! |---|---|
//! | [`broker`] | routes durable events to the matching feeds; the engine's observer |
//! | `directory` | the index from a topic to the feeds that receive its events |
//! | [`feed`] | the ring buffer of the newest frames of one selection of topics |
//! | [`frame`] | an event with its encoded bytes, encoded once |
//! | [`epoch`] | the epochs of the log, and positions of one epoch |
//! | [`batch`] | consecutive frames, encoded once for all streams at the same cursor |
//! | `encoded_cache` | the bytes of a frame or batch in each encoding; http defines the encodings |
//! | [`subscription`] | the cursor: log pages, ring, gaps |
//! | [`older`] | pages that end before a position |
//! | `removals` | recently removed events |
//! | `scan` | reads of the log by the protocols themselves |
//! | `large` | deduplicates large events that several readers hold |
//! | `lingering` | feeds without streams, kept for clients that reconnect |
//! | `pages` | cache of log pages, for clients that reconnect together |
//! | `deletions` | the marks of deleted topics, which a feed keeps in memory |
//! | [`config`] | sizes and delays of the hub |
//! | [`endings`] | closed and deleted topics, and when a stream reports them |
//! | [`shard`] | per-core wake-ups, one for each commit, and a cache of batches |
//! | [`publisher`] | publishing for every protocol: limits, allowance, batching, acknowledgments |
//! | `appending` | appends to the engine |
//! | `batcher` | makes batches of events that are published one by one |
//! | `engine_facts` | what the hub passes through to the engine: members, limits, name, backups |
//! | [`stats`] | counters and gauges |
//! | [`tail`] | one topic, read and followed by the hub itself |
//! | [`top`] | the busiest topics, in bounded memory |

use std::{sync::Arc, time::Duration};

use crate::{
    engine::{
        AppendError, Capabilities, Catalog, CommitTimes, Engine, EngineFuture, LocateBy, PageItem, ReadError,
        ReadRequest, Status, TopicChange, TopicFacts, TopicQuery, TopicState, When,
    },
    event::{Epoch, EventId, Millis, Selection, Seq, TopicName},
    sync::spawn,
};

mod appending;
pub mod batch;
mod batcher;
pub mod broker;
pub mod config;
mod deletions;
mod directory;
mod encoded_cache;
pub mod endings;
mod engine_facts;
pub mod epoch;
pub mod feed;
pub mod frame;
mod large;
mod lingering;
pub mod older;
mod pages;
pub mod publisher;
mod removals;
mod scan;
pub mod shard;
pub mod stats;
pub mod subscription;
pub mod tail;
pub mod top;

#[cfg(test)]
mod replaced_log;
#[cfg(test)]
pub(crate) mod shared_log;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use broker::Acknowledgment;
pub use config::{HubConfig, READERS};

use batch::FrameBatch;
use broker::Broker;
use epoch::EpochNumber;
use feed::Feed;
use frame::Frame;
use large::LargeEvents;
use pages::{CachedPage, PageKey, PageRead, Pages};
use removals::RemovalCheck;
use stats::Stats;
use tokio::sync::Semaphore;

/// The hub: the engine, the broker above it, and the caches for reading the log.
pub struct Hub {
    engine: Arc<dyn Engine>,
    capabilities: Capabilities,
    /// What the engine has in memory: the only part of it that a thread may ask without waiting.
    catalog: Arc<dyn Catalog>,
    broker: Arc<Broker>,
    stats: Arc<Stats>,
    config: HubConfig,
    readers: Arc<Semaphore>,
    pages: Pages,
    large: LargeEvents,
}

/// The result of one event of [`Hub::publish_each`].
pub type PublishResult = Result<Acknowledgment, AppendError>;

/// A topic and the number of its subscribers.
#[derive(Debug, Clone)]
pub struct TopicView {
    /// The engine's state of the topic.
    pub state: TopicState,
    /// Live streams that receive its events, those with matching patterns included.
    pub subscribers: u32,
}

impl Hub {
    /// A hub over `engine`, which must have been opened with `broker` as its observer.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, broker: Arc<Broker>, config: HubConfig) -> Arc<Self> {
        let readers = Arc::new(Semaphore::new(config.readers));
        let stats = broker.stats().clone();
        broker.attach(engine.head());
        let hub = Arc::new(Self {
            capabilities: engine.capabilities(),
            catalog: engine.catalog(),
            engine,
            broker,
            stats,
            config,
            readers,
            pages: Pages::default(),
            large: LargeEvents::default(),
        });
        for (topic, seq) in hub.engine.pending_removals() {
            // The removal is done also when its future is dropped.
            drop(hub.engine.remove(topic, EventId { epoch: hub.epoch(), seq }));
        }
        hub
    }

    /// The facts of a topic that are in memory; `None` when it is not in use.
    #[must_use]
    pub fn topic(&self, name: &TopicName) -> Option<TopicFacts> {
        self.catalog.topic(name)
    }

    /// The state of a topic, with its size; `None` when it is not in use. May wait for the disk.
    ///
    /// # Errors
    /// When the engine cannot be read now.
    pub async fn measure(&self, name: &TopicName) -> Result<Option<TopicView>, ReadError> {
        Ok(self.engine.measure(name).await?.map(|state| self.view(state)))
    }

    /// Up to `limit` of these topics, in byte order. May wait for the disk.
    ///
    /// # Errors
    /// When the engine cannot be read now.
    pub async fn topics(&self, query: TopicQuery, limit: usize) -> Result<Vec<TopicView>, ReadError> {
        let states = self.engine.topics(query, limit).await?;
        Ok(states.into_iter().map(|state| self.view(state)).collect())
    }

    /// Changes a topic's settings durably. Creates the topic if it does not exist.
    ///
    /// # Errors
    /// Why nothing was changed: also a limit that is not among the engine's [`Capabilities::retention`].
    pub async fn configure(&self, topic: TopicName, change: TopicChange) -> Result<TopicView, AppendError> {
        if let Some(limit) = self.capabilities.retention.unsupported(&change) {
            return Err(AppendError::LimitUnsupported { limit });
        }
        self.engine.configure(topic, change).await.map(|state| self.view(state))
    }

    /// Deletes a topic durably and ends its streams. Resolves to whether the topic existed.
    pub fn delete(&self, topic: TopicName) -> EngineFuture<bool, AppendError> {
        self.engine.delete(topic)
    }

    /// Removes one event durably, and notifies the topic's readers. Resolves to whether the event, or its tombstone,
    /// exists.
    ///
    /// # Errors
    /// Why the removal was not done, or done in part; a repeated call does the rest.
    pub fn remove(&self, topic: TopicName, id: EventId) -> EngineFuture<bool, AppendError> {
        self.engine.remove(topic, id)
    }

    /// Resolves when every shard has run its fan-out loop once more. By then all batches that were being sent before
    /// have been written to their sockets, so after [`Hub::remove`] and this call no stream is sent the event's old
    /// bytes.
    pub async fn fan_out_barrier(&self) {
        self.broker.barrier().await;
    }

    /// Events removed since the process started; see [`Hub::without_removed`].
    #[must_use]
    pub fn removals(&self) -> u64 {
        self.broker.removals().count()
    }

    /// Replaces removed events by tombstones in `frames`, consecutive frames that were read when [`Hub::removals`]
    /// returned `removals`. `None` when the removals since then are no longer all remembered.
    #[must_use]
    pub fn without_removed(&self, frames: Vec<Arc<Frame>>, removals: u64) -> Option<Vec<Arc<Frame>>> {
        match self.broker.removals().check(&frames, removals) {
            RemovalCheck::Same => Some(frames),
            RemovalCheck::Changed(now) => Some(now),
            RemovalCheck::Unknown => None,
        }
    }

    /// The epoch of the engine's log, part of every id. It changes when the log is replaced by another one.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.engine.epoch()
    }

    /// The newest durable position, with its epoch.
    #[must_use]
    pub fn head(&self) -> EventId {
        self.engine.head()
    }

    /// `id` in the epoch of the log: itself, or what an imported log's id is here now. An id that is neither stays what it
    /// is.
    ///
    /// # Errors
    /// When it cannot be found out now.
    pub async fn present_id(&self, id: EventId) -> Result<EventId, ReadError> {
        if id.epoch == self.epoch() {
            return Ok(id);
        }
        Ok(self.engine.translate(id).await?.unwrap_or(id))
    }

    /// The engine's health and size. Resolves within about 2 s, also when the disk does not respond.
    pub async fn status(&self) -> Status {
        self.engine.status().await
    }

    /// The durations of all commits since start.
    #[must_use]
    pub fn commit_times(&self) -> CommitTimes {
        self.engine.commit_times()
    }

    /// Counters and gauges.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// The broker.
    #[must_use]
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Expires cached pages, idle feeds and shared events. Call it about once a second.
    pub fn sweep(&self) {
        self.broker.sweep();
        self.pages.sweep();
        self.large.sweep();
    }

    /// The reconnect delay for a client of these topics: the longest of the topics' own delays, else the hub's.
    #[must_use]
    pub fn retry_for<'a>(&self, topics: impl Iterator<Item = &'a TopicName>) -> Duration {
        let own = topics.filter_map(|name| self.catalog.topic(name)?.retry).max();
        Duration::from_millis(own.unwrap_or(self.config.retry_ms).into())
    }

    /// Reads a page of the log; readers beyond [`HubConfig::readers`] wait in FIFO order.
    fn read(
        self: &Arc<Self>,
        key: PageKey,
        request: ReadRequest,
    ) -> impl Future<Output = Result<PageRead, ReadError>> + use<> {
        let hub = Arc::clone(self);
        async move {
            let permit = Arc::clone(&hub.readers).acquire_owned().await.expect("never closed");
            if let Some(page) = hub.cached_page(&key) {
                return Ok(PageRead::Cached(page));
            }
            let selection = request.selection.clone();
            let reading = hub.engine.read(request);
            // In a task, so that the permit is held until the read has ended, also when this future is dropped.
            let page = spawn(async move {
                let page = reading.await;
                drop(permit);
                page
            });
            let page = page.await.unwrap_or_else(|panic| Err(ReadError { reason: panic.to_string().into() }));
            page.map(|mut page| {
                page.items.retain(|item| match item {
                    PageItem::Event(event) => selection.admits(&event.new),
                    PageItem::Gap(_) => true,
                });
                PageRead::Page(page)
            })
        }
    }

    /// The start position of a reader that begins at a time or at a number of events. Dropping the future cancels the
    /// search.
    ///
    /// # Errors
    /// When the store cannot be read now.
    pub fn locate(&self, selection: Selection, locate_by: LocateBy) -> EngineFuture<EventId, ReadError> {
        self.engine.locate(selection, locate_by)
    }

    /// The time stamp from which a reader begins that asks by time.
    ///
    /// # Errors
    /// When the store cannot be read now.
    pub fn stamp(&self, when: When) -> EngineFuture<Millis, ReadError> {
        self.engine.stamp(when)
    }

    /// For a selection of names that are all closed or deleted, at least one of them deleted, and so usable again: the
    /// lowest deletion mark. A client that reconnects with a cursor at or after that mark has seen everything and gets
    /// a final 204, so a stream that is to wait for the reuse of a name must not be given such a cursor. May wait for
    /// the disk; see [`Subscription::awaits_reuse`](subscription::Subscription::awaits_reuse).
    ///
    /// # Errors
    /// When the engine cannot be read now.
    pub async fn awaits_reuse(&self, selection: &Selection) -> Result<Option<Seq>, ReadError> {
        let Some(unused) = deletions::reusable(selection, &*self.catalog) else { return Ok(None) };
        Ok(deletions::lowest(self.engine.deleted_through(unused).await?))
    }

    /// Looks up the deletion marks that `feed` does not have yet. They are recorded if `epoch` is still the feed's then.
    async fn learn_deletions(&self, feed: &Feed, epoch: EpochNumber) -> Result<(), ReadError> {
        let unknown = |name: &&TopicName| self.catalog.topic(name).is_none() && !feed.deletions.is_known(name);
        let names: Vec<TopicName> = feed.selection.names().filter(unknown).cloned().collect();
        if !names.is_empty() {
            let marks = self.engine.deleted_through(names.clone()).await?;
            feed.learn_deletions(epoch, names.into_iter().zip(marks));
        }
        Ok(())
    }

    /// The page, if it is in the cache and still valid.
    fn cached_page(&self, key: &PageKey) -> Option<CachedPage> {
        self.pages.get(key, self.broker.removals().count(), |batch| self.is_retained(batch))
    }

    /// Whether the engine still retains all events of the batch, so that a read would return the same. It does not when
    /// its log was replaced since.
    fn is_retained(&self, batch: &FrameBatch) -> bool {
        let is_retained = batch.first_by_topic().iter().all(|(topic, first)| self.catalog.is_retained(topic, *first));
        // Asked after the catalog, which may have answered from the next log. A batch has one epoch.
        let is_current = |frame: &Arc<Frame>| frame.id.epoch == self.engine.epoch();
        is_retained && batch.frames().first().is_none_or(is_current)
    }

    fn view(&self, state: TopicState) -> TopicView {
        TopicView { subscribers: self.broker.subscribers(&state.topic), state }
    }
}
