//! Composition: the only place that names every engine. A configuration goes in, a serving process comes out.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Instant, SystemTime},
};

use tokio::{runtime, sync::Semaphore, task::LocalSet};

use crate::{
    access::Access,
    config::{Config, Mistakes, kinds::Engine as EngineKind},
    engine::{
        Engine,
        log::{LogConfig, LogEngine, Store, clerk},
        memory::MemoryStore,
        sled::{OpenError, SledConfig, SledStore},
    },
    event::Millis,
    http::{
        Door, Limits,
        operators::rates::Rates,
        policy::{Policies, Policy},
        server,
    },
    hub::{Hub, HubConfig, board::Board, run::Portion},
    lifecycle::{Drain, Outcome},
};

/// Threads a core may use to wait for the disk: as many as log pages are read at a time, with room for one more.
const BLOCKING_THREADS: usize = 9;

/// Why the hub did not start. `Display` says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}; choose another with --listen")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// What the configuration says about credentials cannot be used any more: it was sound when it was read.
    #[error(transparent)]
    Access(#[from] Mistakes),
    /// The system refuses threads.
    #[error("cannot start: {0}")]
    Thread(#[from] io::Error),
}

/// A hub that serves. Tests hold one as users hold a process.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    engine: Arc<dyn Engine>,
    drain: Drain,
    shards: Vec<JoinHandle<io::Result<()>>>,
}

/// Serves until `drain` is over. `ready` is told the address once connections are accepted.
///
/// # Errors
/// When it cannot start.
pub fn serve(config: &Config, drain: &Drain, ready: impl FnOnce(SocketAddr)) -> Result<Outcome, AppError> {
    let running = start(config, drain)?;
    ready(running.address);
    Ok(running.wait())
}

/// Opens the store and starts a thread for each shard.
///
/// # Errors
/// When the store or the address cannot be had.
pub fn start(config: &Config, drain: &Drain) -> Result<Running, AppError> {
    let hub_config = hub_config(config);
    let shards = config.hub.shards;
    let board = Board::new(shards, &hub_config);
    let engine = open_engine(config, &board)?;
    let hub = Hub::new(Arc::clone(&engine), board, hub_config);
    let door = Arc::new(Door {
        hub,
        limits: limits(config),
        policies: Policies::new(policy(config)?),
        started: Instant::now(),
        inflight: Arc::new(Semaphore::new(config.publish.inflight_bytes)),
        drain: drain.clone(),
        rates: Rates::default(),
    });
    let listeners = listeners(config.hub.listen, shards)?;
    let address = listeners[0].local_addr()?;
    let shards = listeners
        .into_iter()
        .enumerate()
        .map(|(index, listener)| {
            let door = Arc::clone(&door);
            thread::Builder::new().name(format!("shard-{index}")).spawn(move || shard(door, index, listener))
        })
        .collect::<io::Result<_>>()?;
    tracing::info!(address = %address, engine = engine.name(), epoch = %engine.epoch(), head.seq = engine.head().0, "serving");
    Ok(Running { address, engine, drain: drain.clone(), shards })
}

impl Running {
    /// Waits until the drain is over, and closes the store.
    pub fn wait(self) -> Outcome {
        let clock = runtime::Builder::new_current_thread().enable_time().build().expect("a runtime without I/O");
        let outcome = clock.block_on(self.drain.settled());
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
}

fn shard(door: Arc<Door>, index: usize, listener: TcpListener) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name(format!("shard-{index}-disk"))
        .build()?;
    let tasks = LocalSet::new();
    tasks.spawn_local(clerk());
    tasks.block_on(&runtime, server::serve(door, index, listener))
}

/// One listener a shard on the same address; where port 0 was asked for, the first decides which.
fn listeners(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, AppError> {
    let refused = |source| AppError::Listen { address, source };
    // Without this a second hub would silently share the first one's port.
    if address.port() != 0 {
        drop(TcpListener::bind(address).map_err(refused)?);
    }
    let first = server::listen(address).map_err(refused)?;
    let address = first.local_addr()?;
    let mut all = vec![first];
    for _ in 1..count {
        all.push(server::listen(address).map_err(refused)?);
    }
    Ok(all)
}

fn open_engine(config: &Config, board: &Arc<Board>) -> Result<Arc<dyn Engine>, AppError> {
    Ok(match config.hub.engine {
        EngineKind::Memory => open_log(MemoryStore::new(), config, board),
        EngineKind::Sled => open_log(SledStore::open(sled_config(config))?, config, board),
    })
}

fn open_log<S: Store>(store: S, config: &Config, board: &Arc<Board>) -> Arc<dyn Engine> {
    let config = LogConfig {
        rules: config.retention_rules(),
        idempotency_window: config.publish.idempotency_window,
        idempotency_keys: config.publish.idempotency_keys,
        clock: Arc::new(|| Millis::from(SystemTime::now())),
        ..LogConfig::default()
    };
    LogEngine::open(store, config, board.clone())
}

fn sled_config(config: &Config) -> SledConfig {
    SledConfig {
        rotate_bytes: config.store.rotate_bytes,
        rotate_age: config.store.rotate_age,
        reserve_bytes: config.store.reserve_bytes,
        key_window: config.publish.idempotency_window,
        ..SledConfig::new(config.hub.data.clone())
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

/// Whom the hub trusts. Reads the files with keys, and starts no thread yet.
///
/// # Errors
/// Everything that is wrong with what the configuration says about credentials.
pub fn policy(config: &Config) -> Result<Policy, Mistakes> {
    let access = Access::new(config.credentials()).map_err(|problems| {
        let mut mistakes = Mistakes::default();
        for (key, problem) in problems {
            mistakes.push(key, problem);
        }
        mistakes
    })?;
    Ok(Policy { access })
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
        inflight_bytes: publish.inflight_bytes,
        body_timeout: http.body_timeout,
        write_timeout: stream.write_timeout,
        portion: Portion { events: stream.page_events, bytes: stream.page_bytes },
        filters: stream.topics,
        keepalive: stream.keepalive,
    }
}
