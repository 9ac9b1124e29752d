//! The list of segments, kept beside them, so that a missing one is noticed.
//!
//! A segment stands in the list before its first commit, and until after nothing of it is needed. So what stands there
//! and is not on the disk was lost; what is on the disk and does not stand there was left by a crash, or is about to go.
//! It is a small file, written anew as a whole at each change: a few times an hour.
//!
//! Layout: `version u8 | segments | each: first id, above the one before | generation`, varints, sealed with `segments`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::event::Seq;

use super::disk;
use super::wire::{Take, put_number, seal, unseal};

const VERSION: u8 = 1;
const SALT: &[u8] = b"segments";

/// Name of the file.
pub(super) const FILE: &str = "segments";

/// What the list says of a segment: where it begins, and how often it was copied.
pub(super) type ManifestEntry = (Seq, u32);

/// The file.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    path: PathBuf,
}

/// What a manifest said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ManifestRead {
    /// These, in order.
    Whole(Vec<ManifestEntry>),
    /// There is none.
    Nothing,
    /// It is damaged: nobody knows which segments there were.
    Damaged,
}

impl Manifest {
    pub(super) fn new(root: &Path) -> Self {
        Self { path: root.join(FILE) }
    }

    /// Reads it.
    ///
    /// # Errors
    /// When the system does not let it be read, which says nothing about what is in it.
    pub(super) fn read(&self) -> io::Result<ManifestRead> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(decode(&bytes).map_or(ManifestRead::Damaged, ManifestRead::Whole)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ManifestRead::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Replaces it durably.
    ///
    /// # Errors
    /// Then the old one stays.
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
    let mut take = Take::new(unseal(bytes, SALT)?);
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
    fn a_list_survives_its_file_and_a_flipped_bit_is_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let manifest = Manifest::new(dir.path());
        assert_eq!(manifest.read().expect("read"), ManifestRead::Nothing);
        let entries = [(Seq(1), 0), (Seq(900), 3), (Seq(u64::MAX), 1)];
        manifest.write(&entries).expect("written");
        assert_eq!(manifest.read().expect("read"), ManifestRead::Whole(entries.to_vec()));
        let whole = fs::read(dir.path().join(FILE)).expect("there");
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bytes), None, "bit {bit}");
        }
    }
}
