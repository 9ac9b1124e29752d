//! Reads all of a directory of backups or of an archive, and tells what is damaged.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display},
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::check;
use crate::{
    backup::{
        BackupError,
        directory::BackupDirectory,
        listing::{BackupListing, UnreadableList},
        manifest::{BackupManifest, PartEntry},
        source::BackupSource,
        visitor::PartVisitor,
    },
    engine::sled::PartContents,
    event::{EventId, byte_size},
    progress::WorkProgress,
};

pub use crate::engine::sled::EXIT_UNCHECKED;

/// What was read, and what is wrong with it. `Display` is text for an operator; serialized, it is the object that
/// docs/OPERATIONS.md describes.
#[derive(Debug, Serialize)]
pub struct VerifyReport {
    /// `sound`, `unchecked` or `damaged`.
    pub verdict: &'static str,
    /// The directory or the archive.
    pub path: PathBuf,
    /// The backups, oldest first.
    pub backups: Vec<VerifiedBackup>,
    /// Bytes of parts that were read.
    pub bytes: u64,
    /// What was found: a message each.
    pub findings: Vec<BackupFinding>,
}

/// A backup.
#[derive(Debug, Serialize)]
pub struct VerifiedBackup {
    /// Its name.
    pub name: String,
    /// Its newest id.
    pub id: String,
    /// Its events, tombstones included.
    pub events: u64,
    /// Whether it can be restored: all of it was read and is sound.
    pub sound: bool,
}

/// Something that is damaged, or could not be read.
#[derive(Debug, Serialize)]
pub struct BackupFinding {
    /// `damage`, or `not checked`.
    pub severity: &'static str,
    /// What was found.
    pub what: String,
    /// The backups that are affected, by name.
    pub backups: Vec<String>,
}

impl VerifyReport {
    /// The exit code: 0 sound, 1 damaged, 3 not all could be read.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            "sound" => 0,
            "damaged" => 1,
            _ => EXIT_UNCHECKED,
        }
    }
}

impl Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.verdict == "unchecked" { "not all could be read" } else { self.verdict };
        writeln!(f, "{}: {verdict}\n", self.path.display())?;
        for backup in &self.backups {
            let sound = if backup.sound { "" } else { "  CANNOT BE RESTORED" };
            writeln!(f, "  {}  {} events up to {}{sound}", backup.name, backup.events, backup.id)?;
        }
        writeln!(f, "  {} read", byte_size::spell(self.bytes))?;
        for finding in &self.findings {
            writeln!(f, "\n{}: {}", finding.severity, finding.what)?;
            if !finding.backups.is_empty() {
                writeln!(f, "  backups  {}", finding.backups.join(", "))?;
            }
            let advice = match finding.severity {
                "damage" => "check the disk; restore another backup, and make a new one in a new directory",
                _ => "fix the cause, and verify again",
            };
            writeln!(f, "  to do    {advice}")?;
        }
        Ok(())
    }
}

/// Reads all of `path`. Counts bytes in `progress`. Blocks.
///
/// # Errors
/// When there is no backup. Damage is in the report.
pub fn verify(path: &Path, progress: &WorkProgress) -> Result<VerifyReport, BackupError> {
    let mut found = Found { path, progress, bytes: 0, findings: Vec::new() };
    let backups = if path.is_dir() { found.directory()? } else { found.archive()? };
    let Found { bytes, findings, .. } = found;
    let has = |severity| findings.iter().any(|finding| finding.severity == severity);
    let verdict = match (has("damage"), has("not checked")) {
        (true, _) => "damaged",
        (false, true) => "unchecked",
        (false, false) => "sound",
    };
    Ok(VerifyReport { verdict, path: path.into(), backups, bytes, findings })
}

struct Found<'a> {
    path: &'a Path,
    progress: &'a WorkProgress,
    bytes: u64,
    findings: Vec<BackupFinding>,
}

