//! Servers under the same load, each as a process on a port of its own: the hub, and what it is measured against.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use gapless::load::{PeerDialect, dialect::Target};
use tempfile::TempDir;

use super::{
    child::{self, ChildProcess, free_ports, local},
    directory,
    machine::{self, CpuRole},
    peers::{self, Aof, History, Transport},
    process::{self, Used},
};

/// The servers that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The hub, durable.
    Sled,
    /// The hub, in memory.
    Memory,
    /// `benches/contenders`: one send for each event and socket, and nothing else.
    Floor,
    /// The same, with one send for everything that is pending.
    FloorBatch,
    /// nginx with Nchan, in memory, one worker.
    Nchan,
    /// The crate `durable-streams`, durable, one thread.
    DurableStreams,
    /// `benches/contenders`: axum and a broadcast channel.
    Axum,
    /// `benches/contenders`: plain Node.
    Node,
    /// Mercure's library in net/http.
    Mercure(Transport),
    /// Centrifugo, alone or with a Redis.
    Centrifugo(History),
}

impl Kind {
    /// Its name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sled => "gapless (sled)",
            Self::Memory => "gapless (memory)",
            Self::Floor => "floor",
            Self::FloorBatch => "floor (batch)",
            Self::Nchan => "nchan",
            Self::DurableStreams => "durable-streams",
            Self::Axum => "naive axum",
            Self::Node => "node",
            Self::Mercure(Transport::Bolt) => "mercure (bolt)",
            Self::Mercure(Transport::Local) => "mercure (local)",
            Self::Centrifugo(History::Memory) => "centrifugo (memory)",
            Self::Centrifugo(History::Redis(Aof::No)) => "centrifugo (redis)",
            Self::Centrifugo(History::Redis(Aof::EverySecond)) => "centrifugo (redis everysec)",
            Self::Centrifugo(History::Redis(Aof::Always)) => "centrifugo (redis always)",
        }
    }

    /// Whether it is the hub. A fault of the hub fails the bench; those of others are noted.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Sled | Self::Memory)
    }

    fn dialect(self) -> PeerDialect {
        match self {
            Self::Nchan => PeerDialect::Nchan,
            Self::DurableStreams => PeerDialect::DurableStreams,
            Self::Mercure(_) => PeerDialect::Mercure,
            Self::Centrifugo(_) => PeerDialect::Centrifugo,
            _ => PeerDialect::Gapless,
        }
    }

    /// The server at `address`, with the credentials that it needs.
    pub(crate) fn target(self, address: SocketAddr) -> Target {
        let mut target = Target::new(address, self.dialect());
        target.authorization = match self {
            Self::Mercure(_) => Some(peers::mercure_token()),
            Self::Centrifugo(_) => Some(peers::centrifugo_key()),
            _ => None,
        };
        target
    }

    /// Whether its port is an argument; others choose one and print it.
    fn is_told_its_port(self) -> bool {
        matches!(self, Self::Nchan | Self::DurableStreams | Self::Centrifugo(_))
    }

    /// The helper process that it needs, on `port`, with its files in `dir`.
    fn helper(self, dir: &Path, port: u16) -> Result<Option<Command>, String> {
        match self {
            Self::Centrifugo(History::Redis(aof)) => peers::redis(aof, dir, port).map(Some),
            _ => Ok(None),
        }
    }

    /// The program and its arguments, with `port` for those that take it, and the port of the helper process.
    fn command(self, dir: &Path, port: u16, helper: Option<u16>) -> Result<Command, String> {
        let data = dir.join("data");
        let mut command = match self {
            Self::Sled | Self::Memory => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
                let engine = if self == Self::Sled { "sled" } else { "memory" };
                command.args([
                    "serve",
                    "--listen",
                    "127.0.0.1:0",
                    "--log-level",
                    "error",
                    "--http-connections",
                    "20000",
                ]);
                command.args(["--engine", engine, "--data"]).arg(data);
                command
            }
            Self::Floor | Self::FloorBatch => {
                let mut command = Command::new(built("build/release/floor")?);
                command.args((self == Self::FloorBatch).then_some("batch"));
                command
            }
            Self::Axum => Command::new(built("build/release/naive_axum")?),
            Self::Node => {
                let mut command = Command::new("node");
                command.arg(sources().join("node_hub.js"));
                command
            }
            Self::DurableStreams => {
                let mut command = Command::new(built("bin/durable-streams-server")?);
                command.args(["--worker-threads", "1", "--wal-shards", "1", "--port", &port.to_string(), "--data-dir"]);
                command.arg(data);
                command
            }
            Self::Nchan => {
                let template = fs::read_to_string(sources().join("nchan.conf")).expect("ours");
                let text = template.replace("@PORT@", &port.to_string()).replace("@DIR@", &dir.display().to_string());
                let file = dir.join("nginx.conf");
                fs::write(&file, text).expect("a fresh directory");
                let mut command = Command::new("/usr/sbin/nginx");
                // Debian's directory of modules.
                command.args(["-p", "/usr/share/nginx/", "-c"]).arg(file);
                command
            }
            Self::Mercure(transport) => peers::mercure(transport, dir)?,
            Self::Centrifugo(_) => peers::centrifugo(dir, port, helper)?,
        };
        command.stdout(Stdio::piped());
        Ok(command)
    }
}

