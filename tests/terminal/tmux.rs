//! A terminal that a test types into and reads: a session of a tmux server of its own, killed when dropped.

use std::{
    process::{Command, id},
    sync::atomic::{AtomicU32, Ordering},
};

use super::support::comes_true;

/// A terminal with a shell.
pub(crate) struct Tmux(String);

impl Tmux {
    /// A terminal of this size.
    pub(crate) fn start(width: u16, height: u16) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let tmux = Self(format!("gapless-test-{}-{}", id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let (width, height) = (width.to_string(), height.to_string());
        let shell = "env -u NO_COLOR -u GAPLESS_TOKEN -u GAPLESS_URL PS1='$ ' sh";
        tmux.run(&["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, shell]);
        tmux.wait_for("$");
        tmux
    }

    fn run(&self, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.args(["-u", "-L", &self.0]).args(args).env("LC_ALL", "C.UTF-8").env_remove("TMUX");
        let output = command.output().unwrap_or_else(|error| panic!("tmux: {error}; run `make install`"));
        assert!(output.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Types a line.
    pub(crate) fn line(&self, text: &str) {
        self.run(&["send-keys", "-l", text]);
        self.keys(&["Enter"]);
    }

    /// Presses keys, by the names that tmux gives them.
    pub(crate) fn keys(&self, keys: &[&str]) {
        self.run(&[&["send-keys"], keys].concat());
    }

    /// Changes its size.
    pub(crate) fn resize(&self, width: u16, height: u16) {
        self.run(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
    }

    /// What it shows.
    pub(crate) fn shown(&self) -> String {
        self.run(&["capture-pane", "-p"])
    }

    /// What it shows, with the colours as escape sequences.
    pub(crate) fn shown_in_color(&self) -> String {
        self.run(&["capture-pane", "-p", "-e"])
    }

    /// Waits until it shows `text`; returns all that it shows then.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_until(text, |shown| shown.contains(text))
    }

    /// Waits until what it shows is as wanted; returns it.
    pub(crate) fn wait_until(&self, what: &str, is_wanted: impl Fn(&str) -> bool) -> String {
        let mut shown = String::new();
        let seen = comes_true(|| {
            shown = self.shown();
            is_wanted(&shown)
        });
        assert!(seen, "{what} is not on:\n{shown}");
        shown
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _gone = Command::new("tmux").args(["-L", &self.0, "kill-server"]).output();
    }
}
