//! Which backups a directory has, oldest first, and which of them a command means. Lists are read one after another, because
//! each may be large.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    BackupError,
    directory::{BackupDirectory, has_ending, names},
    manifest::BackupManifest,
};
use crate::event::Epoch;

/// A backup in a directory, without its parts.
///
/// Within an epoch the newest is the one with the newest id: the clock of the machine that makes backups may be set back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BackupSummary {
    /// The epoch of the hub's ids.
    pub epoch: String,
    /// The newest position.
    pub head: u64,
    /// When it was made. Text of RFC 3339 sorts by time.
    pub made: String,
    /// Its name: that of its file, without the ending.
    pub name: String,
}

/// A list that cannot be read.
#[derive(Debug)]
pub struct UnreadableList {
    /// Its name: that of its file, without the ending.
    pub name: String,
    /// Why.
    pub error: BackupError,
}

/// The backups of a directory.
#[derive(Debug, Default)]
pub struct BackupListing {
    /// Those that can be read, by epoch, oldest first.
    pub sound: Vec<BackupSummary>,
    /// The others, by name.
    pub unreadable: Vec<UnreadableList>,
}

impl BackupSummary {
    fn of(name: &str, manifest: &BackupManifest) -> Self {
        let BackupManifest { epoch, head, made, .. } = manifest;
        Self { epoch: epoch.clone(), head: *head, made: made.clone(), name: name.into() }
    }

    fn id(&self) -> String {
        format!("{}-{}", self.epoch, self.head)
    }
}

impl BackupListing {
    /// The newest backup of each hub, by epoch.
    #[must_use]
    pub fn newest(&self) -> BTreeMap<&str, &BackupSummary> {
        self.sound.iter().map(|backup| (&*backup.epoch, backup)).collect()
    }

    /// Whether a list that cannot be read is older than this backup, by its name.
    fn is_older(list: &UnreadableList, than: &BackupSummary) -> bool {
        let mut fields = list.name.rsplitn(3, '-');
        let (head, epoch, made) = (fields.next().and_then(|head| head.parse().ok()), fields.next(), fields.next());
        let than_made = than.made.replace(':', "-");
        epoch.is_some_and(|epoch| Epoch::new(epoch).is_some() && epoch == than.epoch)
            && head.zip(made).is_some_and(|found: (u64, &str)| found < (than.head, &than_made))
    }

    /// The newest backup, if it is known which one that is.
    fn the_newest(mut self, root: PathBuf) -> Result<String, BackupError> {
        let newest = self.newest();
        if newest.len() > 1 {
            let newest = newest.into_values().map(|backup| backup.name.clone()).collect();
            return Err(BackupError::SeveralHubs { path: root, newest });
        }
        let newest = newest.into_values().next().cloned();
        let in_doubt = |list: &UnreadableList| newest.as_ref().is_none_or(|newest| !Self::is_older(list, newest));
        if let Some(at) = self.unreadable.iter().rposition(in_doubt) {
            return Err(self.unreadable.swap_remove(at).error.with_advice("--at names another backup"));
        }
        let problem = "it has no backup yet";
        newest.map(|newest| newest.name).ok_or(BackupError::NotABackup { path: root, problem })
    }

    /// The backup of this name, or the newest one with this newest id.
    fn named(mut self, at: &str) -> Result<String, BackupError> {
        let is_it = |backup: &&BackupSummary| backup.name == at || backup.id() == at;
        if let Some(found) = self.sound.iter().rfind(is_it) {
            return Ok(found.name.clone());
        }
        if let Some(found) = self.unreadable.iter().position(|list| list.name == at) {
            return Err(self.unreadable.swap_remove(found).error);
        }
        let unreadable = self.unreadable.into_iter().map(|list| list.name);
        let names = self.sound.into_iter().map(|backup| backup.name).chain(unreadable).collect();
        Err(BackupError::NoSuch { at: at.into(), names })
    }
}

