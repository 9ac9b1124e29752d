//! The binary with pipes or on a terminal, and a hub.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

/// A bound on every wait, far above what it takes, so that a hang fails the test.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// The binary, without settings from the environment of the test.
pub(super) fn gapless(args: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    command.args(args).stdin(Stdio::null()).env("TERM", "xterm-256color");
    for name in ["RUST_LOG", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "GAPLESS_TOKEN", "GAPLESS_URL"] {
        command.env_remove(name);
    }
    command
}

/// What a process prints into pipes, and its exit code.
pub(super) fn output(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (out, err) = (read_all(child.stdout.take().unwrap()), read_all(child.stderr.take().unwrap()));
    let status = wait(&mut child);
    Output { status, stdout: out.join().unwrap(), stderr: err.join().unwrap() }
}

fn read_all(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        // A terminal ends with an error when its other side has been closed.
        let _closed = from.read_to_end(&mut all);
        all
    })
}

/// Waits for the end of a process, which is killed when it takes too long.
pub(super) fn wait(child: &mut Child) -> std::process::ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it hangs");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until `done` returns something.
pub(super) fn eventually<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = done() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

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
        let started = Instant::now();
        while !self.shown().contains(what) {
            assert!(started.elapsed() < PATIENCE, "it never shows {what:?}: {:?}", self.shown());
            thread::sleep(Duration::from_millis(10));
        }
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

/// A hub on a store. It is killed when dropped.
pub(super) struct Hub {
    process: Child,
    pub(super) url: String,
}

impl Hub {
    pub(super) fn start(data: &Path, args: &[&str]) -> Self {
        let data = data.display().to_string();
        let mut process = gapless(&[&["serve", "--listen", "127.0.0.1:0", "--data", &data], args].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().split_once("listening on ").unwrap_or_else(|| panic!("{line:?}")).1.to_owned();
        Self { process, url }
    }

    /// Publishes the lines to a topic, one event each, in one request.
    pub(super) fn publish(&self, topic: &str, lines: impl IntoIterator<Item = String>) {
        let events: Vec<String> =
            lines.into_iter().map(|line| format!("{{\"topic\":\"{topic}\",\"data\":\"{line}\"}}")).collect();
        let body = format!("[{}]", events.join(","));
        let answer = self.request(&format!(
            "POST /publish HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// The data of all events of a topic.
    pub(super) fn kept(&self, topic: &str) -> Vec<String> {
        let answer = self.request(&format!(
            "GET /events?topic={topic}&from=earliest&limit=1000 HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n\
             connection: close\r\n\r\n"
        ));
        let page: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        let data = |event: &serde_json::Value| event["data"].as_str().unwrap().to_owned();
        page["events"].as_array().unwrap_or_else(|| panic!("{page}")).iter().map(data).collect()
    }

    fn request(&self, request: &str) -> String {
        let mut socket = TcpStream::connect(self.url.trim_start_matches("http://")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let _cut: io::Result<usize> = socket.read_to_string(&mut answer);
        answer
    }

    pub(super) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(super) fn stop(mut self) {
        signal(&self.process, Signal::TERM);
        assert_eq!(wait(&mut self.process).code(), Some(0));
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(super) fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}
