//! Reads an archive. Somebody else may have made it: each member's kind and size are compared before it is read, and nothing
//! may follow the last one.

use std::{
    fs::File,
    io::{BufRead, BufReader, ErrorKind, Read},
    path::Path,
};

use tar::{Archive, Entries, Entry, EntryType};

use super::{
    super::{
        BackupError,
        directory::{MARK, check_mark},
        manifest::{BackupManifest, MAX_LIST_BYTES},
        visitor::PartVisitor,
    },
    ENDING,
};

/// Bytes of the mark at most.
const MARK_BYTES: u64 = 4096;

/// Bytes of zeros at the end at most. tar(1) ends an archive at a multiple of 10 KiB.
const PADDING_BYTES: u64 = 64 << 10;

/// Characters of a member's name in a message.
const SHOWN_NAME: usize = 100;

/// The first bytes of zstd.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Reads the archive at `path`, and passes all of it to `visitor`.
///
/// # Errors
/// Those of `visitor`, and when it is no archive of a backup, is damaged or cannot be read.
pub(in super::super) fn read<V: PartVisitor>(path: &Path, visitor: &mut V) -> Result<BackupManifest, V::Error> {
    let mut archive = OpenArchive::open(path)?;
    let decoder = zstd::Decoder::with_buffer(&mut archive.file).map_err(BackupError::at(path))?.single_frame();
    let mut tar = Archive::new(decoder);
    // Raw: what tar makes of long names and other extensions is read into memory, and no backup has them.
    let mut members = ArchiveMembers {
        shown: &archive.shown,
        path,
        entries: tar.entries().map_err(BackupError::at(path))?.raw(true),
    };
    let mut text = String::new();
    let (_, mark) = members.next(|name| name == MARK, 0..=MARK_BYTES)?;
    mark.take(MARK_BYTES).read_to_string(&mut text).map_err(BackupError::at(path))?;
    check_mark(path, &text)?;
    let (name, list) = members.next(|name| name.starts_with("backups/"), 0..=MAX_LIST_BYTES)?;
    let mut content = Vec::new();
    list.take(MAX_LIST_BYTES).read_to_end(&mut content).map_err(BackupError::at(path))?;
    let manifest = BackupManifest::decode(&name, &content)?;
    drop(content);
    visitor.begin(&manifest)?;
    for of in &manifest.parts {
        let (_, mut entry) = members.next(|name| name == of.path(), of.bytes..=of.bytes)?;
        visitor.part(of, &mut entry)?;
    }
    members.end()?;
    // The rest is read, so that the checksum at the end of the compression is compared.
    let mut padding = Vec::new();
    tar.into_inner().take(PADDING_BYTES + 1).read_to_end(&mut padding).map_err(BackupError::at(path))?;
    if padding.len() as u64 > PADDING_BYTES || padding.iter().any(|byte| *byte != 0) {
        return Err(archive.has_more().into());
    }
    if !archive.file.fill_buf().map_err(BackupError::at(path))?.is_empty() {
        return Err(archive.has_more().into());
    }
    Ok(manifest)
}

struct OpenArchive {
    file: BufReader<File>,
    /// Its name in messages.
    shown: String,
}

impl OpenArchive {
    fn open(path: &Path) -> Result<Self, BackupError> {
        let none = |problem| BackupError::NotABackup { path: path.into(), problem };
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(none("it does not exist")),
            opened => opened.map_err(BackupError::at(path))?,
        };
        let mut file = BufReader::new(file);
        let beginning = file.fill_buf().map_err(BackupError::at(path))?;
        if beginning.is_empty() {
            return Err(none("it is empty"));
        }
        // It is damaged rather than something else if it has an archive's name, or all but one byte of the first four.
        let like_zstd = MAGIC.iter().zip(beginning).filter(|(want, found)| want == found).count() + 1 >= MAGIC.len();
        if !like_zstd && !path.to_string_lossy().ends_with(ENDING) {
            return Err(none("it is neither a directory nor an archive"));
        }
        Ok(Self { file, shown: path.file_name().unwrap_or_default().to_string_lossy().into_owned() })
    }

    fn has_more(&self) -> BackupError {
        has_more(&self.shown)
    }
}

fn has_more(shown: &str) -> BackupError {
    BackupError::damaged(shown, "something comes after its last part")
}

/// The members in order.
struct ArchiveMembers<'a, R: Read> {
    shown: &'a str,
    path: &'a Path,
    entries: Entries<'a, R>,
}

impl<'a, R: Read> ArchiveMembers<'a, R> {
    /// The next one, which must be a file with such a name and of so many bytes.
    fn next(
        &mut self,
        is_it: impl Fn(&str) -> bool,
        bytes: std::ops::RangeInclusive<u64>,
    ) -> Result<(String, Entry<'a, R>), BackupError> {
        let damaged = |problem: &str| BackupError::damaged(self.shown, problem);
        let entry = self.entries.next().ok_or_else(|| damaged("it is cut short"))?;
        let entry = entry.map_err(BackupError::at(self.path))?;
        let name: String = String::from_utf8_lossy(&entry.path_bytes()).chars().take(SHOWN_NAME).collect();
        if !is_it(&name) || entry.header().entry_type() != EntryType::Regular {
            return Err(damaged(&format!("{name:?} is in the wrong place")));
        }
        match entry.size() {
            size if size > *bytes.end() => Err(damaged(&format!("{name:?} is longer than any can be"))),
            size if size < *bytes.start() => Err(damaged(&format!("{name:?} is shorter than its list says"))),
            _ => Ok((name, entry)),
        }
    }

    /// There are no more.
    fn end(mut self) -> Result<(), BackupError> {
        match self.entries.next() {
            None => Ok(()),
            Some(Ok(_)) => Err(has_more(self.shown)),
            Some(Err(error)) => Err(BackupError::at(self.path)(error)),
        }
    }
}
