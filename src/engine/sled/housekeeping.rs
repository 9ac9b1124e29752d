//! What need not happen in the writer's path: sealing finished segments, and recording the head.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::database::DatabaseError;
use super::segment::{Segment, Unusable};
use super::{StoreShared, disk, inspect};

/// How often the head is recorded: what sled may forget in silence after a crash *and* damage is a second of it.
const TICK: Duration = Duration::from_secs(1);

/// The thread.
#[derive(Debug)]
pub(super) struct Housekeeper {
    bell: Arc<HousekeeperSignal>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct HousekeeperSignal {
    state: Mutex<HousekeeperState>,
    rung: Condvar,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum HousekeeperState {
    #[default]
    Quiet,
    Work,
    Stop,
}

impl Housekeeper {
    pub(super) fn start(store: Arc<StoreShared>) -> Self {
        let bell = Arc::new(HousekeeperSignal::default());
        let heard = Arc::clone(&bell);
        let thread = std::thread::Builder::new().name("gapless-sled".into()).spawn(move || {
            while heard.wait() {
                store.keep_house();
            }
        });
        let thread = thread.inspect_err(|error| tracing::error!(%error, "no thread to seal segments"));
        Self { bell, thread: Mutex::new(thread.ok()) }
    }

    /// There is a segment to seal.
    pub(super) fn wake(&self) {
        self.bell.ring(HousekeeperState::Work);
    }

    /// Waits for what it is doing, and for its end.
    pub(super) fn stop(&self) {
        self.bell.ring(HousekeeperState::Stop);
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

impl HousekeeperSignal {
    fn ring(&self, state: HousekeeperState) {
        let mut now = self.state.lock();
        if *now != HousekeeperState::Stop {
            *now = state;
        }
        self.rung.notify_one();
    }

    /// Waits for work or a tick; `false` is the end.
    fn wait(&self) -> bool {
        let mut now = self.state.lock();
        if *now == HousekeeperState::Quiet {
            self.rung.wait_for(&mut now, TICK);
        }
        if *now == HousekeeperState::Work {
            *now = HousekeeperState::Quiet;
        }
        *now != HousekeeperState::Stop
    }
}

impl StoreShared {
    fn keep_house(&self) {
        // What is told, is told there; nothing is made where the store's directory was.
        if self.presence.check().is_err() {
            return;
        }
        // Logs when a full disk begins and when it passes, also while nobody publishes.
        let _told = self.space.room();
        for segment in self.segments.list().iter() {
            self.seal(segment);
        }
        self.segments.close_idle();
        self.record_head();
    }

    /// Writes the summary of a segment that takes no more commits.
    pub(super) fn seal(&self, segment: &Arc<Segment>) {
        let sealed = segment.seal_with(|tally| {
            let keys = match self.tables(segment) {
                Ok(tables) => super::guard::guarded(|| inspect::read_keys(&tables))
                    .map_err(DatabaseError::of_panic)
                    .and_then(|keys| Ok(keys?.0)),
                Err(Unusable::Failed(failure)) => Err(failure),
                Err(Unusable::Retired) => return Err(io::Error::other("it was set aside")),
            };
            let keys = match keys {
                Ok(keys) => keys,
                // The next try may have them.
                Err(DatabaseError::Unavailable(reason)) => return Err(io::Error::other(reason.to_string())),
                Err(DatabaseError::Damaged(reason)) => {
                    tracing::warn!(%reason, segment.first = segment.first.0, "idempotency keys are damaged and forgotten");
                    Vec::new()
                }
            };
            segment.write_summary(tally, &keys)
        });
        match sealed {
            Ok(true) => {
                tracing::debug!(segment.first = segment.first.0, "sealed a segment");
                // Opened again, when somebody reads it, it keeps fewer pages in memory.
                segment.close();
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, segment.first = segment.first.0, "cannot seal a segment yet"),
        }
    }

    /// Records how far the log and the settings are known to reach.
    fn record_head(&self) {
        let head = self.head();
        let Some((revision, _)) = self.meta.lock().as_ref().map(|meta| meta.state()) else { return };
        let mut watermark = self.watermark.lock();
        if (watermark.mark.head >= head && watermark.mark.revision >= revision) || self.failed.get().is_some() {
            return;
        }
        watermark.mark.head = head.max(watermark.mark.head);
        watermark.mark.revision = revision;
        match watermark.save() {
            Ok(()) => {}
            Err(error) if disk::is_short(&error) => tracing::debug!(%error, "the newest id is recorded later"),
            Err(error) => {
                drop(watermark);
                self.poison("writing the watermark", &error);
            }
        }
    }
}
