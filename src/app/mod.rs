//! Composition: the only place that names every engine. A configuration goes in, a serving process comes out.
//!
//! | room | idea |
//! |---|---|
//! | this file | the process: starting, reloading, waiting for its end |
//! | `engine` | which engine keeps the log |
//! | `policy` | whom the hub trusts |
//! | `certificate` | where its certificate comes from |

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Instant,
};

use tokio::{runtime, task::LocalSet};

use crate::{
    config::{Config, Effective, Mistakes},
    engine::{Engine, log::clerk, sled::OpenError},
    http::{
        Door, Limits,
        events::page,
        operators::rates::Rates,
        peer::Operators,
        policy::Policies,
        quota::Quotas,
        room::Room,
        server::{self, Listeners},
        tls::Tls,
    },
    hub::{Hub, HubConfig, board::Board, run::Portion},
    lifecycle::{Drain, Outcome, signals::Hangups},
};

mod certificate;
mod engine;
mod policy;

/// Threads a core may use to wait for the disk: as many as log pages are read at a time, with room for one more.
const BLOCKING_THREADS: usize = 9;

/// Why the hub did not start. `Display` says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}; choose another with {flag}")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// What chooses another.
        flag: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// What the configuration says about credentials cannot be used any more: it was sound when it was read.
    #[error(transparent)]
    Access(#[from] Mistakes),
    /// The certificate, or what should get one, cannot be used.
    #[error("TLS: {}", .0.join("; "))]
    Tls(Vec<String>),
    /// The system refuses threads.
    #[error("cannot start: {0}")]
    Thread(#[from] io::Error),
}

/// A hub that serves. Tests hold one as users hold a process.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it listens for operators alone, if it does.
    pub operators: Option<SocketAddr>,
    engine: Arc<dyn Engine>,
    door: Arc<Door>,
    drain: Drain,
    shards: Vec<JoinHandle<io::Result<()>>>,
}

/// How a running hub is told to read its configuration again, and how it does.
pub struct Reload<'a> {
    /// Tells when.
    pub asked: Hangups,
    /// The configuration that it runs with.
    pub before: &'a Effective,
    /// Reads it from where it was read first.
    pub read: &'a dyn Fn() -> Result<(Config, Effective), Mistakes>,
}

/// Serves until `drain` is over. `ready` is told where once connections are accepted.
///
/// # Errors
/// When it cannot start.
pub fn serve(
    config: &Config,
    drain: &Drain,
    reload: &Reload<'_>,
    ready: impl FnOnce(&Running),
) -> Result<Outcome, AppError> {
    let running = start(config, drain)?;
    ready(&running);
    Ok(running.wait(reload))
}

/// What can only be known by looking: whether the certificate can be used.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(config: &Config) -> Result<(), AppError> {
    certificate::files(config).transpose().map(drop)
}

/// Opens the store and starts a thread for each shard.
///
/// # Errors
/// When the store or the address cannot be had.
pub fn start(config: &Config, drain: &Drain) -> Result<Running, AppError> {
    let hub_config = hub_config(config);
    let shards = config.hub.shards;
    let board = Board::new(shards, &hub_config);
    let engine = engine::open(config, &board)?;
    let hub = Hub::new(Arc::clone(&engine), board, hub_config);
    let tls = certificate::tls(config, drain)?;
    let policies = Arc::new(Policies::new(policy::policy(config)?));
    policy::watch(&policies);
    let door = Arc::new(Door {
        hub,
        limits: limits(config),
        policies,
        quotas: Quotas::new(&policy::allowances(config)),
        operators: operators(config),
        started: Instant::now(),
        room: Room::new(config.publish.inflight_bytes),
        pages: Room::new(page::ROOM),
        drain: drain.clone(),
        rates: Rates::default(),
        tls,
    });
    let listeners = listeners(config.hub.listen, shards)?;
    let address = listeners[0].local_addr()?;
    // Few come there, so one core has them all.
    let mut apart = config.admin.listen.map(|address| alone(address, "--admin-listen")).transpose()?;
    let operators = apart.as_ref().map(TcpListener::local_addr).transpose()?;
    let kept = Arc::clone(&door);
    let shards = listeners
        .into_iter()
        .enumerate()
        .map(|(index, public)| {
            let (door, listeners) = (Arc::clone(&door), Listeners { public, operators: apart.take() });
            thread::Builder::new().name(format!("shard-{index}")).spawn(move || shard(door, index, listeners))
        })
        .collect::<io::Result<_>>()?;
    if let Some(operators) = operators {
        tracing::info!(address = %operators, "serving operators");
    }
    tracing::info!(address = %address, engine = engine.name(), epoch = %engine.epoch(), head.seq = engine.head().0, "serving");
    Ok(Running { address, operators, engine, door: kept, drain: drain.clone(), shards })
}

