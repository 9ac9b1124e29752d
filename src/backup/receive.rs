//! Writes what a hub sends into a directory of backups: each part into a file, and at the end the list.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;

use super::{
    BackupError,
    directory::{BackupDirectory, HALF, create_private},
    frame::{BackupFrame, BadFrame, PartContent, PartHead, PartTail, StreamHead, VERSION},
    manifest::{BackupManifest, PartEntry, hex},
};

/// Bytes written between two syncs, so that the last sync of a part is short: a hub ends a connection that takes nothing for
/// half a minute.
const SYNC_BYTES: u64 = 32 << 20;

/// Reads a part that was written, by [`read_part`](super::part_file::read_part), and checks its records, before it is used.
pub type CheckPart<'a> = &'a dyn Fn(&PartEntry, &Path) -> Result<(), BackupError>;

/// A backup that is being received.
pub struct BackupReceiver<'a> {
    directory: &'a BackupDirectory,
    check: CheckPart<'a>,
    /// The parts that are here, by identity.
    have: HashMap<String, PartEntry>,
    head: Option<StreamHead>,
    /// The parts of this backup, by number.
    parts: BTreeMap<u64, PartEntry>,
    writing: Option<PartDownload>,
    /// Bytes of parts that were received, and of those that were here.
    received: u64,
    reused: u64,
    ended: bool,
}

/// What was received.
#[derive(Debug)]
pub struct ReceivedBackup {
    /// The backup.
    pub manifest: BackupManifest,
    /// Bytes of the parts that the hub has sent.
    pub received: u64,
    /// Bytes of the parts that were here.
    pub reused: u64,
}

/// A part that is being written.
struct PartDownload {
    head: PartHead,
    path: PathBuf,
    file: File,
    hash: Context,
    bytes: u64,
    unsynced: u64,
}

