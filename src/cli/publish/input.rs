//! Reads stdin or files on a thread of its own, because a tokio runtime cannot shut down during a blocking read of stdin.

use std::{
    collections::VecDeque,
    io::{self, BufRead, BufReader, Read},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use super::{
    bounds::{MAX_BYTES, MAX_LINES},
    files::{EventUnit, InputFiles},
};
use crate::cli::CliError;

/// Longest event: the maximum of the configuration key `publish.event_bytes`.
const MAX_EVENT_BYTES: u64 = 64 * 1024 * 1024;

/// Most lines that are read ahead of the hub's responses, and most of their bytes: two batches, so that the next one is
/// complete when the response to the one before arrives. Beyond them the thread stops reading, which slows the writer
/// of stdin.
const LINES_AHEAD: usize = 2 * MAX_LINES;
const BYTES_AHEAD: usize = 2 * MAX_BYTES;

/// Reads all of `input` as one event.
pub(super) fn all(input: impl Read) -> Result<Bytes, CliError> {
    let mut data = Vec::new();
    input.take(MAX_EVENT_BYTES + 1).read_to_end(&mut data).map_err(CliError::Input)?;
    if data.len() as u64 > MAX_EVENT_BYTES {
        return Err(CliError::Input(io::Error::new(io::ErrorKind::InvalidData, TOO_LONG)));
    }
    Ok(data.into())
}

/// A line of the input, or a file as a whole, or why it cannot be an event.
pub(super) type InputLine = Result<String, String>;

/// The lines of the input, as they arrive.
pub(super) struct InputLines(Arc<InputQueue>);

#[derive(Default)]
struct InputQueue {
    read: Mutex<ReadAhead>,
    /// Notified when lines were taken, or when the consumer is dropped.
    space: Condvar,
    /// Notified when lines were read, or at the end.
    changed: Notify,
}

#[derive(Default)]
struct ReadAhead {
    lines: VecDeque<InputLine>,
    bytes: usize,
    /// The end of the input, or the error that ended it.
    end: Option<io::Result<()>>,
    /// The consumer was dropped.
    dropped: bool,
    /// Number of lines read so far.
    count: u64,
    /// The files that were begun, each with the number of lines read before it.
    files: Vec<(u64, String)>,
    /// What an event is of these files.
    unit: Option<EventUnit>,
}

impl ReadAhead {
    /// The file that line `number` is in, with the number of lines before it.
    fn file(&self, number: u64) -> Option<&(u64, String)> {
        self.files[..self.files.partition_point(|(before, _)| *before < number)].last()
    }
}

impl InputQueue {
    /// Appends a line; blocks while the queue is full. Returns whether the consumer is still there.
    fn push(&self, line: InputLine) -> bool {
        let mut ahead = self.read.lock();
        while !ahead.dropped && (ahead.lines.len() >= LINES_AHEAD || ahead.bytes >= BYTES_AHEAD) {
            self.space.wait(&mut ahead);
        }
        ahead.bytes += size(&line);
        ahead.count += 1;
        ahead.lines.push_back(line);
        self.changed.notify_one();
        !ahead.dropped
    }
}

fn size(line: &InputLine) -> usize {
    line.as_ref().map_or(0, String::len)
}

impl InputLines {
    /// Starts reading `input`. Lines come without their ends (LF or CRLF).
    #[cfg(test)]
    pub(super) fn of(input: impl Read + Send + 'static) -> Self {
        Self::start(move |queue| read_lines(input, queue).map(drop))
    }

    /// Starts reading `files`, one after the other.
    pub(super) fn of_files(files: InputFiles, unit: EventUnit) -> Self {
        let lines = Self::start(move |queue| {
            for file in files.0 {
                if let Some(name) = file.name() {
                    let mut ahead = queue.read.lock();
                    let before = ahead.count;
                    ahead.files.push((before, name));
                }
                let whole =
                    |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.path.display()));
                let input = file.open().map_err(whole)?;
                let goes_on = match unit {
                    EventUnit::Line => read_lines(input, queue).map_err(whole)?,
                    EventUnit::File => queue.push(whole_file(input).map_err(whole)?),
                };
                if !goes_on {
                    break;
                }
            }
            Ok(())
        });
        lines.0.read.lock().unit = Some(unit);
        lines
    }

    fn start(read: impl FnOnce(&InputQueue) -> io::Result<()> + Send + 'static) -> Self {
        let shared = Arc::new(InputQueue::default());
        let queue = Arc::clone(&shared);
        std::thread::spawn(move || {
            let end = read(&queue);
            queue.read.lock().end = Some(end);
            queue.changed.notify_one();
        });
        Self(shared)
    }

    /// What an event of the input is called.
    pub(super) fn noun(&self) -> &'static str {
        match self.0.read.lock().unit {
            Some(EventUnit::File) => "file",
            Some(EventUnit::Line) | None => "line",
        }
    }

    /// Where line `number` of the input is, for messages. It must have been read.
    pub(super) fn place(&self, number: u64) -> String {
        let ahead = self.0.read.lock();
        match (ahead.file(number), ahead.unit) {
            (Some((_, name)), Some(EventUnit::File)) => name.clone(),
            (Some((before, name)), _) => format!("{name} line {}", number - before),
            (None, _) => format!("line {number}"),
        }
    }

    /// The file that line `number` is in, if it has a name.
    pub(super) fn file(&self, number: u64) -> Option<String> {
        self.0.read.lock().file(number).map(|(_, name)| name.clone())
    }

    /// Waits for a line, or for the end. Cancel safe.
    pub(super) async fn ready(&self) {
        loop {
            {
                let ahead = self.0.read.lock();
                if !ahead.lines.is_empty() || ahead.end.is_some() {
                    return;
                }
            }
            self.0.changed.notified().await;
        }
    }

    /// The next line, if it has been read.
    pub(super) fn pop(&self) -> Option<InputLine> {
        let mut ahead = self.0.read.lock();
        let line = ahead.lines.pop_front()?;
        ahead.bytes -= size(&line);
        self.0.space.notify_one();
        Some(line)
    }

    /// Blocks until the input is read completely. It must have fewer lines than are read ahead.
    #[cfg(test)]
    pub(super) fn all_read(self) -> Self {
        while self.0.read.lock().end.is_none() {
            std::thread::yield_now();
        }
        self
    }

    /// The end of the input, once all lines are taken.
    pub(super) fn end(&self) -> Option<io::Result<()>> {
        let mut ahead = self.0.read.lock();
        if ahead.lines.is_empty() { ahead.end.take() } else { None }
    }
}

