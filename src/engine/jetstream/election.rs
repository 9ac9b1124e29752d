//! Who leads, as far as this hub has heard, and when to try to lead.
//!
//! Nothing here is needed for safety: a hub leads because the stream has accepted its leader record, and it stops when the
//! stream refuses a write. Two hubs that try at once cost a refused write.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::event::Epoch;

/// Between two heartbeats of the leader.
pub(super) const BEAT: Duration = Duration::from_millis(500);

/// Without a heartbeat for so long, a follower tries to lead: five are missing.
const LOST: Duration = Duration::from_millis(2500);

/// A follower waits for a random part of this longer, so that two rarely try at once.
const SPREAD: Duration = Duration::from_secs(1);

/// The same after the leader has said that it ends.
const SPREAD_RESIGNED: Duration = Duration::from_millis(100);

/// Between two tries of one hub. An election in the NATS cluster takes 5 to 10 s, in which a try has no answer.
const BETWEEN_TRIES: Duration = Duration::from_millis(500);

/// From the last heartbeat of a leader that has died until the next one's first, at the most: each hub that runs has tried twice
/// to lead by then. Without any heartbeat for so long, no hub runs, as far as one can be heard.
pub(super) const TAKE_OVER: Duration =
    LOST.saturating_add(SPREAD).saturating_add(BETWEEN_TRIES).saturating_add(SPREAD).saturating_add(BEAT);

/// A heartbeat of the leader, as JSON in core NATS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Beat {
    /// The leader.
    pub(super) hub: Box<str>,
    /// The epoch of the log that it leads. Earlier builds do not tell it.
    #[serde(default)]
    pub(super) epoch: Option<Box<str>>,
    /// The position of its leader record.
    pub(super) term: u64,
    /// The newest position that it has written, and that stays in the stream.
    pub(super) head: u64,
    /// It ends now, in order.
    #[serde(default)]
    pub(super) resigns: bool,
    /// Why it cannot write now.
    #[serde(default)]
    pub(super) refuses: Option<Box<str>>,
}

/// The leader, as far as this hub has heard.
#[derive(Clone)]
pub(super) struct LeaderView(Arc<Mutex<View>>);

struct View {
    leader: Option<Leader>,
    /// When this hub last heard of the leader, or began to listen.
    heard: Instant,
    /// When to try to lead, if nothing is heard until then.
    try_at: Instant,
    resigned: bool,
    /// Why the leader cannot write, and since when.
    trouble: Option<(Instant, Box<str>)>,
}

/// A leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leader {
    pub(super) hub: Box<str>,
    /// The position of its leader record.
    pub(super) term: u64,
    /// The newest position that it has told.
    pub(super) head: u64,
}

impl LeaderView {
    /// Nobody has led yet.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let try_at = now + spread(SPREAD_RESIGNED);
        Self(Arc::new(Mutex::new(View { leader: None, heard: now, try_at, resigned: false, trouble: None })))
    }

    /// A heartbeat came, to a hub whose log is of `epoch`. Those of another one are ignored: a hub may still be up that has led
    /// the stream before this one, and its positions mean nothing here.
    ///
    /// # Errors
    /// When it cannot be understood.
    pub(super) fn hear(&self, text: &[u8], epoch: Epoch) -> Result<(), serde_json::Error> {
        let beat: Beat = serde_json::from_slice(text)?;
        if beat.epoch.as_deref().is_none_or(|of| of == epoch.as_str()) {
            self.beat(beat);
        }
        Ok(())
    }

    /// A heartbeat came. Those of an earlier term are ignored.
    fn beat(&self, beat: Beat) {
        let mut view = self.0.lock();
        if view.leader.as_ref().is_some_and(|known| known.term > beat.term) {
            return;
        }
        let now = Instant::now();
        view.heard = now;
        view.resigned = beat.resigns;
        view.try_at = if beat.resigns { now + spread(SPREAD_RESIGNED) } else { now + LOST + spread(SPREAD) };
        view.trouble = match (beat.refuses, view.trouble.take()) {
            (Some(reason), Some((since, _))) => Some((since, reason)),
            (reason, _) => reason.map(|reason| (now, reason)),
        };
        let Beat { hub, term, head, .. } = beat;
        view.leader = Some(Leader { hub, term, head });
    }

    /// A leader record came with the stream. `resigned`: its hub has ended in order.
    pub(super) fn record(&self, hub: &str, term: u64, resigned: bool) {
        let mut view = self.0.lock();
        if view.leader.as_ref().is_none_or(|known| known.term < term) {
            let now = Instant::now();
            let wait = if resigned { spread(SPREAD_RESIGNED) } else { LOST + spread(SPREAD) };
            (view.heard, view.try_at, view.resigned) = (now, now + wait, resigned);
            view.leader = Some(Leader { hub: hub.into(), term, head: term });
        }
    }

    /// The leader that was last heard of.
    pub(super) fn leader(&self) -> Option<Leader> {
        self.0.lock().leader.clone()
    }

    /// Why the leader cannot write, and for how long.
    pub(super) fn trouble(&self) -> Option<(Duration, Box<str>)> {
        let view = self.0.lock();
        view.trouble.as_ref().map(|(since, reason)| (since.elapsed(), reason.clone()))
    }

    /// How long nothing was heard of a leader.
    pub(super) fn unheard(&self) -> Duration {
        self.0.lock().heard.elapsed()
    }

    /// How long nothing was heard of a leader; `None` when there is one.
    pub(super) fn silence(&self) -> Option<Duration> {
        let view = self.0.lock();
        let silent = view.heard.elapsed();
        (view.leader.is_none() || view.resigned || silent > LOST).then_some(silent)
    }

    /// Whether to try to lead now. Then the next try is later.
    pub(super) fn tries(&self) -> bool {
        let mut view = self.0.lock();
        let now = Instant::now();
        let due = now >= view.try_at;
        if due {
            view.try_at = now + BETWEEN_TRIES + spread(SPREAD);
        }
        due
    }
}

