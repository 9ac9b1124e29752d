//! Whether the stream is still the one that this hub has loaded: it may be deleted and made again, or restored to an earlier
//! state. Then positions are used again for other messages, and nothing that this hub knows is true of it.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    link::{Link, STALE_LEADER},
    nats::{NatsError, StreamState},
    wire::EpochRecord,
};
use crate::event::Epoch;

/// Between two looks: a stream that is made again gets its old length in more than this.
const EVERY: Duration = Duration::from_secs(5);

/// The time at which a stream was made changes by less over restarts of the servers.
const SAME: Duration = Duration::from_secs(10);

/// What a new look at the stream has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Doubt {
    /// Its end is before what this hub has seen of it.
    Back { end: u64, seen: u64 },
    /// There is none.
    Gone,
}

/// A doubt, and since when it has been the same.
#[derive(Default)]
struct Doubts(Option<(Doubt, Instant)>);

/// Looks at the stream as long as the engine lives. Another stream ends the engine's writing and reading.
pub(super) async fn watch(link: Arc<Link>, created: String) {
    // Since when another epoch was told.
    let (mut doubts, mut other_since) = (Doubts::default(), None::<Instant>);
    loop {
        tokio::time::sleep(EVERY).await;
        if link.is_outdated() && link.shared().queue.is_finished() {
            return; // the record of another epoch has ended it
        }
        let seen = link.shared().store.last();
        let told = link.nats.stream().await;
        let has_all = told.as_ref().is_ok_and(|state| state.is_led() && state.last >= seen);
        if let Some(reason) = doubts.after(told, &created, seen) {
            return end(&link, &reason);
        }
        match epoch(&link).await {
            // The stream has other messages where this hub reads, so that it does not read the record.
            Some((at, epoch)) if epoch != link.shared().epoch => {
                let since = *other_since.get_or_insert_with(Instant::now);
                // A server that does not lead the stream any more tells an earlier epoch.
                if at > link.shared().store.epoch_at() || since.elapsed() > STALE_LEADER {
                    return end(&link, &renewed(link.shared().epoch, epoch));
                }
            }
            Some(_) => {
                other_since = None;
                if has_all {
                    link.shared().store.verified();
                }
            }
            None => {}
        }
    }
}

/// The epoch that the stream's leader tells, and the position of its record.
async fn epoch(link: &Link) -> Option<(u64, Epoch)> {
    let told = link.nats.leader_last(&link.subjects.epoch()).await.ok().flatten()?;
    let record = EpochRecord::decode(&told.headers).ok()?;
    Some((told.seq, record.epoch))
}

/// Ends the engine's writing and reading, and applies nothing more.
pub(super) fn end(link: &Link, reason: &str) {
    tracing::error!(reason, "this hub accepts and reads nothing any more");
    link.outdate(reason);
    link.shared().store.replaced(reason);
    link.shared().queue.fail(reason);
}

/// Whether the stream of an epoch's record is this one.
pub(super) fn is_same(recorded: &str, created: &str) -> bool {
    match (recorded.parse::<Timestamp>(), created.parse::<Timestamp>()) {
        (Ok(recorded), Ok(created)) => recorded.duration_since(created).unsigned_abs() <= SAME,
        _ => recorded == created,
    }
}

/// What to tell when the stream is not the one of its epoch's record.
pub(super) fn other(recorded: &str, created: &str) -> String {
    format!(
        "the stream was made again or restored: it was created {created}, and its epoch is of one that was created \
         {recorded}; run `gapless jetstream epoch --renew` and restart the hubs"
    )
}

/// What to tell when another epoch was recorded for the stream that this hub has loaded.
pub(super) fn renewed(known: Epoch, new: Epoch) -> String {
    let (known, new) = (known.as_str(), new.as_str());
    format!("the stream's epoch was renewed: it is {new}, and this hub has loaded {known}; restart this hub")
}

impl Doubts {
    /// The reason to end after a look at the stream, of which this hub has seen everything up to `seen`.
    fn after(&mut self, told: Result<StreamState, NatsError>, created: &str, seen: u64) -> Option<String> {
        match told {
            // While no server leads the stream, any replica answers for as long as that takes, also one that has missed
            // its newest events, or that it was made again.
            Ok(state) if !state.is_led() => self.lasting(None),
            Ok(state) if !is_same(created, &state.created) => Some(other(created, &state.created)),
            Ok(state) if state.last < seen => self.lasting(Some(Doubt::Back { end: state.last, seen })),
            Err(NatsError::NoStream) => self.lasting(Some(Doubt::Gone)),
            Ok(_) => self.lasting(None),
            Err(_) => None,
        }
    }

