//! The stream's state, purges and deletions.

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    api::API_WAIT,
    client::{AskError, Nats},
    error::NatsError,
    stream_config::StreamConfig,
};

/// An answer that takes longer raises the question whether the server answers at all: most take 1 ms.
const PROMPT: Duration = Duration::from_millis(100);

/// `err_code` of a deletion at a position that holds no message.
const NO_MESSAGE: u64 = 10_057;

/// A replica that has answered the stream's leader within it has not asked for votes since: it waits for at least 4 s before
/// (`minElectionTimeout` of nats-server 2.15).
pub(super) const LEASE: Duration = Duration::from_secs(3);

/// Longer than an answer of a replica is on its way to the stream's leader, where that answers promptly.
pub(super) const TRANSIT: Duration = Duration::from_millis(500);

/// A server whose answer takes longer may have been stopped, and goes on with what had come before.
const STOPPED: Duration = Duration::from_millis(500);

/// Between two looks at whom the stream's leader has heard. It sends a heartbeat each second.
const LOOK: Duration = Duration::from_millis(100);

/// For a majority of the replicas to be heard by the stream's leader: a heartbeat, [`TRANSIT`], and as much again.
const HEARD: Duration = Duration::from_secs(3);

/// The stream, to the knowledge of the server that has answered. No proof of freshness: a leader that is cut off, or was stopped,
/// answers for some seconds; and while there is none, any replica answers for as long as that takes, however much it lacks
/// (`jsStreamInfoRequest` of nats-server 2.15). [`Nats::end`] proves it.
#[derive(Clone, Debug)]
pub(in crate::engine) struct StreamState {
    /// Position of the oldest message; `last + 1` when there is none.
    pub(in crate::engine) first: u64,
    /// The highest position ever given; 0 when there was none.
    pub(in crate::engine) last: u64,
    /// When the stream was created, as the server writes it.
    pub(in crate::engine) created: String,
    pub(in crate::engine) messages: u64,
    /// On the disk of one replica.
    pub(in crate::engine) bytes: u64,
    /// The name of the server that leads the stream; absent during an election.
    pub(in crate::engine) leader: Option<String>,
    /// The other replicas.
    pub(in crate::engine) replicas: Vec<Replica>,
    pub(in crate::engine) config: StreamConfig,
}

/// A replica that does not lead.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::engine) struct Replica {
    pub(in crate::engine) name: String,
    #[serde(default)]
    pub(in crate::engine) current: bool,
    #[serde(default)]
    pub(in crate::engine) offline: bool,
    /// Messages that it is behind.
    #[serde(default)]
    pub(in crate::engine) lag: u64,
    /// Nanoseconds since the leader has heard of it; 0 when it has not, since it was elected.
    #[serde(default = "never")]
    active: u64,
}

fn never() -> u64 {
    u64::MAX
}

#[derive(Deserialize)]
pub(super) struct StreamInfo {
    config: StreamConfig,
    created: String,
    state: Counts,
    cluster: Option<Cluster>,
}

#[derive(Deserialize)]
struct Counts {
    messages: u64,
    bytes: u64,
    first_seq: u64,
    last_seq: u64,
}

#[derive(Deserialize)]
struct Cluster {
    leader: Option<String>,
    #[serde(default)]
    replicas: Vec<Replica>,
}

impl From<StreamInfo> for StreamState {
    fn from(info: StreamInfo) -> Self {
        let (leader, replicas) = info.cluster.map_or((None, Vec::new()), |cluster| (cluster.leader, cluster.replicas));
        Self {
            first: info.state.first_seq,
            last: info.state.last_seq,
            created: info.created,
            messages: info.state.messages,
            bytes: info.state.bytes,
            leader: leader.filter(|name| !name.is_empty()),
            replicas,
            config: info.config,
        }
    }
}

impl StreamState {
    /// Whether a majority of the replicas, with the leader, has answered the leader just now. Another one may lead by now: one
    /// that this leader has not heard, elected by one that it has.
    pub(in crate::engine) fn is_led(&self) -> bool {
        self.is_led_by_majority(LEASE)
    }

    /// Whether no other replica can lead: each has answered the leader just now, and so has not asked for votes.
    fn is_heard_by_all(&self) -> bool {
        self.leader.is_some() && self.heard_within(LEASE) == self.replicas.len()
    }

    /// Whether a majority of the replicas, with the leader, has answered the leader within `age`.
    fn is_led_by_majority(&self, age: Duration) -> bool {
        self.leader.is_some() && self.heard_within(age) >= self.replicas.len().div_ceil(2)
    }

    /// The other replicas that have answered the leader within `age`. Of one that it has never heard since it was elected the server
    /// tells 0 (`clusterInfo` of nats-server 2.15).
    fn heard_within(&self, age: Duration) -> usize {
        let here = |replica: &&Replica| {
            let Replica { offline, active, .. } = replica;
            !offline && *active > 0 && Duration::from_nanos(*active) < age
        };
        self.replicas.iter().filter(here).count()
    }
}

#[cfg(test)]
impl StreamState {
    /// The state in an answer of the servers.
    pub(in crate::engine) fn told(answer: &serde_json::Value) -> Self {
        serde_json::from_value::<StreamInfo>(answer.clone()).expect("an answer").into()
    }
}

#[derive(Serialize)]
struct PurgeBody<'a> {
    filter: &'a str,
    seq: u64,
}

#[derive(Serialize)]
struct DeleteBody {
    seq: u64,
}

#[derive(Deserialize)]
struct Purged {
    #[serde(default)]
    purged: u64,
}

#[derive(Deserialize)]
struct Deleted {}

#[derive(Serialize)]
pub(super) struct Empty {}