impl<'a> BackupReceiver<'a> {
    /// Receives into `directory`, which is open for writing. `check` is called with each part before it is used.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn new(directory: &'a BackupDirectory, check: CheckPart<'a>) -> Result<Self, BackupError> {
        let mut have = HashMap::new();
        for backup in directory.backups()? {
            for part in backup.manifest.ok().into_iter().flat_map(|manifest| manifest.parts) {
                let is_whole = directory.part(&part).metadata().is_ok_and(|meta| meta.len() == part.bytes);
                if let Some(digest) = part.head.digest.clone().filter(|_| is_whole) {
                    have.insert(digest, part);
                }
            }
        }
        let (parts, writing) = (BTreeMap::new(), None);
        Ok(Self { directory, check, have, head: None, parts, writing, received: 0, reused: 0, ended: false })
    }

    /// The identities of the parts that need not be sent, a line each.
    #[must_use]
    pub fn request(&self) -> String {
        let mut have: Vec<_> = self.have.keys().map(String::as_str).collect();
        have.sort_unstable();
        have.into_iter().flat_map(|digest| [digest, "\n"]).collect()
    }

    /// The head of the stream, once it is there.
    #[must_use]
    pub fn head(&self) -> Option<&StreamHead> {
        self.head.as_ref()
    }

    /// Takes the next frame with its bytes. Returns the number of bytes of parts that it has added. Blocks.
    ///
    /// # Errors
    /// When the stream is damaged, or the system refuses to write.
    pub fn take(&mut self, frame: BackupFrame, bytes: &Bytes) -> Result<u64, BackupError> {
        match (frame, self.writing.is_some()) {
            _ if self.ended => Err(BadFrame::Order.into()),
            (BackupFrame::Begin(head), _) if self.head.is_none() => {
                if head.version > VERSION {
                    return Err(BackupError::Newer { path: "the hub's stream".into(), found: head.version });
                }
                self.head = Some(head);
                Ok(0)
            }
            _ if self.head.is_none() => Err(BadFrame::Order.into()),
            (BackupFrame::Kept(head), false) => self.keep(&head),
            (BackupFrame::Part(head), false) => {
                self.writing = Some(PartDownload::create(self.directory.root(), head)?);
                self.write(bytes)
            }
            (BackupFrame::Records(_), true) => self.write(bytes),
            (BackupFrame::PartEnd(tail), true) => {
                let added = self.write(bytes)?;
                self.finish_part(tail)?;
                Ok(added)
            }
            (BackupFrame::PartVoid, _) => {
                self.writing = None; // its file has no name of a part, and the next one overwrites it
                Ok(0)
            }
            (BackupFrame::Void(number), false) => {
                self.parts.remove(&number);
                Ok(0)
            }
            (BackupFrame::End(parts), false) => {
                self.ended = true;
                if self.parts.len() as u64 == parts { Ok(0) } else { Err(BadFrame::Order.into()) }
            }
            _ => Err(BadFrame::Order.into()),
        }
    }

    /// Ends the backup after the last frame: its list is written, durably. `made`: the present time, as in RFC 3339.
    ///
    /// # Errors
    /// When the stream has ended early, its parts are not those of a backup, or the system refuses.
    pub fn finish(self, made: String) -> Result<ReceivedBackup, BackupError> {
        let head = self.head.filter(|_| self.ended).ok_or(BackupError::BrokenOff)?;
        let mut parts: Vec<PartEntry> = self.parts.into_values().collect();
        parts.sort_by_key(|part| (part.head.kind == PartContent::State, part.head.after));
        let StreamHead { store_format, epoch, head, .. } = head;
        let manifest = BackupManifest { version: VERSION, store_format, epoch, head, made, parts };
        // What could not be read again is not written.
        BackupManifest::decode("the list of parts", &manifest.encode())?;
        self.directory.add(&manifest)?;
        Ok(ReceivedBackup { manifest, received: self.received, reused: self.reused })
    }

    fn keep(&mut self, head: &PartHead) -> Result<u64, BackupError> {
        let here = head.digest.as_ref().and_then(|digest| self.have.get(digest));
        let entry = here.cloned().ok_or(BadFrame::Order)?;
        if (entry.head.after, entry.head.through) != (head.after, head.through) {
            return Err(BadFrame::Order.into());
        }
        let bytes = entry.bytes;
        self.reused += bytes;
        self.parts.insert(head.number, entry);
        Ok(bytes)
    }

    fn write(&mut self, bytes: &Bytes) -> Result<u64, BackupError> {
        let writing = self.writing.as_mut().ok_or(BadFrame::Order)?;
        writing.write(bytes)?;
        self.received += bytes.len() as u64;
        Ok(bytes.len() as u64)
    }

    /// Makes the part durable, reads it again as it is on the disk, and gives it its name.
    fn finish_part(&mut self, tail: PartTail) -> Result<(), BackupError> {
        let PartDownload { head, path, file, hash, bytes, .. } = self.writing.take().ok_or(BadFrame::Order)?;
        file.sync_all().map_err(BackupError::at(&path))?;
        drop(file);
        let entry = PartEntry { sha256: hex(hash.finish().as_ref()), bytes, head, tail };
        (self.check)(&entry, &path)?;
        let name = self.directory.part(&entry);
        fs::rename(&path, &name).map_err(BackupError::at(&name))?;
        self.parts.insert(entry.head.number, entry);
        Ok(())
    }
}

impl PartDownload {
    fn create(root: &Path, head: PartHead) -> Result<Self, BackupError> {
        let path = root.join("parts").join(format!("receiving{HALF}"));
        let file = create_private(&path).map_err(BackupError::at(&path))?;
        Ok(Self { head, path, file, hash: Context::new(&SHA256), bytes: 0, unsynced: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.file.write_all(bytes).map_err(BackupError::at(&self.path))?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            self.file.sync_data().map_err(BackupError::at(&self.path))?;
        }
        Ok(())
    }
}
