//! The list of a backup's parts, in a file of two lines: JSON, and the SHA-256 of the first line.

use std::{fs, io::Read, path::Path};

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::{
    BackupError,
    frame::{PartContent, PartHead, PartTail, VERSION},
};
use crate::event::{Epoch, EventId, Seq};

/// Bytes of the file at most: some 300 for each part, so a million parts.
pub(super) const MAX_LIST_BYTES: u64 = 300 << 20;

/// A part's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartEntry {
    /// The SHA-256 of its content in hexadecimal digits, by which it is named.
    pub sha256: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// The head of the part.
    #[serde(flatten)]
    pub head: PartHead,
    /// The end of the part.
    #[serde(flatten)]
    pub tail: PartTail,
}

impl PartEntry {
    /// Its path in a directory of backups or an archive.
    #[must_use]
    pub fn path(&self) -> String {
        format!("parts/{}.part", self.sha256)
    }

    /// Whether its name is one within the directory of parts: a SHA-256 in lower case.
    pub(super) fn is_named(&self) -> bool {
        self.sha256.len() == 64
            && self.sha256.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    }
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupManifest {
    /// [`VERSION`].
    pub version: u64,
    /// The version of the store's records.
    pub store_format: u64,
    /// The epoch of the store's ids.
    pub epoch: String,
    /// The newest position.
    pub head: u64,
    /// When it was made, by the clock of the machine that has written it.
    pub made: String,
    /// Its parts, in order of position; the one with the state is the last.
    pub parts: Vec<PartEntry>,
}

impl BackupManifest {
    /// The newest id in the backup; `None` when the epoch is not valid.
    #[must_use]
    pub fn head(&self) -> Option<EventId> {
        Some(EventId { epoch: Epoch::new(&self.epoch)?, seq: Seq(self.head) })
    }

    /// Its name: time and newest id, so that names sort by time.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}-{}", self.made.replace(':', "-"), self.epoch, self.head)
    }

    /// Number of events.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.parts.iter().map(|part| part.tail.events).sum()
    }

    /// Bytes of its parts.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    /// The file's content.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).expect("numbers and text");
        let sum = hex(digest(&SHA256, &text).as_ref());
        text.push(b'\n');
        text.extend_from_slice(sum.as_bytes());
        text.push(b'\n');
        text
    }

    /// Reads the content of the file `name`.
    ///
    /// # Errors
    /// When it is damaged, of a newer gapless, or its parts do not follow each other.
    pub fn decode(name: &str, content: &[u8]) -> Result<Self, BackupError> {
        let damaged = |problem: &str| BackupError::damaged(name, problem);
        let mut lines = content.split(|byte| *byte == b'\n');
        let (text, sum) = lines.next().zip(lines.next()).ok_or_else(|| damaged("it is cut short"))?;
        let ended = lines.next() == Some(b"") && lines.next().is_none();
        if !ended || hex(digest(&SHA256, text).as_ref()).as_bytes() != sum {
            return Err(damaged("it does not match its checksum"));
        }
        let version = serde_json::from_slice::<AnyVersion>(text).map_err(|error| damaged(&error.to_string()))?.version;
        if version > VERSION {
            return Err(BackupError::Newer { path: name.into(), found: version });
        }
        let manifest: Self = serde_json::from_slice(text).map_err(|error| damaged(&error.to_string()))?;
        manifest.check().map_err(damaged)?;
        Ok(manifest)
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), and when the system refuses to read it.
    pub fn read(path: &Path) -> Result<Self, BackupError> {
        let mut content = Vec::new();
        let file = fs::File::open(path).map_err(BackupError::at(path))?;
        file.take(MAX_LIST_BYTES).read_to_end(&mut content).map_err(BackupError::at(path))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self::decode(&format!("backups/{name}"), &content)
    }

    /// Whether its parts can be those of a backup.
    fn check(&self) -> Result<(), &'static str> {
        let Some((state, events)) = self.parts.split_last() else { return Err("it has no parts") };
        if self.head().is_none() {
            return Err("its epoch is not valid");
        }
        if state.head.kind != PartContent::State || state.head.through != self.head {
            return Err("the part with the state is missing");
        }
        let mut at = 0;
        for part in events {
            let PartHead { kind, after, through, .. } = part.head;
            if kind != PartContent::Events || after < at || through <= after {
                return Err("its parts are not in order");
            }
            at = through;
        }
        if at > self.head || self.parts.iter().any(|part| !part.is_named()) {
            return Err("its parts do not belong to it");
        }
        Ok(())
    }
}

/// The part of any version's file that tells the version.
#[derive(Deserialize)]
struct AnyVersion {
    version: u64,
}

/// Hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |four: u8| char::from(DIGITS[usize::from(four)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn part(kind: PartContent, after: u64, through: u64) -> PartEntry {
        PartEntry {
            sha256: hex(digest(&SHA256, &[after.to_be_bytes(), through.to_be_bytes()].concat()).as_ref()),
            bytes: 10,
            head: PartHead { kind, number: 0, after, through, newest: 1, digest: None },
            tail: PartTail { records: 1, events: 1 },
        }
    }

    fn manifest() -> BackupManifest {
        BackupManifest {
            version: VERSION,
            store_format: 2,
            epoch: "abcd1234".into(),
            head: 9,
            made: "2026-11-27T06:22:44.000Z".into(),
            parts: vec![
                part(PartContent::Events, 0, 5),
                part(PartContent::Events, 7, 9),
                part(PartContent::State, 0, 9),
            ],
        }
    }

    #[test]
    fn a_list_is_read_back_and_a_flipped_bit_is_found() {
        let manifest = manifest();
        let content = manifest.encode();
        assert_eq!(BackupManifest::decode("m", &content).expect("sound"), manifest);
        assert_eq!(manifest.name(), "2026-11-27T06-22-44.000Z-abcd1234-9");
        for bit in 0..content.len() * 8 {
            let mut bytes = content.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            BackupManifest::decode("m", &bytes).expect_err(&format!("bit {bit}"));
        }
        for end in 0..content.len() {
            BackupManifest::decode("m", &content[..end]).expect_err("cut");
        }
    }

    #[test]
    fn parts_that_do_not_follow_each_other_are_refused() {
        let broken: [fn(&mut BackupManifest); 6] = [
            |of| of.parts.clear(),
            |of| drop(of.parts.pop()),
            |of| of.parts.swap(0, 1),
            |of| of.parts[1].head.through = 10,
            |of| of.parts[0].sha256 = "../../etc/passwd".into(),
            |of| of.head = 8,
        ];
        for change in broken {
            let mut of = manifest();
            change(&mut of);
            BackupManifest::decode("m", &of.encode()).expect_err("not a backup");
        }
        let newer = BackupManifest { version: 2, ..manifest() };
        assert!(matches!(BackupManifest::decode("m", &newer.encode()), Err(BackupError::Newer { found: 2, .. })));
    }
}
