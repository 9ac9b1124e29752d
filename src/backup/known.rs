//! The parts that a directory has, and which a hub need not send.

use std::collections::{BTreeSet, HashMap};

use super::{
    BackupError,
    directory::BackupDirectory,
    frame::MAX_DIGESTS,
    journal,
    listing::{BackupListing, BackupSummary},
    manifest::PartEntry,
};

/// What is there before a backup is made.
#[derive(Debug)]
pub(super) struct KnownParts {
    /// Parts by identity. [`MAX_DIGESTS`] at most: those of an unfinished backup, then those of the newest backups.
    pub(super) by_digest: HashMap<String, PartEntry>,
    /// The newest backup of each hub.
    pub(super) newest: Vec<BackupSummary>,
}

impl KnownParts {
    /// Reads the lists of `directory`, one after another.
    pub(super) fn read(directory: &BackupDirectory) -> Result<Self, BackupError> {
        Self::read_some(directory, MAX_DIGESTS)
    }

    fn read_some(directory: &BackupDirectory, most: usize) -> Result<Self, BackupError> {
        let listing = directory.listing()?;
        let mut known = Self { by_digest: HashMap::new(), newest: Vec::new() };
        known.add(directory, journal::parts(directory.root())?, most);
        for backup in newest_first(&listing) {
            if known.by_digest.len() >= most {
                break;
            }
            known.add(directory, directory.read_list(&backup.name)?.parts, most);
        }
        known.newest = listing.newest().into_values().cloned().collect();
        Ok(known)
    }

    fn add(&mut self, directory: &BackupDirectory, parts: Vec<PartEntry>, most: usize) {
        for part in parts.into_iter().rev() {
            let Some(digest) = part.head.digest.clone() else { continue };
            if self.by_digest.len() >= most || self.by_digest.contains_key(&digest) {
                continue;
            }
            if directory.part(&part).metadata().is_ok_and(|meta| meta.len() == part.bytes) {
                self.by_digest.insert(digest, part);
            }
        }
    }

    /// The epochs of the hubs of which there are backups.
    pub(super) fn epochs(&self) -> BTreeSet<&str> {
        self.newest.iter().map(|backup| &*backup.epoch).collect()
    }
}

fn newest_first(listing: &BackupListing) -> Vec<&BackupSummary> {
    let mut backups: Vec<_> = listing.sound.iter().collect();
    backups.sort_by(|a, b| (b.head, &b.made).cmp(&(a.head, &a.made)));
    backups
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        super::{directory::tests::backup, frame::PartContent, manifest::tests::part},
        *,
    };

    #[test]
    fn the_parts_of_the_newest_backups_are_named_and_no_more_than_a_hub_takes() {
        let dir = tempfile::tempdir().expect("a directory");
        let directory = BackupDirectory::create(dir.path()).expect("made");
        let with_digest = |after: u64| {
            let mut part = part(PartContent::Events, after, after + 1);
            part.head.digest = Some(format!("{after}"));
            fs::write(directory.part(&part), b"0123456789").expect("written");
            part
        };
        for head in [3, 6, 9] {
            let parts: Vec<_> = (head - 3..head).map(with_digest).collect();
            directory.add(&backup("abcd1234", 9 - head / 3, head, &parts)).expect("written");
        }
        let known = |most| {
            let known = KnownParts::read_some(&directory, most).expect("read");
            let mut digests: Vec<_> = known.by_digest.into_keys().collect();
            digests.sort_unstable();
            digests.concat()
        };
        assert_eq!(known(9), "012345678");
        assert_eq!(known(4), "5678", "the newest first");
        journal::Journal::new(dir.path()).add(&with_digest(0)).expect("written");
        assert_eq!(known(4), "0678", "an unfinished backup before all");
        fs::remove_file(directory.part(&part(PartContent::Events, 8, 9))).expect("removed");
        assert_eq!(known(4), "0567", "only what is there");
    }
}
