//! What a check can find in a store, with its meaning and what to do. docs/OPERATIONS.md has a row for each kind.

use std::fmt::{self, Display};

use serde::{Serialize, Serializer};

use crate::event::Seq;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is wrong.
    Note,
    /// The system refused to read something, so it is unknown whether it is damaged.
    Unchecked,
    /// Something is damaged or missing.
    Damage,
}

impl Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Unchecked => "not checked",
            Self::Damage => "damage",
        })
    }
}

macro_rules! kinds {
    ($($name:ident $code:literal $severity:ident $meaning:literal $advice:literal)*) => {
        /// A kind of finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum FindingKind {
            $(#[doc = $meaning] $name,)*
        }

        impl FindingKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its stable name.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }

            /// How bad it is.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity),* }
            }

            /// What it means for the hub and its clients.
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
    SegmentDamaged "segment-damaged" Damage
        "its events are lost; the rest of the store works, and readers receive a gap `lost`"
        "check the disk; restore a backup, or start the hub, which moves it to quarantine/"
    SegmentMissing "segment-missing" Damage
        "its events are lost; readers receive a gap `lost`"
        "put the directory back, if it was moved, before the hub is started; else restore a backup, or start the hub without it"
    EventsDamaged "events-damaged" Damage
        "the other events of the segment are readable; readers receive a gap `lost`"
        "check the disk; restore a backup, or start the hub, which skips them"
    NewestMissing "newest-missing" Damage
        "acknowledged events are lost; readers receive a gap `lost`"
        "check the disk and its write cache; restore a backup, or start the hub, which does not use their ids again"
    IndexDamaged "index-damaged" Damage
        "nothing is lost: the next start reads the whole segment instead, and writes the file again"
        "check the disk, then start the hub"
    KeysDamaged "keys-damaged" Damage
        "no event is lost; a retry with one of these Idempotency-Keys would be published again"
        "check the disk; let publishers that retry wait for publish.idempotency_window"
    WatermarkDamaged "watermark-damaged" Damage
        "no event is lost; the next start begins a new epoch, and every client that returns receives a gap `unknown`"
        "start the hub; if you removed the file to restore a backup, this is as it should be"
    WatermarkCut "watermark-cut" Damage
        "nothing is lost: the other slot is used, and the next start writes both; but no crash shortens the file"
        "check the disk, then start the hub"
    ListDamaged "list-damaged" Damage
        "it is unknown whether a segment is missing; the next start makes the list again from those that are there"
        "restore a backup, if a segment may be missing; else start the hub"
    SettingsDamaged "settings-damaged" Damage
        "the topics' own limits, their closed state, what protocols keep with them (the types, lifetimes and forks of \
         streams) and the marks of deleted topics are lost"
        "restore a backup, or start the hub, which moves them to quarantine/, and set limits and closings again"
    SettingsMissing "settings-missing" Damage
        "the disk lost some of the topics' own limits, closings, definitions of streams or marks of deleted topics"
        "restore a backup, or start the hub, and set limits and closings again"
    RemovalsDamaged "removals-damaged" Damage
        "nothing is lost: every segment will be rewritten, so that no byte of a removed event stays"
        "check the disk, then start the hub; it rewrites one segment after the other"
    ClockDamaged "clock-damaged" Damage
        "ages may include a leap of the machine's clock, so that events are trimmed too early"
        "raise retention.max_age before the next start, if the machine's clock has leapt; else start the hub"
    FormatDamaged "format-damaged" Damage
        "the hub takes the directory for another program's and does not start"
        "write the file again: printf 'gapless store\\nformat 3\\n' > format"
    FormatMissing "format-missing" Damage
        "nothing is lost, but the hub does not start"
        "write the file again: printf 'gapless store\\nformat 3\\n' > format; after a restore or copy that was cut short, make it again"
    Unreadable "unreadable" Unchecked
        "it is unknown whether it is damaged, and the hub does not start as long as the system refuses it"
        "fix the cause (permissions, the limit on open files, the disk itself) and check again"
    KnownLoss "known-loss" Note
        "the hub recorded this loss earlier; readers receive a gap `lost`"
        "nothing; a backup from before has these events"
    NotClosed "not-closed" Note
        "the last hub was killed or crashed; every acknowledged event is there"
        "nothing; the next start reads a little more than after an orderly stop"
    CommitIncomplete "commit-incomplete" Note
        "a crash cut a commit short before it was acknowledged"
        "nothing; the next start rolls it back"
    WatermarkSlot "watermark-slot" Note
        "one of its two slots does not match its checksum: a power failure during a write does that, or the disk; the other \
         one is used, and nothing is lost"
        "nothing; the next start writes it again"
    Leftover "leftover" Note
        "a crash left it; it holds no event that is not elsewhere"
        "nothing; the next start removes it"
    Unscrubbed "unscrubbed" Note
        "its files still hold bytes of removed events"
        "nothing; the hub rewrites it within a minute of the next start"
    Quarantined "quarantined" Note
        "an earlier start moved damaged files there; the hub never reads them"
        "delete it when it is not needed any more"
    UnknownFile "unknown-file" Note
        "it does not belong to the store; the hub leaves it alone"
        "move it away, if it is not yours to keep there"
    OlderFormat "older-format" Note
        "an older gapless wrote the store"
        "nothing; the next start brings it to the new format"
}

