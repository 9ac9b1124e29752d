//! The parts that an unfinished backup has received: they are whole and durable, but no list names them yet. The next try
//! offers them to the hub, so that a slow or broken connection makes progress with each.
//!
//! A line for each: `<CRC-32 of the JSON, 8 hexadecimal digits> <a part's entry as in a list>`. A line that cannot be read is
//! left out, and its part is sent again.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{BackupError, manifest::PartEntry};

/// Its name in a directory of backups.
const NAME: &str = "unfinished";

/// Bytes that are read at most, as of a list. What is behind is sent again.
const MAX_BYTES: u64 = 300 << 20;

/// The journal of a directory, to be written.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// Made with its first part.
    file: Option<File>,
}

impl Journal {
    /// The journal of the directory `root`.
    pub(super) fn new(root: &Path) -> Self {
        Self { path: root.join(NAME), file: None }
    }

    /// Adds a part, which has its name, durably.
    pub(super) fn add(&mut self, part: &PartEntry) -> Result<(), BackupError> {
        let json = serde_json::to_string(part).expect("numbers and text");
        // A line begins before it, too: the last one may be cut short.
        let line = format!("\n{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
        self.write(line.as_bytes()).map_err(BackupError::at(&self.path))
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => File::options().create(true).append(true).mode(0o600).open(&self.path)?,
        };
        let file = self.file.insert(file);
        file.write_all(line)?;
        file.sync_data()
    }
}

/// The parts of the journal of `root`, oldest first.
pub(super) fn parts(root: &Path) -> Result<Vec<PartEntry>, BackupError> {
    let path = root.join(NAME);
    let file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened.map_err(BackupError::at(&path))?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(BackupError::at(&path))?;
    Ok(bytes.split(|byte| *byte == b'\n').filter_map(parse).collect())
}

/// Removes the journal: its parts are those of a backup, or of none.
pub(super) fn remove(root: &Path) -> Result<(), BackupError> {
    let path = root.join(NAME);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(BackupError::at(&path)(error)),
        _ => Ok(()),
    }
}

fn parse(line: &[u8]) -> Option<PartEntry> {
    let (sum, json) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let is_whole = u32::from_str_radix(sum, 16).is_ok_and(|sum| sum == crc32fast::hash(json.as_bytes()));
    serde_json::from_str::<PartEntry>(json).ok().filter(|part| is_whole && part.is_named())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{frame::PartContent, manifest::tests::part},
        *,
    };

    #[test]
    fn parts_are_read_back_and_what_is_damaged_or_cut_short_is_left_out() {
        let dir = tempfile::tempdir().expect("a directory");
        let all = [(0, 3), (3, 5), (5, 9)].map(|(after, through)| part(PartContent::Events, after, through));
        assert!(parts(dir.path()).expect("none").is_empty());
        for part in &all {
            Journal::new(dir.path()).add(part).expect("written");
        }
        assert_eq!(parts(dir.path()).expect("read"), all);
        let path = dir.path().join(NAME);
        let whole = fs::read(&path).expect("read");
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, bytes).expect("written");
            let found = parts(dir.path()).expect("read");
            assert!(found.len() >= 2 && found.iter().all(|part| all.contains(part)), "bit {bit}: {found:?}");
        }
        fs::write(&path, &whole[..whole.len() - 9]).expect("written");
        Journal::new(dir.path()).add(&all[0]).expect("written");
        assert_eq!(parts(dir.path()).expect("read"), [all[0].clone(), all[1].clone(), all[0].clone()]);
        remove(dir.path()).expect("removed");
        remove(dir.path()).expect("not there");
        assert!(parts(dir.path()).expect("none").is_empty());
    }
}
