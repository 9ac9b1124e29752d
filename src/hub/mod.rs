//! Floor 2, the keeper of topics: who listens to what, and the newest frames in memory.
//!
//! A subscription is a cursor over one log. It reads the log until its end, then follows a [`feed`]'s ring of the
//! newest frames; when the ring has moved past it, it reads the log again. Replay, live and lag are that one path.
//!
//! | room | idea |
//! |---|---|
//! | [`broker`] | which feeds an event goes to; hears from the engine what is durable |
//! | [`feed`] | the ring of newest frames of one selection of topics |
//! | [`frame`] | an event with its bytes, encoded once |
//! | [`batch`] | frames in a row, written once for all who are at the same cursor |
//! | [`subscription`] | the cursor: ring, gap, and its way through the log |
//! | `removals` | which events were taken back a moment ago |
//! | `large` | large events that several readers hold, once |
//! | `lingering` | feeds kept for clients that come back |
//! | `pages` | pages of the log for those who come back together |
//! | [`endings`] | which topics have ended, and when to say so |
//! | [`shard`] | waking a core's streams once a commit, and sharing what they send |
//! | [`stats`] | what is counted |
//! | [`top`] | the busiest topics, in bounded memory |

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    engine::{
        Append, AppendError, AppendResult, Engine, EngineFuture, LocateBy, ReadError, ReadRequest, Receipt, Rejected,
        Status, TopicChange, TopicState, When,
    },
    event::{Epoch, Millis, NewEvent, Selection, Seq, TopicName},
};

pub mod batch;
pub mod broker;
mod directory;
pub mod endings;
pub mod feed;
pub mod frame;
mod large;
mod lingering;
mod pages;
mod removals;
pub mod shard;
pub mod stats;
pub mod subscription;
pub mod top;

#[cfg(test)]
mod tests;

use batch::FrameBatch;
use broker::Broker;
use frame::Frame;
use large::Large;
use pages::{CachedPage, PageKey, PageRead, Pages};
use removals::RemovalCheck;
use stats::Stats;
use tokio::sync::Semaphore;

/// Sizes and delays the hub works with.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Bytes of frames one feed's ring keeps at most.
    pub ring_bytes: usize,
    /// Bytes of frames all rings keep at most.
    pub rings_bytes: usize,
    /// Reconnect delay in milliseconds for topics that have none of their own.
    pub retry_ms: u32,
    /// Log pages read at the same time; more readers wait their turn, in order.
    pub readers: usize,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self { ring_bytes: 1 << 20, rings_bytes: 256 << 20, retry_ms: 3000, readers: 8 }
    }
}

/// The hub: topics, their streams and the engine below.
pub struct Hub {
    engine: Arc<dyn Engine>,
    broker: Arc<Broker>,
    stats: Arc<Stats>,
    config: HubConfig,
    readers: Arc<Semaphore>,
    /// Places that are looked for at the same time: apart from pages, because one may take seconds.
    locators: Arc<Semaphore>,
    pages: Pages,
    large: Large,
}

/// A topic and who listens to it.
#[derive(Debug, Clone)]
pub struct TopicView {
    /// What the engine knows.
    pub state: TopicState,
    /// Live streams its events go to, patterns included.
    pub subscribers: u32,
}

