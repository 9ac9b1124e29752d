//! Makes a store of a backup.

use std::{io::Read, path::Path, time::SystemTime};

use super::facts;
use crate::{
    backup::{
        BackupError,
        manifest::{BackupManifest, PartEntry},
        part_file::read_part,
        source::BackupSource,
        visitor::PartVisitor,
    },
    engine::sled::{OpenError, RestoreError, RestoredStore, StoreRestorer},
    event::{Millis, byte_size},
    progress::WorkProgress,
};

/// By how much the clock of the machine that restores or imports may be behind that of the one that has made the backup or the
/// export, in ms: an hour.
const CLOCK_TOLERANCE_MS: u64 = 3_600_000;

/// Why a backup is not restored. What was written is no store, and is removed by the next attempt.
#[derive(Debug, thiserror::Error)]
pub enum RestoreCommandError {
    /// The backup is damaged, or cannot be read.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The store cannot be made.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The machine's clock is wrong: by it the ids are chosen that are not given out again.
    #[error(
        "this machine's clock is before the time at which the backup was made, {0}; set it, so that no id is given out twice"
    )]
    Clock(String),
}

impl RestoreCommandError {
    /// The exit code of the command: 75 (`EX_TEMPFAIL`) when another process uses the directory.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Restore(RestoreError::Open(OpenError::Locked { .. })) => 75,
            _ => 1,
        }
    }
}

/// What was restored, in words.
#[derive(Debug)]
pub struct RestoreReport {
    /// The backup.
    pub manifest: BackupManifest,
    /// The store.
    pub store: RestoredStore,
}

impl std::fmt::Display for RestoreReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { manifest, store } = self;
        writeln!(
            f,
            "restored {}: {} events, {}, up to {}-{}",
            manifest.name(),
            store.events,
            byte_size::spell(manifest.bytes()),
            manifest.epoch,
            store.head.0
        )?;
        writeln!(
            f,
            "the next id is {}-{}: those between may have been given out after the backup, and are not given out again",
            manifest.epoch, store.next.0
        )
    }
}

/// Restores the backup `at` of `from`, or its newest, into the directory `data`, which holds no store. Blocks. Counts bytes in
/// `progress`.
///
/// # Errors
/// Why there is no store. It may be repeated.
pub fn restore(
    from: &Path,
    at: Option<&str>,
    data: &Path,
    progress: &WorkProgress,
) -> Result<RestoreReport, RestoreCommandError> {
    let mut restoring = Restoring { data, progress, restorer: None };
    let manifest = BackupSource::open(from, at)?.read(&mut restoring)?;
    progress.step("making it durable");
    let restorer = restoring.restorer.expect("it begins before the list of parts is returned");
    Ok(RestoreReport { manifest, store: restorer.finish()? })
}

/// A restore in progress.
struct Restoring<'a> {
    data: &'a Path,
    progress: &'a WorkProgress,
    restorer: Option<StoreRestorer>,
}

impl PartVisitor for Restoring<'_> {
    type Error = RestoreCommandError;

    fn begin(&mut self, manifest: &BackupManifest) -> Result<(), RestoreCommandError> {
        if is_before(Millis::from(SystemTime::now()), &manifest.made) {
            return Err(RestoreCommandError::Clock(manifest.made.clone()));
        }
        self.progress.begin("restoring", manifest.bytes());
        self.restorer = Some(StoreRestorer::begin(self.data, manifest.store_format)?);
        Ok(())
    }

    fn part(&mut self, entry: &PartEntry, from: &mut dyn Read) -> Result<(), RestoreCommandError> {
        let restorer = self.restorer.as_mut().expect("it has begun");
        let progress = self.progress;
        restorer.part(facts(&entry.head), |write| {
            read_part(entry, from, |records| {
                write(records)?;
                progress.add(records.len() as u64);
                Ok::<_, RestoreCommandError>(())
            })?;
            Ok::<_, RestoreCommandError>((entry.tail.records, entry.tail.events))
        })
    }
}

/// Whether this machine's clock, `now`, is before the time at which a backup or an export was made.
pub(in crate::app) fn is_before(now: Millis, made: &str) -> bool {
    Millis::parse_rfc3339(made).is_some_and(|made| now.0.saturating_add(CLOCK_TOLERANCE_MS) < made.0)
}
