//! Composition: the only place that names every engine. A configuration goes in, a serving process comes out.
//!
//! | room | idea |
//! |---|---|
//! | this file | the process: starting, waiting for its end |
//! | `engine` | which engine keeps the log |
//! | `patience` | how long the process waits for the store's disk |
//! | `reloading` | reading the configuration again |
//! | `policy` | whom the hub trusts |
//! | `certificate` | where its certificate comes from |
//! | [`greeting`] | what is said on stdout |
//! | `listening` | where it listens, and room for connections |

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::{runtime, task::LocalSet};

use crate::{
    config::{Config, ConfigErrors},
    engine::{Engine, log::reply_task, sled::OpenError},
    http::{
        AppState, Limits,
        body_memory::BodyMemory,
        events::page,
        listen::{BoundAddresses, Endpoint, ListenError, SocketFile},
        operators::rates::Rates,
        policy::Policies,
        quota::{Quotas, account::HeldMemory},
        server::{self, Listeners},
        throttled_log::ThrottledLog,
    },
    hub::{Hub, HubConfig, batch::ReadLimit, broker::Broker},
    lifecycle::{
        Drain, DrainOutcome,
        descriptors::{ConnectionLimits, TooFew},
    },
    telemetry,
};

mod certificate;
mod engine;
pub mod greeting;
mod listening;
mod patience;
mod policy;
mod reloading;

pub use reloading::Reload;

pub use engine::{ClockState, clock_state};

/// Threads a core may use to wait for the disk: as many as log pages are read at a time, with room for one more.
const BLOCKING_THREADS: usize = 9;

/// How long reads that are under way are waited for in the end.
const LAST_READS: Duration = Duration::from_secs(1);

/// How often it is looked whether a thread that the system refused can be had by now.
const LOOK: Duration = Duration::from_mins(1);