    /// The reason to end, once a doubt was the same for so long that no stale leader of the stream can have told it.
    fn lasting(&mut self, doubt: Option<Doubt>) -> Option<String> {
        let Some(doubt) = doubt else {
            self.0 = None;
            return None;
        };
        let since = match &self.0 {
            Some((same, since)) if *same == doubt => *since,
            _ => Instant::now(),
        };
        let text = match &doubt {
            Doubt::Back { end, seen } => format!(
                "the stream ends at {end}, and this hub has seen {seen}: it was restored to an earlier state; run `gapless \
                 jetstream epoch --renew` and restart the hubs"
            ),
            Doubt::Gone => "the stream was deleted; make it with `gapless jetstream init` and restart the hubs".into(),
        };
        self.0 = Some((doubt, since));
        (since.elapsed() > STALE_LEADER).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stream_is_the_same_within_ten_seconds() {
        let created = "2026-11-26T22:29:39.372561Z";
        for same in [created, "2026-11-26T22:29:49Z", "2026-11-26T22:29:30Z"] {
            assert!(is_same(created, same), "{same}");
        }
        for other in ["2026-11-26T22:29:50Z", "2026-11-26T22:29:29Z", "", "yesterday"] {
            assert!(!is_same(created, other), "{other}");
        }
    }

    /// An answer of a server: the stream ends at `last`, is led by `leader`, and one other replica has answered just now.
    fn told(last: u64, leader: &str) -> StreamState {
        StreamState::told(&json!({
            "config": {},
            "created": "2026-11-26T22:29:39Z",
            "state": { "messages": 1, "bytes": 1, "first_seq": 1, "last_seq": last },
            "cluster": { "leader": leader, "replicas": [{ "name": "n1", "active": 1_000_000 }, { "name": "n2", "offline": true }] }
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn while_nobody_leads_the_stream_no_answer_is_believed() {
        let (mut doubts, created) = (Doubts::default(), "2026-11-26T22:29:39Z");
        for _ in 0..20 {
            assert_eq!(doubts.after(Ok(told(7, "")), created, 9), None, "a replica that lacks the end");
            tokio::time::advance(EVERY).await;
        }
        for _ in 0..2 {
            assert_eq!(doubts.after(Ok(told(7, "n0")), created, 9), None, "it begins now");
            tokio::time::advance(EVERY).await;
        }
        tokio::time::advance(EVERY).await;
        assert!(doubts.after(Ok(told(7, "n0")), created, 9).is_some_and(|text| text.contains("epoch --renew")));
        assert_eq!(Doubts::default().after(Ok(told(9, "n0")), created, 9), None);
        let later = "2026-11-26T22:30:39Z";
        assert_eq!(Doubts::default().after(Ok(told(9, "")), later, 9), None, "a replica of another stream");
        assert!(Doubts::default().after(Ok(told(9, "n0")), later, 9).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_end_is_believed_when_it_stays() {
        let mut doubts = Doubts::default();
        let back = |seen| Some(Doubt::Back { end: 7, seen });
        assert_eq!(doubts.lasting(back(9)), None);
        tokio::time::advance(STALE_LEADER).await;
        assert_eq!(doubts.lasting(back(9)), None);
        tokio::time::advance(EVERY).await;
        assert_eq!(doubts.lasting(back(10)), None, "this hub has seen more meanwhile: the answer was stale");
        tokio::time::advance(STALE_LEADER + EVERY).await;
        assert!(doubts.lasting(back(10)).is_some_and(|text| text.contains("epoch --renew")));
        assert_eq!(doubts.lasting(None), None);
        assert_eq!(doubts.lasting(back(10)), None, "it begins again");
        assert_eq!(doubts.lasting(Some(Doubt::Gone)), None);
        tokio::time::advance(STALE_LEADER + EVERY).await;
        assert!(doubts.lasting(Some(Doubt::Gone)).is_some());
    }
}
