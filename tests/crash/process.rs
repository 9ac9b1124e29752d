//! The real binary on one address and one log, killed and started again.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::support::{PATIENCE, engine, test_stream::TestStream};

/// The hub's process, and what outlives it: address, log of events, log.
pub(crate) struct Process {
    address: SocketAddr,
    home: TempDir,
    /// The log of events, unless it is in `home`.
    stream: Option<TestStream>,
    arguments: &'static [&'static str],
    child: Option<Child>,
    spawned: Instant,
    starts: Vec<Duration>,
}

impl Process {
    pub(crate) fn new(arguments: &'static [&'static str]) -> Self {
        Self {
            address: free_address(),
            home: tempfile::tempdir().unwrap(),
            stream: engine::is_jetstream().then(TestStream::make),
            arguments,
            child: None,
            spawned: Instant::now(),
            starts: Vec::new(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts it, and waits for nothing.
    pub(crate) fn spawn(&mut self) {
        let log = File::options().create(true).append(true).open(self.home.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
        match &self.stream {
            Some(stream) => stream.configure(&mut command),
            None => drop(command.env("GAPLESS_DATA", self.home.path().join("data"))),
        }
        let child = command
            .args(["serve", "--listen", &self.address.to_string()])
            .args(self.arguments)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.spawned = Instant::now();
        self.child = Some(child.unwrap());
    }

    pub(crate) fn wait_until_it_serves(&mut self) {
        while TcpStream::connect(self.address).is_err() {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "it ended by itself: {ended:?}; {}", self.log());
            assert!(self.spawned.elapsed() < PATIENCE, "it does not serve; {}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
        self.starts.push(self.spawned.elapsed());
    }

    /// SIGKILL. It must not have ended before.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("spawned");
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "it ended by itself: {ended:?}; {}", self.log());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn mean_start(&self) -> Duration {
        self.starts.iter().sum::<Duration>() / u32::try_from(self.starts.len().max(1)).unwrap()
    }

    /// The last lines of the log of all its processes.
    pub(crate) fn log(&self) -> String {
        let log = std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().filter(|line| !line.contains(" INFO ")).collect();
        format!("it warned:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("{}", self.log());
        }
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A free port below those that the system gives to connecting sockets: while the hub is down, a client that is assigned
/// the hub's own port would connect to itself, and the hub could not restart.
fn free_address() -> SocketAddr {
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(15_000..32_000)));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
