//! The result of a check.

use std::fmt::{self, Display};
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::finding::{Finding, Severity};
use crate::event::byte_size;

/// What a store holds, and what is wrong with it. `Display` is text for an operator; serialized, it is the object that
/// docs/OPERATIONS.md describes.
#[derive(Debug, Clone, Serialize)]
pub struct StoreReport {
    /// The worst of the findings.
    pub verdict: StoreVerdict,
    /// The store's directory.
    pub dir: PathBuf,
    /// The version of its layout; `None` when the file `format` does not tell it.
    pub format: Option<u64>,
    /// Its incarnation; `None` when the watermark is damaged or missing.
    pub epoch: Option<String>,
    /// Whether the last hub closed it in order; `None` as above.
    pub clean: Option<bool>,
    /// Position of the newest event found; 0 when there is none.
    pub newest: u64,
    /// Segments that could be read.
    pub segments: usize,
    /// Topics with events in these segments.
    pub topics: usize,
    /// Events in these segments, also trimmed ones whose space is not yet reclaimed.
    pub events: u64,
    /// Bytes of data of these events.
    pub bytes: u64,
    /// Bytes that the directory takes on the disk, quarantine included.
    pub disk_bytes: u64,
    /// Damaged parts that hubs have recorded since the store was created.
    pub losses: u64,
    /// What was found: damage first.
    pub findings: Vec<Finding>,
}

/// The result of a check in a word, from the worst finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreVerdict(Severity);

/// The exit code of a check that could not read all of a store.
pub const EXIT_UNCHECKED: u8 = 3;

impl StoreVerdict {
    pub(super) fn of(findings: &[Finding]) -> Self {
        Self(findings.iter().map(|finding| finding.kind.severity()).max().unwrap_or(Severity::Note))
    }

    /// The exit code of a command: 0 sound, 3 not all could be checked, 1 damaged.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self.0 {
            Severity::Note => 0,
            Severity::Unchecked => EXIT_UNCHECKED,
            Severity::Damage => 1,
        }
    }
}

impl Display for StoreVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Severity::Note => "sound",
            Severity::Unchecked => "not all could be checked",
            Severity::Damage => "damaged",
        })
    }
}

impl Serialize for StoreVerdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self.0 {
            Severity::Note => "sound",
            Severity::Unchecked => "unchecked",
            Severity::Damage => "damaged",
        })
    }
}

impl Display for StoreReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dir, format, epoch, clean, newest, segments, topics, events, bytes, disk_bytes, losses, .. } = self;
        writeln!(f, "{}: {}\n", dir.display(), self.verdict)?;
        let unknown = "unknown";
        let mut row = |name: &str, value: &dyn Display| writeln!(f, "  {name:<12}{value}");
        match format {
            Some(format) => row("format", format)?,
            None => row("format", &unknown)?,
        }
        row("epoch", &epoch.as_deref().unwrap_or(unknown))?;
        row("closed", &clean.map_or(unknown, |clean| if clean { "in order" } else { "by a crash or a kill" }))?;
        row("newest id", &format_args!("{}-{newest}", epoch.as_deref().unwrap_or("?")))?;
        row("segments", segments)?;
        row("topics", topics)?;
        row("events", &format_args!("{events}, {} of data", byte_size::spell(*bytes)))?;
        row("disk", &byte_size::spell(*disk_bytes))?;
        if *losses > 0 {
            row("losses", &format_args!("{losses} recorded since the store was created"))?;
        }
        for finding in &self.findings {
            writeln!(f, "\n{} {}: {finding}", finding.kind.severity(), finding.kind.code())?;
        }
        if self.verdict != StoreVerdict(Severity::Note) {
            writeln!(f, "\ndocs/OPERATIONS.md explains each finding: \"Checking a store\", and \"Damage\"")?;
        }
        Ok(())
    }
}
