//! A check of a store that no hub has open: what it holds, what is damaged, and what to do. It changes nothing in the
//! store's directory.
//!
//! It reads files of our own where they are. sled writes into every database that it opens (it fills its log file, and
//! makes snapshots), so a database is copied, and the copy is opened: one at a time, so that the copies take the size of
//! the largest segment at most. The copy is read by the code with which a start recovers a segment, so that both come to
//! the same result.
//!
//! The store's lock is tried and released at once, before and after the check. To hold it would keep a hub from
//! starting; and a hub that has started meanwhile has rewritten the watermark, so that it is noticed.
//!
//! | module | purpose |
//! |---|---|
//! | this file | the order of a check; the files of the store's own directory |
//! | `segments` | the segments |
//! | `scratch` | copies of databases |
//! | `finding` | what can be found, with its meaning and what to do |
//! | `report` | the result |

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::disk::{self, io_error};
use super::keys::{FORMAT, LIST_FORMAT};
use super::manifest::{self, Manifest, ManifestRead};
use super::meta::Meta;
use super::open_error::OpenError;
use super::removals::{self, RemovalsRead};
use super::restore::RestoreState;
use super::segment;
use super::watermark::{RESERVE_IDS, Watermark, WatermarkRead, WatermarkState};
use super::{clock, database::DatabaseError};
use crate::event::{Seq, byte_size};
use crate::progress::WorkProgress;

mod finding;
mod report;
mod scratch;
mod segments;

pub use finding::{Finding, FindingKind, Severity};
pub use report::{EXIT_UNCHECKED, StoreReport, StoreVerdict};

use finding::FindingKind as Kind;
use scratch::{CheckCopyError, CopyScratch};
use segments::{SegmentCheck, SegmentsFound};

/// Why a store could not be checked. Damage is not among the reasons: it is in the report.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A hub has the store open, or had it open during the check.
    #[error(
        "a hub is using the store {}: its files change together, so they cannot be read from outside; stop the hub, or \
         check a backup. Of a running hub, store.losses in the stats counts damage",
        dir.display()
    )]
    InUse {
        /// The store's directory.
        dir: PathBuf,
    },
    /// The directory is not a store, or one of a newer gapless.
    #[error("{0}")]
    NotChecked(String),
    /// There is no room for the copy of a database.
    #[error("cannot copy a database in order to read it: {0}; name another place with --scratch DIR")]
    Scratch(String),
}

impl CheckError {
    /// The exit code of a command: 75 (`EX_TEMPFAIL`) when the store is in use, else 3.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::InUse { .. } => 75,
            Self::NotChecked(_) | Self::Scratch(_) => EXIT_UNCHECKED,
        }
    }
}

/// Names in a store's directory.
const KNOWN: [&str; 11] =
    ["lock", "format", "watermark", "segments", "clock", "meta", "seg", "removals", "restores", "quarantine", "acme"];

/// Most bytes that a check of the store in `dir` takes in its scratch directory at a time.
#[must_use]
pub fn check_scratch_bytes(dir: &Path) -> u64 {
    scratch::largest_copy(dir)
}

/// Checks the store in `dir`. Reads all of it, and writes only in `scratch`, an empty directory elsewhere. Counts bytes
/// in `progress`. Blocks.
///
/// # Errors
/// When a hub uses the store, it is none, or no copy can be made in `scratch`.
pub fn check(dir: &Path, scratch: &Path, progress: &WorkProgress) -> Result<StoreReport, CheckError> {
    let mut findings = Vec::new();
    let format = format(dir, &mut findings)?;
    let guard = UnusedStore::look(dir)?;
    let bytes = [dir.join("seg"), dir.join("meta")].iter().map(|dir| scratch::apparent_bytes(dir)).sum();
    progress.begin("reading the store", bytes);
    let mut check = StoreCheck { root: dir, findings };
    let (state, allocated) = check.watermark(format)?;
    let listed = check.list(format)?;
    check.removals();
    check.clock();
    check.other_files()?;
    check.meta(&CopyScratch { dir: scratch, progress }, state.as_ref())?;
    let segments = SegmentCheck {
        root: dir,
        scratch: CopyScratch { dir: scratch, progress },
        state: state.as_ref(),
        allocated,
        findings: &mut check.findings,
    };
    let found = segments.run(&listed).map_err(CheckError::Scratch)?;
    guard.still(dir)?;
    Ok(check.report(format, state, &found))
}

