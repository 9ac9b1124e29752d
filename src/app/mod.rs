//! Composition: builds a serving process from a configuration. The only module that names every engine.
//!
//! | module | purpose |
//! |---|---|
//! | this file | start of the process, and waiting for its end |
//! | `error` | why the hub did not start |
//! | `engine` | opens the configured engine |
//! | [`jetstream`] | what the commands do with a stream of NATS |
//! | [`backup`] | checks a backup, and makes a store of it |
//! | [`export_import`] | makes a store of an export |
//! | [`store_check`] | checks a store that no hub has open |
//! | `store_waits` | bounded waits for the store's disk, at start and at exit |
//! | `reloading` | reload of the configuration on SIGHUP |
//! | `relay` | the relay: its providers, its bounds, the runs of earlier processes |
//! | `import` | a closed store of this machine into the configured stream |
//! | `otlp` | the export of traces and metrics |
//! | `mercure` | Mercure's settings from the configuration |
//! | `policy` | access policy and quotas from the configuration |
//! | `certificate` | the TLS certificate: from files or by ACME |
//! | [`greeting`] | the text on stdout after the start |
//! | `listening` | listening addresses, and the number of connections |
//! | `adopting` | addresses of sockets that the service manager has opened |
//! | [`service`] | what the service manager is told |

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{runtime, task::LocalSet};

use self::{
    listening::InheritedSockets,
    service::{Reporter, ServiceManager, ServiceState},
};
use crate::{
    config::{
        Config,
        kinds::{EngineKind, ProtocolKind},
    },
    engine::{Engine, log::LOOKUPS},
    http::{
        api::{
            durable_streams::state::DurableStreams,
            operators::metrics,
            server::{self, Listeners},
            site::reads::SITE_READS,
            state::{AppState, Limits, Observability, Protocols, Services},
        },
        auth::{authenticator::AuthState, policy::Policies},
        net::{
            listen::{BoundAddresses, Endpoint, SocketFile},
            state::{NetLimits, NetState},
        },
    },
    hub::{self, Hub, HubConfig, batch::ReadLimit, broker::Broker},
    lifecycle::{Drain, DrainOutcome, descriptors::ConnectionLimits},
    otlp::{Otlp, RunningExport},
    progress::WorkProgress,
    quota::Quotas,
    telemetry,
};

mod adopting;
pub mod backup;
mod certificate;
mod engine;
mod error;
pub mod export_import;
pub mod greeting;
pub mod import;
pub mod jetstream;
mod listening;
mod mercure;
mod otlp;
mod policy;
mod relay;
mod reloading;
pub mod service;
pub mod store_check;
mod store_waits;

pub use engine::{ClockState, clock_state};
pub use error::AppError;
pub use reloading::Reload;

/// Blocking threads of a core: one for each log page read at the same time, for each look-up, for each read of the site,
/// for the engine's status, and one more.
const BLOCKING_THREADS: usize = hub::READERS + LOOKUPS + SITE_READS + 2;

/// How long the exit waits for reads that have begun.
const LAST_READS: Duration = Duration::from_secs(1);

/// How often the start of a key-fetching thread is retried after the system has refused it.
const RETRY_INTERVAL: Duration = Duration::from_mins(1);

/// A serving hub. Tests use it in place of a process.
pub struct RunningHub {
    /// The configuration, with the addresses of inherited sockets.
    pub config: Config,
    /// The public endpoints: at least one.
    pub places: Vec<Endpoint>,
    /// The endpoints of the admin listener, if it is separate.
    pub operators: Vec<Endpoint>,
    /// Removes the files of Unix sockets when dropped.
    _files: Vec<SocketFile>,
    engine: Arc<dyn Engine>,
    app: Arc<AppState>,
    /// The export of traces and metrics, if it is configured.
    export: Option<RunningExport>,
    drain: Drain,
    shards: Vec<JoinHandle<io::Result<()>>>,
}