impl BackupDirectory {
    /// The names of the lists, sorted.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list_names(&self) -> Result<Vec<String>, BackupError> {
        let mut names = names(&self.root().join("backups"))?;
        names.retain(|name| has_ending(name, "json"));
        names.sort_unstable();
        Ok(names.into_iter().map(|name| name.trim_end_matches(".json").to_owned()).collect())
    }

    /// The path of a list.
    #[must_use]
    pub fn list(&self, name: &str) -> PathBuf {
        self.root().join("backups").join(format!("{name}.json"))
    }

    /// Reads the list of this name.
    ///
    /// # Errors
    /// When it is damaged or cannot be read.
    pub fn read_list(&self, name: &str) -> Result<BackupManifest, BackupError> {
        BackupManifest::read(&self.list(name))
    }

    /// Which backups there are.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn listing(&self) -> Result<BackupListing, BackupError> {
        let mut listing = BackupListing::default();
        for name in self.list_names()? {
            match self.read_list(&name) {
                Ok(manifest) => listing.sound.push(BackupSummary::of(&name, &manifest)),
                // Somebody has removed it by hand.
                Err(_) if !self.list(&name).exists() => {}
                Err(error) => listing.unreadable.push(UnreadableList { name, error }),
            }
        }
        listing.sound.sort_unstable();
        Ok(listing)
    }

    /// The backup that `at` names by its name or its newest id; the newest one if it is `None`.
    ///
    /// # Errors
    /// When there is none, or it is damaged; without `at` also when there are backups of several hubs.
    pub fn find(&self, at: Option<&str>) -> Result<BackupManifest, BackupError> {
        let listing = self.listing()?;
        let name = match at {
            None => listing.the_newest(self.root().into())?,
            Some(at) => listing.named(at)?,
        };
        self.read_list(&name)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::directory::tests::backup, *};

    #[test]
    fn the_newest_backup_has_the_newest_id_and_is_asked_for_among_several_hubs() {
        let dir = tempfile::tempdir().expect("a directory");
        let directory = BackupDirectory::create(dir.path()).expect("made");
        assert!(matches!(directory.find(None), Err(BackupError::NotABackup { .. })));
        let [early, late] = [(5, 8), (3, 9)].map(|(second, head)| backup("abcd1234", second, head, &[]));
        for manifest in [&early, &late] {
            directory.add(manifest).expect("written");
        }
        assert_eq!(directory.find(None).expect("one hub"), late, "whatever the clocks were");
        assert_eq!(directory.find(Some("abcd1234-8")).expect("by its id"), early);
        assert_eq!(directory.find(Some(&early.name())).expect("by its name"), early);
        assert!(
            matches!(directory.find(Some("abcd1234-7")), Err(BackupError::NoSuch { names, .. }) if names.len() == 2)
        );
        // A list that cannot be read: what is known of it is its name.
        for (name, decides) in [
            ("2026-11-27T06-22-49.000Z-abcd1234-7", false),
            ("2026-11-27T06-22-42.000Z-abcd1234-9", false),
            ("2026-11-27T06-22-49.000Z-abcd1234-9", true),
            ("2026-11-27T06-22-40.000Z-efgh5678-9", true),
            ("renamed", true),
        ] {
            fs::write(directory.list(name), b"damaged").expect("written");
            assert_eq!(directory.find(None).is_err(), decides, "{name}");
            assert!(matches!(directory.find(Some(name)), Err(BackupError::Damaged { .. })), "{name}");
            fs::remove_file(directory.list(name)).expect("removed");
        }
        let other = backup("efgh5678", 1, 9, &[]);
        directory.add(&other).expect("written");
        let told = directory.find(None).expect_err("which hub?").to_string();
        assert!([&late, &other].iter().all(|newest| told.contains(&newest.name())) && told.contains("--at"), "{told}");
        assert_eq!(directory.find(Some("efgh5678-9")).expect("by its id"), other);
    }
}
