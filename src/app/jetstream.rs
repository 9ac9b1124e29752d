//! What the commands do with a stream of NATS: each connects, does one thing, and ends.

use std::time::Duration;

use crate::{
    client::{
        Connector, HttpUrl,
        exchange::{self, ExchangeBounds},
        proxy::{Proxy, ProxyVariables},
        trust,
    },
    config::{self, Config, ConfigErrors, nats::MAX_HUB_NAME, nats_login::NatsLogin},
    engine::jetstream::{
        NatsConfig, NatsCredentials,
        admin::{self, AdminError, CheckWishes, MonitorPage},
    },
    event::Epoch,
};

pub use crate::engine::jetstream::admin::{EpochView, InitReport, InitWishes, StreamReport, hub_permissions};

/// Why a command has done nothing, or not all.
#[derive(Debug, thiserror::Error)]
pub enum StreamCommandError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The servers cannot or will not.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The system refuses an event queue.
    #[error("cannot start: {0}")]
    Runtime(#[from] std::io::Error),
}

impl StreamCommandError {
    /// The exit code of the command.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Self::Config(_)) { config::EXIT_CODE } else { 1 }
    }
}

/// For the page of one server, from the connection to the last byte.
const MONITOR_WAIT: Duration = Duration::from_secs(5);

/// Largest page. One has 6 KiB.
const MONITOR_BYTES: u64 = 1 << 20;

/// How to reach the servers, for a client that is called `role` in their lists.
///
/// # Errors
/// When no server is configured, or a secret is missing.
pub(super) fn nats_config(config: &Config, role: &str) -> Result<NatsConfig, ConfigErrors> {
    let nats = &config.nats;
    let credentials = match nats.login()? {
        NatsLogin::Anonymous => NatsCredentials::None,
        NatsLogin::CredentialsFile(path) => NatsCredentials::File(path),
        NatsLogin::NkeyFile(path) => NatsCredentials::NKeySeed(path),
        NatsLogin::Password { user, password } => {
            NatsCredentials::UserPassword { user, password: password.expose().to_owned() }
        }
        NatsLogin::Token(token) => NatsCredentials::Token(token.expose().to_owned()),
    };
    if nats.servers.is_empty() {
        let mut errors = ConfigErrors::default();
        errors.push("nats.servers", "has no server; name them with --nats nats://a:4222,nats://b:4222");
        return Err(errors);
    }
    Ok(NatsConfig {
        servers: nats.servers.clone(),
        credentials,
        roots: nats.roots_file.clone(),
        client_name: format!("gapless {role}"),
        stream: nats.stream.as_str().into(),
        prefix: nats.prefix.as_str().into(),
    })
}

/// Makes the stream and its epoch, or brings them to what a hub needs.
///
/// # Errors
/// Why it was not done.
pub fn init(config: &Config, wishes: &InitWishes) -> Result<InitReport, StreamCommandError> {
    let nats = nats_config(config, "jetstream init")?;
    Ok(runtime()?.block_on(admin::init(&nats, wishes))?)
}

/// The epoch of the stream.
///
/// # Errors
/// When there is none, or the servers do not tell it.
pub fn epoch(config: &Config) -> Result<EpochView, StreamCommandError> {
    let nats = nats_config(config, "jetstream epoch")?;
    Ok(runtime()?.block_on(admin::epoch(&nats))?)
}

/// A new epoch in place of `current`.
///
/// # Errors
/// When the epoch is another one, or the servers do not take it.
pub fn renew_epoch(config: &Config, current: Epoch) -> Result<EpochView, StreamCommandError> {
    let nats = nats_config(config, "jetstream epoch")?;
    Ok(runtime()?.block_on(admin::renew_epoch(&nats, current))?)
}

/// Checks the servers and the stream. Takes some seconds.
///
/// # Errors
/// When the configuration cannot be used. What the servers do not tell is a finding.
pub fn check(config: &Config) -> Result<StreamReport, StreamCommandError> {
    let nats = nats_config(config, "check")?;
    let event_bytes = config.publish.event_bytes;
    let max_batch = u64::try_from(config.nats.max_batch).unwrap_or(u64::MAX);
    Ok(runtime()?.block_on(async {
        let mut monitor = Vec::new();
        for url in &config.nats.monitor {
            let scheme = if url.server.tls { "https" } else { "http" };
            monitor.push(MonitorPage { url: format!("{scheme}://{}", url.server.authority), body: varz(url).await });
        }
        admin::check(&nats, &CheckWishes { event_bytes, max_batch, monitor }).await
    }))
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// The page `/varz` of a monitoring port.
async fn varz(url: &HttpUrl) -> Result<Vec<u8>, String> {
    let server = &url.server;
    let tls = server.tls.then(|| trust::config(trust::system_roots().0).ok_or("there are no root certificates"));
    let proxy = Proxy::from_environment(server, ProxyVariables::Any).ok().flatten();
    let connector = Connector::new(server.clone(), proxy, tls.transpose()?);
    let connector = connector.map_err(|_| "no certificate can be for this host")?;
    let bounds = ExchangeBounds {
        connect: MONITOR_WAIT,
        head: MONITOR_WAIT,
        total: Some(MONITOR_WAIT),
        head_bytes: exchange::MIN_HEAD_BYTES,
        body_bytes: MONITOR_BYTES,
    };
    let request = exchange::get("/varz", "application/json").map_err(|error| error.to_string())?;
    let response = exchange::exchange(&connector, request, &bounds).await.map_err(|error| error.to_string())?;
    if response.status().as_u16() != 200 {
        return Err(format!("it answers {}", response.status().as_u16()));
    }
    response.into_body().read_to_end().await.map_err(|error| error.to_string())
}

/// The name of this hub, for people: the configured one, or the host's.
pub(super) fn hub_name(config: &Config) -> String {
    if let Some(name) = &config.nats.hub_id {
        return name.clone();
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let host: String = host.trim().chars().take(MAX_HUB_NAME).map(plain).collect();
    if host.is_empty() { "hub".into() } else { host }
}
