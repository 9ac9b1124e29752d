//! Hub processes on fixed addresses, killed, paused and started again.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
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
const ARGUMENTS: [&str; 5] = ["--stream-keepalive", "2s", "--stream-retry", "500ms", "--open"];

/// Hubs 0 to n-1. Killed when dropped.
pub(crate) struct Hubs {
    hubs: Vec<HubProcess>,
    home: TempDir,
}

/// Where a hub runs, and how.
#[derive(Debug, Clone)]
pub(crate) struct HubPlace {
    /// What executes the hub, and keeps its process id: nothing, or a program with its arguments.
    pub(crate) prefix: Vec<String>,
    pub(crate) address: Ipv4Addr,
    pub(crate) arguments: Vec<String>,
}

struct HubProcess {
    address: SocketAddr,
    place: HubPlace,
    log: PathBuf,
    child: Option<Child>,
}

impl Hubs {
    /// Starts a hub at each place.
    pub(crate) fn start(places: Vec<HubPlace>) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let mut hubs = Self { hubs: Vec::new(), home };
        for (at, mut place) in places.into_iter().enumerate() {
            if !place.arguments.iter().any(|argument| argument == "--data") {
                // Also for an engine that needs none: nothing is written elsewhere.
                place
                    .arguments
                    .extend(["--data".to_owned(), hubs.home.path().join(format!("data{at}")).display().to_string()]);
            }
            let log = hubs.home.path().join(format!("hub{at}.log"));
            hubs.hubs.push(HubProcess { address: free_address(place.address), place, log, child: None });
            hubs.spawn(at);
        }
        hubs
    }

    /// Starts hubs over stores on disk, each over its own.
    pub(crate) fn over_sled(stores: &[PathBuf]) -> Self {
        let places = stores.iter().map(|store| {
            let arguments = vec!["--data".to_owned(), store.display().to_string()];
            HubPlace { arguments, ..HubPlace::default() }
        });
        Self::start(places.collect())
    }

    pub(crate) fn count(&self) -> usize {
        self.hubs.len()
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
        let binary = env!("CARGO_BIN_EXE_gapless").to_owned();
        let words: Vec<&String> = hub.place.prefix.iter().chain([&binary]).collect();
        let child = Command::new(words[0])
            .args(&words[1..])
            .args(["serve", "--listen", &hub.address.to_string()])
            .args(ARGUMENTS)
            .args(&hub.place.arguments)
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

    /// The last warnings of all its processes, and when it led.
    pub(crate) fn log(&self, at: usize) -> String {
        /// Enough for the reason of an end.
        const LINES: usize = 25;
        let log = std::fs::read_to_string(&self.hubs[at].log).unwrap_or_default();
        let is_told = |line: &&str| !line.contains(" INFO ") || line.contains("this hub leads");
        let lines: Vec<&str> = log.lines().filter(is_told).collect();
        format!("hub {at} warned:\n{}", lines[lines.len().saturating_sub(LINES)..].join("\n"))
    }

    /// The logs of all.
    pub(crate) fn logs(&self) -> String {
        (0..self.hubs.len()).map(|at| self.log(at)).collect::<Vec<_>>().join("\n")
    }
}

impl Default for HubPlace {
    /// On loopback.
    fn default() -> Self {
        Self { prefix: Vec::new(), address: Ipv4Addr::LOCALHOST, arguments: Vec::new() }
    }
}

impl Drop for Hubs {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}\nthe hubs' whole logs are kept in {}", self.logs(), self.home.path().display());
            self.home.disable_cleanup(true);
        }
        for child in self.hubs.iter_mut().filter_map(|hub| hub.child.as_mut()) {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A free port below those that the system gives to connecting sockets: while a hub is down, a client that is assigned the
/// hub's own port would connect to itself, and the hub could not restart.
///
/// An address of a namespace has all its ports.
fn free_address(address: Ipv4Addr) -> SocketAddr {
    loop {
        let address = SocketAddr::from((address, fastrand::u16(15_000..32_000)));
        if !address.ip().is_loopback() || TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
