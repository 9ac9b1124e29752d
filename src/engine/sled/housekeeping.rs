//! Background work outside the writer's path: sealing finished segments and recording the head.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::database::DatabaseError;
use super::segment::{Segment, Unusable};
use super::shared::StoreShared;
use super::{disk, inspect};

/// How often the head is recorded: when a crash and damage coincide, at most one second of events can be lost
/// unnoticed.
const TICK: Duration = Duration::from_secs(1);

/// The housekeeper's thread.
#[derive(Debug)]
pub(super) struct Housekeeper {
    signal: Arc<HousekeeperSignal>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct HousekeeperSignal {
    state: Mutex<HousekeeperState>,
    changed: Condvar,
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
        let signal = Arc::new(HousekeeperSignal::default());
        let waiter = Arc::clone(&signal);
        let thread = std::thread::Builder::new().name("gapless-sled".into()).spawn(move || {
            while waiter.wait() {
                store.run_housekeeping();
            }
        });
        let thread = thread
            .inspect_err(|error| tracing::error!(%error, "cannot start the housekeeping thread; no segment is sealed"));
        Self { signal, thread: Mutex::new(thread.ok()) }
    }

    /// Wakes the thread, because there is a segment to seal.
    pub(super) fn wake(&self) {
        self.signal.set(HousekeeperState::Work);
    }

    /// Stops the thread. Waits until its current work is done.
    pub(super) fn stop(&self) {
        self.signal.set(HousekeeperState::Stop);
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

impl HousekeeperSignal {
    fn set(&self, state: HousekeeperState) {
        let mut now = self.state.lock();
        if *now != HousekeeperState::Stop {
            *now = state;
        }
        self.changed.notify_one();
    }

    /// Waits for work, at most for [`TICK`]. Returns `false` when the thread must end.
    fn wait(&self) -> bool {
        let mut now = self.state.lock();
        if *now == HousekeeperState::Quiet {
            self.changed.wait_for(&mut now, TICK);
        }
        if *now == HousekeeperState::Work {
            *now = HousekeeperState::Quiet;
        }
        *now != HousekeeperState::Stop
    }
}

impl StoreShared {
    fn run_housekeeping(&self) {
        // The check logs its result. Nothing may be created where the store's directory was.
        if self.presence.check().is_err() {
            return;
        }
        // Called for its log lines: a full disk and its end are logged even while nobody publishes.
        let _logged = self.space.check_ordinary();
        for segment in self.segments.list().iter() {
            self.seal(segment);
        }
        self.segments.close_idle();
        self.record_head();
    }

    /// Writes the summary of a segment that takes no more commits, if it has none.
    pub(super) fn seal(&self, segment: &Arc<Segment>) {
        let sealed = segment.seal_with(|tally| {
            let keys = match self.tables(segment) {
                Ok(tables) => super::guard::guarded(|| inspect::read_keys(&tables))
                    .map_err(DatabaseError::from_panic)
                    .and_then(|keys| Ok(keys?.0)),
                Err(Unusable::Failed(failure)) => Err(failure),
                Err(Unusable::Retired) => return Err(io::Error::other("it was quarantined")),
            };
            let keys = match keys {
                Ok(keys) => keys,
                // A retry may succeed.
                Err(DatabaseError::Unavailable(reason)) => return Err(io::Error::other(reason.to_string())),
                Err(DatabaseError::Damaged(reason)) => {
                    tracing::warn!(
                        %reason, segment.first = segment.first.0,
                        "a segment's idempotency keys are damaged and forgotten; a retry with one of them is published again"
                    );
                    Vec::new()
                }
            };
            segment.write_summary(tally, &keys)
        });
        match sealed {
            Ok(true) => {
                tracing::debug!(segment.first = segment.first.0, "sealed a segment");
                // When a reader opens it again, it has the smaller cache of a sealed segment.
                segment.close();
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, segment.first = segment.first.0, "cannot seal a segment now; it is tried again");
            }
        }
    }

    /// Records the head and the revision of the settings in the watermark.
    fn record_head(&self) {
        let head = self.head();
        let Some((revision, _)) = self.meta.lock().as_ref().map(|meta| meta.state()) else { return };
        let mut watermark = self.watermark.lock();
        if (watermark.state.head >= head && watermark.state.revision >= revision) || self.failed.get().is_some() {
            return;
        }
        watermark.state.head = head.max(watermark.state.head);
        watermark.state.revision = revision;
        match watermark.save() {
            Ok(()) => {}
            Err(error) if disk::is_out_of_resources(&error) => {
                tracing::debug!(%error, "cannot record the newest id now; it is tried again");
            }
            Err(error) => {
                drop(watermark);
                self.poison("writing the watermark", &error);
            }
        }
    }
}
