//! Lines on their way to stderr, written by a thread of their own.
//!
//! Whoever reads stderr may stop reading: a pipe that is full makes its writer wait for ever. A hub must not stand still for
//! the sake of its log, so lines go into a bounded queue, what finds no room is dropped and counted, and the log says so when
//! it is read again.

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

/// Lines that wait: what a busy hub logs in minutes, and with the longest lines some MB.
const WAITING: usize = 4096;

/// Pause before a descriptor that takes nothing for the moment is tried again. Some parents make pipes non-blocking.
const PAUSE: Duration = Duration::from_millis(20);

/// The entrance. Never blocks.
#[derive(Debug, Clone)]
pub(super) struct LogQueue {
    sender: SyncSender<QueueItem>,
    dropped: Arc<AtomicU64>,
}

enum QueueItem {
    Line(Vec<u8>),
    /// Says that all before it was written.
    Mark(SyncSender<()>),
}

impl LogQueue {
    /// Starts the thread that writes to `out`. It lives as long as the process.
    ///
    /// # Errors
    /// When the system refuses the thread.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let dropped = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&dropped);
        thread::Builder::new().name("log".into()).spawn(move || write_all(&receiver, out, &counted))?;
        Ok(Self { sender, dropped })
    }

    /// Hands a line in, or drops and counts it.
    pub(super) fn push(&self, line: Vec<u8>) {
        if self.sender.try_send(QueueItem::Line(line)).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Lines dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Waits until what was handed in is written, for so long at most. Answers with whether it is.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let (done, written) = sync_channel(1);
        let mut mark = QueueItem::Mark(done);
        let pauses = patience.as_millis() / PAUSE.as_millis();
        for _ in 0..=pauses {
            match self.sender.try_send(mark) {
                Ok(()) => return written.recv_timeout(patience).is_ok(),
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(back)) => mark = back,
            }
            thread::sleep(PAUSE);
        }
        false
    }
}

/// The life of the thread.
fn write_all(lines: &Receiver<QueueItem>, mut out: impl Write, dropped: &AtomicU64) {
    let mut told = 0;
    loop {
        match lines.recv() {
            Ok(QueueItem::Line(line)) => write(&mut out, &line),
            Ok(QueueItem::Mark(done)) => {
                let _ = out.flush();
                let _gone = done.send(());
            }
            Err(_) => return,
        }
        let lost = dropped.load(Relaxed);
        if lost > told {
            // Through the front door, so that it looks like any other line. What was just written has made room for it.
            tracing::warn!(lines = lost - told, "lines of the log were dropped: nobody read them in time");
            told = lost;
        }
    }
}

/// Writes a line, however long that takes. One that cannot be written is gone, as it would be without a thread.
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

/// A line that is being made.
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

    /// Writes what it is told to, when it is told to.
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
    fn a_reader_that_stops_holds_nobody_up_and_what_it_missed_is_counted() {
        let ((go, may_write), (written, read)) = (channel(), channel());
        let queue = LogQueue::start(Stuck(may_write, written)).expect("a thread");
        for n in 0..2 * WAITING {
            queue.push(n.to_string().into_bytes());
        }
        let dropped = queue.dropped();
        assert!((WAITING as u64 - 1..=WAITING as u64).contains(&dropped), "{dropped}");
        assert!(!queue.flush(Duration::from_millis(50)), "it is not waited for without end");
        for _ in 0..2 * WAITING {
            let _ = go.send(());
        }
        assert!(queue.flush(Duration::from_secs(30)));
        drop(queue);
        drop(go);
        let lines: Vec<_> = read.iter().collect();
        assert_eq!(lines.len() as u64, 2 * WAITING as u64 - dropped);
        assert_eq!(lines[0], b"0");
    }

    #[test]
    fn a_pipe_that_is_full_for_a_moment_and_one_that_is_gone_are_told_apart() {
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
        assert!(queue.flush(Duration::from_secs(30)), "the thread goes on");
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
