//! One signal, `running -> draining -> ended`, shared by the runtimes of every thread.

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

/// Where a process is on its way out. Only ever moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainPhase {
    /// Serving.
    Running,
    /// Accepting nothing new; what is open ends politely before `deadline`.
    Draining {
        /// When what is left is cut.
        deadline: Instant,
    },
    /// Everything stops now.
    Ended,
}

/// How a drain came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainOutcome {
    /// Every guard was dropped.
    Complete,
    /// The deadline passed with this many guards left.
    Late {
        /// Guards still held.
        left: usize,
    },
    /// Someone asked for the end with this many guards left.
    Forced {
        /// Guards still held.
        left: usize,
    },
}

/// A handle on the one signal. Cheap to clone; works across threads and runtimes.
#[derive(Debug, Clone)]
pub struct Drain(Arc<DrainState>);

#[derive(Debug)]
struct DrainState {
    phase: watch::Sender<DrainPhase>,
    guards: AtomicUsize,
    /// Told when the last guard is dropped. Apart from `phase`, so that a closing connection wakes nobody else.
    none_left: Notify,
}

/// Something that must finish before the process ends. Dropping it says that it has.
#[derive(Debug)]
#[must_use = "a guard that is dropped at once guards nothing"]
pub struct Guard(Arc<DrainState>);

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drain {
    /// A signal that says [`DrainPhase::Running`].
    #[must_use]
    pub fn new() -> Self {
        let phase = watch::Sender::new(DrainPhase::Running);
        Self(Arc::new(DrainState { phase, guards: AtomicUsize::new(0), none_left: Notify::new() }))
    }

    /// Starts the drain, to be over within `grace`. Does nothing when it has started already.
    pub fn begin(&self, grace: Duration) {
        self.0.phase.send_if_modified(|phase| {
            let begins = *phase == DrainPhase::Running;
            if begins {
                *phase = DrainPhase::Draining { deadline: Instant::now() + grace };
            }
            begins
        });
    }

    /// Ends everything now.
    pub fn end(&self) {
        self.0.phase.send_if_modified(|phase| std::mem::replace(phase, DrainPhase::Ended) != DrainPhase::Ended);
    }

    /// The phase at this moment.
    #[must_use]
    pub fn phase(&self) -> DrainPhase {
        *self.0.phase.borrow()
    }

    /// Whether nothing new should be accepted.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.phase() != DrainPhase::Running
    }

    /// Waits until the drain has begun, or is over. Cancel safe.
    pub async fn begun(&self) {
        self.wait_for(|phase| *phase != DrainPhase::Running).await;
    }

    /// Waits for [`DrainPhase::Ended`]. Cancel safe. Needs someone to await [`Drain::settled`] for the deadline to count.
    pub async fn ended(&self) {
        self.wait_for(|phase| *phase == DrainPhase::Ended).await;
    }

    /// Makes the drain wait for the holder.
    pub fn guard(&self) -> Guard {
        self.0.guards.fetch_add(1, Ordering::Relaxed);
        Guard(Arc::clone(&self.0))
    }

    /// Guards held.
    #[must_use]
    pub fn guards(&self) -> usize {
        self.0.guards.load(Ordering::Acquire)
    }

    /// Waits for the drain to begin and then to be over, and says [`DrainPhase::Ended`] to everyone. Cancel safe.
    pub async fn settled(&self) -> DrainOutcome {
        self.begun().await;
        let outcome = match self.phase() {
            DrainPhase::Draining { deadline } => tokio::select! {
                biased;
                () = self.unguarded() => DrainOutcome::Complete,
                () = self.ended() => DrainOutcome::Forced { left: self.guards() },
                () = tokio::time::sleep_until(deadline) => DrainOutcome::Late { left: self.guards() },
            },
            _ if self.guards() == 0 => DrainOutcome::Complete,
            _ => DrainOutcome::Forced { left: self.guards() },
        };
        self.end();
        outcome
    }

    async fn unguarded(&self) {
        loop {
            let mut told = std::pin::pin!(self.0.none_left.notified());
            // Listening before looking, or a guard dropped in between would be waited for in vain.
            told.as_mut().enable();
            if self.guards() == 0 {
                return;
            }
            told.await;
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
    async fn a_guard_that_stays_is_cut_at_the_deadline() {
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
    fn runtimes_of_other_threads_hear_the_signal_and_hold_it_up() {
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