/// Somebody waits for an answer; dropped when it is given up.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Hub {
    /// A hub over `engine`, which must have been opened with `broker` as its observer.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, broker: Arc<Broker>, config: HubConfig) -> Arc<Self> {
        let readers = Arc::new(Semaphore::new(config.readers));
        let locators = Arc::new(Semaphore::new(config.readers.div_ceil(2)));
        let stats = broker.stats().clone();
        broker.attach(engine.epoch(), engine.head());
        let hub = Arc::new(Self {
            engine,
            broker,
            stats,
            config,
            readers,
            locators,
            pages: Pages::default(),
            large: Large::default(),
        });
        for (topic, seq) in hub.engine.untold() {
            drop(hub.engine.remove(topic, seq)); // done all the same
        }
        hub
    }

    /// Appends events; answers when they are durable and handed to every live stream.
    /// Cancel safe in that a commit that has begun is finished all the same.
    ///
    /// # Errors
    /// Says why nothing was appended.
    pub async fn publish(&self, append: Append) -> Result<Vec<Receipt>, AppendError> {
        self.engine.append(append).await
    }

    /// Appends each of `events` for itself, in their order; answers as [`Hub::publish`] does, with a result for each.
    ///
    /// # Errors
    /// When the engine's queue takes nothing now; the events come back, to be tried again.
    pub fn publish_each(
        &self,
        events: Vec<NewEvent>,
    ) -> Result<EngineFuture<Vec<AppendResult>, AppendError>, Rejected> {
        self.engine.append_each(events)
    }

    /// What is known of a topic; `None` when it is not in use.
    #[must_use]
    pub fn topic(&self, name: &TopicName) -> Option<TopicView> {
        self.engine.topic(name).map(|state| self.view(state))
    }

    /// Topics in byte order: those starting with `prefix` and after `after`, at most `limit`.
    pub async fn topics(&self, prefix: String, after: String, limit: usize) -> Vec<TopicView> {
        let engine = Arc::clone(&self.engine);
        // It looks at every topic there is, and a core with open streams must not wait for that.
        let states = tokio::task::spawn_blocking(move || engine.topics(&prefix, &after, limit));
        let states = states.await.expect("the engine does not panic");
        states.into_iter().map(|state| self.view(state)).collect()
    }

    /// Changes a topic's settings durably; creates it if need be.
    ///
    /// # Errors
    /// Says why nothing was changed.
    pub async fn configure(&self, topic: TopicName, change: TopicChange) -> Result<TopicView, AppendError> {
        self.engine.configure(topic, change).await.map(|state| self.view(state))
    }

    /// Deletes a topic durably and ends its streams. Answers with whether there was one.
    pub fn delete(&self, topic: TopicName) -> EngineFuture<bool, AppendError> {
        self.engine.delete(topic)
    }

    /// Takes one event back, durably, and tells its readers. Answers with whether there is one, or a tombstone of it.
    ///
    /// # Errors
    /// Says why it was not, or not wholly, done; the same again does the rest.
    pub fn remove(&self, topic: TopicName, seq: Seq) -> EngineFuture<bool, AppendError> {
        self.engine.remove(topic, seq)
    }

    /// Answers when every core has looked at its streams once more: what any of them was sending before, it has handed to its
    /// sockets. After [`Hub::remove`] and this no stream is given the event's old bytes.
    pub async fn passed(&self) {
        self.broker.pass().await;
    }

    /// How many events have been taken back: see [`Hub::shown`].
    #[must_use]
    pub fn removals(&self) -> u64 {
        self.broker.removals().count()
    }

    /// Frames in a row that were gathered since there had been so many removals, as they are to be given now. `None` when
    /// that is not known any more: too many were taken back meanwhile.
    #[must_use]
    pub fn shown(&self, frames: Vec<Arc<Frame>>, removals: u64) -> Option<Vec<Arc<Frame>>> {
        match self.broker.removals().judge(&frames, removals) {
            RemovalCheck::Same => Some(frames),
            RemovalCheck::Changed(now) => Some(now),
            RemovalCheck::Unknown => None,
        }
    }

    /// The store's incarnation, part of every id.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.engine.epoch()
    }

    /// The newest durable position.
    #[must_use]
    pub fn head(&self) -> Seq {
        self.engine.head()
    }

    /// The engine's name.
    #[must_use]
    pub fn engine_name(&self) -> &'static str {
        self.engine.name()
    }

    /// The engine's health and size.
    #[must_use]
    pub fn status(&self) -> Status {
        self.engine.status()
    }

    /// What is counted.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// Who listens to what.
    #[must_use]
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Lets go of what is kept for clients that did not come back. Call it about once a second.
    pub fn sweep(&self) {
        self.broker.sweep();
        self.pages.sweep();
        self.large.sweep();
    }

    /// The delay after which a client of these topics should reconnect: the longest of its topics' own, else the hub's.
    #[must_use]
    pub fn retry_for<'a>(&self, topics: impl Iterator<Item = &'a TopicName>) -> Duration {
        let own = topics.filter_map(|name| self.engine.topic(name)?.retry).max();
        Duration::from_millis(own.unwrap_or(self.config.retry_ms).into())
    }

    /// Reads a page of the log on a thread that may wait; readers beyond the bound wait their turn.
    fn read(
        self: &Arc<Self>,
        key: PageKey,
        request: ReadRequest,
    ) -> impl Future<Output = Result<PageRead, ReadError>> + use<> {
        let hub = Arc::clone(self);
        async move {
            let change = Arc::clone(&hub.readers).acquire_owned().await.expect("never closed");
            if let Some(kept) = hub.kept(&key) {
                return Ok(PageRead::Kept(kept));
            }
            let page = tokio::task::spawn_blocking(move || {
                let page = hub.engine.read(&request);
                drop(change);
                page
            });
            let page = page.await.unwrap_or_else(|panic| Err(ReadError { reason: panic.to_string().into() }));
            page.map(PageRead::Page)
        }
    }

    /// The position at which a reader begins that asks by time or by number, found on a thread that may wait. It is given
    /// up when nobody waits for the answer any more.
    ///
    /// # Errors
    /// When the store cannot be read now.
    pub fn locate(
        self: &Arc<Self>,
        selection: Selection,
        place: LocateBy,
    ) -> impl Future<Output = Result<Seq, ReadError>> + use<> {
        self.look(move |engine, go_on| engine.locate(&selection, place, go_on))
    }

    /// The stamp with which a reader begins that asks by time, found like a position.
    ///
    /// # Errors
    /// When the store cannot be read now.
    pub fn stamp(self: &Arc<Self>, when: When) -> impl Future<Output = Result<Millis, ReadError>> + use<> {
        self.look(move |engine, _| engine.stamp(when))
    }

    /// Asks the engine on a thread that may wait, when it is this reader's turn.
    fn look<T: Send + 'static, A>(self: &Arc<Self>, ask: A) -> impl Future<Output = Result<T, ReadError>> + use<T, A>
    where
        A: FnOnce(&dyn Engine, &(dyn Fn() -> bool + Sync)) -> Result<T, ReadError> + Send + 'static,
    {
        let hub = Arc::clone(self);
        async move {
            let change = Arc::clone(&hub.locators).acquire_owned().await.expect("never closed");
            let asked = CancelOnDrop(Arc::default());
            let given_up = Arc::clone(&asked.0);
            let found = tokio::task::spawn_blocking(move || {
                let found = ask(&*hub.engine, &|| !given_up.load(Ordering::Relaxed));
                drop(change);
                found
            });
            let found = found.await.unwrap_or_else(|panic| Err(ReadError { reason: panic.to_string().into() }));
            drop(asked);
            found
        }
    }

    /// For a selection of names none of which takes events any more, but some were deleted and may be used again: the lowest
    /// mark that those left. A client that comes back at or past it has seen all and is told so for good (204), so one that
    /// waits must not be given such a cursor.
    #[must_use]
    pub fn awaits_reuse(&self, selection: &Selection) -> Option<Seq> {
        if selection.is_open_ended() {
            return None;
        }
        let mut lowest: Option<Seq> = None;
        for name in selection.names() {
            match self.engine.topic(name) {
                Some(state) if state.closed => {}
                Some(_) => return None,
                None => {
                    let mark = self.engine.deleted_through(name)?;
                    lowest = Some(lowest.map_or(mark, |lowest| lowest.min(mark)));
                }
            }
        }
        lowest
    }

    /// The page, if another has read it a moment ago.
    fn kept(&self, key: &PageKey) -> Option<CachedPage> {
        self.pages.get(key, &*self.engine, self.broker.removals().count())
    }

    /// Whether reading the run's events from the log would give the same.
    fn keeps(&self, run: &FrameBatch) -> bool {
        pages::still(run, &*self.engine)
    }

    fn view(&self, state: TopicState) -> TopicView {
        TopicView { subscribers: self.broker.subscribers(&state.topic), state }
    }
}
