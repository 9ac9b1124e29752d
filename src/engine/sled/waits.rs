//! Tracks operations that wait for the disk, and reports long waits.
//!
//! A disk that does not respond is not a damaged one: operations continue to wait for it. A thread that never touches
//! the disk logs when a wait is long and when it is over. While a write, or the opening of the store, waits for long,
//! the store is not ready.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A wait this long is reported. Disks take milliseconds, busy ones a few seconds.
pub(super) const LONG_WAIT: Duration = Duration::from_secs(5);

/// How often the waits are checked.
const TICK: Duration = Duration::from_secs(1);

/// How often a wait that continues is reported again.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);

/// The operations that wait for the disk now. There are few: at most one for each thread.
#[derive(Debug, Default)]
pub(super) struct Waits(Mutex<WaitList>);

#[derive(Debug, Default)]
struct WaitList {
    next: u64,
    open: Vec<Wait>,
}

#[derive(Debug, Clone)]
struct Wait {
    number: u64,
    since: Instant,
    what: Cow<'static, str>,
    /// Publishing waits for it as well.
    blocks_writes: bool,
}

/// An operation that waits for the disk. Dropping it ends the wait.
#[derive(Debug)]
pub(super) struct DiskWait {
    waits: Arc<Waits>,
    number: u64,
}

impl Waits {
    /// Registers `what`, which may wait for the disk from now on.
    pub(super) fn begin(self: &Arc<Self>, what: impl Into<Cow<'static, str>>) -> DiskWait {
        self.add(what.into(), false)
    }

    /// Registers an operation for which publishing waits as well.
    pub(super) fn begin_write(self: &Arc<Self>, what: &'static str) -> DiskWait {
        self.add(what.into(), true)
    }

    fn add(self: &Arc<Self>, what: Cow<'static, str>, blocks_writes: bool) -> DiskWait {
        let mut list = self.0.lock();
        let number = list.next;
        list.next += 1;
        list.open.push(Wait { number, since: Instant::now(), what, blocks_writes });
        DiskWait { waits: Arc::clone(self), number }
    }

    /// The operation that has blocked publishing for at least [`LONG_WAIT`], and for how long.
    pub(super) fn long_write(&self) -> Option<(Cow<'static, str>, Duration)> {
        self.long(|wait| wait.blocks_writes)
    }

    /// Whether any operation has waited for at least [`LONG_WAIT`].
    pub(super) fn long_wait(&self) -> bool {
        self.long(|_| true).is_some()
    }

    /// The oldest operation matched by `matches` that has waited for at least [`LONG_WAIT`], and for how long.
    fn long(&self, matches: impl Fn(&Wait) -> bool) -> Option<(Cow<'static, str>, Duration)> {
        let longest = self.0.lock().open.iter().filter(|wait| matches(wait)).min_by_key(|wait| wait.number).cloned()?;
        let waited = longest.since.elapsed();
        (waited >= LONG_WAIT).then_some((longest.what, waited))
    }
}

impl Drop for DiskWait {
    fn drop(&mut self) {
        self.waits.0.lock().open.retain(|wait| wait.number != self.number);
    }
}

/// The thread that reports long waits. Dropping this stops it.
#[derive(Debug)]
pub(super) struct WaitReporter {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl WaitReporter {
    pub(super) fn start(waits: &Arc<Waits>) -> Self {
        let (stop, stopped) = mpsc::channel::<()>();
        let waits = Arc::clone(waits);
        let watch = move || {
            let mut reported: Option<(Instant, Instant)> = None;
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                reported = report(&waits, reported);
            }
        };
        let thread = std::thread::Builder::new().name("gapless-waits".into()).spawn(watch);
        let thread =
            thread.inspect_err(|error| tracing::warn!(%error, "cannot start the thread that reports a slow disk"));
        Self { stop: Some(stop), thread: thread.ok() }
    }
}

impl Drop for WaitReporter {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Logs a long wait or its end, and returns the new state. `reported`: since when the disk has not responded, and when
/// that was last reported.
fn report(waits: &Waits, reported: Option<(Instant, Instant)>) -> Option<(Instant, Instant)> {
    match (waits.long(|_| true), reported) {
        (Some((what, waited)), reported) if reported.is_none_or(|(_, last)| last.elapsed() >= REPORT_INTERVAL) => {
            let now = Instant::now();
            tracing::warn!(
                waits = %what, waited_s = waited.as_secs(), ready = waits.long_write().is_none(),
                "the disk is slow or does not answer; the store waits for it"
            );
            Some((reported.map_or_else(|| now.checked_sub(waited).unwrap_or(now), |(since, _)| since), now))
        }
        (Some(_), reported) => reported,
        (None, Some((since, _))) => {
            tracing::info!(waited_s = since.elapsed().as_secs(), "the disk answers again");
            None
        }
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_it_is_dropped_and_the_oldest_is_reported() {
        let waits = Arc::new(Waits::default());
        let longer = |by: Duration| {
            for wait in &mut waits.0.lock().open {
                wait.since = wait.since.checked_sub(by).expect("the machine has run for some minutes");
            }
        };
        let long = |matches: fn(&Wait) -> bool| waits.long(matches).map(|(what, _)| what.into_owned());
        let first = waits.begin("one");
        assert_eq!(long(|_| true), None, "not yet long");
        longer(LONG_WAIT);
        let second = waits.begin_write("two");
        longer(LONG_WAIT);
        assert_eq!((long(|_| true), long(|wait| wait.blocks_writes)), (Some("one".into()), Some("two".into())));
        drop(first);
        assert_eq!(long(|_| true), Some("two".into()));
        drop(second);
        assert_eq!(long(|_| true), None);
    }
}
