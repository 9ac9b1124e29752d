//! The log's clock, kept in a file of its own while it is ahead of the machine's.

use std::{fs, io, path::Path};

use crate::event::Millis;

use super::disk;

/// Name of the file: RFC 3339 and a line feed.
const FILE: &str = "clock";

/// What the log's clock showed when it was last kept in the store at `dir`; `None` when it was not ahead. May be asked while
/// another process has the store.
#[must_use]
pub fn kept_clock(dir: &Path) -> Option<Millis> {
    Millis::parse_rfc3339(fs::read_to_string(dir.join(FILE)).ok()?.trim_end())
}

/// Keeps it, or forgets it.
pub(super) fn keep(dir: &Path, time: Option<Millis>) -> io::Result<()> {
    let path = dir.join(FILE);
    let Some(time) = time else {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    };
    disk::write_whole(&path, format!("{time}\n").as_bytes())
}
