//! The servers of Durable Streams, each with the durability that it can have, and the hub's own door beside.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    net::SocketAddr,
    process::{Command, Stdio},
    rc::Rc,
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::{
    child::{self, ChildProcess, free_ports, local},
    contender::{built, sources},
    directory,
    machine::{self, CpuRole},
    process::{self, Used},
    report::Report,
};

/// A server, and how durable its appends are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The hub over sled, by `/v1/stream/`.
    Sled,
    /// The hub without a disk, by `/v1/stream/`.
    Memory,
    /// The hub over sled, by `/publish` and `/events`.
    Native,
    /// The crate `durable-streams`, its default.
    CrateWal,
    /// The same, `--durability memory`.
    CrateMemory,
    /// `@durable-streams/server` with a directory.
    NodeFile,
    /// The same without one.
    NodeMemory,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 7] =
        [Self::Sled, Self::Native, Self::CrateWal, Self::NodeFile, Self::Memory, Self::CrateMemory, Self::NodeMemory];

    /// Its name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sled => "gapless (sled)",
            Self::Memory => "gapless (memory)",
            Self::Native => "gapless (sled), native",
            Self::CrateWal => "crate (wal)",
            Self::CrateMemory => "crate (memory)",
            Self::NodeFile => "node (file)",
            Self::NodeMemory => "node (memory)",
        }
    }

    /// Whether it is the hub. A fault of the hub fails the bench; those of others are noted.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Sled | Self::Memory | Self::Native)
    }

    /// Whether it is the server in Node.
    pub(crate) fn is_node(self) -> bool {
        matches!(self, Self::NodeFile | Self::NodeMemory)
    }

    /// `GAPLESS_BENCH_ONLY="gapless (sled);node (file)"` measures only those.
    pub(crate) fn is_chosen(self) -> bool {
        std::env::var("GAPLESS_BENCH_ONLY").map_or(true, |only| only.split(';').any(|name| name == self.name()))
    }

    /// The program and its arguments, on one processor.
    fn command(self, dir: &TempDir, port: u16) -> Result<Command, String> {
        let data = dir.path().join("data");
        let mut command = match self {
            Self::Sled | Self::Memory | Self::Native => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
                command.args([
                    "serve",
                    "--listen",
                    &format!("127.0.0.1:{port}"),
                    "--log-level",
                    "error",
                    "--shards",
                    "1",
                ]);
                command.args(["--http-connections", "20000", "--protocols", "durable-streams"]);
                command.args(["--engine", if self == Self::Memory { "memory" } else { "sled" }, "--data"]).arg(data);
                command
            }
            Self::CrateWal | Self::CrateMemory => {
                let mut command = Command::new(built("bin/durable-streams-server")?);
                let durability = if self == Self::CrateWal { "wal" } else { "memory" };
                command.args(["--worker-threads", "1", "--wal-shards", "1", "--port", &port.to_string()]);
                command.args(["--durability", durability, "--data-dir"]).arg(data);
                command
            }
            Self::NodeFile | Self::NodeMemory => {
                let sources = sources().join("durable_streams");
                if !sources.join("node_modules/@durable-streams/server").exists() {
                    return Err("@durable-streams/server is not installed: benches/contenders/install.sh".into());
                }
                let mut command = Command::new("node");
                command.arg(sources.join("server.js")).arg(port.to_string());
                command.args((self == Self::NodeFile).then_some(data));
                command
            }
        };
        command.stdout(Stdio::piped());
        Ok(command)
    }
}

/// The result of a case, within `patience`.
///
/// # Errors
/// Those of `work`, or that it takes longer.
pub(crate) async fn bounded(patience: Duration, work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    timeout(patience, work).await.unwrap_or_else(|_| Err(format!("not done in {} s", patience.as_secs())))
}

/// A running server; stopped when dropped.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    process: ChildProcess,
    _dir: TempDir,
    failures: Failures,
}

/// The cases in which a server, other than the hub, has failed. They are not measured again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failures(Rc<RefCell<BTreeSet<(&'static str, String)>>>);

impl Failures {
    /// Whether there are none.
    pub(crate) fn none(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

impl Server {
    /// Starts it with an empty store, on a processor that the load does not use. Returns when it accepts connections.
    ///
    /// # Errors
    /// Why it cannot be started here.
    pub(crate) fn start(kind: Kind, failures: &Failures) -> Result<Self, String> {
        let dir = directory();
        let [port, _] = free_ports();
        let mut command = kind.command(&dir, port)?;
        machine::pin(CpuRole::Server);
        let started = ChildProcess::start(&mut command, None);
        machine::pin(CpuRole::Load);
        let mut process = started?;
        let address = process.address(Some(local(port))).expect("it is known");
        process.listens(address, child::PATIENCE)?;
        Ok(Self { kind, address, process, _dir: dir, failures: failures.clone() })
    }

    /// Passes a fault of the hub on, and notes one of another server, which goes on with the next case.
    pub(crate) fn judge(&self, case: &str, outcome: Result<(), String>, report: &mut Report) -> Result<(), String> {
        match outcome {
            Err(error) if !self.kind.is_ours() => {
                report.note(format!("{}, {case}: {error}", self.kind.name()));
                self.failures.0.borrow_mut().insert((self.kind.name(), case.to_owned()));
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Whether it has failed in this case before.
    pub(crate) fn has_failed(&self, case: &str) -> bool {
        self.failures.0.borrow().contains(&(self.kind.name(), case.to_owned()))
    }

    /// CPU time used so far.
    pub(crate) fn used(&self) -> Used {
        Used::by([self.process.id()])
    }

    /// Its memory, in bytes.
    pub(crate) fn resident(&self) -> f64 {
        process::resident(self.process.id())
    }
}