fn spread(most: Duration) -> Duration {
    most.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(term: u64, resigns: bool) -> Beat {
        Beat { hub: format!("hub{term}").into(), epoch: None, term, head: term + 5, resigns, refuses: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_follower_tries_when_the_leader_is_silent_and_not_before() {
        let view = LeaderView::new();
        view.beat(beat(7, false));
        for _ in 0..10 {
            tokio::time::advance(LOST.checked_sub(Duration::from_millis(1)).unwrap()).await;
            assert!(!view.tries() && view.silence().is_none());
            view.beat(beat(7, false));
        }
        tokio::time::advance(LOST + SPREAD).await;
        assert!(view.silence().is_some() && view.tries());
        assert!(!view.tries(), "the next try is later");
        tokio::time::advance(BETWEEN_TRIES + SPREAD).await;
        assert!(view.tries());
    }

    #[tokio::test(start_paused = true)]
    async fn two_tries_after_the_last_heartbeat_are_within_a_take_over() {
        const STEP: Duration = Duration::from_millis(10);
        for _ in 0..100 {
            let view = LeaderView::new();
            view.beat(beat(7, false));
            let (last, mut tries) = (Instant::now(), 0);
            while tries < 2 {
                tokio::time::advance(STEP).await;
                tries += u32::from(view.tries());
            }
            assert!(last.elapsed() <= TAKE_OVER, "{:?}", last.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hub_that_led_an_earlier_stream_is_not_heard() {
        let (view, epoch) = (LeaderView::new(), Epoch::from_random(7));
        let hear = |beat: &Beat| view.hear(&serde_json::to_vec(beat).expect("valid"), epoch).expect("understood");
        let of = |epoch: Epoch, term| Beat { epoch: Some(epoch.as_str().into()), ..beat(term, false) };
        hear(&of(Epoch::from_random(8), 900));
        assert_eq!(view.leader(), None);
        hear(&of(epoch, 7));
        hear(&of(Epoch::from_random(8), 900));
        assert_eq!(view.leader().expect("known").term, 7);
        view.hear(br#"{"hub":"hub9","term":9,"head":12}"#, epoch).expect("a heartbeat of an earlier build");
        assert_eq!(view.leader(), Some(Leader { hub: "hub9".into(), term: 9, head: 12 }));
        assert!(view.hear(b"{}", epoch).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_ends_is_followed_at_once_and_an_earlier_one_is_not_heard() {
        let view = LeaderView::new();
        view.record("hub9", 9, false);
        view.beat(beat(7, false));
        assert_eq!(view.leader().expect("known").term, 9, "an earlier term");
        view.beat(beat(9, true));
        assert!(view.silence().is_some());
        tokio::time::advance(SPREAD_RESIGNED).await;
        assert!(view.tries());
        view.record("hub12", 12, false);
        tokio::time::advance(SPREAD_RESIGNED).await;
        assert!(!view.tries());
        view.record("hub12", 13, true);
        tokio::time::advance(SPREAD_RESIGNED).await;
        assert!(view.tries());
    }
}