impl Serialize for FindingKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// Something that a check found.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What kind of finding it is.
    pub kind: FindingKind,
    /// The file or directory, relative to the store's.
    pub place: String,
    /// What was found there, in words.
    pub what: String,
    /// Ranges of positions whose events are lost, both ends included: the first 20.
    pub lost: Vec<(Seq, Seq)>,
    /// How many more ranges there are.
    pub more: usize,
}

/// Most ranges in a finding, so that a report stays readable.
pub(super) const MAX_RANGES: usize = 20;

impl Finding {
    pub(super) fn new(kind: FindingKind, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { kind, place: place.into(), what: what.into(), lost: Vec::new(), more: 0 }
    }

    /// The same with lost ranges, sorted and disjoint.
    pub(super) fn losing(mut self, ranges: &[(Seq, Seq)]) -> Self {
        self.lost = ranges.iter().take(MAX_RANGES).copied().collect();
        self.more = ranges.len() - self.lost.len();
        self
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, place, what, lost, more } = self;
        write!(f, "{place}: {what}")?;
        for (index, (first, last)) in lost.iter().enumerate() {
            f.write_str(if index == 0 { "; ids: " } else { ", " })?;
            if first == last { write!(f, "{}", first.0) } else { write!(f, "{} to {}", first.0, last.0) }?;
        }
        if *more > 0 {
            write!(f, " and {more} more ranges")?;
        }
        write!(f, "\n  meaning  {}\n  to do    {}", kind.meaning(), kind.advice())
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct FindingJson<'a> {
            severity: Severity,
            kind: FindingKind,
            place: &'a str,
            what: &'a str,
            lost: Vec<[u64; 2]>,
            more_ranges: usize,
            meaning: &'a str,
            to_do: &'a str,
        }
        let Self { kind, place, what, lost, more } = self;
        let json = FindingJson {
            severity: kind.severity(),
            kind: *kind,
            place,
            what,
            lost: lost.iter().map(|(first, last)| [first.0, last.0]).collect(),
            more_ranges: *more,
            meaning: kind.meaning(),
            to_do: kind.advice(),
        };
        json.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sled::keys::FORMAT;

    #[test]
    fn what_is_to_be_written_again_is_the_present_format() {
        for kind in [FindingKind::FormatDamaged, FindingKind::FormatMissing] {
            assert!(kind.advice().contains(&format!("\\nformat {FORMAT}\\n'")), "{}", kind.advice());
        }
    }
}
