//! All that the promise rests on, as findings.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    differences::differences,
    epoch,
    finding::{StreamFinding, StreamFindingKind as Kind},
    monitor::{self, MonitorPage},
    patiently,
    replicas::{self, Comparison},
    report::{CheckedServer, StreamFacts, StreamReport, StreamVerdict},
};
use crate::engine::jetstream::{
    continuity,
    nats::{Nats, NatsConfig, NatsError, StreamSettings, StreamState},
    wire::EpochRecord,
};

/// What is expected of the servers, and what is known of them already.
#[derive(Debug, Clone)]
pub struct CheckWishes {
    /// Largest data of an event in bytes.
    pub event_bytes: usize,
    /// Most messages of an atomic batch.
    pub max_batch: u64,
    /// The pages of the monitoring ports; empty when none is known.
    pub monitor: Vec<MonitorPage>,
}

/// An election takes up to 10 s.
const ELECTION: Duration = Duration::from_secs(12);

/// Replicas below which one lost disk is a lost log.
const FEWEST_REPLICAS: u8 = 3;

/// The version from which on the servers do what the hub relies on.
const MIN_VERSION: [u64; 2] = [2, 15];

/// Headers of an event, the subject, and what the server adds, beside the data.
const HEADER_BYTES: usize = 64 << 10;

/// Checks the servers, the stream and its replicas. Changes nothing.
pub async fn check(config: &NatsConfig, wishes: &CheckWishes) -> StreamReport {
    let mut findings = Vec::new();
    let (servers, nats) = reach(config, wishes, &mut findings).await;
    let seen = monitor::read(&wishes.monitor, wishes.max_batch, &mut findings);
    let mut facts = None;
    if let Some(nats) = nats {
        let deadline = Instant::now() + ELECTION;
        match patiently(deadline, || nats.stream()).await {
            Ok(state) => facts = Some(check_stream(&nats, config, &state, &seen, &mut findings).await),
            Err(NatsError::NoAnswer(text)) => findings.push(StreamFinding::new(Kind::NoLeader, &*config.stream, text)),
            Err(error) => findings.push(failure(&error, &config.stream)),
        }
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.kind.rank()));
    StreamReport {
        verdict: StreamVerdict::of(&findings),
        stream: config.stream.to_string(),
        prefix: config.prefix.to_string(),
        facts,
        servers,
        findings,
    }
}

fn failure(error: &NatsError, place: &str) -> StreamFinding {
    let kind = match error {
        NatsError::NoStream => Kind::NoStream,
        NatsError::Login(_) => Kind::Login,
        NatsError::Denied(_) => Kind::Permission,
        _ => Kind::Unreachable,
    };
    StreamFinding::new(kind, place, error.to_string())
}

/// Connects to each configured server. Returns what they are, and one of the connections.
async fn reach(
    config: &NatsConfig,
    wishes: &CheckWishes,
    findings: &mut Vec<StreamFinding>,
) -> (Vec<CheckedServer>, Option<Nats>) {
    let (mut servers, mut connection) = (Vec::new(), None);
    let mut failures = Vec::new();
    for url in &config.servers {
        match Nats::connect(&NatsConfig { servers: vec![url.clone()], ..config.clone() }).await {
            Ok(nats) => {
                let facts = nats.server();
                if !is_new_enough(&facts.version) {
                    let what = format!("{} is nats-server {}", facts.name, facts.version);
                    findings.push(StreamFinding::new(Kind::Version, url, what));
                }
                let needed = wishes.event_bytes + HEADER_BYTES;
                if facts.max_payload < needed {
                    let what =
                        format!("{} takes messages of {} bytes, {needed} are needed", facts.name, facts.max_payload);
                    findings.push(StreamFinding::new(Kind::MaxPayload, url, what));
                }
                let (name, version, max_payload) = (facts.name, facts.version, facts.max_payload);
                servers.push(CheckedServer { url: url.clone(), name, version, max_payload });
                connection.get_or_insert(nats);
            }
            Err(error) => failures.push((url, error)),
        }
    }
    for (url, error) in failures {
        let mut finding = failure(&error, url);
        if finding.kind == Kind::Unreachable && connection.is_some() {
            finding.kind = Kind::ServerAway;
        }
        findings.push(finding);
    }
    (servers, connection)
}

/// Whether a version, as `2.15.1` or `2.16.0-beta.1`, is at least [`MIN_VERSION`].
fn is_new_enough(version: &str) -> bool {
    let mut parts = version.split(['.', '-']).map(|part| part.parse::<u64>().unwrap_or(0));
    let of = [parts.next().unwrap_or(0), parts.next().unwrap_or(0)];
    of >= MIN_VERSION
}