pub(crate) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/contenders")
}

pub(crate) fn built(program: &str) -> Result<PathBuf, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/contenders").join(program);
    if path.exists() { Ok(path) } else { Err(format!("{program} is not built: benches/contenders/install.sh")) }
}

/// How a contender is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cores {
    /// On one processor that the load generator does not use.
    One,
    /// On every processor, beside the load generator.
    All,
}

/// A running contender; stopped when dropped.
pub(crate) struct Contender {
    pub(crate) kind: Kind,
    pub(crate) target: Target,
    process: ChildProcess,
    /// The helper process; stopped after the contender.
    helper: Option<ChildProcess>,
    dir: TempDir,
}

impl Contender {
    /// Starts a contender with an empty store. Returns when it accepts connections.
    ///
    /// # Errors
    /// Why it cannot be started here.
    pub(crate) fn start(kind: Kind, cores: Cores) -> Result<Self, String> {
        let dir = directory();
        let [port, other] = free_ports();
        let helper = kind.helper(dir.path(), other)?;
        let mut command = kind.command(dir.path(), port, helper.is_some().then_some(other))?;
        if cores == Cores::One {
            machine::pin(CpuRole::Server);
            if kind.is_ours() {
                command.args(["--shards", "1"]);
            }
        } else {
            machine::unpin();
        }
        let spawned = helper.map(|mut helper| ChildProcess::start(&mut helper, Some(local(other)))).transpose();
        let spawned = spawned.and_then(|helper| Ok((helper, ChildProcess::start(&mut command, None)?)));
        machine::pin(CpuRole::Load);
        let (helper, process) = spawned.map_err(|error| format!("{} cannot be started: {error}", kind.name()))?;
        let mut contender = Self { kind, target: kind.target(local(port)), process, helper, dir };
        contender.await_address()?;
        Ok(contender)
    }

    fn await_address(&mut self) -> Result<(), String> {
        let known = self.kind.is_told_its_port().then_some(self.target.address);
        let address = self.process.address(known).ok_or_else(|| format!("{} did not start", self.kind.name()))?;
        self.target = self.kind.target(address);
        self.process.listens(address, child::PATIENCE).map_err(|error| format!("{} {error}", self.kind.name()))
    }

    /// Its root processes.
    fn roots(&self) -> impl Iterator<Item = u32> {
        self.helper.iter().chain([&self.process]).map(ChildProcess::id)
    }

    /// CPU time used so far.
    pub(crate) fn used(&self) -> Used {
        Used::by(self.roots())
    }

    /// Seconds of CPU since `before`.
    pub(crate) fn cpu(&self, before: &Used) -> f64 {
        self.used().since(before)
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> f64 {
        self.roots().map(process::resident).sum()
    }

    /// The directory of its store.
    pub(crate) fn directory(&self) -> &Path {
        self.dir.path()
    }
}
