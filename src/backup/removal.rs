//! Removes old backups, and the parts that no backup has.

use std::{collections::HashSet, fs};

use super::{
    BackupError,
    directory::{BackupDirectory, has_ending, names, sync_dir},
    journal,
    listing::{BackupListing, BackupSummary},
    manifest::BackupManifest,
};

/// What was removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Number of backups.
    pub backups: usize,
    /// Bytes of parts.
    pub bytes: u64,
    /// What was not removed and why, a message each.
    pub warnings: Vec<String>,
}

impl BackupDirectory {
    /// Removes all but the newest `keep` backups of the hub that has made `newest`, which is kept in any case, and the parts
    /// that no backup and no unfinished one has. While a list cannot be read no part is removed: it may be one of its. While
    /// somebody reads the backups nothing is removed.
    ///
    /// # Errors
    /// When the system refuses. What is left is then still whole.
    pub fn remove_old(&self, newest: &BackupManifest, keep: usize) -> Result<Removed, BackupError> {
        let listing = self.listing()?;
        let old = old(&listing, newest, keep);
        self.remove(&listing, &old)
    }

    /// Removes the parts that no backup and no unfinished one has, as [`remove_old`](Self::remove_old) does.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn remove_unused(&self) -> Result<Removed, BackupError> {
        self.remove(&self.listing()?, &HashSet::new())
    }

    fn remove(&self, listing: &BackupListing, old: &HashSet<String>) -> Result<Removed, BackupError> {
        let mut removed = Removed::default();
        for list in &listing.unreadable {
            let path = self.list(&list.name);
            removed.warnings.push(format!(
                "{}; until it is gone, no part is removed from the directory, and it does not count for --keep. Put a sound \
                 copy there, or remove {}",
                list.error,
                path.display()
            ));
        }
        let kept = listing.sound.iter().map(|backup| &backup.name).filter(|name| !old.contains(*name));
        let unused = if listing.unreadable.is_empty() { self.unused(kept)? } else { Vec::new() };
        if old.is_empty() && unused.is_empty() {
            return Ok(removed);
        }
        let Some(_no_reader) = self.exclude_readers()? else {
            let root = self.root().display();
            removed.warnings.push(format!(
                "nothing was removed, because a `gapless verify` or `restore` reads {root}; the next backup removes it"
            ));
            return Ok(removed);
        };
        // The lists first: what has no list is no damage.
        for name in old {
            let path = self.list(name);
            fs::remove_file(&path).map_err(BackupError::at(&path))?;
            removed.backups += 1;
        }
        let dir = self.root().join("backups");
        sync_dir(&dir).map_err(BackupError::at(&dir))?;
        let dir = self.root().join("parts");
        for name in unused {
            let path = dir.join(name);
            let bytes = path.metadata().map_or(0, |meta| meta.len());
            fs::remove_file(&path).map_err(BackupError::at(&path))?;
            removed.bytes += bytes;
        }
        Ok(removed)
    }

    /// The files of parts that neither these backups nor an unfinished one have.
    fn unused<'a>(&self, backups: impl Iterator<Item = &'a String>) -> Result<Vec<String>, BackupError> {
        let mut used: HashSet<String> = HashSet::new();
        for name in backups {
            used.extend(self.read_list(name)?.parts.into_iter().map(|part| part.sha256));
        }
        used.extend(journal::parts(self.root())?.into_iter().map(|part| part.sha256));
        let mut files = names(&self.root().join("parts"))?;
        files.retain(|name| has_ending(name, "part") && !used.contains(name.trim_end_matches(".part")));
        Ok(files)
    }
}