async fn check_stream(
    nats: &Nats,
    config: &NatsConfig,
    state: &StreamState,
    seen: &[String],
    findings: &mut Vec<StreamFinding>,
) -> StreamFacts {
    let stream = &*config.stream;
    let mut found = |kind, what: String| findings.push(StreamFinding::new(kind, stream, what));
    let max_bytes = u64::try_from(state.config.max_bytes).ok().filter(|bytes| *bytes > 0);
    let settings = StreamSettings { replicas: FEWEST_REPLICAS, max_bytes };
    for difference in differences(&state.config, &nats.wanted_config(&settings)) {
        found(difference.kind, difference.to_string());
    }
    match &state.leader {
        None => found(Kind::NoLeader, "no server leads it now".into()),
        Some(leader) => check_members(leader, state, seen, &mut found),
    }
    let epoch = match epoch::recorded(nats, &config.prefix).await {
        Ok(Some(Ok(record))) => {
            if let Some(what) = other_stream(&record, &state.created) {
                found(Kind::EpochOther, what);
            }
            Some(record.epoch.as_str().to_owned())
        }
        Ok(Some(Err(error))) => {
            found(Kind::EpochUnreadable, error.to_string());
            None
        }
        Ok(None) => {
            found(Kind::EpochMissing, "it has no record of its epoch".into());
            None
        }
        Err(error) => {
            findings.push(failure(&error, stream));
            None
        }
    };
    let compared = compare_replicas(nats, config, state, findings).await;
    StreamFacts {
        epoch,
        created: state.created.clone(),
        first: state.first,
        last: state.last,
        messages: state.messages,
        bytes: state.bytes,
        replicas: state.config.num_replicas,
        leader: state.leader.clone(),
        compared,
    }
}

/// What to tell when the epoch was recorded for another stream than this one, which was created at `created`.
fn other_stream(record: &EpochRecord, created: &str) -> Option<String> {
    let is_other = !continuity::is_same(&record.created, created);
    is_other.then(|| format!("recorded for a stream created {}, this one was created {created}", record.created))
}

/// The servers that hold a replica: whether they are there, and whether their sync_interval was seen.
fn check_members(leader: &str, state: &StreamState, seen: &[String], found: &mut impl FnMut(Kind, String)) {
    for replica in &state.replicas {
        if replica.offline || !replica.current {
            let how = if replica.offline { "is away" } else { "is not up to date" };
            found(Kind::ReplicaAway, format!("the replica on {} {how}, {} messages behind", replica.name, replica.lag));
        }
    }
    let members = std::iter::once(leader).chain(state.replicas.iter().map(|replica| &*replica.name));
    let unseen: Vec<&str> = members.filter(|name| !seen.iter().any(|seen| seen == name)).collect();
    if !unseen.is_empty() {
        found(Kind::SyncUnknown, format!("the sync_interval of {} was not seen", unseen.join(", ")));
    }
}

/// Returns how many messages were compared and are the same on all replicas.
async fn compare_replicas(
    nats: &Nats,
    config: &NatsConfig,
    state: &StreamState,
    findings: &mut Vec<StreamFinding>,
) -> usize {
    let filter = format!("{}.>", config.prefix);
    let mut found = |kind, what: String| findings.push(StreamFinding::new(kind, &*config.stream, what));
    match replicas::compare(nats, &filter, state.first, state.last).await {
        Comparison::Same(count) => return count,
        Comparison::Split { first, count } => {
            found(Kind::Split, format!("{count} of the newest positions, from {first} on, hold different messages"));
        }
        Comparison::Uneven { first, count } => {
            found(Kind::Uneven, format!("{count} of the newest positions, from {first} on, are not on every replica"));
        }
        Comparison::Silent(error) => found(Kind::Uneven, format!("the newest messages could not be read: {error}")),
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Epoch;

    #[test]
    fn an_epoch_is_of_another_stream_only_if_the_time_of_creation_is_another_one_by_seconds() {
        let record = EpochRecord { epoch: Epoch::from_random(7), created: "2026-11-26T22:29:39.372561Z".into() };
        // As the servers tell it after a restore and a restart.
        assert_eq!(other_stream(&record, "2026-11-26T22:29:39.184Z"), None);
        let told = other_stream(&record, "2026-11-26T22:31:00Z").expect("another stream");
        assert!(told.contains(&*record.created) && told.contains("2026-11-26T22:31:00Z"), "{told}");
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (version, want) in [("2.15.0", true), ("2.15.0-dev", true), ("2.100.1", true), ("3.0.0", true)] {
            assert_eq!(is_new_enough(version), want, "{version}");
        }
        for version in ["2.14.9", "2.2.0", "1.99.0", "", "x"] {
            assert!(!is_new_enough(version), "{version}");
        }
    }
}
