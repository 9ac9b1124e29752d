//! What the parts of the store share, and how a thread waits for NATS.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use tokio::{runtime::Handle, sync::watch};

use super::super::{
    nats::{Nats, NatsError},
    wire::StreamSubjects,
};
use super::{chain::Chain, old_ids::OldIds, removed::RemovedPlaces, ring::EventRing};
use crate::{
    engine::log::store::{KeptClock, StoreError, TopicKey},
    event::{Seq, TopicName},
};

/// Proves where the log ends by a write of the hub that leads. Bounded.
pub(in crate::engine::jetstream) type EndProof =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<u64, NatsError>> + Send>> + Send + Sync>;

/// The store's state, shared by its callers' threads and its tasks.
pub(super) struct StoreCore {
    pub(super) nats: Nats,
    pub(super) subjects: StreamSubjects,
    /// How long an idempotency key is stored.
    pub(super) key_ttl: Duration,
    /// Settings that are stored together.
    pub(super) settings_at_once: usize,
    runtime: Handle,
    pub(super) chain: Chain,
    pub(super) ring: Mutex<EventRing>,
    pub(super) removed: Mutex<RemovedPlaces>,
    /// The deleted-through marks of names, for ever.
    pub(super) marks: RwLock<BTreeMap<TopicName, Seq>>,
    /// The clock's state, to be stored with the next write.
    pub(super) clock: Mutex<Option<KeptClock>>,
    /// Incarnations of topics whose events up to a position are garbage, by a mark that is stored.
    pub(super) garbage: Mutex<BTreeMap<(TopicName, TopicKey), Seq>>,
    pub(super) old_ids: Mutex<OldIds>,
    /// The newest position that was written or taken in here.
    known: AtomicU64,
    /// The newest of them whose message does not expire.
    lasting: AtomicU64,
    /// The newest position that is applied to the table of topics, while this hub follows.
    pub(super) applied: AtomicU64,
    /// When the stream was last seen to be the one that was loaded.
    verified: Mutex<Option<Instant>>,
    /// Positions of which none holds an event: see [`scans`](super::scans).
    pub(super) eventless: Mutex<(u64, u64)>,
    /// How the hub that leads proves the end of the log, once the engine runs.
    pub(super) end_proof: OnceLock<EndProof>,
    /// Why nothing can be read from the stream any more.
    pub(super) replaced: OnceLock<Arc<str>>,
    closing: watch::Sender<bool>,
}

impl StoreCore {
    /// `max_batch`: most messages of one atomic batch.
    pub(super) fn new(
        nats: Nats,
        subjects: StreamSubjects,
        key_window: Duration,
        max_batch: usize,
        runtime: Handle,
        position: u64,
    ) -> Self {
        Self {
            nats,
            subjects,
            key_ttl: key_window + KEY_MARGIN,
            settings_at_once: settings_at_once(max_batch),
            runtime,
            chain: Chain::new(),
            ring: Mutex::new(EventRing::after(Seq(position))),
            removed: Mutex::default(),
            marks: RwLock::default(),
            clock: Mutex::default(),
            garbage: Mutex::default(),
            old_ids: Mutex::default(),
            known: AtomicU64::new(position),
            lasting: AtomicU64::new(0),
            applied: AtomicU64::new(position),
            verified: Mutex::default(),
            eventless: Mutex::default(),
            end_proof: OnceLock::new(),
            replaced: OnceLock::new(),
            closing: watch::Sender::new(false),
        }
    }

    /// The stream is the one that was loaded.
    pub(super) fn verified(&self) {
        *self.verified.lock() = Some(Instant::now());
    }

    pub(super) fn was_verified_within(&self, time: Duration) -> bool {
        self.verified.lock().is_some_and(|at| at.elapsed() < time)
    }

    /// Ends the waits for the fate of a write, and what [waits](Self::closed) for this. Later writes are refused.
    pub(super) fn close(&self) {
        self.chain.close();
        self.closing.send_replace(true);
    }

    /// Resolves when the store was [closed](Self::close).
    pub(super) async fn closed(&self) {
        drop(self.closing.subscribe().wait_for(|closing| *closing).await);
    }

    /// The newest position that was written or taken in here.
    pub(super) fn known(&self) -> u64 {
        self.known.load(Ordering::Acquire)
    }

    /// The newest position that was written or taken in here and whose message does not expire.
    pub(super) fn lasting(&self) -> u64 {
        self.lasting.load(Ordering::Acquire)
    }

    /// The stream up to `position` was written or taken in here, its events included. The message at `lasting` does not
    /// expire.
    pub(super) fn reach(&self, position: u64, lasting: u64) {
        self.known.fetch_max(position, Ordering::AcqRel);
        self.lasting.fetch_max(lasting, Ordering::AcqRel);
        self.ring.lock().reach(Seq(position));
    }

    /// Runs `future` in the engine's runtime and waits for it. Not to be called on a thread of that runtime but one for
    /// blocking calls.
    ///
    /// # Errors
    /// When the runtime has ended; then what the future was doing may have been carried out.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        // Not `Handle::block_on`, which panics where any runtime runs the calling thread, and when this one has ended.
        let (reply, answer) = mpsc::sync_channel(1);
        self.runtime.spawn(async move { drop(reply.send(future.await)) });
        answer.recv().unwrap_or_else(|_| Err(StoreError::Failed("the engine has ended".into())))
    }
}

/// Keys are stored longer than they count by so much: clocks differ.
pub(super) const KEY_MARGIN: Duration = Duration::from_mins(1);

/// Settings that are stored together, if a batch may have as many messages: half of what servers accept by default.
const SETTINGS_AT_ONCE: usize = 500;

/// Settings that are stored together where a batch has at most `max_batch` messages: the clock's state may be one of them.
fn settings_at_once(max_batch: usize) -> usize {
    max_batch.saturating_sub(1).clamp(1, SETTINGS_AT_ONCE)
}

/// A failure to read, or of a request that can be repeated.
pub(super) fn not_now(error: &NatsError) -> StoreError {
    StoreError::NotNow(Arc::from(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_the_clock_fit_into_a_batch() {
        assert_eq!([32, 500, 501, 1000, 50_000].map(settings_at_once), [31, 499, 500, 500, 500]);
    }
}
