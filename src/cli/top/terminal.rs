//! The terminal: drawn on while a value of [`TopTerminal`] exists, and restored by its drop, by a panic, and before a
//! forced exit.

use std::{io, thread};

use ratatui::{DefaultTerminal, Frame, crossterm::event};
use tokio::sync::mpsc;

use crate::cli::CliError;

/// Keys and resizes that wait for being handled: more than anybody types before the next one is.
const WAITING: usize = 64;

/// A terminal in raw mode, on its alternate screen.
pub(super) struct TopTerminal(DefaultTerminal);

impl TopTerminal {
    /// Takes stdout, which is a terminal.
    ///
    /// # Errors
    /// When it cannot be put into raw mode.
    pub(super) fn open() -> Result<Self, CliError> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                restore();
                Err(CliError::Output(error))
            }
        }
    }

    /// Draws a frame.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result<(), CliError> {
        self.0.draw(draw).map(drop).map_err(CliError::output)
    }
}

impl Drop for TopTerminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Restores the terminal, as far as it is still there. Nothing happens if it was restored before.
pub(super) fn restore() {
    let _gone = ratatui::try_restore();
    let _gone = ratatui::crossterm::execute!(io::stdout(), ratatui::crossterm::cursor::Show);
}

/// The keys that are typed and the resizes, from a thread of its own, which ends with the process. The channel closes
/// when the terminal is gone.
pub(super) fn inputs() -> mpsc::Receiver<event::Event> {
    let (sender, receiver) = mpsc::channel(WAITING);
    thread::spawn(move || while event::read().is_ok_and(|event| sender.blocking_send(event).is_ok()) {});
    receiver
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    const CHILD: &str = "GAPLESS_TEST_CHILD";

    /// On a terminal: this test again, in a tmux of its own.
    #[test]
    fn a_panic_restores_the_terminal() {
        if std::env::var_os(CHILD).is_some() {
            let mut terminal = TopTerminal::open().expect("a terminal");
            terminal.draw(|frame| frame.render_widget("on the alternate screen", frame.area())).expect("drawn");
            let text = String::from_utf8(
                Command::new("stty").arg("-a").stdin(Stdio::inherit()).output().expect("it runs").stdout,
            );
            assert!(text.expect("text").contains("-icanon"), "not raw");
            panic!("a mistake");
        }
        let directory = tempfile::tempdir().expect("a directory");
        let report = directory.path().join("report");
        let test = std::env::current_exe().expect("this binary");
        let child = format!(
            "{CHILD}=1 RUST_BACKTRACE=0 {} --exact --nocapture {}",
            test.display(),
            concat!(module_path!(), "::a_panic_restores_the_terminal").trim_start_matches("gapless::")
        );
        let script =
            format!("{{ stty -g; {child} >/dev/tty 2>&1; stty -g; }} > {0}.new; mv {0}.new {0}; cat", report.display());
        let socket = format!("gapless-test-panic-{}", std::process::id());
        let tmux =
            |args: &[&str]| Command::new("tmux").args(["-L", &socket]).args(args).output().expect("make install");
        assert!(tmux(&["-f", "/dev/null", "new-session", "-d", &script]).status.success());
        let started = std::time::Instant::now();
        while !report.exists() && started.elapsed() < std::time::Duration::from_secs(30) {
            thread::sleep(std::time::Duration::from_millis(20));
        }
        let shown = String::from_utf8_lossy(&tmux(&["capture-pane", "-p"]).stdout).into_owned();
        tmux(&["kill-server"]);
        let report = std::fs::read_to_string(&report).expect("it ended");
        let modes: Vec<&str> = report.lines().collect();
        assert!(modes.len() == 2 && modes[0] == modes[1], "{modes:?}: {shown}");
        assert!(shown.contains("a mistake") && !shown.contains("alternate"), "{shown}");
    }
}
