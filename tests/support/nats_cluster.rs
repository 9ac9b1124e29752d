//! A cluster of nats-server on loopback. `tests/install.sh` brings the binary. Included by `#[path]`, by the unit tests of
//! the engine over JetStream and by tests of the whole hub.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::{
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

/// Until a cluster has elected its meta leader: 1.2 to 2.5 s on a busy machine.
const READY: Duration = Duration::from_secs(30);

/// Starts of a whole cluster, when another process has taken a port meanwhile.
const TRIES: usize = 5;

/// Between looks at what is awaited.
const LOOK: Duration = Duration::from_millis(20);

/// Of the administrator of a [recommended](NatsCluster::recommended) server.
pub(crate) const ADMIN_PASSWORD: &str = "p0123456789abcdef";

/// And of its hubs.
pub(crate) const HUB_PASSWORD: &str = "pfedcba9876543210";

/// To the monitor of a node; a paused one accepts and says nothing.
const MONITOR: Duration = Duration::from_millis(500);

/// Nodes 0 to n-1, named `n0` and so on. Their data is deleted and their processes are killed when it is dropped.
pub(crate) struct NatsCluster {
    nodes: Vec<Node>,
    dir: tempfile::TempDir,
}

/// Where a node listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeAddresses {
    pub(crate) client: SocketAddr,
    pub(crate) monitor: SocketAddr,
}

/// What a node's configuration needs to know.
struct NodeSettings {
    index: usize,
    client: SocketAddr,
    route: SocketAddr,
    monitor: SocketAddr,
    store: String,
    /// Of all nodes, as a list.
    routes: String,
    is_alone: bool,
}

/// A node's configuration: its file, and the variables of its environment.
struct NodeConfig {
    text: String,
    environment: Vec<(&'static str, String)>,
}

/// Where a node runs.
#[derive(Debug, Clone)]
pub(crate) struct NodePlace {
    /// What executes the server, and keeps its process id: nothing, or a program with its arguments.
    pub(crate) prefix: Vec<String>,
    /// Its address, for the others and for the test.
    pub(crate) address: Ipv4Addr,
    /// Directory of its data; otherwise one that is deleted with the cluster.
    pub(crate) store: Option<PathBuf>,
}

struct Node {
    prefix: Vec<String>,
    config: PathBuf,
    environment: Vec<(&'static str, String)>,
    client: SocketAddr,
    monitor: SocketAddr,
    process: Option<Child>,
}

impl NatsCluster {
    /// Three nodes, ready to create streams.
    pub(crate) fn start() -> Self {
        Self::with(3, "")
    }

    /// One cluster for all tests of this process that run now, each with its own stream and prefix. No test breaks it.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<NatsCluster>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock();
        // A static value would never be dropped, and its processes would outlive the test.
        shared.upgrade().unwrap_or_else(|| {
            let started = Arc::new(Self::start());
            *shared = Arc::downgrade(&started);
            started
        })
    }

    /// `nodes` nodes with `more` in their configuration files: users, TLS, limits.
    pub(crate) fn with(nodes: usize, more: &str) -> Self {
        Self::placed(&vec![NodePlace::default(); nodes], more)
    }

    /// A node at each of the places.
    pub(crate) fn placed(places: &[NodePlace], more: &str) -> Self {
        Self::started(places, &|node| node.plain(more))
    }

    /// `nodes` nodes with the file deploy/nats.conf, at addresses of their own.
    pub(crate) fn recommended(nodes: usize) -> Self {
        Self::started(&vec![NodePlace::default(); nodes], &NodeSettings::recommended)
    }

    fn started(places: &[NodePlace], config: &dyn Fn(&NodeSettings) -> NodeConfig) -> Self {
        for _ in 0..TRIES {
            let mut cluster = Self::configured(places, config);
            for node in &mut cluster.nodes {
                node.run();
            }
            if cluster.becomes_ready() {
                return cluster;
            }
        }
        panic!("no NATS cluster has started in {TRIES} tries; its output is above");
    }

    fn configured(places: &[NodePlace], config: &dyn Fn(&NodeSettings) -> NodeConfig) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let settings = NodeSettings::of(dir.path(), places);
        let node = |(place, settings): (&NodePlace, &NodeSettings)| {
            let made = config(settings);
            let file = settings.write(dir.path(), &made.text);
            let (client, monitor) = (settings.client, settings.monitor);
            let (prefix, environment) = (place.prefix.clone(), made.environment);
            Node { prefix, config: file, environment, client, monitor, process: None }
        };
        let nodes = places.iter().zip(&settings).map(node).collect();
        Self { nodes, dir }
    }

    /// Writes the configuration of each node, `n0.conf` and so on, into a directory, with ports that are free now.
    pub(crate) fn configure(dir: &Path, places: &[NodePlace], more: &str) -> Vec<(PathBuf, NodeAddresses)> {
        let written = |node: &NodeSettings| {
            let addresses = NodeAddresses { client: node.client, monitor: node.monitor };
            (node.write(dir, &node.plain(more).text), addresses)
        };
        NodeSettings::of(dir, places).iter().map(written).collect()
    }