/// Serves until `drain` is over, on the sockets of `manager` if it has any. Counts in `opening` how far the opening of the
/// store is, and calls `ready` once connections are accepted.
///
/// # Errors
/// When it cannot start, or the store cannot be closed cleanly.
pub fn serve(
    config: &Config,
    drain: &Drain,
    reload: Reload,
    manager: ServiceManager,
    opening: &Arc<WorkProgress>,
    ready: impl FnOnce(&RunningHub),
) -> Result<DrainOutcome, AppError> {
    let (config, sockets) = adopting::adopt(config, &reload.before, manager.sockets)?;
    let service = ServiceState::new(manager.notify);
    let reporter = Reporter::start(&service, drain, opening, config.hub.engine != EngineKind::JetStream)?;
    let running = start_reporting(&config, drain, sockets, opening)?;
    ready(&running);
    let addresses = [&config.hub.listen[..], &config.admin.listen].concat();
    reload.start(Arc::clone(&running.app), addresses, service)?;
    reporter.serving(&running.app);
    running.wait()
}

/// Checks what parsing the configuration does not: whether the providers' keys and the site are there, and the certificate
/// files can be used.
///
/// # Errors
/// All keys that are missing, else that the site is missing, else all problems of the certificate.
pub fn check(config: &Config) -> Result<(), AppError> {
    config.check_provider_keys()?;
    config.check_site()?;
    config.nats.login()?;
    config.otlp.headers()?;
    certificate::files(config).transpose().map(drop)
}

/// Binds the addresses, opens the store, starts a thread for each shard, and listens.
///
/// # Errors
/// When the store cannot be opened or an address cannot be bound.
pub fn start(config: &Config, drain: &Drain) -> Result<RunningHub, AppError> {
    start_reporting(config, drain, InheritedSockets::default(), &Arc::default())
}

fn start_reporting(
    config: &Config,
    drain: &Drain,
    sockets: InheritedSockets,
    opening: &Arc<WorkProgress>,
) -> Result<RunningHub, AppError> {
    let connections = listening::connection_limits(config)?;
    let addresses = listening::bind(config, sockets)?;
    let hub_config = hub_config(config);
    let shards = config.hub.shards;
    let broker = Broker::new(shards, &hub_config);
    let engine = store_waits::open(config, &broker, drain, opening)?;
    let hub = Hub::new(Arc::clone(&engine), broker, hub_config);
    let relay = relay::open(config, &hub, drain)?;
    let tls = certificate::tls(config, drain)?;
    let auth = AuthState {
        policies: Arc::new(Policies::new(policy::policy(config)?)),
        quotas: Quotas::new(&policy::quota_config(config)),
        operators: listening::operators(config),
        credentials: Arc::default(),
    };
    policy::watch(&auth.policies);
    let net = NetState::new(net_limits(config, connections), drain.clone(), tls);
    let otlp = otlp::open(config)?;
    let observability = Observability {
        log_dropped: telemetry::dropped,
        log_requests: config.log.requests,
        tracer: otlp.as_ref().and_then(Otlp::tracer),
        otlp: otlp.as_ref().map(Otlp::stats),
    };
    let services = Services { relay, protocols: protocols(config, &hub)?, site: config.hub.site.clone() };
    let app = Arc::new(AppState::new(hub, services, net, auth, limits(config), observability));
    let export = otlp.map(|otlp| {
        let operators = Arc::clone(&app.operators);
        otlp.start(move || {
            let operators = Arc::clone(&operators);
            Box::pin(async move { metrics::gather(&operators).await })
        })
    });
    let listen = |bound: BoundAddresses, flag| bound.listen().map_err(|error| AppError::Listen { error, flag });
    let public = listen(addresses.public, listening::PUBLIC)?;
    let mut admin = listen(addresses.operators, listening::OPERATORS)?;
    let running_app = Arc::clone(&app);
    let shards = public
        .listeners
        .into_iter()
        .enumerate()
        .map(|(index, public)| {
            // The admin listeners are all on one core, so the list has one item.
            let operators = admin.listeners.pop().unwrap_or_default();
            let (app, listeners) = (Arc::clone(&app), Listeners { public, operators });
            thread::Builder::new().name(format!("shard-{index}")).spawn(move || shard(app, index, listeners))
        })
        .collect::<io::Result<_>>()?;
    for place in &admin.places {
        tracing::info!(address = %place, "serving the admin listener");
    }
    for place in &public.places {
        tracing::info!(address = %place, engine = engine.name(), epoch = %engine.epoch(), head.seq = engine.head().seq.0, "serving");
    }
    let files = public.files.into_iter().chain(admin.files).collect();
    Ok(RunningHub {
        config: config.clone(),
        places: public.places,
        operators: admin.places,
        _files: files,
        engine,
        app: running_app,
        export: export.transpose()?,
        drain: drain.clone(),
        shards,
    })
}

