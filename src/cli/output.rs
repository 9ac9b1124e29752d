//! stdout and stderr. A reader that closes either of them never causes a panic.
//!
//! Control characters are escaped when the output is a terminal ([`text`](super::text)), or is coloured. A pipe and a
//! file get the bytes unchanged.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
};

use clap::{ColorChoice, builder::styling::Style};
use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::oneshot;

use super::{CliError, text::visible};
use crate::telemetry::colors;

/// stdout, for the results of a command.
pub(super) fn stdout() -> Screen<io::StdoutLock<'static>> {
    let out = io::stdout().lock();
    Screen::new(out.is_terminal(), out)
}

/// stderr, for messages.
pub(super) fn stderr() -> Screen<io::Stderr> {
    let out = io::stderr();
    Screen::new(out.is_terminal(), out)
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
    out.write_all(line).map_err(CliError::output)?;
    print(out, b"\n")
}

/// Writes `text`, whole lines, to `out`, and flushes it.
pub(super) fn print(out: &mut impl Write, text: &[u8]) -> Result<(), CliError> {
    out.write_all(text).and_then(|()| out.flush()).map_err(CliError::output)
}

/// A writer that may be a terminal. Each write must contain whole UTF-8 characters.
#[derive(Debug)]
pub(super) struct Screen<W> {
    is_terminal: bool,
    /// Whether styles are written.
    colored: bool,
    out: W,
}

impl<W> Screen<W> {
    /// Writes to `out`, without colours.
    pub(super) fn new(is_terminal: bool, out: W) -> Self {
        Self { is_terminal, colored: false, out }
    }

    /// Colours the output if `choice` and the environment say so.
    pub(super) fn colored(self, choice: ColorChoice) -> Self {
        let colored = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => self.is_terminal && colors::are_wanted(),
        };
        Self { colored, ..self }
    }

    /// Wraps the inner writer, for example in a buffer.
    pub(super) fn map<V>(self, wrap: impl FnOnce(W) -> V) -> Screen<V> {
        Screen { is_terminal: self.is_terminal, colored: self.colored, out: wrap(self.out) }
    }

    /// Whether it is a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Whether styles are written.
    pub(super) fn is_colored(&self) -> bool {
        self.colored
    }

    /// The writer.
    #[cfg(test)]
    pub(super) fn into_inner(self) -> W {
        self.out
    }
}

impl<W: Write> Screen<W> {
    /// Writes `text` in `style` and then `end`, all in one write.
    pub(super) fn styled(&mut self, style: Style, text: &str, end: &str) -> io::Result<()> {
        if self.colored && style != Style::new() {
            // Styled text is escaped, so that it cannot end its style.
            self.out.write_all(format!("{style}{}{style:#}{end}", visible(text)).as_bytes())
        } else if end.is_empty() {
            self.write_all(text.as_bytes())
        } else {
            self.write_all(format!("{text}{end}").as_bytes())
        }
    }
}

impl<W: Write> Write for Screen<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_terminal && !self.colored {
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
    use clap::builder::styling::AnsiColor;

    use super::*;

    #[test]
    fn a_terminal_gets_escapes_and_a_pipe_the_bytes() {
        for (is_terminal, want) in [(true, &b"\\u001bc\xef\xbf\xbd\n"[..]), (false, b"\x1bc\xff\n")] {
            let mut screen = Screen::new(is_terminal, Vec::new());
            print_line(&mut screen, b"\x1bc\xff").expect("memory");
            assert_eq!(screen.out, want);
        }
    }

    #[test]
    fn styles_are_written_when_asked_for_and_their_text_cannot_end_them() {
        let red = AnsiColor::Red.on_default();
        let shown = |choice, style| {
            let mut screen = Screen::new(false, Vec::new()).colored(choice);
            screen.styled(style, "a\u{1b}[0mb", "\n").expect("memory");
            String::from_utf8(screen.out).expect("UTF-8")
        };
        assert_eq!(shown(ColorChoice::Always, red), "\u{1b}[31ma\\u001b[0mb\u{1b}[0m\n");
        assert_eq!(shown(ColorChoice::Always, Style::new()), "a\\u001b[0mb\n");
        assert_eq!(shown(ColorChoice::Never, red), "a\u{1b}[0mb\n");
        assert_eq!(shown(ColorChoice::Auto, red), "a\u{1b}[0mb\n", "no terminal");
    }
}
