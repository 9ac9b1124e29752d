//! One backup in one file: a tar, compressed with zstd. First the list of its parts, so that a reader needs no space for
//! what it has not read yet, then the parts in order.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use tar::{Archive, Builder, EntryType, Header};

use super::{
    BackupError,
    directory::{BackupDirectory, HALF, MARK, check_mark, create_private, mark, sync_dir},
    manifest::BackupManifest,
    visitor::PartVisitor,
};

/// The level of compression: zstd's own default.
const LEVEL: i32 = 3;

/// Bytes of a file's name and of the mark at most.
const MARK_BYTES: u64 = 4096;

/// Writes the backup `manifest` of `directory` into the file `path`, durably, whole or not at all. Blocks.
///
/// # Errors
/// When the system refuses.
pub fn write_file(directory: &BackupDirectory, manifest: &BackupManifest, path: &Path) -> Result<(), BackupError> {
    let mut half = path.as_os_str().to_owned();
    half.push(HALF);
    let half = PathBuf::from(half);
    let file = create_private(&half).map_err(BackupError::at(&half))?;
    let file = write(directory, manifest, BufWriter::new(file))?;
    let finish = || {
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&half, path)?;
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_dir)
    };
    finish().map_err(BackupError::at(path))
}

/// Writes it to `out`, and returns that.
///
/// # Errors
/// When a part cannot be read, or `out` cannot be written.
pub fn write<W: Write>(directory: &BackupDirectory, manifest: &BackupManifest, out: W) -> Result<W, BackupError> {
    let out_error = || BackupError::at(Path::new("the archive"));
    let mut encoder = zstd::Encoder::new(out, LEVEL).map_err(out_error())?;
    encoder.include_checksum(true).map_err(out_error())?;
    let mut tar = Builder::new(encoder);
    append(&mut tar, MARK, &mut mark().as_bytes(), mark().len() as u64).map_err(out_error())?;
    let list = manifest.encode();
    let name = format!("backups/{}.json", manifest.name());
    append(&mut tar, &name, &mut &list[..], list.len() as u64).map_err(out_error())?;
    for part in &manifest.parts {
        let path = directory.part(part);
        let mut file = File::open(&path).map_err(BackupError::at(&path))?;
        append(&mut tar, &part.path(), &mut file, part.bytes).map_err(BackupError::at(&path))?;
    }
    let encoder = tar.into_inner().map_err(out_error())?;
    encoder.finish().map_err(out_error())
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

/// Reads the archive at `path`, and passes all of it to `visitor`.
///
/// # Errors
/// Those of `visitor`, and when it is no archive of a backup, is damaged or cannot be read.
pub(super) fn read<V: PartVisitor>(path: &Path, visitor: &mut V) -> Result<BackupManifest, V::Error> {
    let shown = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let damaged = |problem: &str| BackupError::damaged(&shown, problem);
    let failed = |error: io::Error| BackupError::at(path)(error);
    let file = File::open(path).map_err(BackupError::at(path))?;
    let decoder = zstd::Decoder::new(BufReader::new(file)).map_err(failed)?;
    let mut archive = Archive::new(decoder);
    let mut entries = archive.entries().map_err(failed)?;
    let mut next = |name: Option<&str>| -> Result<_, BackupError> {
        let Some(entry) = entries.next() else { return Err(damaged("it is cut short")) };
        let entry = entry.map_err(failed)?;
        let found = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let is_it = name.map_or(found.starts_with("backups/"), |name| name == found);
        if !is_it || entry.header().entry_type() != EntryType::Regular {
            return Err(damaged(&format!("{found:?} is in the wrong place")));
        }
        Ok((found, entry))
    };
    let mut text = String::new();
    let (_, entry) = next(Some(MARK))?;
    entry.take(MARK_BYTES).read_to_string(&mut text).map_err(failed)?;
    check_mark(path, &text)?;
    let (name, mut entry) = next(None)?;
    let mut list = Vec::new();
    entry.read_to_end(&mut list).map_err(failed)?;
    let manifest = BackupManifest::decode(&name, &list)?;
    visitor.begin(&manifest)?;
    for of in &manifest.parts {
        let (_, mut entry) = next(Some(&of.path()))?;
        visitor.part(of, &mut entry)?;
    }
    // The rest is read, so that the checksum at the end of the compression is compared.
    let mut decoder = archive.into_inner();
    io::copy(&mut decoder, &mut io::sink()).map_err(failed)?;
    Ok(manifest)
}
