//! Runs what may wait for the disk on tokio's blocking threads, so that no caller's thread waits.
//!
//! The number of threads is bounded, also while the disk does not respond and callers have given up: a slot is free
//! again when its call has returned. Pages have no slot here: the hub bounds them, see [`Log::read`](crate::engine::Log::read).

use std::{convert::identity, sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use super::store::{DiskSpace, Store, StoreError};
use crate::{
    engine::{AppendError, EngineFuture, ReadError},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        spawn_blocking,
    },
};

/// Look-ups at a time; further ones wait in FIFO order. 4: half as many as pages, because one search may take seconds.
pub const LOOKUPS: usize = 4;

/// How long [`Admin::status`](crate::engine::Admin::status) waits for the disk. 2 s: a disk in order answers within
/// milliseconds, and a readiness probe waits a few seconds.
const STATUS_WAIT: Duration = Duration::from_secs(2);

/// The slots of calls in progress.
pub(super) struct DiskCalls {
    lookups: Arc<Semaphore>,
    /// At most one status waits for the disk.
    status: Arc<Semaphore>,
    last_sample: Arc<Mutex<DiskSample>>,
}

/// What only the store can tell about its health.
#[derive(Debug, Clone, Default)]
pub(super) struct DiskSample {
    pub(super) refusing: Option<AppendError>,
    pub(super) disk_bytes: u64,
    pub(super) disk_space: Option<DiskSpace>,
    pub(super) losses: u64,
    pub(super) unscrubbed: u64,
}

impl Default for DiskCalls {
    fn default() -> Self {
        Self {
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
            status: Arc::new(Semaphore::new(1)),
            last_sample: Arc::default(),
        }
    }
}

/// Sets the flag when it is dropped: the caller no longer waits for the result.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `call` on a blocking thread.
pub(super) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ReadError> {
    let error = |reason: String| ReadError { reason: reason.into() };
    let joined = spawn_blocking(move || call().map_err(|failed| error(failed.to_string())));
    joined.await.map_err(|panic| error(panic.to_string())).and_then(identity)
}

impl DiskCalls {
    /// Runs `call` on a blocking thread when there is a slot. Its argument returns false once the future is dropped.
    pub(super) fn lookup<T: Send + 'static>(
        &self,
        call: impl FnOnce(&(dyn Fn() -> bool + Sync)) -> Result<T, StoreError> + Send + 'static,
    ) -> EngineFuture<T, ReadError> {
        let lookups = Arc::clone(&self.lookups);
        Box::pin(async move {
            let slot = lookups.acquire_owned().await.expect("never closed");
            let cancel_on_drop = CancelOnDrop(Arc::default());
            let cancelled = Arc::clone(&cancel_on_drop.0);
            let found = blocking(move || {
                let found = call(&|| !cancelled.load(Ordering::Relaxed));
                drop(slot);
                found
            });
            let found = found.await;
            drop(cancel_on_drop);
            found
        })
    }

    /// What `probe` says of the store's health; the last that is known, refusing, when the disk does not answer.
    pub(super) async fn sample(&self, probe: impl FnOnce() -> DiskSample + Send + 'static) -> DiskSample {
        let last_sample = Arc::clone(&self.last_sample);
        let sampling = async {
            let slot = Arc::clone(&self.status).acquire_owned().await.expect("never closed");
            let call = move || {
                let sample = probe();
                *last_sample.lock() = sample.clone();
                drop(slot);
                Ok(sample)
            };
            blocking(call).await
        };
        let reason = match tokio::time::timeout(STATUS_WAIT, sampling).await {
            Ok(Ok(sample)) => return sample,
            Ok(Err(error)) => error.reason,
            Err(_) => format!("the disk has not answered for {} s", STATUS_WAIT.as_secs()).into(),
        };
        DiskSample { refusing: Some(AppendError::NotNow { reason }), ..self.last_sample.lock().clone() }
    }
}

impl DiskSample {
    /// Asks the store; may wait for the disk.
    pub(super) fn of(store: &impl Store) -> Self {
        let refusing = match store.room() {
            // Fenced: the hub that writes accepts it.
            Ok(()) | Err(StoreError::Fenced) => None,
            Err(StoreError::Full) => Some(AppendError::Full),
            Err(StoreError::NotNow(reason)) => Some(AppendError::NotNow { reason }),
            Err(StoreError::Failed(reason)) => Some(AppendError::Unavailable { reason }),
        };
        Self {
            refusing,
            disk_bytes: store.disk_bytes(),
            disk_space: store.disk_space(),
            losses: store.losses(),
            unscrubbed: store.unscrubbed(),
        }
    }
}