impl Nats {
    /// The stream's state and configuration. Bounded by 5 s.
    pub(in crate::engine) async fn stream(&self) -> Result<StreamState, NatsError> {
        let info: StreamInfo = self.api(&format!("STREAM.INFO.{}", self.stream_name()), &Empty {}).await?;
        Ok(info.into())
    }

    /// The highest position that the stream has given when this is called, or a later one; `None` if the server that answers
    /// may lead the stream no more. Bounded by 5 s.
    pub(in crate::engine) async fn end_if_certain(&self) -> Result<Option<u64>, NatsError> {
        let asked = Instant::now();
        let state = self.stream().await?;
        Ok((state.is_heard_by_all() && asked.elapsed() < STOPPED).then_some(state.last))
    }

    /// The highest position that the stream has given when this is called, or a later one. Takes 1 ms when the stream's leader
    /// hears of all replicas, and 0.5 to 2 s when it hears of a majority. Bounded by 8 s.
    ///
    /// A majority that has answered the leader after this was called had not elected another one before. An answer is taken
    /// for such a one if it comes [`TRANSIT`] later.
    ///
    /// # Errors
    /// Also when the server that answers may lead the stream no more.
    pub(in crate::engine) async fn end(&self) -> Result<u64, NatsError> {
        let begun = Instant::now();
        let mut asked = begun;
        while begun.elapsed() < HEARD {
            let sent = Instant::now();
            let state = self.stream().await?;
            let age = sent.duration_since(asked).saturating_sub(TRANSIT);
            if sent.elapsed() > STOPPED {
                asked = Instant::now();
            } else if state.is_heard_by_all() || state.is_led_by_majority(age) {
                return Ok(state.last);
            } else if !state.is_led() {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(NatsError::NoAnswer(
            "the server that answers for the stream has not heard of a majority of its replicas".into(),
        ))
    }

    /// Purges the messages of `subject`, also with wildcards, below a position, on a quorum. Returns their number.
    /// Bounded by 5 s. Idempotent. [`NatsError::NoAnswer`]: may be carried out.
    ///
    /// # Panics
    /// When `below` is 0: the server would purge all.
    pub(in crate::engine) async fn purge(&self, subject: &str, below: u64) -> Result<u64, NatsError> {
        assert!(below > 0, "a purge below a position");
        let body = PurgeBody { filter: subject, seq: below };
        let purged: Purged = self.api(&format!("STREAM.PURGE.{}", self.stream_name()), &body).await?;
        Ok(purged.purged)
    }

    /// Deletes the message at a position and overwrites its bytes. `false` when there was none. Bounded by 5 s.
    /// Idempotent. [`NatsError::NoAnswer`]: may be carried out.
    pub(in crate::engine) async fn delete(&self, seq: u64) -> Result<bool, NatsError> {
        let answer: Result<Deleted, _> =
            self.api(&format!("STREAM.MSG.DELETE.{}", self.stream_name()), &DeleteBody { seq }).await;
        match answer {
            Ok(Deleted {}) => Ok(true),
            Err(NatsError::Refused { code: NO_MESSAGE | 10_037 | 10_043, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Resolves when the server of the connection has read everything that was sent before. Other servers of the cluster
    /// may learn of a subscription some milliseconds later.
    pub(super) async fn round_trip(&self) -> Result<(), NatsError> {
        self.round_trip_within(API_WAIT).await
    }

    /// Resolves when nothing has come from the server of the connection for `wait` after [`PROMPT`], though it was asked, and not at
    /// all if it answers. Dropping the future ends it.
    pub(in crate::engine) async fn silence(&self, wait: Duration) -> NatsError {
        tokio::time::sleep(PROMPT).await;
        let received = || self.client().statistics().in_bytes.load(Ordering::Relaxed);
        loop {
            let before = received();
            match self.round_trip_within(wait).await {
                Ok(()) => return std::future::pending().await,
                // The answer is behind what is coming.
                Err(_) if received() != before => {}
                Err(_) => return NatsError::Silent,
            }
        }
    }

    async fn round_trip_within(&self, wait: Duration) -> Result<(), NatsError> {
        // Nobody listens there, so the server answers at once, after what was sent before; so does a refusal.
        let nowhere = format!("hub.{}.nowhere.{:016x}", self.prefix(), fastrand::u64(..));
        match self.ask(nowhere, None, Bytes::new(), wait).await {
            Err(error @ AskError::Silence(_)) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What a leader tells of two other replicas, by the nanoseconds since it has heard them.
    fn led(active: [u64; 2]) -> StreamState {
        let replicas: Vec<_> = active.iter().map(|active| json!({ "name": "n", "active": active })).collect();
        StreamState::told(&json!({
            "config": {},
            "created": "2026-11-26T22:29:39Z",
            "state": { "messages": 1, "bytes": 1, "first_seq": 1, "last_seq": 1 },
            "cluster": { "leader": "n0", "replicas": replicas }
        }))
    }

    #[test]
    fn a_leader_is_sure_when_it_has_heard_all_and_leads_when_it_has_heard_a_majority() {
        const NOW: u64 = 1_000_000;
        const LATE: u64 = 3_500_000_000;
        let of = |active| (led(active).is_heard_by_all(), led(active).is_led());
        assert_eq!(of([NOW, NOW]), (true, true));
        assert_eq!(of([NOW, LATE]), (false, true));
        assert_eq!(of([LATE, LATE]), (false, false));
        // Never, since it was elected: as by one link that is cut.
        assert_eq!(of([NOW, 0]), (false, true));
        assert_eq!(of([0, 0]), (false, false));
        assert!(!led([NOW, 0]).is_led_by_majority(Duration::ZERO));
    }
}