impl Drop for InputLines {
    fn drop(&mut self) {
        self.0.read.lock().dropped = true;
        self.0.space.notify_one();
    }
}

/// Pushes the lines of `input`. Returns whether the consumer is still there.
fn read_lines(input: impl Read, queue: &InputQueue) -> io::Result<bool> {
    let mut input = BufReader::new(input);
    while let Some(line) = next(&mut input)? {
        if !queue.push(line) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads all of `input` as the data of one event.
fn whole_file(input: impl Read) -> io::Result<InputLine> {
    let mut data = Vec::new();
    input.take(MAX_EVENT_BYTES + 1).read_to_end(&mut data)?;
    if data.len() as u64 > MAX_EVENT_BYTES {
        return Ok(Err(TOO_LONG.into()));
    }
    Ok(String::from_utf8(data).map_err(|error| not_utf8(error.utf8_error())))
}

fn not_utf8(error: std::str::Utf8Error) -> String {
    let at = error.valid_up_to() + 1;
    format!("byte {at} is not UTF-8; publish binary data by itself, with --content-type")
}

const TOO_LONG: &str = "the event has more than 64 MiB, the most that a hub can accept";

/// Reads the next line. A line that is too long is skipped without keeping it in memory.
fn next(input: &mut impl BufRead) -> io::Result<Option<InputLine>> {
    let mut line = Vec::new();
    input.take(MAX_EVENT_BYTES + 2).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let ended = line.ends_with(b"\n");
    let text = line.strip_suffix(b"\n").map_or(&*line, |line| line.strip_suffix(b"\r").unwrap_or(line));
    if text.len() as u64 > MAX_EVENT_BYTES {
        if !ended {
            input.skip_until(b'\n')?;
        }
        return Ok(Some(Err(TOO_LONG.into())));
    }
    Ok(Some(std::str::from_utf8(text).map(str::to_owned).map_err(not_utf8)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    fn read(input: &'static [u8]) -> Vec<InputLine> {
        let lines = InputLines::of(input);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut all = Vec::new();
        loop {
            runtime.block_on(lines.ready());
            match lines.pop() {
                Some(line) => all.push(line),
                None => return all,
            }
        }
    }

    #[test]
    fn lines_come_without_their_ends_and_an_invalid_one_does_not_affect_others() {
        let lines = read(b"a\r\n\nb\xffc\n\xc3\xbc");
        assert_eq!((&lines[0], &lines[1], &lines[3]), (&Ok("a".into()), &Ok(String::new()), &Ok("\u{fc}".into())));
        assert!(lines[2].as_ref().is_err_and(|error| error.contains("byte 2 is not UTF-8")), "{lines:?}");
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped() {
        let long = io::repeat(b'x').take(MAX_EVENT_BYTES + 5).chain(&b"\nnext\n"[..]);
        let mut input = BufReader::new(long);
        assert!(next(&mut input).expect("read").expect("a line").is_err_and(|error| error.contains("64 MiB")));
        assert_eq!(next(&mut input).expect("read"), Some(Ok("next".into())));
        assert_eq!(next(&mut input).expect("read"), None);
    }

    #[test]
    fn the_read_ahead_is_bounded() {
        struct CountedReader(Arc<AtomicUsize>);
        impl Read for CountedReader {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                let size = out.len().min(1000);
                out[..size].fill(b'\n');
                self.0.fetch_add(size, SeqCst);
                Ok(size)
            }
        }
        let read = Arc::new(AtomicUsize::new(0));
        let lines = InputLines::of(CountedReader(Arc::clone(&read)));
        let count = || read.load(SeqCst);
        while lines.0.read.lock().lines.len() < LINES_AHEAD {
            std::thread::yield_now();
        }
        // The buffered reader holds some more.
        assert!(count() <= LINES_AHEAD + 8192 + 1000, "{}", count());
        drop(lines);
    }
}
