//! The errors of opening a store.

use std::io;
use std::path::PathBuf;

use super::keys::FORMAT;

/// Why a store could not be opened. Damage is not among the reasons: damaged parts are quarantined and reported.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the store open.
    #[error("another process is using this store: it holds {}; stop it, or use another directory", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The store was written by a newer gapless.
    #[error("this store has format {found}, this gapless reads up to {FORMAT}; use a newer gapless")]
    Newer {
        /// The store's format.
        found: u64,
    },
    /// The directory's `format` file is not one of gapless.
    #[error("{} is not the format file of a gapless store; use another directory", path.display())]
    NotAStore {
        /// The `format` file.
        path: PathBuf,
    },
    /// A restore into the directory was cut short.
    #[error(
        "a `gapless restore` into {0} was cut short; run it again with the same arguments, or remove everything in {0}",
        dir.display()
    )]
    Unrestored {
        /// The directory that is restored into.
        dir: PathBuf,
    },
    /// The directory has parts of a store, but not what makes it one.
    #[error(
        "{0} has `{part}` of a store, but no file `format`: a copy was cut short, or the file was lost; restore or copy the \
        store again, or, if all the rest is there, write the file: printf 'gapless store\\nformat {FORMAT}\\n' > {0}/format",
        dir.display()
    )]
    Incomplete {
        /// The directory.
        dir: PathBuf,
        /// A part that is there.
        part: &'static str,
    },
    /// sled does not sync through our shim, so a power loss could take back acknowledged events.
    #[error(
        "this build of gapless cannot make writes durable on this system, so it does not open a store; please report it"
    )]
    NotDurable,
    /// The system refused access to a file or directory.
    #[error("cannot use {}: {source}; {}", path.display(), advice(source))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// The system refused access to a database. It is not known to be damaged.
    #[error(
        "cannot open the database in {}: {reason}; it is not known to be damaged, so it was left unchanged: fix the cause \
        (free space, permissions, the limit on open files, the disk itself) and start again",
        path.display()
    )]
    Database {
        /// The database's directory.
        path: PathBuf,
        /// The error.
        reason: std::sync::Arc<str>,
    },
}

/// What the operator can do about an I/O error.
fn advice(error: &io::Error) -> &'static str {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::PermissionDenied => "give this user the right to write there, or choose another directory with --data",
        Kind::StorageFull | Kind::QuotaExceeded => "free space there, or choose another directory with --data",
        Kind::ReadOnlyFilesystem => "mount it for writing, or choose another directory with --data",
        Kind::NotADirectory | Kind::AlreadyExists => {
            "a file is where a directory must be: move it away, or choose another directory with --data"
        }
        Kind::IsADirectory => {
            "a directory is where a file must be: move it away, or choose another directory with --data"
        }
        _ if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
            "raise the limit on open files (ulimit -n)"
        }
        _ => "check the disk (dmesg), or choose another directory with --data",
    }
}
