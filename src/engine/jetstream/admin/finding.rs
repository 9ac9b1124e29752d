//! What a check can find in a cluster and its stream, with its meaning and what to do. docs/JETSTREAM.md has a row for
//! each kind.

use std::fmt::{self, Display};

use serde::{Serialize, Serializer};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamFindingRank {
    /// Nothing is wrong.
    Note,
    /// It could not be seen, so it is unknown whether the promise holds.
    Unchecked,
    /// The promise does not hold, or the hub would not work.
    Wrong,
}

impl Display for StreamFindingRank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Unchecked => "not checked",
            Self::Wrong => "wrong",
        })
    }
}

macro_rules! kinds {
    ($($name:ident $code:literal $rank:ident $meaning:literal $advice:literal)*) => {
        /// A kind of finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum StreamFindingKind {
            $(#[doc = $meaning] $name,)*
        }

        impl StreamFindingKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its stable name.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }

            /// How bad it is.
            #[must_use]
            pub fn rank(self) -> StreamFindingRank {
                match self { $(Self::$name => StreamFindingRank::$rank),* }
            }

            /// Why it matters.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning),* }
            }

            /// What to do.
            #[must_use]
            pub fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice),* }
            }
        }
    };
}

kinds! {
    NoStream "no-stream" Wrong
        "the stream is the log; no hub starts without it"
        "run `gapless jetstream init`"
    Foreign "foreign" Wrong
        "the stream belongs to something else, and the hub would mix its events with it"
        "name another stream and another prefix with nats.stream and nats.prefix, and run `gapless jetstream init`"
    Replicas "replicas" Wrong
        "with fewer than three replicas one lost disk is a lost log, and with one replica a publish costs a write of its own"
        "run `gapless jetstream init --replicas 3` on a cluster of at least three servers"
    Storage "storage" Wrong
        "the events are in memory: a power failure of all servers loses every acknowledged event"
        "make another stream: storage cannot be changed; see `nats.stream`"
    Persistence "persistence" Wrong
        "the servers acknowledge before an event is on a disk"
        "make another stream: persist_mode cannot be changed; see `nats.stream`"
    Retention "retention" Wrong
        "the servers remove an event when a consumer has read it, and nobody receives a gap"
        "make another stream: retention cannot be changed; see `nats.stream`"
    Discard "discard" Wrong
        "a full stream removes the oldest messages in silence, records of the hub included, instead of refusing new ones"
        "run `gapless jetstream init`"
    SilentTrim "silent-trim" Wrong
        "the servers remove messages in silence: events are lost and nobody receives a gap; records of the hub go too"
        "run `gapless jetstream init`, and set the limit in the hub instead (retention.*), which reports gaps"
    Feature "feature" Wrong
        "the hub writes by atomic batches, reads by direct gets and keeps its records by rollups and message TTLs"
        "run `gapless jetstream init`"
    Republish "republish" Wrong
        "a hub hears new events by republished messages; without them it polls, and is late"
        "run `gapless jetstream init`"
    Denied "denied" Wrong
        "retention, deletion and removal of events cannot work: the stream forbids purges or deletions, or takes nothing at all"
        "make another stream: these cannot be undone; see `nats.stream`"
    DuplicateWindow "duplicate-window" Note
        "the servers keep each Nats-Msg-Id for this time, and the hub uses none"
        "nothing; `gapless jetstream init` shortens it"
    EpochMissing "epoch-missing" Wrong
        "without its epoch an id of an event means nothing; no hub starts"
        "run `gapless jetstream init`"
    EpochOther "epoch-other" Wrong
        "the stream was restored or made again since its epoch was recorded: positions may be given a second time, and a client \
         that returns would miss events without being told"
        "stop the hubs, run `gapless jetstream epoch --renew`, start them; clients receive a gap `unknown`"
    EpochUnreadable "epoch-unreadable" Wrong
        "a newer gapless has written the record, or something else has"
        "update gapless here, or name another stream"
    Split "split" Wrong
        "replicas hold different events at the same position, lastingly: a client's events depend on the server that answers; \
         an unsynced disk or restored files of one server do that"
        "find the server whose content is wrong, remove its stream data and let it copy the stream again; \
         docs/JETSTREAM.md, \"A split\""
    Uneven "uneven" Unchecked
        "some replicas lack messages that others have; they may be catching up, or the servers may be busy"
        "check again in a minute; if it stays, treat it as a split"
    ReplicaAway "replica-away" Unchecked
        "the log has fewer copies than it should: one more failure stops publishing, or loses events with a disk"
        "start the server, or see its log; check again when it has caught up"
    NoLeader "no-leader" Unchecked
        "publishes wait until the servers have elected a leader, which takes 5 to 10 s while a majority of them runs"
        "check again; if it stays, start enough servers for a majority"
    ServerAway "server-away" Unchecked
        "its version and its limits are unknown, and a hub that starts with this address alone would wait"
        "start the server, or correct nats.servers"
    Version "version" Wrong
        "before 2.15 atomic batches and the syncing of writes differ from what the hub was made for and tested with"
        "update nats-server to 2.15 or newer, one server after the other"
    MaxPayload "max-payload" Wrong
        "an event of publish.event_bytes with its headers is refused by this server"
        "raise max_payload of the server, or lower publish.event_bytes; the event needs 64 KiB more than its data"
    Unsynced "unsynced" Wrong
        "an acknowledged event is not on this server's disk: a power failure loses it, and one server that loses its end may \
         leave the replicas with different events for ever"
        "set `sync_interval: always` in the server's jetstream block, and restart it"
    SyncUnknown "sync-unknown" Unchecked
        "whether an acknowledged event is on a disk depends on the servers' sync_interval, which only their monitoring port \
         tells: with the default, 2 minutes, a power failure loses events and may split the replicas for ever"
        "name the monitoring ports with nats.monitor, or see that each server has `sync_interval: always`"
    BatchLimit "batch-limit" Wrong
        "a batch of nats.max_batch messages is refused by this server"
        "lower nats.max_batch, or raise jetstream.limits.batch.max_msgs of the server"
    MonitorAway "monitor-away" Unchecked
        "the server's sync_interval and its limits are unknown"
        "correct nats.monitor, or open the monitoring port (`http: 10.0.0.1:8222`) to this machine"
    Login "login" Wrong
        "the servers refuse this login, and so no hub works with it"
        "correct nats.credentials_file, nats.nkey_file, nats.user or nats.token_file, or the servers' authorization"
    Permission "permission" Wrong
        "a hub with this login lacks a permission that it needs"
        "give the user what `gapless jetstream init --permissions` prints"
    Unreachable "unreachable" Unchecked
        "no server answers, so nothing could be checked"
        "start the servers, or correct nats.servers; a hub waits for them"
}

impl Serialize for StreamFindingKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// Something that a check found.
#[derive(Debug, Clone)]
pub struct StreamFinding {
    /// What kind of finding it is.
    pub kind: StreamFindingKind,
    /// The stream, a server or a monitoring port.
    pub place: String,
    /// What was found there, in words.
    pub what: String,
}

impl StreamFinding {
    pub(super) fn new(kind: StreamFindingKind, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { kind, place: place.into(), what: what.into() }
    }
}

impl Display for StreamFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, place, what } = self;
        write!(f, "{place}: {what}\n  why      {}\n  to do    {}", kind.meaning(), kind.advice())
    }
}

impl Serialize for StreamFinding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Json<'a> {
            severity: StreamFindingRank,
            kind: StreamFindingKind,
            place: &'a str,
            what: &'a str,
            meaning: &'a str,
            to_do: &'a str,
        }
        let Self { kind, place, what } = self;
        let (severity, meaning, to_do) = (kind.rank(), kind.meaning(), kind.advice());
        Json { severity, kind: *kind, place, what, meaning, to_do }.serialize(serializer)
    }
}
