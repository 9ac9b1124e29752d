//! The result of a check.

use std::fmt::{self, Display};

use serde::{Serialize, Serializer};

use super::finding::{StreamFinding, StreamFindingRank};

/// What the cluster and its stream are, and what is wrong with them. `Display` is text for an operator; serialized, it is
/// the object that docs/JETSTREAM.md describes.
#[derive(Debug, Clone, Serialize)]
pub struct StreamReport {
    /// The worst of the findings.
    pub verdict: StreamVerdict,
    /// The stream's name.
    pub stream: String,
    /// The first token of its subjects.
    pub prefix: String,
    /// Facts of the stream; `None` when there is none, or when no server answered.
    pub facts: Option<StreamFacts>,
    /// The servers that answered.
    pub servers: Vec<CheckedServer>,
    /// What was found: the worst first.
    pub findings: Vec<StreamFinding>,
}

/// Facts of a stream.
#[derive(Debug, Clone, Serialize)]
pub struct StreamFacts {
    /// The epoch of its ids; `None` when there is no record.
    pub epoch: Option<String>,
    /// When it was created, as the servers tell it.
    pub created: String,
    /// Position of the oldest message.
    pub first: u64,
    /// Position of the newest message.
    pub last: u64,
    /// Messages in it, records of the hub included.
    pub messages: u64,
    /// Bytes on the disk of one replica.
    pub bytes: u64,
    /// Replicas that it should have.
    pub replicas: u8,
    /// The server that leads it; `None` during an election.
    pub leader: Option<String>,
    /// The newest messages that every replica was asked for.
    pub compared: usize,
}

/// A server, as it introduced itself.
#[derive(Debug, Clone, Serialize)]
pub struct CheckedServer {
    /// Its URL in the configuration.
    pub url: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its largest message in bytes.
    pub max_payload: usize,
}

/// The result of a check in a word, from the worst finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamVerdict(pub(super) StreamFindingRank);

impl StreamVerdict {
    pub(super) fn of(findings: &[StreamFinding]) -> Self {
        Self(findings.iter().map(|finding| finding.kind.rank()).max().unwrap_or(StreamFindingRank::Note))
    }

    /// The exit code of a command: 0 sound, 3 not all could be checked, 1 wrong.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self.0 {
            StreamFindingRank::Note => 0,
            StreamFindingRank::Unchecked => 3,
            StreamFindingRank::Wrong => 1,
        }
    }
}

impl Display for StreamVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            StreamFindingRank::Note => "sound",
            StreamFindingRank::Unchecked => "not all could be checked",
            StreamFindingRank::Wrong => "wrong",
        })
    }
}

impl Serialize for StreamVerdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self.0 {
            StreamFindingRank::Note => "sound",
            StreamFindingRank::Unchecked => "unchecked",
            StreamFindingRank::Wrong => "wrong",
        })
    }
}

impl Display for StreamReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verdict, stream, prefix, facts, servers, findings } = self;
        writeln!(f, "stream {stream}: {verdict}\n")?;
        let mut row = |name: &str, value: &dyn Display| writeln!(f, "  {name:<12}{value}");
        row("subjects", &format_args!("{prefix}.>"))?;
        if let Some(facts) = facts {
            let epoch = facts.epoch.as_deref().unwrap_or("unknown");
            row("epoch", &epoch)?;
            row("created", &facts.created)?;
            row("newest id", &format_args!("{epoch}-{}", facts.last))?;
            row("messages", &format_args!("{}, from position {}", facts.messages, facts.first))?;
            row("disk", &format_args!("{} on each replica", crate::event::byte_size::spell(facts.bytes)))?;
            row("replicas", &facts.replicas)?;
            row("leader", &facts.leader.as_deref().unwrap_or("none now"))?;
            row("compared", &format_args!("the newest {} messages on every replica", facts.compared))?;
        }
        for server in servers {
            row("server", &format_args!("{} ({}), nats-server {}", server.url, server.name, server.version))?;
        }
        for finding in findings {
            writeln!(f, "\n{} {}: {finding}", finding.kind.rank(), finding.kind.code())?;
        }
        if verdict.0 != StreamFindingRank::Note {
            writeln!(f, "\ndocs/JETSTREAM.md explains each finding: \"Checking\"")?;
        }
        Ok(())
    }
}
