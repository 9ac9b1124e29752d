//! One core: its accept loops, its connections and its tick, on a current-thread runtime. A connection stays on its
//! core.

use std::{io, net::IpAddr, rc::Rc, sync::Arc, time::Duration};

use tokio::task::spawn_local;

use super::{
    connection::{ListenerContext, Open, connection},
    listen::{Acceptor, Listener},
    peer::ListenerRole,
    tls::{CHECK_INTERVAL, TlsServer},
    tracked_socket::StallWatch,
};
use crate::{
    http::{
        api::{
            publish::batcher::Batcher,
            routes::Routes,
            state::{AppState, ShardState},
            stream::{fan_out::fan_out, streams::TICK},
        },
        auth::credential_cache::CredentialCache,
    },
    quota::{Exceeded, OpenPermit},
};

/// Pause before the next accept when file descriptors or connections are exhausted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The listeners of a core.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Those for all clients.
    pub public: Vec<Listener>,
    /// Those for operators only.
    pub operators: Vec<Listener>,
}

/// Serves one core until the drain has ended. Must run inside a `LocalSet` on a current-thread runtime.
///
/// # Errors
/// When the runtime cannot register a listener.
pub async fn serve(app: Arc<AppState>, index: usize, listeners: Listeners) -> io::Result<()> {
    let acceptors = |all: Vec<Listener>| all.into_iter().map(Listener::into_acceptor).collect::<io::Result<Vec<_>>>();
    let roles = [
        (ListenerRole::Public, acceptors(listeners.public)?),
        (ListenerRole::Operators, acceptors(listeners.operators)?),
    ];
    let batcher = Batcher::new(app.hub.epoch());
    let credentials = CredentialCache::new(&app.policies);
    let shard = Rc::new(ShardState { app, index, streams: Rc::default(), credentials, batcher });
    let stalls = Rc::new(StallWatch::default());
    let routes = Rc::new(Routes::default());
    spawn_local(fan_out(Rc::clone(&shard)));
    spawn_local(run_batcher(Rc::clone(&shard)));
    spawn_local(tick(Rc::clone(&shard), Rc::clone(&stalls)));
    spawn_local(end_streams(Rc::clone(&shard)));
    if index == 0 && shard.app.tls.is_some() {
        spawn_local(watch_certificate(Arc::clone(&shard.app)));
    }
    for (listener, acceptors) in roles {
        for acceptor in acceptors {
            let context = ListenerContext {
                shard: Rc::clone(&shard),
                stalls: Rc::clone(&stalls),
                routes: Rc::clone(&routes),
                listener,
            };
            spawn_local(async move { accept(&context, &acceptor).await });
        }
    }
    shard.app.drain.ended().await;
    Ok(())
}

async fn run_batcher(shard: Rc<ShardState>) {
    shard.batcher.run(&shard.app.hub).await;
}

/// The periodic work of the core: keepalives, stalled clients, caches; on core 0 also what is needed once a process.
async fn tick(shard: Rc<ShardState>, stalls: Rc<StallWatch>) {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        let limits = &shard.app.limits;
        let cut = shard.streams.tick(limits.keepalive, limits.write_timeout, shard.app.policies.generation())
            + stalls.tick(limits.write_timeout);
        shard.app.hub.broker().shards()[shard.index].drop_cached_batches();
        if cut > 0 {
            shard.app.hub.stats().slow_readers_cut.add(cut);
            tracing::info!(streams = cut, "closed the streams of clients that do not read");
        }
        if shard.index == 0 {
            shard.app.rates.sample(shard.app.hub.stats());
            shard.app.hub.sweep();
            shard.app.quotas.sweep();
        }
    }
}

async fn end_streams(shard: Rc<ShardState>) {
    shard.app.drain.begun().await;
    shard.streams.wake_all();
}

/// Accepts connections, also while the hub drains: their requests get
/// [`Code::Draining`](crate::http::message::problem::Code::Draining).
async fn accept(context: &ListenerContext, acceptor: &Acceptor) {
    let shard = &context.shard;
    let connections = &shard.app.hub.stats().connections;
    let max_open = (shard.app.limits.connections + shard.app.limits.overflow) as u64;
    loop {
        if connections.get() >= max_open {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        }
        match acceptor.accept().await {
            Ok((socket, address)) => {
                // Refused before the TLS handshake, which costs more than the refusal. We close without a response;
                // clients retry, and EventSource does so automatically.
                let Ok(permit) = connection_permit(shard, address.ip()) else { continue };
                // Counted here, because the next accept may precede the first poll of the task; and until its end, so
                // that handshakes in progress are bounded like connections.
                let open = Open::new(&shard.app, permit);
                spawn_local(connection(context.clone(), socket, address, open));
            }
            // No error ends the loop: it concerns one connection, or passes when others are closed.
            Err(error) => {
                if let Some(times) = shard.app.accept_failures.record() {
                    tracing::warn!(error = %error, times, "cannot accept a connection");
                }
                if !is_connection_error(&error) {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Whether the error concerns only the connection that would have been accepted, so that the next accept may succeed.
/// After other errors (no descriptors, no memory) the connection stays in the queue, and an immediate accept would
/// spin.
fn is_connection_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// The permit of a connection in its address's quota; none for a trusted proxy, whose connections carry other clients.
fn connection_permit(shard: &ShardState, address: IpAddr) -> Result<Option<OpenPermit>, Exceeded> {
    let proxy = shard.credentials.policy(&shard.app.policies).proxies.trusts(address);
    if proxy { Ok(None) } else { shard.app.quotas.address(address).connect().map(Some) }
}

/// Checks the certificate's files periodically, on a thread that may block on the disk.
async fn watch_certificate(app: Arc<AppState>) {
    let mut checks = tokio::time::interval(CHECK_INTERVAL);
    loop {
        checks.tick().await;
        let app = Arc::clone(&app);
        let check = move || app.tls.as_ref().is_none_or(TlsServer::reload);
        // The panic hook has logged a panic; the next tick tries again.
        let _ = tokio::task::spawn_blocking(check).await;
    }
}
