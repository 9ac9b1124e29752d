//! stdout and stderr. Either may lose its reader, and neither is worth a panic.
//!
//! A terminal obeys what it is shown: an escape sequence in an event can set its title, fill the clipboard, or hide what
//! was printed before. So on a terminal every control character is shown instead of sent, whoever it came from. A pipe and
//! a file get the bytes as they are.

use std::{
    fmt::{Display, Write as _},
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
};

use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::oneshot;

use super::CliError;
use crate::event::topic::is_format;

/// stdout, for what a command was asked for.
pub(super) fn stdout() -> Screen<io::StdoutLock<'static>> {
    let out = io::stdout().lock();
    Screen { obeys: out.is_terminal(), out }
}

/// stderr, for what else there is to say.
pub(super) fn stderr() -> Screen<io::Stderr> {
    let out = io::stderr();
    Screen { obeys: out.is_terminal(), out }
}

/// Ends when nobody can read `out` any more, as when `head` has seen enough. Never for a file or a terminal.
pub(super) async fn reader_gone(out: impl AsFd) {
    // A duplicate, so that whoever holds the lock on `out` is not in the way.
    if let Ok(watched) = out.as_fd().try_clone_to_owned() {
        let (tell, told) = oneshot::channel();
        // A thread of its own, because the runtime's way to watch would make the pipe non-blocking for all who share it.
        // It ends with the process.
        std::thread::spawn(move || {
            // Nothing is asked for: that the other end is gone is told unasked.
            let mut fds = [PollFd::new(&watched, PollFlags::empty())];
            while let Err(rustix::io::Errno::INTR) = poll(&mut fds, None) {}
            if fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) {
                let _nobody_asks = tell.send(());
            }
        });
        if told.await.is_ok() {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Says `what` on stderr, after the program's name.
pub fn complain(what: impl Display) {
    // When stderr is gone too there is nobody left to tell.
    let _unheard = stderr().write_all(format!("gapless: {what}\n").as_bytes());
}

/// Writes `line` and its end to `out`, for others to read now.
pub(super) fn print_line(out: &mut impl Write, line: &[u8]) -> Result<(), CliError> {
    out.write_all(line).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).map_err(CliError::output)
}

/// A writer that may be a terminal. Takes text: each write holds whole characters.
#[derive(Debug)]
pub(super) struct Screen<W> {
    /// Whether it is a terminal.
    obeys: bool,
    out: W,
}

impl<W> Screen<W> {
    /// The same with another writer before it, which may hold back what is written.
    pub(super) fn map<V>(self, wrap: impl FnOnce(W) -> V) -> Screen<V> {
        Screen { obeys: self.obeys, out: wrap(self.out) }
    }
}

impl<W: Write> Write for Screen<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.obeys {
            return self.out.write(bytes);
        }
        self.out.write_all(visible(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// `text` with each control character as JSON escapes it, `\u001b`, so that a line of JSON stays one. Line feeds and tabs
/// are left, and so are the two joiners that emoji and several scripts are written with.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(shown, "\\u{unit:04x}").expect("memory");
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

/// `text` from elsewhere as one line of a message: what would begin another, as if this program had said it, is a space.
pub(super) fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// Whether a terminal may do something else with `c` than to show it: C0, DEL, C1, and what changes the direction of the
/// text, cannot be seen, or breaks the line.
fn is_obeyed(c: char) -> bool {
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
    fn what_a_terminal_would_obey_is_shown_and_the_rest_is_left() {
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
    fn a_terminal_is_shown_what_a_pipe_is_given() {
        for (obeys, want) in [(true, &b"\\u001bc\xef\xbf\xbd\n"[..]), (false, b"\x1bc\xff\n")] {
            let mut screen = Screen { obeys, out: Vec::new() };
            print_line(&mut screen, b"\x1bc\xff").expect("memory");
            assert_eq!(screen.out, want);
        }
    }
}