    /// Waits for a meta leader. `false` when a node has ended: its ports were taken.
    fn becomes_ready(&mut self) -> bool {
        let deadline = Instant::now() + READY;
        while Instant::now() < deadline {
            if self.nodes.iter_mut().any(Node::has_ended) {
                return false;
            }
            if self.nodes.iter().all(Node::is_ready) {
                return true;
            }
            std::thread::sleep(LOOK);
        }
        false
    }

    /// `nats://address:port` of every node.
    pub(crate) fn urls(&self) -> Vec<String> {
        (0..self.nodes.len()).map(|index| self.url(index)).collect()
    }

    pub(crate) fn url(&self, index: usize) -> String {
        format!("nats://{}", self.nodes[index].client)
    }

    /// `http://address:port` of a node's monitor.
    pub(crate) fn monitor(&self, index: usize) -> String {
        format!("http://{}", self.nodes[index].monitor)
    }

    /// The body of an answer of a node's monitor, as of `/connz`; `None` when it does not answer within 0.5 s.
    pub(crate) fn monitored(&self, index: usize, path: &str) -> Option<serde_json::Value> {
        serde_json::from_str(&self.nodes[index].get(path)?).ok()
    }

    /// Of the nodes that run.
    pub(crate) fn process_ids(&self) -> Vec<u32> {
        self.nodes.iter().filter_map(|node| node.process.as_ref().map(Child::id)).collect()
    }

    /// Where configurations and data are.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The index of a node, from the name that the server tells of itself.
    pub(crate) fn index_of(name: &str) -> usize {
        name.strip_prefix('n').and_then(|index| index.parse().ok()).expect("the name of a node")
    }

    /// The node that leads a stream, once there is one; asked at the monitors of all nodes that answer.
    pub(crate) fn stream_leader(&self, stream: &str) -> usize {
        let deadline = Instant::now() + READY;
        while Instant::now() < deadline {
            if let Some(leader) = self.stream_leader_now(stream) {
                return leader;
            }
            std::thread::sleep(LOOK);
        }
        panic!("the stream {stream} has no leader after {READY:?}");
    }

    /// The same, if there is one now.
    pub(crate) fn stream_leader_now(&self, stream: &str) -> Option<usize> {
        let answers = self.nodes.iter().filter_map(|node| node.get("/jsz?streams=true&config=false"));
        let mut leaders = answers.filter_map(|body| leader_in(&body, stream));
        leaders.next().map(|leader| Self::index_of(&leader))
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, index: usize) {
        self.nodes[index].end();
    }

