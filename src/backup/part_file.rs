//! Reads a part, and compares it with the list of its backup.

use std::io::{self, Read};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;

use super::{
    BackupError,
    frame::{BackupFrame, BadFrame},
    manifest::{PartEntry, hex},
};

/// A reader that counts and hashes what it returns.
struct Hashed<'a> {
    from: &'a mut dyn Read,
    hash: Context,
    bytes: u64,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

/// Reads the part `entry` and passes its records to `each`. What was passed is not to be used before this has returned: only
/// then it is known to be the part.
///
/// # Errors
/// When it is damaged, is not the part of the list, or cannot be read.
pub fn read_part<E: From<BackupError>>(
    entry: &PartEntry,
    from: &mut dyn Read,
    mut each: impl FnMut(&Bytes) -> Result<(), E>,
) -> Result<(), E> {
    let path = entry.path();
    let damaged = |problem: &str| BackupError::damaged(&path, problem);
    let mut from = Hashed { from, hash: Context::new(&SHA256), bytes: 0 };
    let (mut head, mut tail) = (None, None);
    loop {
        let frame = BackupFrame::read(&mut from).map_err(BackupError::at(path.as_ref()))?;
        match frame.map_err(|error| damaged(&error.to_string()))? {
            Some(BackupFrame::Part(found)) if head.is_none() => head = Some(found),
            Some(BackupFrame::Records(records)) if head.is_some() && tail.is_none() => each(&records)?,
            Some(BackupFrame::PartEnd(found)) if head.is_some() && tail.is_none() => tail = Some(found),
            Some(_) => return Err(damaged(&BadFrame::Order.to_string()).into()),
            None => break,
        }
    }
    if tail.is_none() {
        return Err(damaged("it is cut short").into());
    }
    if head.is_none_or(|head| head != entry.head) || tail != Some(entry.tail) {
        return Err(damaged("it is not the part that the backup names").into());
    }
    if from.bytes != entry.bytes || hex(from.hash.finish().as_ref()) != entry.sha256 {
        return Err(damaged("it does not match its checksum").into());
    }
    Ok(())
}
