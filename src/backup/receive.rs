//! Writes what a hub sends into a directory of backups: each part into a file, and at the end the list.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    BackupError,
    directory::BackupDirectory,
    frame::{BackupFrame, BadFrame, PartContent, PartHead, PartTail, StreamHead, VERSION},
    journal::{self, Journal},
    known::KnownParts,
    manifest::{BackupManifest, PartEntry},
    part_checker::{CheckPart, PartChecker},
    part_download::{PartDownload, SyncPace},
};
use crate::event::Millis;

/// A backup that is being received.
pub struct BackupReceiver<'a> {
    directory: &'a BackupDirectory,
    known: KnownParts,
    checker: PartChecker,
    pace: SyncPace,
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
    /// What its maker should know, a message each.
    pub warnings: Vec<String>,
}

impl<'a> BackupReceiver<'a> {
    /// Receives into `directory`, which is open for writing. `check` is called with each part before it is used, on a thread of
    /// its own.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn new(directory: &'a BackupDirectory, check: CheckPart) -> Result<Self, BackupError> {
        Ok(Self {
            directory,
            known: KnownParts::read(directory)?,
            checker: PartChecker::start(check, Journal::new(directory.root())),
            pace: SyncPace::new(),
            head: None,
            parts: BTreeMap::new(),
            writing: None,
            received: 0,
            reused: 0,
            ended: false,
        })
    }

    /// The identities of the parts that need not be sent, a line each.
    #[must_use]
    pub fn request(&self) -> String {
        let mut have: Vec<_> = self.known.by_digest.keys().map(String::as_str).collect();
        have.sort_unstable();
        have.into_iter().flat_map(|digest| [digest, "\n"]).collect()
    }

    /// The head of the stream, once it is there.
    #[must_use]
    pub fn head(&self) -> Option<&StreamHead> {
        self.head.as_ref()
    }

    /// Takes the next frame with its bytes. Returns the number of bytes of parts that it has added. Blocks, for some seconds at
    /// most.
    ///
    /// # Errors
    /// When the stream is damaged or of another hub than the backups, or the system refuses to write.
    pub fn take(&mut self, frame: BackupFrame, bytes: &Bytes) -> Result<u64, BackupError> {
        match (frame, self.writing.is_some()) {
            _ if self.ended => Err(BadFrame::Order.into()),
            (BackupFrame::Begin(head), _) if self.head.is_none() => {
                self.begin(head)?;
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

    /// Ends the backup after the last frame: its list is written, durably. `now`: the present time.
    ///
    /// # Errors
    /// When the stream has ended early, its parts are not sound or not those of a backup, or the system refuses.
    pub fn finish(mut self, now: Millis) -> Result<ReceivedBackup, BackupError> {
        let head = self.head.take().filter(|_| self.ended).ok_or(BackupError::BrokenOff)?;
        self.checker.end()?;
        let mut parts: Vec<PartEntry> = std::mem::take(&mut self.parts).into_values().collect();
        parts.sort_by_key(|part| (part.head.kind == PartContent::State, part.head.after));
        let (made, warnings) = self.made(&head, now);
        let StreamHead { store_format, epoch, head, .. } = head;
        let manifest = BackupManifest { version: VERSION, store_format, epoch, head, made, parts };
        // What could not be read again is not written.
        BackupManifest::decode("the list of parts", &manifest.encode())?;
        self.directory.add(&manifest)?;
        journal::remove(self.directory.root())?;
        Ok(ReceivedBackup { manifest, received: self.received, reused: self.reused, warnings })
    }

    /// The stream begins: it must be of the hub whose backups are here.
    fn begin(&mut self, head: StreamHead) -> Result<(), BackupError> {
        if head.version > VERSION {
            return Err(BackupError::Newer { path: "the hub's stream".into(), found: head.version });
        }
        let there = self.known.epochs();
        if !there.is_empty() && !there.contains(&*head.epoch) {
            let there = there.into_iter().map(Into::into).collect();
            return Err(BackupError::OtherHub { path: self.directory.root().into(), there, hub: head.epoch });
        }
        self.head = Some(head);
        Ok(())
    }

    /// When the backup was made, and what the newest one that is here says about that. Among backups with the same newest id
    /// the time tells the newest. Otherwise it is the true one, also when that is earlier: a restore refuses times that are
    /// still to come.
    fn made(&self, head: &StreamHead, now: Millis) -> (String, Vec<String>) {
        let (mut made, mut warnings) = (now, Vec::new());
        let Some(newest) = self.known.newest.iter().find(|backup| backup.epoch == head.epoch) else {
            return (made.to_string(), warnings);
        };
        let before = Millis::parse_rfc3339(&newest.made).unwrap_or_default();
        if now < before {
            warnings.push(format!(
                "this machine's clock shows {now}, and the newest backup was made at {before}: the clock was set back, or was \
                 wrong then. The newest backup is that with the newest id"
            ));
        }
        if head.head < newest.head {
            warnings.push(format!(
                "the hub's newest id is {0}-{1}, and that of the backup {2} is {0}-{3}: the hub has lost events, or an old copy \
                 of its store was put in place. Without --at a restore takes {2}",
                head.epoch, head.head, newest.name, newest.head
            ));
        }
        if head.head == newest.head {
            made = made.max(Millis(before.0 + 1));
        }
        (made.to_string(), warnings)
    }

    fn keep(&mut self, head: &PartHead) -> Result<u64, BackupError> {
        let here = head.digest.as_ref().and_then(|digest| self.known.by_digest.get(digest));
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
        writing.write(bytes, &mut self.pace)?;
        self.received += bytes.len() as u64;
        Ok(bytes.len() as u64)
    }

    /// Passes the part on to be made durable, read again as it is on the disk, and given its name.
    fn finish_part(&mut self, tail: PartTail) -> Result<(), BackupError> {
        let part = self.writing.take().ok_or(BadFrame::Order)?.end(self.directory.root(), tail)?;
        self.parts.insert(part.entry.head.number, part.entry.clone());
        self.checker.add(part)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use parking_lot::Mutex;

    use super::*;
    use crate::backup::{directory::tests::backup, part_checker::CheckPart};

    fn stream_head(epoch: &str, head: u64) -> BackupFrame {
        BackupFrame::Begin(StreamHead { version: VERSION, store_format: 2, epoch: epoch.into(), head, bytes: 0 })
    }

    /// The frames of a part without records.
    fn part(number: u64, after: u64, through: u64) -> [BackupFrame; 2] {
        let is_state = through == after;
        let kind = if is_state { PartContent::State } else { PartContent::Events };
        let (after, digest) = if is_state { (0, None) } else { (after, Some(format!("{number:064}"))) };
        let head = PartHead { kind, number, after, through, newest: 1, digest };
        [BackupFrame::Part(head), BackupFrame::PartEnd(PartTail { records: 0, events: 0 })]
    }

    fn take(
        receiver: &mut BackupReceiver<'_>,
        frames: impl IntoIterator<Item = BackupFrame>,
    ) -> Result<(), BackupError> {
        frames.into_iter().try_for_each(|frame| receiver.take(frame.clone(), &frame.encode()).map(drop))
    }

    fn unchecked() -> CheckPart {
        Arc::new(|_, _| Ok(()))
    }

    fn directory(root: &std::path::Path) -> BackupDirectory {
        BackupDirectory::create(root).expect("made")
    }

    #[test]
    fn parts_are_received_while_others_are_checked_and_are_offered_again_after_a_break() {
        let dir = tempfile::tempdir().expect("a directory");
        let directory = directory(dir.path());
        let (go_on, waits) = mpsc::channel::<()>();
        let waits = Mutex::new(waits);
        let slow: CheckPart = Arc::new(move |_, _| {
            waits.lock().recv().expect("the test goes on");
            Ok(())
        });
        let mut receiver = BackupReceiver::new(&directory, slow).expect("begun");
        take(&mut receiver, [stream_head("abcd1234", 9)]).expect("received");
        for number in 0..3 {
            // None is checked yet.
            take(&mut receiver, part(number, number * 3, number * 3 + 3)).expect("received");
        }
        assert_eq!(receiver.known.by_digest.len(), 0);
        for _ in 0..3 {
            go_on.send(()).expect("it waits");
        }
        drop(receiver); // the connection is broken
        let mut receiver = BackupReceiver::new(&directory, unchecked()).expect("begun");
        assert_eq!(receiver.request().lines().count(), 3);
        let kept = (0..3).map(|number| match part(number, number * 3, number * 3 + 3) {
            [BackupFrame::Part(head), _] => BackupFrame::Kept(head),
            _ => unreachable!("a part begins with its head"),
        });
        take(&mut receiver, [stream_head("abcd1234", 9)].into_iter().chain(kept)).expect("received");
        take(&mut receiver, part(3, 9, 9).into_iter().chain([BackupFrame::End(4)])).expect("received");
        let whole = receiver.finish(Millis(0)).expect("whole");
        assert_eq!((whole.manifest.parts.len(), whole.warnings.len()), (4, 0));
        assert!(whole.reused > whole.received);
        assert!(journal::parts(dir.path()).expect("none").is_empty());
        directory.remove_unused().expect("nothing");
        assert!(whole.manifest.parts.iter().all(|part| directory.part(part).exists()));
    }

    #[test]
    fn a_part_that_is_not_sound_is_no_part_of_a_backup() {
        let dir = tempfile::tempdir().expect("a directory");
        let directory = directory(dir.path());
        let damaged: CheckPart = Arc::new(|part, _| Err(BackupError::damaged(part.path(), "it is another one")));
        let mut receiver = BackupReceiver::new(&directory, damaged).expect("begun");
        take(&mut receiver, [stream_head("abcd1234", 9)]).expect("received");
        let rest = part(0, 9, 9).into_iter().chain([BackupFrame::End(1)]);
        let error = take(&mut receiver, rest).and_then(|()| receiver.finish(Millis(0)).map(drop));
        assert!(matches!(error, Err(BackupError::Damaged { .. })), "{error:?}");
        assert_eq!(directory.list_names().expect("read").len(), 0);
        assert!(journal::parts(dir.path()).expect("none").is_empty());
    }

    #[test]
    fn a_backup_is_newer_than_those_before_and_an_odd_clock_or_head_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let directory = directory(dir.path());
        let before = backup("abcd1234", 5, 9, &[]);
        directory.add(&before).expect("written");
        let at = |second: u64| Millis::parse_rfc3339(&before.made).expect("a time").0 - 5000 + second * 1000;
        let backup_at = |epoch: &str, head: u64, now: u64| {
            let mut receiver = BackupReceiver::new(&directory, unchecked())?;
            take(&mut receiver, [stream_head(epoch, head)])?;
            take(&mut receiver, part(0, head, head).into_iter().chain([BackupFrame::End(1)]))?;
            let whole = receiver.finish(Millis(now))?;
            std::fs::remove_file(directory.list(&whole.manifest.name())).expect("removed");
            Ok::<_, BackupError>((whole.manifest.made, whole.warnings.concat()))
        };
        assert_eq!(backup_at("abcd1234", 10, at(7)).expect("made"), ("2026-11-27T06:22:47.000Z".into(), String::new()));
        let (made, told) = backup_at("abcd1234", 10, at(3)).expect("made");
        assert!(made == "2026-11-27T06:22:43.000Z" && told.contains("clock"), "the true time: {made} {told}");
        let (made, told) = backup_at("abcd1234", 9, at(3)).expect("made");
        assert!(made == "2026-11-27T06:22:45.001Z" && told.contains("clock"), "of two with one id: {made} {told}");
        let (_, told) = backup_at("abcd1234", 8, at(7)).expect("made");
        assert!(told.contains("lost events") && told.contains(&before.name()), "{told}");
        let told = backup_at("efgh5678", 9, at(7)).expect_err("another hub").to_string();
        assert!(told.contains("abcd1234") && told.contains("efgh5678"), "{told}");
    }
}
