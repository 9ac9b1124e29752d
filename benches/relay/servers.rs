//! What stands between the clients and the provider: nothing, the hub, or another proxy.

use std::{
    fs,
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    connection::{Connection, request},
    support::{
        child::{self, ChildProcess, free_ports, local},
        contender::{Cores, built, sources},
        directory,
        machine::{self, CpuRole},
        peers::{self, Aof},
        process::{self, Used},
    },
    upstream::Plan,
};

/// The clients' key. LiteLLM refuses to start without one, and asks for this length.
const KEY: &str = "sk-5f0e1c7b9a3d48e6b2c40f7d6a918e35c7b2049df61e8a3b5d7c90e2f4a6b813";

/// LiteLLM imports for most of a minute on a busy processor.
const LITELLM_PATIENCE: Duration = Duration::from_mins(2);

/// How a client reaches the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Direct,
    /// The hub's relay, durable.
    Hub,
    /// LiteLLM's proxy, one worker; it stores nothing.
    LiteLlm,
    /// `benches/contenders/resumable`: Node, and Redis without its append-only file.
    Resumable,
}

/// A way, with its processes. They are stopped when it is dropped.
pub(crate) struct Server {
    pub(crate) way: Way,
    pub(crate) address: SocketAddr,
    process: Option<ChildProcess>,
    helper: Option<ChildProcess>,
    _dir: TempDir,
}

impl Way {
    /// Its name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Hub => "gapless (sled)",
            Self::LiteLlm => "litellm",
            Self::Resumable => "resumable-stream",
        }
    }

    /// `GAPLESS_BENCH_ONLY=direct,litellm` measures only those.
    pub(crate) fn chosen(self) -> bool {
        std::env::var("GAPLESS_BENCH_ONLY").map_or(true, |only| only.split(',').any(|name| name == self.name()))
    }

    /// The path of a chat completion.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Hub => "/relay/openai/v1/chat/completions",
            _ => "/v1/chat/completions",
        }
    }

    /// A request to follow the run of this response, for those that can.
    pub(crate) fn follow(self, head: &str) -> Option<String> {
        let header = |name: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name))?;
            line.split_once(": ").map(|(_, value)| value.to_owned())
        };
        let target = match self {
            Self::Hub => format!("/runs/{}/events?format=raw", header("gapless-run:")?),
            Self::Resumable => format!("/streams/{}", header("stream-id:")?),
            Self::Direct | Self::LiteLlm => return None,
        };
        Some(request("GET", &target, "accept: text/event-stream\r\n", ""))
    }
}

impl Server {
    /// Starts it with an empty store. Returns when it accepts connections.
    ///
    /// # Errors
    /// Why it cannot be started here.
    pub(crate) fn start(way: Way, upstream: SocketAddr, cores: Cores) -> Result<Self, String> {
        let dir = directory();
        let [port, other] = free_ports();
        if cores == Cores::One {
            machine::pin(CpuRole::Server);
        } else {
            machine::unpin();
        }
        let started = Self::processes(way, upstream, &dir, port, other);
        machine::pin(CpuRole::Load);
        let (helper, process, address) = started.map_err(|error| format!("{}: {error}", way.name()))?;
        Ok(Self { way, address, process, helper, _dir: dir })
    }

    fn processes(
        way: Way,
        upstream: SocketAddr,
        dir: &TempDir,
        port: u16,
        other: u16,
    ) -> Result<(Option<ChildProcess>, Option<ChildProcess>, SocketAddr), String> {
        let (mut helper, mut known, mut patience) = (None, None, child::PATIENCE);
        let mut command = match way {
            Way::Direct => return Ok((None, None, upstream)),
            Way::Hub => hub(upstream, dir),
            Way::LiteLlm => {
                (known, patience) = (Some(local(port)), LITELLM_PATIENCE);
                litellm(upstream, dir, port)?
            }
            Way::Resumable => {
                let installed = sources().join("resumable/node_modules/resumable-stream").exists();
                let missing = "resumable-stream is not installed: benches/contenders/install.sh";
                installed.then_some(()).ok_or(missing)?;
                helper = Some(ChildProcess::start(&mut peers::redis(Aof::No, dir.path(), other)?, Some(local(other)))?);
                let mut command = Command::new("node");
                command.arg(sources().join("resumable/server.js")).arg(format!("http://{upstream}"));
                command.env("REDIS_URL", format!("redis://127.0.0.1:{other}"));
                command
            }
        };
        let mut process = ChildProcess::start(command.stdout(Stdio::piped()), None)?;
        let address = process.address(known).ok_or("it does not say where it listens")?;
        process.listens(address, patience)?;
        Ok((helper, Some(process), address))
    }

    /// The request for a run.
    pub(crate) fn chat(&self, plan: Plan) -> String {
        let headers = format!("authorization: Bearer {KEY}\r\ncontent-type: application/json\r\n");
        request("POST", self.way.path(), &headers, &plan.body())
    }

    fn roots(&self) -> impl Iterator<Item = u32> {
        self.helper.iter().chain(&self.process).map(ChildProcess::id)
    }

    /// CPU time used so far.
    pub(crate) fn used(&self) -> Used {
        Used::by(self.roots())
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> f64 {
        self.roots().map(process::resident).sum()
    }

    /// Commits of the hub's store so far, each with one sync of its log. Others are not asked.
    pub(crate) async fn commits(&self) -> Result<Option<f64>, String> {
        if self.way != Way::Hub {
            return Ok(None);
        }
        let asked = request("GET", "/admin/stats", "connection: close\r\n", "");
        let stats = Connection::json(self.address, &asked).await?;
        let commits = stats["store"]["commits_total"].as_f64();
        commits.map(Some).ok_or_else(|| format!("no commits in {stats}"))
    }
}

fn hub(upstream: SocketAddr, dir: &TempDir) -> Command {
    let file = dir.path().join("gapless.toml");
    let text = format!("[relay.providers.openai]\nurl = \"http://{upstream}\"\n");
    fs::write(&file, text).expect("a fresh directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--log-level", "error", "--config"]).arg(file);
    command.arg("--data").arg(dir.path().join("data"));
    command
}

/// LiteLLM's proxy as its documentation recommends for production (<https://docs.litellm.ai/docs/proxy/prod>): one worker
/// for each processor, and logs of errors only. It asks for nothing over the network.
fn litellm(upstream: SocketAddr, dir: &TempDir, port: u16) -> Result<Command, String> {
    let program = built("litellm/bin/litellm")?;
    let parameters = serde_json::json!({
        "model": "openai/*", "api_base": format!("http://{upstream}/v1"), "api_key": "sk-none"
    });
    let configuration = serde_json::json!({
        "model_list": [{ "model_name": "*", "litellm_params": parameters }],
        "litellm_settings": { "telemetry": false, "set_verbose": false },
    });
    let file = dir.path().join("litellm.yaml");
    fs::write(&file, configuration.to_string()).expect("a fresh directory");
    let mut command = Command::new(program);
    command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--num_workers", "1", "--config"]).arg(file);
    command.env("LITELLM_LOCAL_MODEL_COST_MAP", "True").env("LITELLM_LOG", "ERROR").env("LITELLM_MODE", "PRODUCTION");
    command.env("LITELLM_MASTER_KEY", KEY).stderr(Stdio::null());
    Ok(command)
}
