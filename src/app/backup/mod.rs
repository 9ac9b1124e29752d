//! What the commands do with a backup that needs the store's code: checking its records, and making a store of it.
//!
//! | module | idea |
//! |---|---|
//! | this file | a part of a backup as the store's code takes it |
//! | [`verify`] | reads all of a backup |
//! | [`restore`] | makes a store of a backup |

use std::{fs::File, io::Read, path::Path};

use crate::{
    access::from_hex,
    backup::{
        BackupError,
        frame::{PartContent, PartHead},
        manifest::PartEntry,
        part_file::read_part,
    },
    engine::{
        PartDigest, PartFacts, PartKind,
        sled::{PartCheck, PartContents},
    },
    event::{Millis, Seq},
};

pub mod restore;
pub mod verify;

/// The facts of a part, in the store's own types.
fn facts(head: &PartHead) -> PartFacts {
    PartFacts {
        kind: match head.kind {
            PartContent::Events => PartKind::Events,
            PartContent::State => PartKind::State,
        },
        number: head.number,
        after: Seq(head.after),
        through: Seq(head.through),
        newest: Millis(head.newest),
        digest: head.digest.as_deref().and_then(from_hex).map(PartDigest),
    }
}

/// Reads a part, and checks each of its records and that they belong together.
///
/// # Errors
/// When it is damaged or cannot be read.
fn check(entry: &PartEntry, from: &mut dyn Read) -> Result<PartContents, BackupError> {
    let damaged = |error: crate::engine::sled::RecordError| BackupError::damaged(entry.path(), error.to_string());
    let mut check = PartCheck::new(facts(&entry.head));
    read_part(entry, from, |records| check.records(records).map_err(damaged))?;
    check.finish(entry.tail.records, entry.tail.events).map_err(damaged)
}

/// The same for a part in the file `path`.
///
/// # Errors
/// When it is damaged or cannot be read.
pub fn check_part(entry: &PartEntry, path: &Path) -> Result<(), BackupError> {
    let unreadable = |source| BackupError::Io { path: path.into(), source };
    check(entry, &mut File::open(path).map_err(unreadable)?).map(drop)
}