impl Found<'_> {
    fn add(&mut self, error: &BackupError, backups: Vec<String>) {
        let severity = if error.is_damage() { "damage" } else { "not checked" };
        self.findings.push(BackupFinding { severity, what: error.to_string(), backups });
    }

    fn directory(&mut self) -> Result<Vec<VerifiedBackup>, BackupError> {
        let directory = match BackupDirectory::open(self.path) {
            Err(error) if error.is_damage() => {
                self.add(&error, Vec::new());
                return Ok(Vec::new());
            }
            opened => opened?,
        };
        let BackupListing { sound, unreadable } = directory.listing()?;
        if sound.is_empty() && unreadable.is_empty() {
            let problem = "it has no backup yet";
            return Err(BackupError::NotABackup { path: self.path.into(), problem });
        }
        for UnreadableList { name, error } in unreadable {
            self.add(&error, vec![name]);
        }
        let mut listed = ListedParts::default();
        for name in sound.into_iter().map(|backup| backup.name) {
            // One after another: each may be large.
            match directory.read_list(&name) {
                Ok(manifest) => listed.add(name, manifest),
                Err(_) if !directory.list(&name).exists() => {}
                Err(error) => self.add(&error, vec![name]),
            }
        }
        self.progress.begin("reading parts", listed.bytes());
        let mut unsound = BTreeSet::new();
        for (part, of) in listed.parts.values().flatten() {
            if let Err(error) = listed.check(&directory, part, of) {
                let names = of.iter().map(|at| &listed.backups[*at].shown.name);
                let names: Vec<String> = names.filter(|name| directory.list(name).exists()).cloned().collect();
                // Without a list it is no damage: somebody has removed the backup by hand.
                if !names.is_empty() {
                    unsound.extend(of.iter().copied());
                    self.add(&error, names);
                }
            }
            self.bytes += part.bytes;
            self.progress.add(part.bytes);
        }
        let verified = listed.backups.into_iter().enumerate();
        Ok(verified.map(|(at, backup)| VerifiedBackup { sound: !unsound.contains(&at), ..backup.shown }).collect())
    }

    fn archive(&mut self) -> Result<Vec<VerifiedBackup>, BackupError> {
        let mut reading = ArchiveCheck { manifest: None, bytes: 0, progress: self.progress };
        self.progress.begin("reading the archive", 0);
        let read = BackupSource::open(self.path, None)?.read(&mut reading);
        self.bytes = reading.bytes;
        let sound = read.is_ok();
        if let Err(error) = read {
            if reading.manifest.is_none() && !error.is_damage() {
                return Err(error);
            }
            self.add(&error, reading.manifest.iter().map(BackupManifest::name).collect());
        }
        Ok(reading.manifest.iter().map(|manifest| verified(manifest, sound)).collect())
    }
}

/// A backup, without its parts.
struct ListedBackup {
    head: Option<EventId>,
    shown: VerifiedBackup,
}

/// The parts of all backups of a directory, each with the backups that have it, by their place in `backups`.
#[derive(Default)]
struct ListedParts {
    backups: Vec<ListedBackup>,
    /// By the name of the file. Lists that say different things of one file are all compared with it.
    parts: BTreeMap<String, Vec<(PartEntry, Vec<usize>)>>,
}

impl ListedParts {
    fn add(&mut self, name: String, manifest: BackupManifest) {
        let at = self.backups.len();
        let shown = VerifiedBackup { name, ..verified(&manifest, true) };
        self.backups.push(ListedBackup { head: manifest.head(), shown });
        for part in manifest.parts {
            let same = self.parts.entry(part.sha256.clone()).or_default();
            match same.iter_mut().find(|(known, _)| *known == part) {
                Some((_, of)) => of.push(at),
                None => same.push((part, vec![at])),
            }
        }
    }

    /// Reads a part that these backups have.
    fn check(&self, directory: &BackupDirectory, part: &PartEntry, of: &[usize]) -> Result<(), BackupError> {
        let path = directory.part(part);
        let mut file = File::open(&path).map_err(|source| BackupError::Io { path, source })?;
        let contents = check(part, &mut file)?;
        of.iter().try_for_each(|at| belongs(self.backups[*at].head, part, &contents))
    }

    fn bytes(&self) -> u64 {
        self.parts.values().flatten().map(|(part, _)| part.bytes).sum()
    }
}

/// The reading of an archive.
struct ArchiveCheck<'a> {
    manifest: Option<BackupManifest>,
    bytes: u64,
    progress: &'a WorkProgress,
}

impl PartVisitor for ArchiveCheck<'_> {
    type Error = BackupError;

    fn begin(&mut self, manifest: &BackupManifest) -> Result<(), BackupError> {
        self.progress.begin("reading the archive", manifest.bytes());
        self.manifest = Some(manifest.clone());
        Ok(())
    }

    fn part(&mut self, entry: &PartEntry, from: &mut dyn Read) -> Result<(), BackupError> {
        let contents = check(entry, from)?;
        self.manifest.iter().try_for_each(|manifest| belongs(manifest.head(), entry, &contents))?;
        self.bytes += entry.bytes;
        self.progress.add(entry.bytes);
        Ok(())
    }
}

/// Whether a part that is sound is one of the backup with this newest id.
fn belongs(head: Option<EventId>, part: &PartEntry, contents: &PartContents) -> Result<(), BackupError> {
    match contents.state() {
        Some(state) if head.map(|head| (head.epoch, head.seq)) != Some((state.epoch, state.head)) => {
            let problem = "its state is that of another store, or of another time";
            Err(BackupError::damaged(part.path(), problem))
        }
        _ => Ok(()),
    }
}

fn verified(manifest: &BackupManifest, sound: bool) -> VerifiedBackup {
    let id = manifest.head().map(|head| head.to_string()).unwrap_or_default();
    VerifiedBackup { name: manifest.name(), id, events: manifest.events(), sound }
}