/// The version of the store's layout; `None` when the file does not tell it.
fn format(dir: &Path, findings: &mut Vec<Finding>) -> Result<Option<u64>, CheckError> {
    let not_checked = |problem: String| CheckError::NotChecked(problem);
    let listed = fs::read_dir(dir).map_err(|error| not_checked(format!("cannot read {}: {error}", dir.display())))?;
    drop(listed);
    if RestoreState::of(dir) == RestoreState::Unfinished {
        return Err(not_checked(OpenError::Unrestored { dir: dir.into() }.to_string()));
    }
    let is_store = || {
        let watermark = Watermark::open_read_only(&dir.join("watermark"));
        matches!(watermark, Ok(WatermarkRead::Intact(_) | WatermarkRead::OneSlot(_)))
            || matches!(Manifest::new(dir).read(), Ok(ManifestRead::Intact(_)))
    };
    match disk::check_format(dir) {
        Ok(Some(format)) => Ok(Some(format)),
        Ok(None) if is_store() => {
            findings.push(Finding::new(Kind::FormatMissing, "format", "the file is missing"));
            Ok(None)
        }
        Err(OpenError::NotAStore { .. }) if is_store() => {
            findings.push(Finding::new(Kind::FormatDamaged, "format", "it is not a format file of gapless"));
            Ok(None)
        }
        Ok(None) => Err(not_checked(format!("{} is not a store of gapless: it has no file `format`", dir.display()))),
        Err(error) => Err(not_checked(error.to_string())),
    }
}

/// That no hub has the store open, as seen at the beginning of a check.
struct UnusedStore {
    /// The watermark's bytes. Every hub that opens the store changes them.
    watermark: Option<Vec<u8>>,
}

impl UnusedStore {
    fn look(dir: &Path) -> Result<Self, CheckError> {
        let path = dir.join("lock");
        let refused = |error: io::Error| CheckError::NotChecked(format!("cannot use {}: {error}", path.display()));
        match File::open(&path) {
            // A shared lock needs no right to write, and is released with the file.
            Ok(file) => match file.try_lock_shared() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(CheckError::InUse { dir: dir.into() }),
                Err(TryLockError::Error(error)) => return Err(refused(error)),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(refused(error)),
        }
        Ok(Self { watermark: fs::read(dir.join("watermark")).ok() })
    }

    /// Fails when a hub has opened the store since then.
    fn still(&self, dir: &Path) -> Result<(), CheckError> {
        let now = Self::look(dir)?;
        if now.watermark == self.watermark { Ok(()) } else { Err(CheckError::InUse { dir: dir.into() }) }
    }
}

/// A check in progress.
struct StoreCheck<'a> {
    root: &'a Path,
    findings: Vec<Finding>,
}

