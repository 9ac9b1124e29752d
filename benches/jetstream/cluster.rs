//! Three NATS servers, the streams in them, and the hubs over a stream.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    ops::Deref,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use gapless::load::{Load, LoadError, LoadOutcome, LoadPlan, LoadTopics, PeerDialect, dialect::Target};
use tempfile::TempDir;

use crate::{
    nats_cluster::{NatsCluster, NodePlace},
    support::{self, PATIENCE, hub::Hub, process::Used, report::Report},
};

/// Servers of the cluster, and copies of each stream.
pub(crate) const SERVERS: usize = 3;

/// Flags of every hub: more connections than any part of the bench opens.
const FLAGS: [&str; 2] = ["--http-connections", "18000"];

/// How long a cluster may not be able to hold three replicas after its start.
const YOUNG: Duration = Duration::from_secs(20);

/// The servers, which sync each write, with their stores below `target/bench`.
pub(crate) struct Site {
    pub(crate) cluster: NatsCluster,
    stores: TempDir,
}

/// What the clients of the servers were sent, and the servers sent each other, since they started.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sent {
    pub(crate) messages: f64,
    pub(crate) bytes: f64,
}

/// Seconds of CPU.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) hubs: f64,
    pub(crate) servers: f64,
}

impl Site {
    pub(crate) fn start() -> Self {
        let stores = support::directory();
        let place = |index: usize| {
            let store = stores.path().join(format!("n{index}"));
            NodePlace { store: Some(store), ..NodePlace::default() }
        };
        Self { cluster: NatsCluster::placed(&(0..SERVERS).map(place).collect::<Vec<_>>(), ""), stores }
    }

    /// Makes a stream of this name, as an operator does: three replicas, in files.
    pub(crate) fn stream(&self, name: &'static str) -> HubLog<'_> {
        let log = HubLog { site: self, name };
        let init = || log.command(&["jetstream", "init"]).stdin(Stdio::null()).output().expect("it runs");
        let (begun, mut done) = (Instant::now(), init());
        while !done.status.success() && begun.elapsed() < YOUNG {
            sleep(Duration::from_millis(200));
            done = init();
        }
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        log
    }

    /// CPU time of the servers so far.
    pub(crate) fn used(&self) -> Used {
        Used::by(self.cluster.process_ids())
    }

    /// What left the servers so far, by all of them. It includes what hubs and servers tell each other all the time.
    pub(crate) fn sent(&self) -> Sent {
        let all = (0..SERVERS).filter_map(|index| self.cluster.monitored(index, "/varz"));
        all.fold(Sent::default(), |sum, varz| Sent {
            messages: sum.messages + varz["out_msgs"].as_f64().expect("a count"),
            bytes: sum.bytes + varz["out_bytes"].as_f64().expect("a count"),
        })
    }

    /// Consumers that the servers have, each replica counted.
    pub(crate) fn consumers(&self) -> f64 {
        let all = (0..SERVERS).filter_map(|index| self.cluster.monitored(index, "/jsz"));
        all.map(|jsz| jsz["consumers"].as_f64().expect("a count")).sum()
    }

    /// Memory of one server, and bytes of its store: the mean of all.
    #[expect(clippy::cast_precision_loss, reason = "three servers")]
    pub(crate) fn server(&self) -> (f64, f64) {
        let memory = self.cluster.process_ids().into_iter().map(support::process::resident).sum::<f64>();
        (memory / SERVERS as f64, size(self.stores.path()) / SERVERS as f64)
    }

    /// Runs `plan`, and counts the CPU of `hubs` and of the servers. No event may be lost, doubled or out of order.
    pub(crate) fn measured(&self, load: &mut Load, plan: &LoadPlan, hubs: &[&Hub]) -> (LoadOutcome, Cost) {
        let nodes = Nodes::hubs(self, hubs);
        let (outcome, cost) = nodes.counted(load, plan).unwrap_or_else(|error| panic!("{error}"));
        assert!(outcome.faults.none(), "{}", outcome.faults);
        (outcome, cost)
    }
}

/// Processes that clients connect to, over servers behind them.
pub(crate) struct Nodes {
    pub(crate) targets: Vec<Target>,
    pub(crate) processes: Vec<u32>,
    pub(crate) servers: Vec<u32>,
    /// A fault of hubs fails the bench; those of others are noted.
    pub(crate) are_ours: bool,
}

impl Nodes {
    pub(crate) fn hubs(site: &Site, hubs: &[&Hub]) -> Self {
        Self {
            targets: hubs.iter().map(|hub| target(hub)).collect(),
            processes: hubs.iter().map(|hub| hub.id()).collect(),
            servers: site.cluster.process_ids(),
            are_ours: true,
        }
    }

