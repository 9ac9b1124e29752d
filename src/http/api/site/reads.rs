//! Reads of the site's files, off the core's thread and within bounds.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout,
};

/// Reads of site files at once on one core. Each occupies a blocking thread, and the disk of the site may be another one
/// than the store's: if it does not answer, the other threads still read the log.
pub const SITE_READS: usize = 2;

/// Longest wait for a read. A local disk answers in milliseconds.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Bounds the reads of site files on one core.
pub struct SiteReads(Arc<Semaphore>);

/// A read did not finish in time, or its thread has panicked.
#[derive(Debug, thiserror::Error)]
#[error("the site's disk does not answer")]
pub struct SiteDiskStuck;

impl Default for SiteReads {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(SITE_READS)))
    }
}

impl SiteReads {
    /// Runs `read` on a blocking thread, within `READ_TIMEOUT`. If the future is dropped, `read` runs to its end and
    /// holds its permit until then.
    ///
    /// # Errors
    /// When it takes longer.
    pub async fn run<T: Send + 'static>(&self, read: impl FnOnce() -> T + Send + 'static) -> Result<T, SiteDiskStuck> {
        let permit = Arc::clone(&self.0).acquire_owned();
        let reading = async {
            let permit: OwnedSemaphorePermit = permit.await.map_err(|_| SiteDiskStuck)?;
            let read = move || {
                let _permit = permit;
                read()
            };
            spawn_blocking(read).await.map_err(|_| SiteDiskStuck)
        };
        timeout(READ_TIMEOUT, reading).await.map_err(|_| SiteDiskStuck)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads, and lets the time pass: the clock does not advance by itself while a blocking thread runs.
    async fn in_time<T: Send + 'static>(reads: &SiteReads, read: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        tokio::join!(reads.run(read), tokio::time::advance(READ_TIMEOUT)).0.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_does_not_answer_takes_two_threads_and_no_more() {
        let reads = SiteReads::default();
        let (release, stuck) = std::sync::mpsc::channel::<()>();
        let stuck = Arc::new(parking_lot::Mutex::new(stuck));
        for _ in 0..SITE_READS {
            let stuck = Arc::clone(&stuck);
            assert_eq!(in_time(&reads, move || stuck.lock().recv().is_ok()).await, None);
        }
        assert_eq!(reads.0.available_permits(), 0, "none is left for a third");
        assert_eq!(in_time(&reads, || 7).await, None);
        drop(release);
        assert_eq!(reads.run(|| 7).await.ok(), Some(7));
    }
}
