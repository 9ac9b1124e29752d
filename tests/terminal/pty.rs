//! A process on a pseudo-terminal that keeps all that is written to it.

use std::{
    fs::File,
    io::Read,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
};

use parking_lot::Mutex;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::{
    process::{text, wait},
    support::comes_true,
};

/// A process on a terminal of 100 columns. It is killed when dropped.
pub(super) struct OnTerminal {
    pub(super) child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: Option<thread::JoinHandle<()>>,
}

/// Which descriptors are the terminal; the others are `/dev/null`.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Descriptors {
    Both,
    StderrOnly,
}

impl OnTerminal {
    pub(super) fn start(command: &mut Command, descriptors: Descriptors) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).and_then(|()| unlockpt(&ours)).unwrap();
        let size = rustix::termios::Winsize { ws_row: 40, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&ours, size).unwrap();
        let path = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let theirs = File::options().read(true).write(true).open(path).unwrap();
        match descriptors {
            Descriptors::Both => command.stdout(theirs.try_clone().unwrap()),
            Descriptors::StderrOnly => command.stdout(Stdio::null()),
        };
        let child = command.stderr(theirs.try_clone().unwrap()).spawn().unwrap();
        // The command keeps descriptors of the terminal, which would keep it open.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        drop(theirs);
        let (mut ours, shown) = (File::from(ours), Arc::<Mutex<Vec<u8>>>::default());
        let kept = Arc::clone(&shown);
        let reader = thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = ours.read(&mut bytes) {
                kept.lock().extend_from_slice(&bytes[..read]);
            }
        });
        Self { child, shown, reader: Some(reader) }
    }

    /// All that was written to the terminal so far.
    pub(super) fn shown(&self) -> String {
        text(&self.shown.lock())
    }

    /// Waits until the terminal has shown `what`.
    pub(super) fn wait_for(&self, what: &str) {
        assert!(comes_true(|| self.shown().contains(what)), "it never shows {what:?}: {:?}", self.shown());
    }

    /// Waits for the end; all that was shown, and the exit code.
    pub(super) fn end(mut self) -> (String, Option<i32>) {
        let code = wait(&mut self.child).code();
        self.reader.take().unwrap().join().unwrap();
        (self.shown(), code)
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
