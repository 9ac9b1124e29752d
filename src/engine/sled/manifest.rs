//! The list of segments, in the file `segments`, so that a missing segment is detected.
//!
//! A segment is added to the list before its first commit, and removed from it before its directory is. So a segment in
//! the list that is not on disk was lost; a segment on disk that is not in the list was left by a crash, or is about to
//! be removed: the next start removes it if it was never used or is marked as dropped. The file is small and is rewritten at each change, a few times an hour.
//!
//! Layout: `version u8 | segments | each: first id, above the one before | generation`, varints, sealed with
//! `segments`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::event::Seq;

use super::disk;
use super::wire::{ByteReader, put_number, seal, unseal};

const VERSION: u8 = 1;
const SALT: &[u8] = b"segments";

/// Name of the file.
pub(super) const FILE: &str = "segments";

/// A segment in the list: its first position and its generation.
pub(super) type ManifestEntry = (Seq, u32);

/// The list's file.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    path: PathBuf,
}

/// The result of reading the list.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ManifestRead {
    /// The entries, sorted.
    Intact(Vec<ManifestEntry>),
    /// There is no file.
    Missing,
    /// The file is damaged: it is unknown which segments there were.
    Damaged,
}

impl Manifest {
    pub(super) fn new(root: &Path) -> Self {
        Self { path: root.join(FILE) }
    }

    /// Reads the list.
    ///
    /// # Errors
    /// When the system refuses the read, which is no sign of damage.
    pub(super) fn read(&self) -> io::Result<ManifestRead> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(decode(&bytes).map_or(ManifestRead::Damaged, ManifestRead::Intact)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ManifestRead::Missing),
            Err(error) => Err(error),
        }
    }

    /// Replaces the list durably.
    ///
    /// # Errors
    /// When it cannot be written; the old one stays.
    pub(super) fn write(&self, entries: &[ManifestEntry]) -> io::Result<()> {
        disk::write_whole(&self.path, &encode(entries))
    }
}

fn encode(entries: &[ManifestEntry]) -> Vec<u8> {
    let mut sorted = entries.to_vec();
    sorted.sort_unstable();
    let mut out = vec![VERSION];
    put_number(&mut out, sorted.len() as u64);
    let mut before = 0;
    for (first, generation) in sorted {
        put_number(&mut out, first.0 - before);
        put_number(&mut out, generation.into());
        before = first.0;
    }
    seal(&mut out, SALT);
    out
}

fn decode(bytes: &[u8]) -> Option<Vec<ManifestEntry>> {
    let mut take = ByteReader::new(unseal(bytes, SALT)?);
    if take.byte()? != VERSION {
        return None;
    }
    let count = take.number()?;
    let mut first = 0_u64;
    let entry = |_| {
        first = first.checked_add(take.number()?)?;
        Some((Seq(first), take.number()?.try_into().ok()?))
    };
    (0..count).map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_back_and_a_flipped_bit_is_detected() {
        let dir = tempfile::tempdir().expect("a directory");
        let manifest = Manifest::new(dir.path());
        assert_eq!(manifest.read().expect("read"), ManifestRead::Missing);
        let entries = [(Seq(1), 0), (Seq(900), 3), (Seq(u64::MAX), 1)];
        manifest.write(&entries).expect("written");
        assert_eq!(manifest.read().expect("read"), ManifestRead::Intact(entries.to_vec()));
        let whole = fs::read(dir.path().join(FILE)).expect("there");
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bytes), None, "bit {bit}");
        }
    }
}