    /// A load over all of them.
    pub(crate) fn load(&self, topics: &LoadTopics) -> Load {
        Load::over(self.targets.clone(), topics.clone()).expect("it begins")
    }

    /// Runs `plan`, and counts their CPU. A delivery fault is an assertion, or a note in the report.
    ///
    /// # Errors
    /// When a connection breaks or is refused.
    pub(crate) fn run(
        &self,
        load: &mut Load,
        plan: &LoadPlan,
        (name, report): (&str, &mut Report),
    ) -> Result<(LoadOutcome, Cost), LoadError> {
        let (outcome, cost) = self.counted(load, plan)?;
        if !outcome.faults.none() {
            let fault = format!("{name}: {}", outcome.faults);
            assert!(!self.are_ours, "{fault}");
            report.note(fault);
        }
        Ok((outcome, cost))
    }

    fn counted(&self, load: &mut Load, plan: &LoadPlan) -> Result<(LoadOutcome, Cost), LoadError> {
        let used = || [&self.processes, &self.servers].map(|all| Used::by(all.iter().copied()));
        let before = used();
        let outcome = load.run(plan)?;
        let [hubs, servers] = used();
        Ok((outcome, Cost { hubs: hubs.since(&before[0]), servers: servers.since(&before[1]) }))
    }
}

/// What a hub logs: errors, and when it begins and ends to lead.
const LOGGED: &str = "error,gapless::engine::jetstream::roles=info";

/// A hub over a stream.
pub(crate) struct Member {
    hub: Hub,
    log: PathBuf,
}

impl Member {
    /// Times that it began to lead.
    pub(crate) fn begun(&self) -> usize {
        self.says("this hub leads").saturating_sub(self.says("this hub leads no more"))
    }

    /// Whether it leads now, as it believes itself.
    pub(crate) fn leads(&self) -> bool {
        self.begun() > self.says("this hub leads no more")
    }

    fn says(&self, what: &str) -> usize {
        fs::read_to_string(&self.log).unwrap_or_default().matches(what).count()
    }

    /// SIGKILL.
    pub(crate) fn kill(self) {
        self.hub.kill();
    }
}

impl Deref for Member {
    type Target = Hub;

    fn deref(&self) -> &Hub {
        &self.hub
    }
}

/// The hub that leads comes first: on a machine without time for them, a follower takes over.
pub(crate) fn leader_first(hubs: &mut [Member]) {
    hubs.sort_by_key(|hub| !hub.leads());
}

/// A stream that is the log of hubs.
pub(crate) struct HubLog<'a> {
    site: &'a Site,
    name: &'static str,
}

impl HubLog<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
        command
            .args(arguments)
            .env("GAPLESS_ENGINE", "jetstream")
            .env("GAPLESS_NATS", self.site.cluster.urls().join(","))
            .env("GAPLESS_NATS_STREAM", self.name)
            .env("GAPLESS_NATS_PREFIX", self.name.to_lowercase());
        command
    }

    /// A hub over this log, which has loaded it and is ready. The first one leads.
    pub(crate) fn hub(&self) -> Member {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0", "--log-level", LOGGED]);
        let log = self.site.stores.path().join(format!("{}-{:08x}.log", self.name, fastrand::u32(..)));
        command.stderr(File::create(&log).expect("a log"));
        // It keeps nothing there.
        let hub = Hub::spawn(command.args(FLAGS).arg("--data").arg(self.site.stores.path().join("unused")));
        let begun = Instant::now();
        while !is_ready(hub.address) {
            assert!(begun.elapsed() < PATIENCE, "a hub is not ready");
            sleep(Duration::from_millis(5));
        }
        Member { hub, log }
    }
}

/// A hub over sled, in `dir`.
pub(crate) fn on_sled(dir: &Path) -> Hub {
    Hub::start_with(dir, &FLAGS)
}

pub(crate) fn target(hub: &Hub) -> Target {
    Target::new(hub.address, PeerDialect::Gapless)
}

fn is_ready(hub: SocketAddr) -> bool {
    ask(hub, "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .is_some_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}

/// The whole response to a request; `None` when there is none.
pub(crate) fn ask(hub: SocketAddr, request: &str) -> Option<String> {
    let mut socket = TcpStream::connect(hub).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    socket.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Bytes of the files below a directory, without those that end meanwhile.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
fn size(dir: &Path) -> f64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            if entry.path().is_dir() { size(&entry.path()) } else { entry.metadata().map_or(0.0, |it| it.len() as f64) }
        })
        .sum()
}
