//! Composition: the only place that names every engine. A configuration goes in, a serving process comes out.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    num::NonZeroU32,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Instant, SystemTime},
};

use tokio::{runtime, sync::Semaphore, task::LocalSet};

use crate::{
    access::{Access, Grant, Settings},
    config::{Config, Effective, Mistakes, kinds::Engine as EngineKind, names::Forwarded},
    engine::{
        Engine,
        log::{LogConfig, LogEngine, Store, clerk},
        memory::MemoryStore,
        sled::{OpenError, SledConfig, SledStore},
    },
    event::Millis,
    http::{
        Door, Limits,
        cors::Cors,
        forwarded::{Header, Proxies},
        operators::rates::Rates,
        policy::{Policies, Policy},
        quota::{Allowance, Allowances, Quotas},
        server,
        tls::{
            Tls,
            acme::{Acme, Order},
        },
        visitor::credential::Places,
    },
    hub::{Hub, HubConfig, board::Board, run::Portion},
    lifecycle::{Drain, Outcome, signals::Hangups},
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
    /// What the configuration says about credentials cannot be used.
    #[error("the credentials cannot be used")]
    Access,
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

/// Serves until `drain` is over. `ready` is told the address once connections are accepted.
///
/// # Errors
/// When it cannot start.
pub fn serve(
    config: &Config,
    drain: &Drain,
    reload: &Reload<'_>,
    ready: impl FnOnce(SocketAddr),
) -> Result<Outcome, AppError> {
    let running = start(config, drain)?;
    ready(running.address);
    Ok(running.wait(reload))
}

/// What can only be known by looking: whether the certificate can be used.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(config: &Config) -> Result<(), AppError> {
    files(config).transpose().map(drop)
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
    let tls = tls(config, drain)?;
    let door = Arc::new(Door {
        hub,
        limits: limits(config),
        policies: Arc::new(Policies::new(policy(config)?)),
        quotas: Quotas::new(&allowances(config)),
        started: Instant::now(),
        inflight: Arc::new(Semaphore::new(config.publish.inflight_bytes)),
        drain: drain.clone(),
        rates: Rates::default(),
        tls,
    });
    let listeners = listeners(config.hub.listen, shards)?;
    let address = listeners[0].local_addr()?;
    let kept = Arc::clone(&door);
    let shards = listeners
        .into_iter()
        .enumerate()
        .map(|(index, listener)| {
            let door = Arc::clone(&door);
            thread::Builder::new().name(format!("shard-{index}")).spawn(move || shard(door, index, listener))
        })
        .collect::<io::Result<_>>()?;
    tracing::info!(address = %address, engine = engine.name(), epoch = %engine.epoch(), head.seq = engine.head().0, "serving");
    Ok(Running { address, engine, door: kept, drain: drain.clone(), shards })
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
        match policy(&config) {
            Ok(policy) => {
                self.door.quotas.configure(&allowances(&config));
                self.door.policies.replace(policy);
            }
            Err(error) => return tracing::error!(error = %error, "nothing was reloaded"),
        }
        let left = effective.needs_restart(reload.before);
        if !left.is_empty() {
            tracing::warn!(keys = left.join(", "), "these have changed, too, and need a restart");
        }
        tracing::info!("reloaded who may do what");
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

fn policy(config: &Config) -> Result<Policy, AppError> {
    let Config { access, http, .. } = config;
    let settings = Settings {
        tokens: access.tokens.clone(),
        issuers: access.issuers.clone(),
        anonymous: Grant {
            publish: access.anyone_publish.clone(),
            subscribe: access.anyone_subscribe.clone(),
            admin: false,
        },
        revoked: access.revoked.clone(),
        leeway: access.leeway,
    };
    let header = match http.forwarded {
        Forwarded::XForwardedFor => Header::XForwardedFor,
        Forwarded::Forwarded => Header::Forwarded,
    };
    let access_now = Access::new(settings).map_err(|_| AppError::Access)?;
    Ok(Policy {
        loopback_names: access_now.is_open() && !config.hub.open,
        access: access_now,
        places: Places {
            cookie: access.cookie.clone(),
            query_subscribe: access.query_subscribe,
            query_publish: access.query_publish,
        },
        proxies: Proxies::new(http.trusted_proxies.iter().copied(), header),
        cors: Cors::new(config.cors.origins.clone(), config.cors.credentials, config.cors.max_age),
    })
}

fn allowances(config: &Config) -> Allowances {
    let limits = &config.limits;
    let count = |limit: Option<usize>| limit.map(|limit| limit as u64);
    let rate = |limit: Option<u32>| limit.map(|limit| NonZeroU32::new(limit).expect("the keys' ranges begin at 1"));
    Allowances {
        address: Allowance {
            connections: count(limits.address_connections),
            streams: count(limits.address_streams),
            events: rate(limits.address_events),
            bytes: rate(limits.address_bytes),
            topics: None,
            bad_credentials: rate(Some(limits.bad_credentials)),
        },
        holder: Allowance {
            streams: count(limits.holder_streams),
            events: rate(limits.holder_events),
            bytes: rate(limits.holder_bytes),
            topics: rate(limits.holder_topics),
            ..Allowance::default()
        },
    }
}

/// The certificate in files, when it is in files.
fn files(config: &Config) -> Option<Result<Tls, AppError>> {
    let (cert, key) = config.tls.cert.as_ref().zip(config.tls.key.as_ref())?;
    Some(Tls::files(cert, key).map_err(AppError::Tls))
}

fn tls(config: &Config, drain: &Drain) -> Result<Option<Tls>, AppError> {
    let Config { tls, hub, .. } = config;
    if tls.acme.is_empty() {
        return files(config).transpose();
    }
    let acme = Acme::new(&Order {
        domains: &tls.acme,
        contact: &tls.acme_contact,
        directory: &tls.acme_directory,
        roots: tls.acme_roots.as_deref(),
        cache: hub.data.join("acme"),
    });
    let acme = acme.map_err(|problem| AppError::Tls(vec![problem]))?;
    let tls = Tls::acme(&acme);
    acme.run(drain.clone())?;
    Ok(Some(tls))
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
        inflight_bytes: publish.inflight_bytes,
        body_timeout: http.body_timeout,
        write_timeout: stream.write_timeout,
        portion: Portion { events: stream.page_events, bytes: stream.page_bytes },
        filters: stream.topics,
        keepalive: stream.keepalive,
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;
    use crate::config::{Flags, load};

    fn config(flags: &[&str]) -> Config {
        let command = Flags::augment_args(Command::new("gapless"));
        let matches = command.get_matches_from([&["gapless"], flags].concat());
        load(&Flags::from_arg_matches(&matches).expect("flags")).expect("sound").0
    }

    #[test]
    fn each_limit_is_what_its_key_says() {
        let some = NonZeroU32::new;
        let bad_credentials = |n| Allowance { bad_credentials: some(n), ..Allowance::default() };
        let want = Allowances { address: bad_credentials(20), holder: Allowance::default() };
        assert_eq!(allowances(&config(&[])), want, "the defaults");

        let all = config(&[
            "--limits-address-connections=1",
            "--limits-address-streams=2",
            "--limits-address-events=3",
            "--limits-address-bytes=4KiB",
            "--limits-holder-streams=5",
            "--limits-holder-events=6",
            "--limits-holder-bytes=7KiB",
            "--limits-holder-topics=8",
            "--limits-bad-credentials=9",
        ]);
        let address = Allowance {
            connections: Some(1),
            streams: Some(2),
            events: some(3),
            bytes: some(4096),
            ..bad_credentials(9)
        };
        let holder =
            Allowance { streams: Some(5), events: some(6), bytes: some(7168), topics: some(8), ..Allowance::default() };
        assert_eq!(allowances(&all), Allowances { address, holder });
    }

    #[test]
    fn the_policy_trusts_the_proxies_that_are_named_and_the_header_that_is_chosen() {
        let policy = policy(&config(&["--http-trusted-proxies=10.0.0.0/8", "--http-forwarded=forwarded"]));
        let proxies = policy.expect("sound").proxies;
        let header = |name: &'static str, text: &str| [(name.parse().expect("a name"), text.parse().expect("text"))];
        let client = |peer: &str, headers| proxies.client(peer.parse().expect("an address"), &headers).to_string();
        let theirs = || header("forwarded", "for=198.51.100.7").into_iter().collect();
        assert_eq!(client("10.0.0.1", theirs()), "198.51.100.7");
        assert_eq!(client("192.0.2.1", theirs()), "192.0.2.1");
        let other = header("x-forwarded-for", "198.51.100.7").into_iter().collect();
        assert_eq!(client("10.0.0.1", other), "10.0.0.1");
    }
}
