//! One NATS cluster for all tests of a run, whatever processes they are in. The first that needs it starts it, and it ends by
//! itself when nobody has used it for [`UNUSED`].
//!
//! Each user holds a shared lock of a file for as long as it lives, so that one that is killed counts no more. What ends the
//! cluster takes the lock for itself first.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::nats_cluster::{NatsCluster, NodeAddresses, NodePlace, binary, is_healthy};

/// Longer than any test that uses no hub, so that a run has one cluster.
const UNUSED: &str = "60";

/// Until a cluster has elected its meta leader: 0.2 to 2.5 s.
const READY: Duration = Duration::from_secs(30);

/// Starts, when a port was taken meanwhile.
const TRIES: usize = 5;

/// In the cluster's directory: the lock of those that use it, and where its servers listen.
const IN_USE: &str = "in_use";
const ADDRESSES: &str = "addresses";

/// Between looks at what is awaited.
const LOOK: Duration = Duration::from_millis(20);

/// Of an answer to a request.
const ANSWER: Duration = Duration::from_secs(10);

/// The cluster, while it is used.
pub(crate) struct StandingCluster {
    nodes: Vec<NodeAddresses>,
    _in_use: File,
}

impl StandingCluster {
    /// Starts it, or joins those that use it.
    pub(crate) fn join() -> Self {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/standing-nats");
        fs::create_dir_all(&place).expect("a directory");
        let starting = lock_file(&place.join("starting")).expect("a lock file");
        starting.lock().expect("a lock");
        let running = || Self::at(Path::new(&fs::read_to_string(place.join("directory")).ok()?));
        running().unwrap_or_else(|| start(&place))
    }

    /// Uses the cluster in a directory, if it runs.
    fn at(dir: &Path) -> Option<Self> {
        let in_use = lock_file(&dir.join(IN_USE)).ok()?;
        in_use.lock_shared().expect("a lock");
        let node = |line: &str| {
            let (client, monitor) = line.split_once(' ')?;
            Some(NodeAddresses { client: client.parse().ok()?, monitor: monitor.parse().ok()? })
        };
        let addresses = fs::read_to_string(dir.join(ADDRESSES)).ok()?;
        let nodes = addresses.lines().map(node).collect::<Option<Vec<_>>>()?;
        let answers = |node: &NodeAddresses| TcpStream::connect(node.monitor).is_ok();
        nodes.iter().all(answers).then_some(Self { nodes, _in_use: in_use })
    }

    /// `nats://127.0.0.1:port` of every node.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(|node| format!("nats://{}", node.client)).collect()
    }

    /// Deletes a stream. One that cannot be deleted goes with the cluster.
    pub(crate) fn delete(&self, stream: &str) {
        drop(self.nodes.iter().find_map(|node| request(node.client, &format!("$JS.API.STREAM.DELETE.{stream}")).ok()));
    }
}

fn lock_file(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path)
}

fn start(place: &Path) -> StandingCluster {
    (0..TRIES).find_map(|_| try_start(place)).expect("a NATS cluster; its output is above")
}

/// `None` when a server has ended: its port was taken.
fn try_start(place: &Path) -> Option<StandingCluster> {
    let dir = tempfile::tempdir().expect("a directory").keep();
    let configured = NatsCluster::configure(&dir, &[(); 3].map(|()| NodePlace::default()), "");
    let nodes: Vec<NodeAddresses> = configured.into_iter().map(|(_, addresses)| addresses).collect();
    let lines: Vec<String> = nodes.iter().map(|node| format!("{} {}", node.client, node.monitor)).collect();
    fs::write(dir.join(ADDRESSES), lines.join("\n")).expect("written");
    let log = place.join("log");
    // A process group of its own: what ends the test that starts it does not end the cluster.
    let mut keeper = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/keep_cluster.sh"))
        .args([&binary(), &dir, &dir.join(IN_USE)])
        .arg(UNUSED)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log).expect("a log"))
        .process_group(0)
        .spawn()
        .expect("the keeper starts");
    let deadline = Instant::now() + READY;
    while Instant::now() < deadline && matches!(keeper.try_wait(), Ok(None)) {
        if nodes.iter().all(|node| is_healthy(node.monitor)) {
            fs::write(place.join("directory"), dir.to_str().expect("UTF-8")).expect("written");
            return StandingCluster::at(&dir);
        }
        thread::sleep(LOOK);
    }
    let _ = keeper.kill();
    let _ = keeper.wait();
    let _ = fs::remove_dir_all(&dir);
    eprintln!("{}", fs::read_to_string(log).unwrap_or_default());
    None
}

/// A request of NATS without a client: this is all that the tests ask for.
fn request(server: SocketAddr, subject: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect(server)?;
    socket.set_read_timeout(Some(ANSWER))?;
    write!(socket, "CONNECT {{\"verbose\":false}}\r\nSUB answer 1\r\nPUB {subject} answer 0\r\n\r\n")?;
    let mut lines = BufReader::new(socket).lines();
    while let Some(line) = lines.next().transpose()? {
        if line.starts_with("MSG ") {
            return lines.next().transpose().map(Option::unwrap_or_default);
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}
