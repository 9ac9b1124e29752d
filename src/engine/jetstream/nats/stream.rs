//! The stream's state, purges and deletions.

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

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

/// How long ago a replica may have answered the stream's leader so that it has hardly voted for another one since: a replica waits
/// for at least 4 s before it asks for votes (`minElectionTimeout` of nats-server 2.15).
pub(super) const LEASE: Duration = Duration::from_secs(3);

/// The stream, to the knowledge of the server that has answered. No proof of freshness, but for [`StreamState::is_led`]: a leader that
/// is cut off, or was stopped, answers for some seconds; and while there is none, any replica answers for as long as that takes, however
/// much it lacks (`jsStreamInfoRequest` of nats-server 2.15).
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
    /// Nanoseconds since the leader has heard of it.
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
    /// Whether a majority of the replicas, with the leader, has answered the leader just now.
    pub(in crate::engine) fn is_led(&self) -> bool {
        let here = |replica: &&Replica| !replica.offline && Duration::from_nanos(replica.active) < LEASE;
        let others = self.replicas.len();
        self.leader.is_some() && self.replicas.iter().filter(here).count() >= others.div_ceil(2)
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

    /// The highest position that the stream has given when this is called, or a later one. It is an earlier one only if its server was
    /// cut off from one that was elected just now, and not from another that has voted for that one, which it notices within a second.
    /// Bounded by 5 s.
    ///
    /// # Errors
    /// Also when the server that answers may lead the stream no more.
    pub(in crate::engine) async fn end(&self) -> Result<u64, NatsError> {
        let state = self.stream().await?;
        if state.is_led() {
            return Ok(state.last);
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
