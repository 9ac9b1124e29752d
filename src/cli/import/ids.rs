//! The file with the old and the new id of each event that was published: a line each, written after the hub has confirmed
//! the event. An import that was cut short goes on after its last line: the batch of that line is published again if it is
//! not whole here, with its key.

use std::{
    fs::{File, TryLockError},
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::batch::ExportBatch;
use crate::{event::EventId, export::ExportError};

/// Longest line, in bytes: two ids and a topic in escaped form.
const MAX_LINE_BYTES: u64 = 4096;

/// How each line begins.
const BEGIN: &[u8] = b"{\"old\":\"";

/// A line.
#[derive(Debug, Serialize, Deserialize)]
struct IdLine<'a> {
    old: &'a str,
    id: &'a str,
    #[serde(skip_deserializing)]
    topic: &'a str,
}

/// The file, locked while this value exists.
#[derive(Debug)]
pub(super) struct IdsFile {
    file: File,
    path: PathBuf,
    last: Option<EventId>,
    count: u64,
}

impl IdsFile {
    /// Opens the file at `path`, or creates it. A last line that was cut short is removed.
    ///
    /// # Errors
    /// When it cannot be used, or has something else.
    pub(super) fn open(path: &Path) -> Result<Self, ExportError> {
        let io = |error| ExportError::Io { path: path.into(), reason: error };
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ExportError::InUse(path.into())),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let mut reader = BufReader::new(&file);
        let (mut line, mut end, mut last, mut count) = (Vec::new(), 0, None, 0);
        loop {
            line.clear();
            let length = (&mut reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(io)? as u64;
            if is_cut(&line) {
                break;
            }
            let old = serde_json::from_slice(&line).ok().and_then(|IdLine { old, .. }| EventId::parse(old));
            let old = old.ok_or_else(|| ExportError::NotIds(path.into()))?;
            (last, end, count) = (Some(old), end + length, count + 1);
        }
        file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end))).map_err(io)?;
        Ok(Self { file, path: path.into(), last, count })
    }

    /// Whether it has all events of a batch.
    pub(super) fn has(&self, batch: &ExportBatch) -> bool {
        let end = batch.events.last().map(|(id, _)| id.seq);
        end <= self.last.map(|last| last.seq)
    }

    /// The old id of its last event.
    pub(super) fn last(&self) -> Option<EventId> {
        self.last
    }

    /// Events in it.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Adds those of the events, `(old id, new id, topic)`, that it does not have, and makes them durable.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn add<'e>(
        &mut self,
        events: impl Iterator<Item = (EventId, &'e str, &'e str)>,
    ) -> Result<(), ExportError> {
        let mut lines = Vec::new();
        for (old, id, topic) in events {
            if self.last.is_some_and(|last| old.seq <= last.seq) {
                continue;
            }
            serde_json::to_writer(&mut lines, &IdLine { old: &old.to_string(), id, topic }).expect("memory");
            lines.push(b'\n');
            self.last = Some(old);
            self.count += 1;
        }
        let written = self.file.write_all(&lines).and_then(|()| self.file.sync_data());
        written.map_err(|reason| ExportError::Io { path: self.path.clone(), reason })
    }
}

/// Whether this is the end of the file, or a line that was cut short.
fn is_cut(line: &[u8]) -> bool {
    let begun = BEGIN.len().min(line.len());
    !line.ends_with(b"\n") && (line.len() as u64) < MAX_LINE_BYTES && line[..begun] == BEGIN[..begun]
}