impl Running {
    /// Waits until the drain is over, and closes the store. Reloads whenever it is asked to.
    pub fn wait(self, reload: &Reload<'_>) -> Outcome {
        let clock = runtime::Builder::new_current_thread().enable_time().build().expect("a runtime without I/O");
        let outcome = clock.block_on(async {
            let mut settled = std::pin::pin!(self.drain.settled());
            loop {
                tokio::select! {
                    outcome = &mut settled => return outcome,
                    () = reload.asked.next() => self.reload(reload),
                }
            }
        });
        for shard in self.shards {
            match shard.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(error = %error, "a shard failed"),
                Err(_) => tracing::error!("a shard panicked"),
            }
        }
        self.engine.close();
        tracing::info!(outcome = ?outcome, "ended");
        outcome
    }

    /// Reads the configuration again. With a mistake in it everything stays as it was.
    fn reload(&self, reload: &Reload<'_>) {
        let (config, effective) = match (reload.read)() {
            Ok(read) => read,
            Err(mistakes) => {
                for mistake in mistakes.all() {
                    tracing::error!(place = mistake.place, problem = mistake.problem, "nothing was reloaded");
                }
                return;
            }
        };
        match policy::policy(&config) {
            Ok(policy) => {
                self.door.quotas.configure(&policy::allowances(&config));
                policy::replace(&self.door.policies, policy);
            }
            Err(error) => return tracing::error!(error = %error, "nothing was reloaded"),
        }
        // What is wrong with a certificate it has told, and the old one stays.
        let _told = self.door.tls.as_ref().is_none_or(Tls::reload);
        let left = effective.needs_restart(reload.before);
        if !left.is_empty() {
            tracing::warn!(keys = left.join(", "), "these have changed, too, and need a restart");
        }
        tracing::info!("reloaded who may do what");
    }
}

fn shard(door: Arc<Door>, index: usize, listeners: Listeners) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name(format!("shard-{index}-disk"))
        .build()?;
    let tasks = LocalSet::new();
    tasks.spawn_local(clerk());
    tasks.block_on(&runtime, server::serve(door, index, listeners))
}

/// One listener a shard on the same address; where port 0 was asked for, the first decides which.
fn listeners(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, AppError> {
    let first = alone(address, "--listen")?;
    let address = first.local_addr()?;
    let mut all = vec![first];
    for _ in 1..count {
        all.push(server::listen(address).map_err(|source| AppError::Listen { address, flag: "--listen", source })?);
    }
    Ok(all)
}

/// A listener on an address that nobody else has.
fn alone(address: SocketAddr, flag: &'static str) -> Result<TcpListener, AppError> {
    let refused = |source| AppError::Listen { address, flag, source };
    // Without this a second hub would silently share the first one's port.
    if address.port() != 0 {
        drop(TcpListener::bind(address).map_err(refused)?);
    }
    server::listen(address).map_err(refused)
}

/// Where operators look, and whether they need a credential there.
fn operators(config: &Config) -> Operators {
    match config.admin.listen {
        None => Operators::AmongAll,
        Some(address) if address.ip().to_canonical().is_loopback() => Operators::ApartFree,
        Some(_) => Operators::Apart,
    }
}

fn hub_config(config: &Config) -> HubConfig {
    HubConfig {
        ring_bytes: config.stream.ring_bytes,
        rings_bytes: config.stream.ring_bytes_total,
        retry_ms: config.stream.retry,
        ..HubConfig::default()
    }
}

fn limits(config: &Config) -> Limits {
    let Config { stream, http, publish, .. } = config;
    Limits {
        connections: http.connections,
        event_bytes: publish.event_bytes,
        batch_bytes: publish.batch_bytes,
        header_line_bytes: http.header_line_bytes,
        headers_bytes: http.header_bytes,
        header_timeout: http.header_timeout,
        h2_streams: u32::try_from(http.h2_streams).unwrap_or(u32::MAX),
        body_timeout: http.body_timeout,
        body_rate: http.body_rate,
        write_timeout: stream.write_timeout,
        portion: Portion { events: stream.page_events, bytes: stream.page_bytes },
        filters: stream.topics,
        keepalive: stream.keepalive,
    }
}