/// The names of the backups that are not kept.
fn old(listing: &BackupListing, newest: &BackupManifest, keep: usize) -> HashSet<String> {
    let name = newest.name();
    let others = |backup: &&BackupSummary| backup.epoch == newest.epoch && backup.name != name;
    listing.sound.iter().filter(others).rev().skip(keep.max(1) - 1).map(|backup| backup.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{directory::tests::backup, frame::PartContent, manifest::PartEntry, manifest::tests::part},
        *,
    };

    fn add(directory: &BackupDirectory, manifest: &BackupManifest) {
        for part in &manifest.parts {
            fs::write(directory.part(part), b"0123456789").expect("written");
        }
        directory.add(manifest).expect("written");
    }

    fn events() -> [PartEntry; 3] {
        [(0, 3), (3, 5), (5, 9)].map(|(after, through)| part(PartContent::Events, after, through))
    }

    fn counts(removed: &Removed) -> (usize, u64, usize) {
        (removed.backups, removed.bytes, removed.warnings.len())
    }

    #[test]
    fn old_backups_go_and_the_parts_of_the_others_stay() {
        let dir = tempfile::tempdir().expect("a directory");
        let directory = BackupDirectory::create(dir.path()).expect("made");
        let parts = events();
        let backups = [&parts[..2], &parts[1..], &parts[1..]].map(|of| of).into_iter().enumerate();
        let backups: Vec<_> = backups.map(|(second, of)| backup("abcd1234", second as u64, 9, of)).collect();
        for backup in &backups {
            add(&directory, backup);
        }
        let exist = || parts.each_ref().map(|part| directory.part(part).exists());
        let keep = |keep| directory.remove_old(&backups[2], keep).expect("removed");
        assert_eq!(keep(7), Removed::default());
        assert_eq!((counts(&keep(2)), exist()), ((1, 10, 0), [false, true, true]));
        // One that cannot be read keeps all parts, does not count, and is told.
        fs::write(directory.list("2026-11-27T06-22-49.000Z-x-1"), b"damaged").expect("written");
        fs::write(directory.part(&parts[0]), b"0123456789").expect("written");
        assert_eq!((counts(&keep(2)), exist()), ((0, 0, 1), [true; 3]));
        let one = keep(1);
        assert_eq!((counts(&one), exist()), ((1, 0, 1), [true; 3]));
        assert!(one.warnings[0].contains("2026-11-27T06-22-49.000Z-x-1.json"), "{one:?}");
        assert_eq!(directory.find(Some("abcd1234-9")).expect("the newest"), backups[2]);
    }

    #[test]
    fn neither_the_backup_just_made_nor_one_of_another_hub_is_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let directory = BackupDirectory::create(dir.path()).expect("made");
        let (high, foreign) = (backup("abcd1234", 5, 8, &[]), backup("efgh5678", 1, 9, &[]));
        let made = backup("abcd1234", 7, 6, &[]); // a store that was copied back
        for backup in [&high, &foreign, &made] {
            add(&directory, backup);
        }
        assert_eq!(directory.remove_old(&made, 1).expect("removed").backups, 1);
        let names: Vec<_> = directory.listing().expect("read").sound.into_iter().map(|backup| backup.name).collect();
        assert_eq!(names, [made.name(), foreign.name()]);
    }

    #[test]
    fn parts_without_a_list_go_unless_an_unfinished_backup_has_them() {
        let dir = tempfile::tempdir().expect("a directory");
        let directory = BackupDirectory::create(dir.path()).expect("made");
        let parts = events();
        for part in &parts {
            fs::write(directory.part(part), b"0123456789").expect("written");
        }
        add(&directory, &backup("abcd1234", 1, 9, &parts[..1]));
        journal::Journal::new(dir.path()).add(&parts[1]).expect("written");
        drop(directory);
        let reader = BackupDirectory::open(dir.path()).expect("read");
        let directory = BackupDirectory::create(dir.path()).expect("opened");
        let exist = || parts.each_ref().map(|part| directory.part(part).exists());
        assert_eq!((directory.remove_unused().expect("none").warnings.len(), exist()), (1, [true; 3]));
        drop(reader);
        assert_eq!((counts(&directory.remove_unused().expect("one")), exist()), ((0, 10, 0), [true, true, false]));
        journal::remove(dir.path()).expect("removed");
        assert_eq!((counts(&directory.remove_unused().expect("one")), exist()), ((0, 10, 0), [true, false, false]));
    }
}
