//! Hub processes on fixed addresses, killed, paused and started again.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::http::{self, Outcome};

/// Until a hub is ready: it may have to wait for an election, and for its node to catch up.
const READY: Duration = Duration::from_secs(90);

/// Until a hub has ended in order.
const DRAIN: Duration = Duration::from_secs(40);

/// Arguments of every hub: keepalives often enough for readers to leave a silent hub soon, and short delays.
const ARGUMENTS: [&str; 6] =
    ["--stream-keepalive", "2s", "--stream-retry", "500ms", "--publish-idempotency-window", "10m"];

/// Hubs 0 to n-1. Killed when dropped.
pub(crate) struct Hubs {
    hubs: Vec<HubProcess>,
    home: TempDir,
}

struct HubProcess {
    address: SocketAddr,
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Hubs {
    /// Starts a hub for each list of arguments.
    pub(crate) fn start(arguments: &[Vec<String>]) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let mut hubs = Self { hubs: Vec::new(), home };
        for (at, arguments) in arguments.iter().enumerate() {
            let log = hubs.home.path().join(format!("hub{at}.log"));
            hubs.hubs.push(HubProcess { address: free_address(), arguments: arguments.clone(), log, child: None });
            hubs.spawn(at);
        }
        hubs
    }

    /// Starts hubs over stores on disk, each over its own.
    pub(crate) fn over_sled(stores: &[PathBuf]) -> Self {
        let arguments = stores.iter().map(|store| vec!["--data".to_owned(), store.display().to_string()]);
        Self::start(&arguments.collect::<Vec<_>>())
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.hubs.iter().map(|hub| hub.address).collect()
    }

    /// Starts a hub that is down; waits for nothing.
    pub(crate) fn spawn(&mut self, at: usize) {
        let hub = &mut self.hubs[at];
        if hub.child.is_some() {
            return;
        }
        let log = File::options().create(true).append(true).open(&hub.log).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_gapless"))
            .args(["serve", "--listen", &hub.address.to_string()])
            .args(ARGUMENTS)
            .args(&hub.arguments)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        hub.child = Some(child.expect("the binary starts"));
    }

    /// SIGKILL. It must not have ended by itself.
    pub(crate) fn kill(&mut self, at: usize) {
        let Some(mut child) = self.running(at) else { return };
        child.kill().expect("ours");
        child.wait().expect("ours");
    }

    /// SIGTERM, and waits for its end.
    pub(crate) async fn terminate(&mut self, at: usize) {
        let Some(mut child) = self.running(at) else { return };
        kill_process(Pid::from_child(&child), Signal::TERM).expect("ours");
        let until = Instant::now() + DRAIN;
        while child.try_wait().expect("ours").is_none() {
            if Instant::now() > until {
                println!("hub {at} has not ended {DRAIN:?} after SIGTERM; {}", self.log(at));
                child.kill().expect("ours");
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// SIGSTOP or SIGCONT.
    pub(crate) fn signal(&self, at: usize, signal: Signal) {
        if let Some(child) = &self.hubs[at].child {
            kill_process(Pid::from_child(child), signal).expect("ours");
        }
    }

    /// Waits until `/readyz` of each says so.
    ///
    /// # Errors
    /// The hub that does not become ready, with its log.
    pub(crate) async fn ready(&self) -> Result<(), String> {
        let until = Instant::now() + READY;
        for (at, hub) in self.hubs.iter().enumerate() {
            loop {
                let answer =
                    http::request(hub.address, "GET", "/readyz", &[], Vec::new(), Duration::from_secs(2)).await;
                if matches!(&answer, Outcome::Answered(answer) if answer.status == 200) {
                    break;
                }
                if Instant::now() > until {
                    return Err(format!("hub {at} is not ready after {READY:?}: {answer:?}; {}", self.log(at)));
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// A child that has not ended by itself.
    fn running(&mut self, at: usize) -> Option<Child> {
        let mut child = self.hubs[at].child.take()?;
        let ended = child.try_wait().expect("ours");
        assert!(ended.is_none(), "hub {at} ended by itself: {ended:?}; {}", self.log(at));
        Some(child)
    }

    /// The last warnings of all its processes.
    pub(crate) fn log(&self, at: usize) -> String {
        /// Enough for the reason of an end.
        const LINES: usize = 25;
        let log = std::fs::read_to_string(&self.hubs[at].log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().filter(|line| !line.contains(" INFO ")).collect();
        format!("hub {at} warned:\n{}", lines[lines.len().saturating_sub(LINES)..].join("\n"))
    }

    /// The logs of all.
    pub(crate) fn logs(&self) -> String {
        (0..self.hubs.len()).map(|at| self.log(at)).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Hubs {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.logs());
        }
        for child in self.hubs.iter_mut().filter_map(|hub| hub.child.as_mut()) {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A free port below those that the system gives to connecting sockets: while a hub is down, a client that is assigned the
/// hub's own port would connect to itself, and the hub could not restart.
fn free_address() -> SocketAddr {
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(15_000..32_000)));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