    /// SIGTERM, and waits for the end of the process.
    pub(crate) fn terminate(&mut self, index: usize) {
        self.nodes[index].signal(Signal::TERM);
        if let Some(mut process) = self.nodes[index].process.take() {
            let deadline = Instant::now() + READY;
            while matches!(process.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(LOOK);
            }
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// SIGSTOP: the node is silent, its connections stay open.
    pub(crate) fn pause(&self, index: usize) {
        self.nodes[index].signal(Signal::STOP);
        self.nodes[index].wait_stopped();
    }

    /// SIGCONT.
    pub(crate) fn go_on(&self, index: usize) {
        self.nodes[index].signal(Signal::CONT);
    }

    /// Starts a node that was ended, with its data. Does not wait for it.
    pub(crate) fn restart(&mut self, index: usize) {
        assert!(self.nodes[index].process.is_none(), "node {index} is running");
        self.nodes[index].run();
    }

    /// Waits until every node is healthy: it has caught up.
    pub(crate) fn wait_healthy(&self) {
        let deadline = Instant::now() + READY;
        while !self.nodes.iter().all(Node::is_ready) {
            assert!(Instant::now() < deadline, "a node is not healthy after {READY:?}");
            std::thread::sleep(LOOK);
        }
    }
}

impl NodeSettings {
    /// Of a node at each of the places, with ports that are free now.
    fn of(dir: &Path, places: &[NodePlace]) -> Vec<Self> {
        // Held until all are known, so that they differ.
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let held: Vec<[TcpListener; 3]> = places.iter().map(|_| [free(), free(), free()]).collect();
        let at = |place: &NodePlace, listener: &TcpListener| {
            SocketAddr::from((place.address, listener.local_addr().expect("it is bound").port()))
        };
        let nodes = places.iter().zip(&held);
        let routes = nodes.clone().map(|(place, [_, route, _])| format!("nats://{}", at(place, route)));
        let routes = routes.collect::<Vec<_>>().join(", ");
        let settings = nodes.enumerate().map(|(index, (place, listeners))| {
            let [client, route, monitor] = listeners.each_ref().map(|listener| at(place, listener));
            let store = place.store.clone().unwrap_or_else(|| dir.join(format!("n{index}"))).display().to_string();
            Self { index, client, route, monitor, store, routes: routes.clone(), is_alone: places.len() == 1 }
        });
        settings.collect()
    }

    fn plain(&self, more: &str) -> NodeConfig {
        let Self { index, client, route, monitor, store, routes, is_alone } = self;
        let mut text = format!("server_name: n{index}\nlisten: \"{client}\"\nhttp: \"{monitor}\"\n");
        // Otherwise a server that is started on a nearly full disk refuses to write much, also when there is room again.
        let _ = writeln!(text, "jetstream {{ store_dir: {store:?}, sync_interval: always, max_file_store: 50GB }}");
        let _ = writeln!(text, "max_payload: 8MB\n{more}");
        if !is_alone {
            let _ = writeln!(text, "cluster {{ name: c, listen: \"{route}\", routes: [{routes}] }}");
        }
        NodeConfig { text, environment: Vec::new() }
    }

    fn recommended(&self) -> NodeConfig {
        let Self { index, client, route, monitor, store, routes, .. } = self;
        let mut text =
            fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/nats.conf")).expect("it is here");
        for (there, here) in [
            ("listen: 0.0.0.0:4222", format!("listen: \"{client}\"")),
            ("http: 0.0.0.0:8222", format!("http: \"{monitor}\"")),
            ("listen: 0.0.0.0:6222", format!("listen: \"{route}\"")),
        ] {
            assert!(text.contains(there), "deploy/nats.conf has no {there}");
            text = text.replace(there, &here);
        }
        let environment = vec![
            ("NATS_NAME", format!("n{index}")),
            ("NATS_STORE", store.clone()),
            ("NATS_ROUTES", format!("[{routes}]")),
            ("NATS_ADMIN_PASSWORD", ADMIN_PASSWORD.into()),
            ("NATS_HUB_PASSWORD", HUB_PASSWORD.into()),
        ];
        NodeConfig { text, environment }
    }

    fn write(&self, dir: &Path, text: &str) -> PathBuf {
        let file = dir.join(format!("n{}.conf", self.index));
        fs::write(&file, text).expect("the configuration is written");
        file
    }
}

impl Node {
    fn run(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.config.with_extension("log"));
        let log = log.expect("a log");
        let words = self.prefix.iter().map(Into::into).chain([binary().into_os_string()]).collect::<Vec<_>>();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("-c").arg(&self.config).envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.process = Some(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}; run `make install`")));
    }

    fn has_ended(&mut self) -> bool {
        let ended = self.process.as_mut().is_none_or(|process| !matches!(process.try_wait(), Ok(None)));
        if ended {
            eprintln!("{}", fs::read_to_string(self.config.with_extension("log")).unwrap_or_default());
        }
        ended
    }

    fn is_ready(&self) -> bool {
        is_healthy(self.monitor)
    }

    /// The body of an answer of the monitor.
    fn get(&self, path: &str) -> Option<String> {
        monitored(self.monitor, path)
    }

    fn signal(&self, signal: Signal) {
        let Some(process) = &self.process else { return };
        kill_process(Pid::from_child(process), signal).expect("the process is ours");
    }

    /// On a busy machine some time passes until no thread runs any more.
    fn wait_stopped(&self) {
        let Some(process) = &self.process else { return };
        let status = format!("/proc/{}/stat", process.id());
        let is_stopped = || fs::read_to_string(&status).is_ok_and(|text| text.contains(") T "));
        let begun = Instant::now();
        while !is_stopped() && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Default for NodePlace {
    /// On loopback.
    fn default() -> Self {
        Self { prefix: Vec::new(), address: Ipv4Addr::LOCALHOST, store: None }
    }
}

impl Drop for NatsCluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.end();
        }
    }
}

/// Whether the server with this monitor has a meta leader, and has caught up.
pub(crate) fn is_healthy(monitor: SocketAddr) -> bool {
    monitored(monitor, "/healthz").is_some_and(|answer| answer.contains("\"ok\""))
}

/// The body of an answer of a monitor.
fn monitored(monitor: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&monitor, MONITOR).ok()?;
    stream.set_read_timeout(Some(MONITOR)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.split_once("\r\n\r\n")?.1.to_owned())
}

/// The name of a stream's leader in an answer of `/jsz`.
fn leader_in(body: &str, stream: &str) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_str(body).ok()?;
    let accounts = answer["account_details"].as_array()?;
    let mut streams = accounts.iter().filter_map(|account| account["stream_detail"].as_array()).flatten();
    let found = streams.find(|detail| detail["name"] == stream)?;
    Some(found["cluster"]["leader"].as_str().filter(|name| !name.is_empty())?.to_owned())
}

/// Without it the test fails; no test passes by doing nothing.
pub(crate) fn binary() -> PathBuf {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/venv/bin/nats-server"));
    assert!(path.is_file(), "{} is not here: run `make install`", path.display());
    path
}
