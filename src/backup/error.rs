//! Why a backup cannot be written or read.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::frame::BadFrame;

/// Why a backup cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The system refuses to read or to write a file.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// There is no backup.
    #[error("{} is no backup of gapless: {problem}", path.display())]
    NotABackup {
        /// The directory or the file.
        path: PathBuf,
        /// Why not.
        problem: &'static str,
    },
    /// Another process writes a backup into the directory.
    #[error("another `gapless backup` writes into {}; wait until it has ended", .0.display())]
    InUse(PathBuf),
    /// A backup that removes old ones keeps readers out.
    #[error("`gapless backup` removes old backups from {}; try again when it has ended", .0.display())]
    Removing(PathBuf),
    /// The directory has backups of another hub.
    #[error(
        "{} has backups of another hub, whose ids begin with {there}; those of this hub begin with {hub}. Nothing was written. \
         Make the backups of this hub in another directory; if its ids have begun anew, move the old backups elsewhere",
        path.display(), there = there.join(", ")
    )]
    OtherHub {
        /// The directory.
        path: PathBuf,
        /// The epochs of the backups that are there.
        there: Vec<String>,
        /// The epoch of the hub.
        hub: String,
    },
    /// The directory has backups of several hubs, and it is not said which one is meant.
    #[error(
        "{} has backups of several hubs; name one with --at. The newest of each: {there}",
        path.display(), there = newest.join(", ")
    )]
    SeveralHubs {
        /// The directory.
        path: PathBuf,
        /// The newest backup of each hub.
        newest: Vec<String>,
    },
    /// A newer gapless has made it.
    #[error("{} was made by a newer gapless: its format is {found}; use a newer gapless", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// There is no backup of this name.
    #[error("there is no backup {at:?}; there are: {there}", there = names.join(", "))]
    NoSuch {
        /// What was asked for.
        at: String,
        /// Those that there are.
        names: Vec<String>,
    },
    /// A file is damaged.
    #[error("{file} is damaged: {problem}")]
    Damaged {
        /// The file, relative to the backup.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// The stream of a hub breaks a rule.
    #[error("the hub's stream is damaged: {0}; make the backup again")]
    Stream(#[from] BadFrame),
    /// The stream of a hub has ended early.
    #[error("the hub has broken the backup off; its log says why. Make the backup again")]
    BrokenOff,
}

impl BackupError {
    /// An error of the system at `path`.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// Damage of `file`.
    pub fn damaged(file: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Damaged { file: file.into(), problem: problem.into() }
    }

    /// The same with what its reader can do, if it is damage.
    pub(super) fn with_advice(self, advice: &str) -> Self {
        match self {
            Self::Damaged { file, problem } => Self::Damaged { file, problem: format!("{problem}; {advice}") },
            other => other,
        }
    }

    /// Whether the content is known to be wrong. Anything else may pass.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            // Without a number of the system it is the content: what a decoder could not read.
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound || source.raw_os_error().is_none(),
            _ => false,
        }
    }
}
