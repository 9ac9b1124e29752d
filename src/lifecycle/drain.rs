//! The drain phase, `running -> draining -> ended`, shared by the runtimes of all threads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

/// The phase of a process. It never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainPhase {
    /// Serving.
    Running,
    /// No new work is accepted; open connections end in order before `deadline`.
    Draining {
        /// When remaining connections are closed.
        deadline: Instant,
    },
    /// All work stops immediately.
    Ended,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainOutcome {
    /// Every guard was dropped.
    Complete,
    /// The deadline passed while guards were held.
    Late {
        /// Guards still held.
        left: usize,
    },
    /// [`Drain::end`] was called while guards were held.
    Forced {
        /// Guards still held.
        left: usize,
    },
}

/// A handle on the drain phase. Cheap to clone; works across threads and runtimes.
#[derive(Debug, Clone)]
pub struct Drain(Arc<DrainState>);

#[derive(Debug)]
struct DrainState {
    phase: watch::Sender<DrainPhase>,
    guards: AtomicUsize,
    /// Notified when the last guard is dropped. Separate from `phase`, so that a closing connection wakes no other
    /// task.
    none_left: Notify,
}

/// Delays the end of the drain until it is dropped.
#[derive(Debug)]
#[must_use = "a guard that is dropped at once delays nothing"]
pub struct Guard(Arc<DrainState>);

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drain {
    /// A drain in [`DrainPhase::Running`].
    #[must_use]
    pub fn new() -> Self {
        let phase = watch::Sender::new(DrainPhase::Running);
        Self(Arc::new(DrainState { phase, guards: AtomicUsize::new(0), none_left: Notify::new() }))
    }

    /// Starts the drain with a deadline `grace` from now. No effect when it has started already.
    pub fn begin(&self, grace: Duration) {
        self.0.phase.send_if_modified(|phase| {
            let starts = *phase == DrainPhase::Running;
            if starts {
                *phase = DrainPhase::Draining { deadline: Instant::now() + grace };
            }
            starts
        });
    }

    /// Sets [`DrainPhase::Ended`].
    pub fn end(&self) {
        self.0.phase.send_if_modified(|phase| std::mem::replace(phase, DrainPhase::Ended) != DrainPhase::Ended);
    }

    /// The current phase.
    #[must_use]
    pub fn phase(&self) -> DrainPhase {
        *self.0.phase.borrow()
    }

    /// Whether new work must be refused: the phase is draining or ended.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.phase() != DrainPhase::Running
    }

    /// Waits until the drain has begun or has ended. Cancel safe.
    pub async fn begun(&self) {
        self.wait_for(|phase| *phase != DrainPhase::Running).await;
    }

    /// Waits for [`DrainPhase::Ended`]. Cancel safe. The deadline only takes effect while a task awaits
    /// [`Drain::settled`].
    pub async fn ended(&self) {
        self.wait_for(|phase| *phase == DrainPhase::Ended).await;
    }

    /// Returns a guard: the drain waits until it is dropped.
    pub fn guard(&self) -> Guard {
        self.0.guards.fetch_add(1, Ordering::Relaxed);
        Guard(Arc::clone(&self.0))
    }

    /// Guards held.
    #[must_use]
    pub fn guards(&self) -> usize {
        self.0.guards.load(Ordering::Acquire)
    }

    /// Waits until the drain has begun and is over, and sets [`DrainPhase::Ended`]. Cancel safe.
    pub async fn settled(&self) -> DrainOutcome {
        self.begun().await;
        let outcome = match self.phase() {
            DrainPhase::Draining { deadline } => tokio::select! {
                biased;
                () = self.no_guards() => DrainOutcome::Complete,
                () = self.ended() => DrainOutcome::Forced { left: self.guards() },
                () = tokio::time::sleep_until(deadline) => DrainOutcome::Late { left: self.guards() },
            },
            _ if self.guards() == 0 => DrainOutcome::Complete,
            _ => DrainOutcome::Forced { left: self.guards() },
        };
        self.end();
        outcome
    }

    async fn no_guards(&self) {
        loop {
            let mut notified = std::pin::pin!(self.0.none_left.notified());
            // Register before the check, so that a guard dropped in between is not missed.
            notified.as_mut().enable();
            if self.guards() == 0 {
                return;
            }
            notified.await;
        }
    }

    async fn wait_for(&self, reached: impl FnMut(&DrainPhase) -> bool) {
        self.0.phase.subscribe().wait_for(reached).await.expect("the sender lives in self");
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0.guards.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none_left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_drain_without_guards_is_complete_at_once() {
        let drain = Drain::new();
        drain.begin(GRACE);
        let started = Instant::now();
        assert_eq!(drain.settled().await, DrainOutcome::Complete);
        assert_eq!((started.elapsed(), drain.phase()), (Duration::ZERO, DrainPhase::Ended));
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_for_every_guard() {
        let drain = Drain::new();
        let (first, second) = (drain.guard(), drain.guard());
        drain.begin(GRACE);
        let started = Instant::now();
        tokio::spawn(async move {
            tokio::time::sleep(GRACE / 5).await;
            drop(first);
            tokio::time::sleep(GRACE / 5).await;
            drop(second);
        });
        assert_eq!(drain.settled().await, DrainOutcome::Complete);
        assert_eq!(started.elapsed(), GRACE / 5 * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_does_not_wait_for_a_guard_beyond_the_deadline() {
        let drain = Drain::new();
        let _stays = drain.guard();
        drain.begin(GRACE);
        drain.begin(GRACE * 100);
        let started = Instant::now();
        assert_eq!(drain.settled().await, DrainOutcome::Late { left: 1 });
        assert_eq!(started.elapsed(), GRACE);
        drain.ended().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_request_ends_at_once() {
        let drain = Drain::new();
        let _stays = drain.guard();
        drain.begin(GRACE);
        let started = Instant::now();
        let asked_again = drain.clone();
        tokio::spawn(async move { asked_again.end() });
        assert_eq!(drain.settled().await, DrainOutcome::Forced { left: 1 });
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn an_ended_process_never_drains_again() {
        let drain = Drain::new();
        drain.end();
        drain.begin(GRACE);
        assert_eq!(drain.phase(), DrainPhase::Ended);
    }

    #[test]
    fn other_threads_runtimes_see_the_phase_and_can_delay_the_end() {
        let drain = Drain::new();
        let block_on = |future: std::pin::Pin<Box<dyn Future<Output = DrainOutcome>>>| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
            runtime.block_on(future)
        };
        let shards: Vec<_> = (0..4)
            .map(|_| {
                let (drain, guard) = (drain.clone(), drain.guard());
                std::thread::spawn(move || {
                    block_on(Box::pin(async move {
                        drain.begun().await;
                        drop(guard);
                        drain.ended().await;
                        DrainOutcome::Complete
                    }))
                })
            })
            .collect();
        drain.begin(GRACE);
        let settling = drain.clone();
        assert_eq!(block_on(Box::pin(async move { settling.settled().await })), DrainOutcome::Complete);
        for shard in shards {
            shard.join().expect("it ended");
        }
    }
}