/// Why the hub did not start. `Display` says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// It was told to stop before the store was open, and the drain's time is over.
    #[error("told to stop before the store was open; all that it keeps stays there")]
    NotOpened,
    /// The store did not close in time.
    #[error(
        "the disk does not answer, so the store could not be closed in order: all that was acknowledged is in it; what was \
         not yet acknowledged may be kept or not, and the next start looks"
    )]
    NotClosed,
    /// An address cannot be had.
    #[error("{error}; choose another with {flag}")]
    Listen {
        /// Which one, and why.
        error: ListenError,
        /// What chooses another.
        flag: &'static str,
    },
    /// There is no room for connections.
    #[error(transparent)]
    Descriptors(#[from] TooFew),
    /// What the configuration says about credentials cannot be used any more: it was sound when it was read.
    #[error(transparent)]
    Access(#[from] ConfigErrors),
    /// The certificate, or what should get one, cannot be used.
    #[error("TLS: {}", .0.join("; "))]
    Tls(Vec<String>),
    /// The system refuses threads.
    #[error("cannot start: {0}")]
    Thread(#[from] io::Error),
}

/// A hub that serves. Tests hold one as users hold a process.
pub struct RunningHub {
    /// Where it listens: one place at least.
    pub places: Vec<Endpoint>,
    /// Where it listens for operators alone, if it does.
    pub operators: Vec<Endpoint>,
    /// Of sockets in the file system.
    _files: Vec<SocketFile>,
    engine: Arc<dyn Engine>,
    app: Arc<AppState>,
    drain: Drain,
    shards: Vec<JoinHandle<io::Result<()>>>,
}

/// Serves until `drain` is over. `ready` is told where once connections are accepted.
///
/// # Errors
/// When it cannot start, or the store cannot be closed in order.
pub fn serve(
    config: &Config,
    drain: &Drain,
    reload: Reload,
    ready: impl FnOnce(&RunningHub),
) -> Result<DrainOutcome, AppError> {
    let running = start(config, drain)?;
    ready(&running);
    reload.start(Arc::clone(&running.app))?;
    running.wait()
}

/// What can only be known by looking: whether the certificate can be used.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(config: &Config) -> Result<(), AppError> {
    certificate::files(config).transpose().map(drop)
}

/// Takes the addresses, opens the store, starts a thread for each shard, and listens.
///
/// # Errors
/// When the store or the address cannot be had.
pub fn start(config: &Config, drain: &Drain) -> Result<RunningHub, AppError> {
    let room = listening::room(config)?;
    let addresses = listening::bind(config)?;
    let hub_config = hub_config(config);
    let shards = config.hub.shards;
    let broker = Broker::new(shards, &hub_config);
    let engine = patience::open(config, &broker, drain)?;
    let hub = Hub::new(Arc::clone(&engine), broker, hub_config);
    let tls = certificate::tls(config, drain)?;
    let policies = Arc::new(Policies::new(policy::policy(config)?));
    policy::watch(&policies);
    let app = Arc::new(AppState {
        hub,
        limits: limits(config, room),
        policies,
        quotas: Quotas::new(&policy::allowances(config)),
        operators: listening::operators(config),
        started: Instant::now(),
        body_memory: BodyMemory::new(HeldMemory::Bodies, config.publish.inflight_bytes),
        pages: BodyMemory::new(HeldMemory::Pages, page::ROOM),
        drain: drain.clone(),
        rates: Rates::default(),
        tls,
        accept_failures: ThrottledLog::default(),
        log_dropped: telemetry::dropped,
    });
    let listen = |bound: BoundAddresses, flag| bound.listen().map_err(|error| AppError::Listen { error, flag });
    let public = listen(addresses.public, listening::PUBLIC)?;
    let mut apart = listen(addresses.operators, listening::OPERATORS)?;
    let kept = Arc::clone(&app);
    let shards = public
        .listeners
        .into_iter()
        .enumerate()
        .map(|(index, public)| {
            // One core has them all: the list has one item.
            let operators = apart.listeners.pop().unwrap_or_default();
            let (app, listeners) = (Arc::clone(&app), Listeners { public, operators });
            thread::Builder::new().name(format!("shard-{index}")).spawn(move || shard(app, index, listeners))
        })
        .collect::<io::Result<_>>()?;
    for place in &apart.places {
        tracing::info!(address = %place, "serving operators");
    }
    for place in &public.places {
        tracing::info!(address = %place, engine = engine.name(), epoch = %engine.epoch(), head.seq = engine.head().0, "serving");
    }
    let files = public.files.into_iter().chain(apart.files).collect();
    Ok(RunningHub {
        places: public.places,
        operators: apart.places,
        _files: files,
        engine,
        app: kept,
        drain: drain.clone(),
        shards,
    })
}

impl RunningHub {
    /// Waits until the drain is over, and closes the store.
    ///
    /// # Errors
    /// When the disk does not answer in time; threads that wait for it are left to the end of the process.
    pub fn wait(self) -> Result<DrainOutcome, AppError> {
        let (shards, engine) = (self.shards, self.engine);
        let outcome = patience::end(&self.drain, move || {
            for shard in shards {
                match shard.join() {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::error!(error = %error, "a shard failed"),
                    Err(_) => tracing::error!("a shard panicked"),
                }
            }
            engine.close();
        })?;
        tracing::info!(outcome = ?outcome, "ended");
        Ok(outcome)
    }
}

fn shard(app: Arc<AppState>, index: usize, listeners: Listeners) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name(format!("shard-{index}-disk"))
        .build()?;
    let tasks = LocalSet::new();
    tasks.spawn_local(reply_task());
    let served = tasks.block_on(&runtime, server::serve(app, index, listeners));
    drop(tasks);
    // By itself it would wait for every read of a disk, also of one that does not answer.
    runtime.shutdown_timeout(LAST_READS);
    served
}

fn hub_config(config: &Config) -> HubConfig {
    HubConfig {
        ring_bytes: config.stream.ring_bytes,
        rings_bytes: config.stream.ring_bytes_total,
        retry_ms: config.stream.retry,
        ..HubConfig::default()
    }
}

fn limits(config: &Config, fits: ConnectionLimits) -> Limits {
    let Config { stream, http, publish, .. } = config;
    Limits {
        connections: fits.connections,
        overflow: fits.overflow,
        event_bytes: publish.event_bytes,
        batch_bytes: publish.batch_bytes,
        header_line_bytes: http.header_line_bytes,
        headers_bytes: http.header_bytes,
        header_timeout: http.header_timeout,
        idle_timeout: http.idle_timeout,
        h2_streams: u32::try_from(http.h2_streams).unwrap_or(u32::MAX),
        body_timeout: http.body_timeout,
        body_rate: http.body_rate,
        write_timeout: stream.write_timeout,
        limit: ReadLimit { events: stream.page_events, bytes: stream.page_bytes },
        filters: stream.topics,
        keepalive: stream.keepalive,
    }
}
