//! An emulated service manager: its notification socket, and hubs that it starts.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use rustix::process::{Pid, Signal, kill_process};

use super::support::{PATIENCE, eventually};

/// A service manager with a directory of its own.
pub(crate) struct Manager {
    directory: tempfile::TempDir,
    socket: UnixDatagram,
}

/// A hub that it has started; killed when dropped.
pub(crate) struct Service {
    process: Child,
    log: PathBuf,
}

/// What it passes to a hub.
#[derive(Default)]
pub(crate) struct Passed<'a> {
    pub(crate) environment: &'a [(&'a str, &'a str)],
    /// Sockets by name, at most two.
    pub(crate) sockets: &'a [(&'a str, &'a dyn AsSocket)],
}

/// A socket that can be passed.
pub(crate) trait AsSocket {
    fn duplicate(&self) -> OwnedFd;
}

impl AsSocket for TcpListener {
    fn duplicate(&self) -> OwnedFd {
        self.try_clone().unwrap().into()
    }
}

impl AsSocket for std::os::unix::net::UnixListener {
    fn duplicate(&self) -> OwnedFd {
        self.try_clone().unwrap().into()
    }
}

impl AsSocket for TcpStream {
    fn duplicate(&self) -> OwnedFd {
        self.try_clone().unwrap().into()
    }
}

/// Moves stdin and stdout, which are the sockets, to the descriptors where a service expects them, and becomes the hub: so
/// `LISTEN_PID` is its process.
const PASS: &str = "exec 3<&0 4<&1 0</dev/null 1>/dev/null; export LISTEN_PID=$$; exec \"$@\"";

impl Manager {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        Self { directory, socket }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn notify_socket(&self) -> String {
        self.path("notify").to_str().unwrap().into()
    }

    /// Starts a hub over the store in `data` of the manager's directory.
    pub(crate) fn start(&self, passed: &Passed, arguments: &[&str]) -> Service {
        let log = self.path(&format!("log-{:08x}", fastrand::u32(..)));
        let mut command = Command::new("sh");
        command.args(["-c", PASS, "sh", env!("CARGO_BIN_EXE_gapless"), "serve"]).args(arguments);
        command.env("NOTIFY_SOCKET", self.notify_socket()).env("GAPLESS_DATA", self.path("data"));
        command.envs(passed.environment.iter().copied());
        if !passed.sockets.is_empty() {
            let names: Vec<&str> = passed.sockets.iter().map(|(name, _)| *name).collect();
            command.env("LISTEN_FDS", names.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
        }
        let mut sockets = passed.sockets.iter().map(|(_, socket)| Stdio::from(socket.duplicate()));
        command.stdin(sockets.next().unwrap_or_else(Stdio::null));
        command.stdout(sockets.next().unwrap_or_else(Stdio::null));
        let process = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
        Service { process, log }
    }

    /// The next message.
    pub(crate) fn message(&self) -> String {
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut bytes = [0; 8192];
        let count = self.socket.recv(&mut bytes).expect("a message in time");
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    /// The next message in which a line is, or begins with, `start`; and that line. Fails when none comes in time.
    pub(crate) fn wait_for(&self, start: &str) -> (String, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let message = self.message();
            if let Some(line) = message.lines().find(|line| line.starts_with(start)) {
                return (line.into(), message.clone());
            }
            assert!(Instant::now() < deadline, "no {start} came, but {message:?}");
        }
    }
}

impl Service {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits for its end; returns its exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let mut status = None;
        eventually("the process ends", || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }

    /// Ends it in order.
    pub(crate) fn end(&mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.wait(), Some(0), "{}", self.log());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _status = self.process.wait();
    }
}

/// A request whose body does not end, which holds a drain up: its connection, and the head of its answer was begun. The last
/// four bytes of the body end it.
pub(crate) fn held_up(address: SocketAddr) -> TcpStream {
    let mut held = TcpStream::connect(address).unwrap();
    held.set_read_timeout(Some(PATIENCE)).unwrap();
    let request =
        "POST /publish?topic=t HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n";
    held.write_all(request.as_bytes()).unwrap();
    held.read_exact(&mut [0; 12]).unwrap();
    held
}

/// The deployed files.
pub(crate) fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}
