//! What the watchdog proves.
//!
//! The hub is alive while
//!
//! 1. each core runs its tick: its event loop turns, and no task of it computes without end or waits for a lock;
//! 2. the engine answers for its state, and its writer finishes jobs while it has some.
//!
//! **A slow disk is not a hang.** While the store says that the disk does not answer, which it does after 5 s, the hub is
//! alive whatever else stands still: another process could not use that disk either, and the restart would only lose the
//! streams. A mistake within the store that makes it wait for ever is not told from that. Where the log is elsewhere, cores
//! are judged also while it does not answer, since none of them waits for it.
//!
//! A hub that refuses publishes because a write failed is alive: it serves its readers, and an operator decides.

use std::time::{Duration, Instant};

use crate::engine::{AppendError, Status};

/// Least silence of a core, or of the writer with jobs, that is a hang. The store calls a wait for the disk long after 5 s,
/// and a core beats once a second.
const MIN_SILENCE: Duration = Duration::from_secs(10);

/// Judges whether the hub is alive, from one look to the next.
#[derive(Debug)]
pub(super) struct HubLiveness {
    /// Longest silence.
    max_silence: Duration,
    /// The jobs that the writer had finished when it last finished one, or had none, and when that was.
    writer: Option<(u64, Instant)>,
    /// Whether the writer is of this machine: where the log is elsewhere, it waits for the network.
    watches_writer: bool,
}

/// What hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Hang {
    /// A core does not run its tick.
    #[error("core {index} has not run for {} s", .silent.as_secs())]
    Core {
        /// Its index.
        index: usize,
        /// For how long.
        silent: Duration,
    },
    /// The writer has jobs and finishes none.
    #[error("the writer has finished no job for {} s", .silent.as_secs())]
    Writer {
        /// For how long.
        silent: Duration,
    },
}

impl HubLiveness {
    /// For a service manager that kills after `watchdog` without a sign of life: silence of half of that is a hang, so that
    /// a hang ends after one to one and a half times `watchdog`.
    pub(super) fn new(watchdog: Duration, watches_writer: bool) -> Self {
        Self { max_silence: (watchdog / 2).max(MIN_SILENCE), writer: None, watches_writer }
    }

    /// Judges from what was seen at `now`: the core that has been silent for longest, and the engine's state.
    pub(super) fn look(&mut self, now: Instant, core: Option<(usize, Duration)>, status: &Status) -> Result<(), Hang> {
        let silent = self.writer_silence(now, status);
        if refuses_for_now(status) && self.watches_writer {
            return Ok(());
        }
        match core {
            Some((index, silent)) if silent > self.max_silence => Err(Hang::Core { index, silent }),
            _ if self.watches_writer && silent > self.max_silence => Err(Hang::Writer { silent }),
            _ => Ok(()),
        }
    }

    /// For how long the writer has had jobs and has finished none, while the disk answered.
    fn writer_silence(&mut self, now: Instant, status: &Status) -> Duration {
        let moves = |&(finished, _): &(u64, Instant)| finished != status.jobs_finished;
        if status.queued_bytes == 0
            || refuses_for_now(status)
            || status.waits_for_disk
            || self.writer.as_ref().is_none_or(moves)
        {
            self.writer = Some((status.jobs_finished, now));
        }
        self.writer.map_or(Duration::ZERO, |(_, since)| now.saturating_duration_since(since))
    }
}