impl StoreCheck<'_> {
    /// The watermark's state, and the highest id that may have been allocated.
    fn watermark(&mut self, format: Option<u64>) -> Result<(Option<WatermarkState>, Seq), CheckError> {
        let path = self.root.join("watermark");
        let refused = |error| CheckError::NotChecked(io_error(&path)(error).to_string());
        let (watermark, unknown) = match Watermark::open_read_only(&path).map_err(refused)? {
            WatermarkRead::Intact(watermark) => (watermark, 0),
            WatermarkRead::OneSlot(watermark) => {
                let len = path.metadata().map_or(0, |meta| meta.len());
                if len < Watermark::BYTES {
                    let what = format!("it has {len} bytes instead of {}", Watermark::BYTES);
                    self.add(Kind::WatermarkCut, "watermark", what);
                } else {
                    self.add(Kind::WatermarkSlot, "watermark", "a slot does not match its checksum");
                }
                (watermark, 2 * RESERVE_IDS)
            }
            WatermarkRead::Missing if format.is_some() && !self.has_segments() => return Ok((None, Seq::ZERO)),
            WatermarkRead::Missing => {
                self.add(Kind::WatermarkDamaged, "watermark", "the file is missing");
                return Ok((None, Seq::ZERO));
            }
            WatermarkRead::Damaged => {
                self.add(Kind::WatermarkDamaged, "watermark", "neither of its slots matches its checksum");
                return Ok((None, Seq::ZERO));
            }
        };
        let state = watermark.state;
        let allocated = Seq(state.reserved.0.max(state.head.0).saturating_add(unknown));
        if !state.clean {
            self.add(Kind::NotClosed, "watermark", "the store was not closed in order");
        }
        if !state.lost.is_empty() {
            let finding = Finding::new(Kind::KnownLoss, "watermark", "events are recorded as lost");
            self.findings.push(finding.losing(&state.lost));
        }
        Ok((Some(state), allocated))
    }

    fn has_segments(&self) -> bool {
        fs::read_dir(self.root.join("seg")).is_ok_and(|mut dir| dir.next().is_some())
    }

    /// The list of the segments that should exist.
    fn list(&mut self, format: Option<u64>) -> Result<ManifestRead, CheckError> {
        if let Some(format) = format.filter(|format| *format < FORMAT) {
            self.add(Kind::OlderFormat, "format", format!("format {format}; this gapless writes {FORMAT}"));
            if format < LIST_FORMAT {
                // The segments on disk are the valid ones.
                return Ok(ManifestRead::Intact(Vec::new()));
            }
        }
        let path = self.root.join(manifest::FILE);
        Manifest::new(self.root).read().map_err(|error| CheckError::NotChecked(io_error(&path)(error).to_string()))
    }

    fn removals(&mut self) {
        match removals::read(self.root) {
            Ok(RemovalsRead::Missing) => {}
            Ok(RemovalsRead::Intact(dirty, _)) => {
                for (first, generation) in dirty {
                    let place = format!("seg/{}", segment::dir_name(first, generation));
                    self.add(Kind::Unscrubbed, place, "events were removed from this segment");
                }
            }
            Ok(RemovalsRead::Damaged) => {
                self.add(
                    Kind::RemovalsDamaged,
                    "removals",
                    "the list of segments to rewrite does not match its checksum",
                );
            }
            Err(error) => self.add(Kind::Unreadable, "removals", error.to_string()),
        }
    }

    fn clock(&mut self) {
        match clock::unknown_lines(self.root) {
            Ok(0) => {}
            Ok(lines) => self.add(Kind::ClockDamaged, "clock", format!("{lines} lines have no meaning")),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                self.add(Kind::ClockDamaged, "clock", "it is not text");
            }
            Err(error) => self.add(Kind::Unreadable, "clock", error.to_string()),
        }
    }

    /// Quarantined parts, what a crash left, and what is not of the store.
    fn other_files(&mut self) -> Result<(), CheckError> {
        let refused = |error: io::Error| CheckError::NotChecked(io_error(self.root)(error).to_string());
        let entries = fs::read_dir(self.root).map_err(refused)?.collect::<io::Result<Vec<_>>>().map_err(refused)?;
        let mut names: Vec<_> = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        for name in names {
            if name.ends_with(segment::INCOMPLETE_SUFFIX) {
                self.add(Kind::Leftover, name, "a file that was not written completely");
            } else if name == "quarantine" {
                let dir = self.root.join(&name);
                let count = fs::read_dir(&dir).map_or(0, Iterator::count);
                if count > 0 {
                    let what = format!("{count} entries of {}", byte_size::spell(disk::bytes_of(&dir)));
                    self.add(Kind::Quarantined, name, what);
                }
            } else if !KNOWN.contains(&&*name) {
                self.add(Kind::UnknownFile, name, "not a name of the store");
            }
        }
        Ok(())
    }

    /// The topics' settings.
    fn meta(&mut self, scratch: &CopyScratch<'_>, state: Option<&WatermarkState>) -> Result<(), CheckError> {
        let path = self.root.join("meta");
        scratch.progress.step("reading the settings");
        let (revision, sum) = match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => (0, 0),
            _ => match scratch.with_copy(&path, Meta::open_for_check) {
                Ok((_, _, damaged)) if damaged > 0 => {
                    self.add(Kind::SettingsDamaged, "meta", format!("{damaged} records do not match their checksum"));
                    return Ok(());
                }
                Ok((revision, sum, _)) => (revision, sum),
                Err(CheckCopyError::Database(DatabaseError::Damaged(reason))) => {
                    self.add(Kind::SettingsDamaged, "meta", &*reason);
                    return Ok(());
                }
                Err(CheckCopyError::Database(DatabaseError::Unavailable(reason))) => {
                    self.add(Kind::Unreadable, "meta", &*reason);
                    return Ok(());
                }
                Err(CheckCopyError::Scratch(reason)) => return Err(CheckError::Scratch(reason)),
            },
        };
        let missing = |state: &WatermarkState| revision < state.revision || (state.clean && sum != state.settings);
        if state.is_some_and(missing) {
            self.add(Kind::SettingsMissing, "meta", "they are not what the watermark says");
        }
        Ok(())
    }

    fn report(mut self, format: Option<u64>, state: Option<WatermarkState>, found: &SegmentsFound) -> StoreReport {
        self.findings.sort_by_key(|finding| std::cmp::Reverse(finding.kind.severity()));
        StoreReport {
            verdict: StoreVerdict::of(&self.findings),
            dir: self.root.into(),
            format,
            clean: state.as_ref().map(|state| state.clean),
            losses: state.as_ref().map_or(0, |state| state.losses),
            epoch: state.map(|state| state.epoch.to_string()),
            newest: found.head.0,
            segments: found.segments,
            topics: found.topics.len(),
            events: found.events,
            bytes: found.bytes,
            disk_bytes: disk::bytes_of(self.root),
            findings: self.findings,
        }
    }

    fn add(&mut self, kind: Kind, place: impl Into<String>, what: impl Into<String>) {
        self.findings.push(Finding::new(kind, place, what));
    }
}
