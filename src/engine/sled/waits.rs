//! Waits for the disk, and who is told when one is long.
//!
//! A disk that does not answer is not a damaged one: whatever waits for it goes on waiting. But it is not kept quiet: a
//! thread that never touches the disk logs when a wait is long and when it is over, and while a write, or the opening of the
//! store, waits for long, the store is not ready.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A wait this long is told. Disks take milliseconds, busy ones some seconds.
pub(super) const LONG: Duration = Duration::from_secs(5);

/// How often somebody looks.
const TICK: Duration = Duration::from_secs(1);

/// A wait that goes on is told again so often.
const AGAIN: Duration = Duration::from_mins(1);

/// What waits for the disk now. A few: each is a thread.
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
    /// Whoever publishes waits for it, too.
    writes: bool,
}

/// Something that waits for the disk; over when it is dropped.
#[derive(Debug)]
pub(super) struct DiskWait {
    waits: Arc<Waits>,
    number: u64,
}

impl Waits {
    /// Says that `what` may wait for the disk from now on.
    pub(super) fn begin(self: &Arc<Self>, what: impl Into<Cow<'static, str>>) -> DiskWait {
        self.add(what.into(), false)
    }

    /// The same of what every publisher waits for.
    pub(super) fn begin_write(self: &Arc<Self>, what: &'static str) -> DiskWait {
        self.add(what.into(), true)
    }

    fn add(self: &Arc<Self>, what: Cow<'static, str>, writes: bool) -> DiskWait {
        let mut list = self.0.lock();
        let number = list.next;
        list.next += 1;
        list.open.push(Wait { number, since: Instant::now(), what, writes });
        DiskWait { waits: Arc::clone(self), number }
    }

    /// What publishers have waited for long for, and how long.
    pub(super) fn long_write(&self) -> Option<(Cow<'static, str>, Duration)> {
        self.long(|wait| wait.writes)
    }

    /// What of those meant has waited for long, and for how long.
    fn long(&self, meant: impl Fn(&Wait) -> bool) -> Option<(Cow<'static, str>, Duration)> {
        let longest = self.0.lock().open.iter().filter(|wait| meant(wait)).min_by_key(|wait| wait.number).cloned()?;
        let waited = longest.since.elapsed();
        (waited >= LONG).then_some((longest.what, waited))
    }
}

impl Drop for DiskWait {
    fn drop(&mut self) {
        self.waits.0.lock().open.retain(|wait| wait.number != self.number);
    }
}

/// The thread that tells. Ends when this is dropped.
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
            let mut told: Option<(Instant, Instant)> = None;
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                told = tell(&waits, told);
            }
        };
        let thread = std::thread::Builder::new().name("gapless-waits".into()).spawn(watch);
        let thread = thread.inspect_err(|error| tracing::warn!(%error, "no thread to tell when the disk is slow"));
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

/// Logs what has to be said; `told` is since when the disk has not answered, and when that was last told.
fn tell(waits: &Waits, told: Option<(Instant, Instant)>) -> Option<(Instant, Instant)> {
    match (waits.long(|_| true), told) {
        (Some((what, waited)), told) if told.is_none_or(|(_, last)| last.elapsed() >= AGAIN) => {
            let now = Instant::now();
            tracing::warn!(
                waits = %what, waited_s = waited.as_secs(), ready = waits.long_write().is_none(),
                "the disk is slow or does not answer; the store waits for it"
            );
            Some((told.map_or_else(|| now.checked_sub(waited).unwrap_or(now), |(since, _)| since), now))
        }
        (Some(_), told) => told,
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
    fn a_wait_is_over_when_it_is_dropped_and_the_oldest_is_told() {
        let waits = Arc::new(Waits::default());
        let longer = |by: Duration| {
            for wait in &mut waits.0.lock().open {
                wait.since = wait.since.checked_sub(by).expect("the machine has run for some minutes");
            }
        };
        let long = |meant: fn(&Wait) -> bool| waits.long(meant).map(|(what, _)| what.into_owned());
        let first = waits.begin("one");
        assert_eq!(long(|_| true), None, "not yet long");
        longer(LONG);
        let second = waits.begin_write("two");
        longer(LONG);
        assert_eq!((long(|_| true), long(|wait| wait.writes)), (Some("one".into()), Some("two".into())));
        drop(first);
        assert_eq!(long(|_| true), Some("two".into()));
        drop(second);
        assert_eq!(long(|_| true), None);
    }
}
