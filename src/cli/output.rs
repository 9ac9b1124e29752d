//! stdout and stderr. A reader that closes either of them never causes a panic.
//!
//! Control characters are escaped when the output is a terminal ([`text`](super::text)). A pipe and a file get the
//! bytes unchanged.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
};

use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::oneshot;

use super::{CliError, text::visible};

/// stdout, for the results of a command.
pub(super) fn stdout() -> Screen<io::StdoutLock<'static>> {
    let out = io::stdout().lock();
    Screen { is_terminal: out.is_terminal(), out }
}

/// stderr, for messages.
pub(super) fn stderr() -> Screen<io::Stderr> {
    let out = io::stderr();
    Screen { is_terminal: out.is_terminal(), out }
}

/// Completes when the reader of `out` has closed it, as `head` does. Never completes for a file or a terminal.
pub(super) async fn reader_gone(out: impl AsFd) {
    // A duplicate, because `out` may be locked.
    if let Ok(watched) = out.as_fd().try_clone_to_owned() {
        let (sender, closed) = oneshot::channel();
        // A separate thread, because the runtime's AsyncFd would make the pipe non-blocking for every process that
        // shares it. It ends with the process.
        std::thread::spawn(move || {
            // No flags: POLLERR and POLLHUP are always reported.
            let mut fds = [PollFd::new(&watched, PollFlags::empty())];
            while let Err(rustix::io::Errno::INTR) = poll(&mut fds, None) {}
            if fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) {
                let _no_receiver = sender.send(());
            }
        });
        if closed.await.is_ok() {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Prints `what` on stderr, after the program's name.
pub fn print_error(what: impl Display) {
    // A closed stderr is ignored: there is no other place for the message.
    let _closed = stderr().write_all(format!("gapless: {what}\n").as_bytes());
}

/// Writes `line` and a line feed to `out`, and flushes it.
pub(super) fn print_line(out: &mut impl Write, line: &[u8]) -> Result<(), CliError> {
    out.write_all(line).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).map_err(CliError::output)
}

/// A writer that may be a terminal. Each write must contain whole UTF-8 characters.
#[derive(Debug)]
pub(super) struct Screen<W> {
    /// Whether it is a terminal, so that control characters are escaped.
    is_terminal: bool,
    out: W,
}

impl<W> Screen<W> {
    /// Wraps the inner writer, for example in a buffer.
    pub(super) fn map<V>(self, wrap: impl FnOnce(W) -> V) -> Screen<V> {
        Screen { is_terminal: self.is_terminal, out: wrap(self.out) }
    }
}

impl<W: Write> Write for Screen<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_terminal {
            return self.out.write(bytes);
        }
        self.out.write_all(visible(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_escapes_and_a_pipe_the_bytes() {
        for (is_terminal, want) in [(true, &b"\\u001bc\xef\xbf\xbd\n"[..]), (false, b"\x1bc\xff\n")] {
            let mut screen = Screen { is_terminal, out: Vec::new() };
            print_line(&mut screen, b"\x1bc\xff").expect("memory");
            assert_eq!(screen.out, want);
        }
    }
}
