//! A bounded queue of log lines, written to stderr by a thread of its own.
//!
//! The reader of stderr may stop reading, and a full pipe blocks its writer. The hub must not block on its log, so
//! lines go into a bounded queue; lines that do not fit are dropped and counted, and the count is logged once the
//! reader continues.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// Capacity in lines: what a busy hub logs in minutes; some MB with the longest lines.
const CAPACITY: usize = 4096;

/// Pause before a retry when the queue is full or a non-blocking descriptor is not writable. Some parents make pipes
/// non-blocking.
const PAUSE: Duration = Duration::from_millis(20);

/// The sending side of the queue. Pushing never blocks.
#[derive(Debug, Clone)]
pub(super) struct LogQueue {
    sender: SyncSender<QueueItem>,
    dropped: Arc<AtomicU64>,
}

enum QueueItem {
    Line(Vec<u8>),
    /// Signals that all lines before it are written.
    Flushed(SyncSender<()>),
}

impl LogQueue {
    /// Starts the thread that writes to `out`. It lives as long as the process.
    ///
    /// # Errors
    /// When the system refuses the thread.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(CAPACITY);
        let dropped = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&dropped);
        thread::Builder::new().name("log".into()).spawn(move || write_all(&receiver, out, &counted))?;
        Ok(Self { sender, dropped })
    }

    /// Queues a line; drops and counts it when the queue is full.
    pub(super) fn push(&self, line: Vec<u8>) {
        if self.sender.try_send(QueueItem::Line(line)).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Lines dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Waits until the lines queued so far are written, for about twice `timeout` at most: for room in the queue, then
    /// for the writer. Returns whether they are written.
    pub(super) fn flush(&self, timeout: Duration) -> bool {
        let (done, written) = sync_channel(1);
        let mut mark = QueueItem::Flushed(done);
        let pauses = timeout.as_millis() / PAUSE.as_millis();
        for _ in 0..=pauses {
            match self.sender.try_send(mark) {
                Ok(()) => return written.recv_timeout(timeout).is_ok(),
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(back)) => mark = back,
            }
            thread::sleep(PAUSE);
        }
        false
    }
}

/// The main loop of the writer thread.
fn write_all(lines: &Receiver<QueueItem>, mut out: impl Write, dropped: &AtomicU64) {
    let mut reported = 0;
    loop {
        match lines.recv() {
            Ok(QueueItem::Line(line)) => write(&mut out, &line),
            Ok(QueueItem::Flushed(done)) => {
                let _ = out.flush();
                let _gone = done.send(());
            }
            Err(_) => return,
        }
        let lost = dropped.load(Relaxed);
        if lost > reported {
            // Logged as any other line; the line that was just written has freed a slot in the queue.
            tracing::warn!(lines = lost - reported, "log lines were dropped: stderr was not read in time");
            reported = lost;
        }
    }
}

/// Writes a line, for as long as that takes. A line that cannot be written is lost, as it would be without the queue.
fn write(out: &mut impl Write, mut line: &[u8]) {
    while !line.is_empty() {
        match out.write(line) {
            Ok(0) => return,
            Ok(written) => line = &line[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Err(_) => return,
        }
    }
}

/// A log line that is being formatted; queued when it is dropped.
pub(super) struct LogLine<'a> {
    queue: &'a LogQueue,
    bytes: Vec<u8>,
}

impl Write for LogLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine<'_> {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.queue.push(std::mem::take(&mut self.bytes));
        }
    }
}

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = LogLine<'a>;

    fn make_writer(&'a self) -> LogLine<'a> {
        LogLine { queue: self, bytes: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Blocks in each write until it is told to go on.
    struct Stuck(Receiver<()>, Sender<Vec<u8>>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.1.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stops_blocks_no_one_and_dropped_lines_are_counted() {
        let ((go, may_write), (written, read)) = (channel(), channel());
        let queue = LogQueue::start(Stuck(may_write, written)).expect("a thread");
        for n in 0..2 * CAPACITY {
            queue.push(n.to_string().into_bytes());
        }
        let dropped = queue.dropped();
        assert!((CAPACITY as u64 - 1..=CAPACITY as u64).contains(&dropped), "{dropped}");
        assert!(!queue.flush(Duration::from_millis(50)), "the wait is bounded");
        for _ in 0..2 * CAPACITY {
            let _ = go.send(());
        }
        assert!(queue.flush(Duration::from_secs(30)));
        drop(queue);
        drop(go);
        let lines: Vec<_> = read.iter().collect();
        assert_eq!(lines.len() as u64, 2 * CAPACITY as u64 - dropped);
        assert_eq!(lines[0], b"0");
    }

    #[test]
    fn a_full_pipe_is_retried_and_a_broken_one_is_not() {
        struct Once(u8);
        impl Write for Once {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    1 => Err(io::ErrorKind::WouldBlock.into()),
                    2 => Ok(1),
                    _ => Ok(bytes.len()),
                }
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut once = Once(0);
        write(&mut once, b"line");
        assert_eq!(once.0, 3);
        let queue = LogQueue::start(Gone).expect("a thread");
        queue.push(b"line".to_vec());
        assert!(queue.flush(Duration::from_secs(30)), "the thread continues");
    }

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