/// Whether the store says that the disk, or the network to the log, does not answer.
fn refuses_for_now(status: &Status) -> bool {
    matches!(status.refusing, Some(AppendError::NotNow { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATCHDOG: Duration = Duration::from_mins(1);

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    fn core(silent: u64) -> (usize, Duration) {
        (3, Duration::from_secs(silent))
    }

    fn busy(finished: u64) -> Status {
        Status { queued_bytes: 100, jobs_finished: finished, ..Status::default() }
    }

    fn stalled(finished: u64) -> Status {
        Status { refusing: Some(AppendError::NotNow { reason: "the disk does not answer".into() }), ..busy(finished) }
    }

    #[test]
    fn a_core_that_does_not_run_is_a_hang() {
        let (mut liveness, now) = (HubLiveness::new(WATCHDOG, true), Instant::now());
        assert_eq!(liveness.look(now, Some(core(30)), &Status::default()), Ok(()));
        let silent = Duration::from_secs(31);
        let hang = Hang::Core { index: 3, silent };
        assert_eq!(liveness.look(now, Some(core(31)), &Status::default()), Err(hang));
        assert_eq!(hang.to_string(), "core 3 has not run for 31 s");
        assert_eq!(liveness.look(now, Some(core(0)), &Status::default()), Ok(()), "it runs again");
    }

    #[test]
    fn a_writer_that_has_jobs_and_finishes_none_is_a_hang() {
        let (mut liveness, start) = (HubLiveness::new(WATCHDOG, true), Instant::now());
        for seconds in 0..100 {
            assert_eq!(
                liveness.look(at(start, seconds), Some(core(0)), &busy(seconds / 25)),
                Ok(()),
                "it goes on slowly"
            );
        }
        assert_eq!(liveness.look(at(start, 105), Some(core(0)), &busy(3)), Ok(()));
        let silent = Duration::from_secs(31);
        assert_eq!(liveness.look(at(start, 106), Some(core(0)), &busy(3)), Err(Hang::Writer { silent }));
        let idle = Status { queued_bytes: 0, ..busy(3) };
        assert_eq!(liveness.look(at(start, 107), Some(core(0)), &idle), Ok(()));
        assert_eq!(liveness.look(at(start, 1000), Some(core(0)), &idle), Ok(()), "it has nothing to do");
        let mut elsewhere = HubLiveness::new(WATCHDOG, false);
        for seconds in [0, 1000] {
            assert_eq!(elsewhere.look(at(start, seconds), Some(core(0)), &busy(3)), Ok(()), "it waits for the network");
        }
    }

    #[test]
    fn a_disk_that_does_not_answer_is_no_hang() {
        let (mut liveness, start) = (HubLiveness::new(WATCHDOG, true), Instant::now());
        for seconds in (0..600).step_by(5) {
            assert_eq!(liveness.look(at(start, seconds), Some(core(seconds)), &stalled(7)), Ok(()));
        }
        assert_eq!(liveness.look(at(start, 600), Some(core(0)), &busy(7)), Ok(()), "the disk has just answered");
        assert!(liveness.look(at(start, 632), Some(core(0)), &busy(7)).is_err());
    }

    #[test]
    fn a_writer_that_waits_for_reads_of_a_slow_disk_is_no_hang() {
        let (mut liveness, start) = (HubLiveness::new(WATCHDOG, true), Instant::now());
        for seconds in (0..600).step_by(5) {
            let waits = Status { waits_for_disk: true, ..busy(7) };
            assert_eq!(liveness.look(at(start, seconds), Some(core(0)), &waits), Ok(()));
        }
        let hang = liveness.look(at(start, 600), Some(core(31)), &Status { waits_for_disk: true, ..busy(7) });
        assert!(matches!(hang, Err(Hang::Core { .. })), "no core waits for it: {hang:?}");
    }

    #[test]
    fn a_core_that_hangs_while_a_log_elsewhere_does_not_answer_is_a_hang() {
        let hang = HubLiveness::new(WATCHDOG, false).look(Instant::now(), Some(core(31)), &stalled(7));
        assert!(matches!(hang, Err(Hang::Core { .. })), "{hang:?}");
    }

    #[test]
    fn a_short_watchdog_leaves_the_disk_its_time() {
        let (mut liveness, now) = (HubLiveness::new(Duration::from_secs(1), true), Instant::now());
        assert_eq!(liveness.look(now, Some(core(10)), &Status::default()), Ok(()));
    }
}
