//! stdout and stderr. A reader that closes either of them never causes a panic.
//!
//! Terminals interpret escape sequences: one in an event could set the title, fill the clipboard, or hide earlier
//! output. So control characters are escaped when the output is a terminal. A pipe and a file get the bytes unchanged.

use std::{
    fmt::{Display, Write as _},
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
};

use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::oneshot;

use super::CliError;
use crate::event::topic::is_format;

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

/// `text` with control characters escaped as in JSON, `\u001b`, so that a line of JSON stays valid. Line feeds and tabs
/// are kept, and so are the two joiners that emoji and several scripts need.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if must_be_escaped(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(shown, "\\u{unit:04x}").expect("memory");
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Untrusted `text` as one line: line breaks become spaces, so that it cannot imitate a message of this program.
pub(super) fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// Whether a terminal may not display `c` as a visible character: C0, DEL, C1, and characters that are invisible,
/// change the direction of the text, or break the line.
fn must_be_escaped(c: char) -> bool {
    match c {
        '\n' | '\t' | '\u{200c}' | '\u{200d}' => false,
        '\u{2028}' | '\u{2029}' => true,
        c => c.is_control() || is_format(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_the_rest_is_kept() {
        for (text, want) in [
            ("plain\tä\n", "plain\tä\n"),
            ("\u{1b}]0;x\u{7}", "\\u001b]0;x\\u0007"),
            ("a\rb\u{8}\0\u{7f}", "a\\u000db\\u0008\\u0000\\u007f"),
            ("\u{9b}2J", "\\u009b2J"),
            ("a\u{202e}b\u{2066}\u{feff}\u{e0041}", "a\\u202eb\\u2066\\ufeff\\udb40\\udc41"),
            ("1\u{2028}2\u{2029}", "1\\u20282\\u2029"),
            ("\u{1f469}\u{200d}\u{1f467}", "\u{1f469}\u{200d}\u{1f467}"),
        ] {
            assert_eq!(visible(text), want);
        }
    }

    #[test]
    fn a_line_of_json_stays_the_same_json() {
        let data = (0..=0x2070).filter_map(char::from_u32).collect::<String>();
        let json = serde_json::to_string(&data).expect("JSON");
        assert_eq!(serde_json::from_str::<String>(&visible(&json)).expect("JSON"), data);
    }

    #[test]
    fn a_terminal_gets_escapes_and_a_pipe_the_bytes() {
        for (is_terminal, want) in [(true, &b"\\u001bc\xef\xbf\xbd\n"[..]), (false, b"\x1bc\xff\n")] {
            let mut screen = Screen { is_terminal, out: Vec::new() };
            print_line(&mut screen, b"\x1bc\xff").expect("memory");
            assert_eq!(screen.out, want);
        }
    }
}
