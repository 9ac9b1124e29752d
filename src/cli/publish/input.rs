//! stdin. A thread reads it, because a runtime cannot be left while it waits for a line that never comes.

use std::{
    io::{self, BufRead, BufReader, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::CliError;

/// Longest event read: the largest that a hub can be told to accept (`publish.event_bytes`).
const MAX_EVENT_BYTES: u64 = 64 * 1024 * 1024;

/// Lines read ahead of the connection. Enough to fill packets; few enough that a slow hub slows the writer of stdin.
const LINES_AHEAD: usize = 64;

/// All of `input` as one event.
pub(super) fn all(input: impl Read) -> Result<Bytes, CliError> {
    let mut data = Vec::new();
    input.take(MAX_EVENT_BYTES + 1).read_to_end(&mut data).map_err(CliError::Input)?;
    if data.len() as u64 > MAX_EVENT_BYTES { Err(CliError::Input(too_long())) } else { Ok(data.into()) }
}

/// Lines on their way, and how many there were.
pub(super) struct Lines {
    pub(super) receiver: mpsc::Receiver<io::Result<String>>,
    pub(super) progress: Arc<Progress>,
}

/// What has been read so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    lines: AtomicU64,
    ended: AtomicBool,
}

impl Progress {
    /// Lines read.
    pub(super) fn lines(&self) -> u64 {
        self.lines.load(Ordering::Acquire)
    }

    /// Whether there is no further line.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// The lines of `input`, without their ends (LF or CRLF), as they arrive.
pub(super) fn lines(input: impl Read + Send + 'static) -> Lines {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    let progress = Arc::new(Progress::default());
    let told = Arc::clone(&progress);
    std::thread::spawn(move || {
        let mut input = BufReader::new(input);
        while let Some(line) = next(&mut input).transpose() {
            told.lines.fetch_add(1, Ordering::AcqRel);
            let failed = line.is_err();
            if sender.blocking_send(line).is_err() || failed {
                return;
            }
        }
        told.ended.store(true, Ordering::Release);
    });
    Lines { receiver, progress }
}

fn next(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    input.take(MAX_EVENT_BYTES + 2).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let text = line.strip_suffix(b"\n").map_or(&*line, |line| line.strip_suffix(b"\r").unwrap_or(line));
    if text.len() as u64 > MAX_EVENT_BYTES {
        return Err(too_long());
    }
    let text = std::str::from_utf8(text).map_err(|error| {
        let words = format!("a line is not UTF-8 ({error}); encode binary data, for example as base64");
        io::Error::new(io::ErrorKind::InvalidData, words)
    })?;
    Ok(Some(text.to_owned()))
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an event has more than 64 MiB, which no hub accepts")
}