impl RunningHub {
    /// Waits until the drain is over, and closes the store.
    ///
    /// # Errors
    /// When the disk does not respond in time. Threads blocked on it are not joined.
    pub fn wait(self) -> Result<DrainOutcome, AppError> {
        let (shards, engine, export) = (self.shards, self.engine, self.export);
        let outcome = store_waits::end(&self.drain, move || {
            for shard in shards {
                match shard.join() {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::error!(error = %error, "a shard failed"),
                    Err(_) => tracing::error!("a shard panicked"),
                }
            }
            // Of everything that the cores have done; before the engine is closed, whose figures are exported.
            if let Some(export) = export {
                export.finish();
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
    let served = tasks.block_on(&runtime, server::serve(app, index, listeners));
    drop(tasks);
    // Dropping the runtime would wait for every blocking read, also on a disk that does not respond.
    runtime.shutdown_timeout(LAST_READS);
    served
}

fn protocols(config: &Config, hub: &Arc<Hub>) -> Result<Protocols, AppError> {
    let is_on = |protocol| config.hub.protocols.contains(&protocol);
    let durable_streams = is_on(ProtocolKind::DurableStreams)
        .then(|| Arc::new(DurableStreams::new(Arc::clone(hub), config.durable_streams.long_poll)));
    let mercure = is_on(ProtocolKind::Mercure).then(|| mercure::open(config)).transpose()?;
    Ok(Protocols { durable_streams, mercure })
}

fn hub_config(config: &Config) -> HubConfig {
    HubConfig {
        ring_bytes: config.stream.ring_bytes,
        rings_bytes: config.stream.ring_bytes_total,
        retry_ms: config.stream.retry,
        readers: hub::READERS,
    }
}

fn net_limits(config: &Config, connections: ConnectionLimits) -> NetLimits {
    let Config { stream, http, .. } = config;
    NetLimits {
        connections: connections.connections,
        overflow: connections.overflow,
        headers_bytes: http.header_bytes,
        header_timeout: http.header_timeout,
        idle_timeout: http.idle_timeout,
        h2_streams: u32::try_from(http.h2_streams).unwrap_or(u32::MAX),
        ping_interval: stream.keepalive,
        write_timeout: stream.write_timeout,
    }
}

fn limits(config: &Config) -> Limits {
    let Config { stream, http, publish, .. } = config;
    Limits {
        event_bytes: publish.event_bytes,
        batch_bytes: publish.batch_bytes,
        inflight_bytes: publish.inflight_bytes,
        header_line_bytes: http.header_line_bytes,
        headers_bytes: http.header_bytes,
        body_timeout: http.body_timeout,
        body_rate: http.body_rate,
        limit: ReadLimit { events: stream.page_events, bytes: stream.page_bytes },
        filters: stream.topics,
        keepalive: stream.keepalive,
    }
}
