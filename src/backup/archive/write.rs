//! Writes an archive, and reads it again before it gets its name.

use std::{
    fs::{self, File},
    io::{self, BufWriter, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use tar::{Builder, EntryType, Header};

use super::{
    super::{
        BackupError,
        directory::{BackupDirectory, HALF, MARK, create_private, mark, sync_dir},
        manifest::{BackupManifest, PartEntry},
        part_file::read_part,
        visitor::PartVisitor,
    },
    read::read,
};

/// The level of compression: zstd's own default.
const LEVEL: i32 = 3;

/// Writes the backup `manifest` of `directory` into the file `path`, durably, whole or not at all. Blocks.
///
/// # Errors
/// When the system refuses, or what was written cannot be read again. The archive before is as it was.
pub fn write_file(directory: &BackupDirectory, manifest: &BackupManifest, path: &Path) -> Result<(), BackupError> {
    let half = half(path);
    let written = write_half(directory, manifest, &half).and_then(|()| {
        fs::rename(&half, path).map_err(BackupError::at(path))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_dir(parent).map_err(BackupError::at(parent))
    });
    if written.is_err() {
        // A full disk is not to stay full of it. The next try removes it if this one cannot.
        let _still_there = remove_half(path);
    }
    written
}

/// Removes what a writer that was cut short has left beside the archive `path`.
///
/// # Errors
/// When the system refuses.
pub fn remove_half(path: &Path) -> Result<(), BackupError> {
    let half = half(path);
    match fs::remove_file(&half) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(BackupError::at(&half)(error)),
        _ => Ok(()),
    }
}

fn half(path: &Path) -> PathBuf {
    let mut half = path.as_os_str().to_owned();
    half.push(HALF);
    half.into()
}

/// Writes it durably, and compares what is on the disk with the list.
fn write_half(directory: &BackupDirectory, manifest: &BackupManifest, half: &Path) -> Result<(), BackupError> {
    let file = create_private(half).map_err(BackupError::at(half))?;
    let out = write(directory, manifest, BufWriter::new(file), half)?;
    let file = out.into_inner().map_err(|error| BackupError::at(half)(error.into_error()))?;
    file.sync_all().map_err(BackupError::at(half))?;
    if read(half, &mut ArchiveComparison)? == *manifest {
        Ok(())
    } else {
        Err(BackupError::damaged(half.to_string_lossy(), "it does not hold what was written"))
    }
}

/// Writes it to `out`, which is the file `path`, and returns that.
fn write<W: Write>(
    directory: &BackupDirectory,
    manifest: &BackupManifest,
    out: W,
    path: &Path,
) -> Result<W, BackupError> {
    let failed = || BackupError::at(path);
    let mut encoder = zstd::Encoder::new(out, LEVEL).map_err(failed())?;
    encoder.include_checksum(true).map_err(failed())?;
    let mut tar = Builder::new(encoder);
    append(&mut tar, MARK, &mut mark().as_bytes(), mark().len() as u64).map_err(failed())?;
    let list = manifest.encode();
    let name = format!("backups/{}.json", manifest.name());
    append(&mut tar, &name, &mut &list[..], list.len() as u64).map_err(failed())?;
    for part in &manifest.parts {
        let from = directory.part(part);
        let mut file = PartFile { file: File::open(&from).map_err(BackupError::at(&from))?, failed: false };
        let appended = append(&mut tar, &part.path(), &mut file, part.bytes);
        appended.map_err(|error| BackupError::at(if file.failed { &from } else { path })(error))?;
    }
    let encoder = tar.into_inner().map_err(failed())?;
    encoder.finish().map_err(failed())
}

/// A header without an owner and a time: the same backup makes the same archive.
fn append(tar: &mut Builder<impl Write>, name: &str, from: &mut dyn Read, bytes: u64) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(0);
    tar.append_data(&mut header, name, from)
}

/// A part that is copied; remembers whether it was the reading that has failed.
struct PartFile {
    file: File,
    failed: bool,
}

impl Read for PartFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer).inspect_err(|_| self.failed = true)
    }
}

/// Compares each part with its list. The records were checked before, in the files from which it was made.
struct ArchiveComparison;

impl PartVisitor for ArchiveComparison {
    type Error = BackupError;

    fn begin(&mut self, _: &BackupManifest) -> Result<(), BackupError> {
        Ok(())
    }

    fn part(&mut self, entry: &PartEntry, from: &mut dyn Read) -> Result<(), BackupError> {
        read_part(entry, from, |_| Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::{
            directory::tests::backup,
            frame::{BackupFrame, PartContent, PartHead, PartTail},
            manifest::hex,
        },
        *,
    };

    #[test]
    fn an_archive_that_does_not_hold_what_was_checked_does_not_replace_the_one_before() {
        let dir = tempfile::tempdir().expect("a directory");
        let directory = BackupDirectory::create(&dir.path().join("parts")).expect("made");
        let head = PartHead { kind: PartContent::State, number: 0, after: 0, through: 9, newest: 1, digest: None };
        let tail = PartTail { records: 0, events: 0 };
        let frames = [BackupFrame::Part(head.clone()), BackupFrame::PartEnd(tail)];
        let content = frames.map(|frame| frame.encode()).concat();
        let sha256 = hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &content).as_ref());
        let state = PartEntry { sha256, bytes: content.len() as u64, head, tail };
        let manifest = BackupManifest { parts: vec![state.clone()], ..backup("abcd1234", 1, 9, &[]) };
        fs::write(directory.part(&state), &content).expect("written");
        let archive = dir.path().join("hub.tar.zst");
        write_file(&directory, &manifest, &archive).expect("sound");
        let before = fs::read(&archive).expect("read");
        // The disk returns other bytes than those that were checked.
        let mut other = content;
        other[20] ^= 1;
        fs::write(directory.part(&state), &other).expect("written");
        assert!(matches!(write_file(&directory, &manifest, &archive), Err(BackupError::Damaged { .. })));
        assert_eq!(fs::read(&archive).expect("read"), before);
        assert!(!half(&archive).exists());
    }
}
