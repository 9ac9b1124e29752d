//! A core's listeners and its connections: one current-thread runtime, where everything lives and dies.

use std::{io, net::IpAddr, rc::Rc, sync::Arc, time::Duration};

use tokio::task::spawn_local;

use super::{
    AppState, ShardState,
    auth::credential_cache::CredentialCache,
    connection::{ListenerContext, Open, connection},
    listen::{Acceptor, Listener},
    peer::ListenerRole,
    publish::batcher::Batcher,
    quota::{Exceeded, OpenPermit},
    routes::Routes,
    stream::{fan_out::fan_out, streams::TICK},
    tls::{LOOK, TlsServer},
    tracked_socket::StallWatch,
};

/// How long to wait before accepting again when there are no descriptors, or too many connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where a core's connections come from.
#[derive(Debug, Default)]
pub struct Listeners {
    /// The addresses for everybody.
    pub public: Vec<Listener>,
    /// The operators' own.
    pub operators: Vec<Listener>,
}

/// Serves one core until the drain is over. Must run inside a `LocalSet` on a current-thread runtime.
///
/// # Errors
/// When a listener cannot be used at all.
pub async fn serve(app: Arc<AppState>, index: usize, listeners: Listeners) -> io::Result<()> {
    let acceptors = |all: Vec<Listener>| all.into_iter().map(Listener::into_acceptor).collect::<io::Result<Vec<_>>>();
    let sides = [
        (ListenerRole::Public, acceptors(listeners.public)?),
        (ListenerRole::Operators, acceptors(listeners.operators)?),
    ];
    let batcher = Batcher::new(app.hub.epoch());
    let credentials = CredentialCache::new(&app.policies);
    let shard = Rc::new(ShardState { app, index, streams: Rc::default(), credentials, batcher });
    let stalls = Rc::new(StallWatch::default());
    let routes = Rc::new(Routes::default());
    spawn_local(fan_out(Rc::clone(&shard)));
    spawn_local(hand_in(Rc::clone(&shard)));
    spawn_local(tick(Rc::clone(&shard), Rc::clone(&stalls)));
    spawn_local(end_streams(Rc::clone(&shard)));
    if index == 0 && shard.app.tls.is_some() {
        spawn_local(watch_certificate(Arc::clone(&shard.app)));
    }
    for (side, acceptors) in sides {
        for acceptor in acceptors {
            let context = ListenerContext {
                shard: Rc::clone(&shard),
                stalls: Rc::clone(&stalls),
                routes: Rc::clone(&routes),
                side,
            };
            spawn_local(async move { accept(&context, &acceptor).await });
        }
    }
    shard.app.drain.ended().await;
    Ok(())
}

async fn hand_in(shard: Rc<ShardState>) {
    shard.batcher.run(&shard.app.hub).await;
}

/// The core's one clock: keepalives, stalled clients, and on the first core what the whole process needs.
async fn tick(shard: Rc<ShardState>, stalls: Rc<StallWatch>) {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        let limits = &shard.app.limits;
        let cut = shard.streams.tick(limits.keepalive, limits.write_timeout, shard.app.policies.generation())
            + stalls.tick(limits.write_timeout);
        shard.app.hub.broker().shards()[shard.index].forget_runs();
        if cut > 0 {
            shard.app.hub.stats().slow_readers_cut.add(cut);
            tracing::info!(streams = cut, "cut clients that do not read");
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

/// Newcomers are served while the hub drains, too: to be told to come back.
async fn accept(context: &ListenerContext, acceptor: &Acceptor) {
    let shard = &context.shard;
    let connections = &shard.app.hub.stats().connections;
    let most = (shard.app.limits.connections + shard.app.limits.overflow) as u64;
    loop {
        if connections.get() >= most {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        }
        match acceptor.accept().await {
            Ok((socket, address)) => {
                // Refused before TLS, which costs more than the refusal. Who is hung up on comes back later: an EventSource
                // does so by itself.
                let Ok(seat) = seat(shard, address.ip()) else { continue };
                // Counted before the next one is accepted, which may be before this one's task begins; and from here to its end,
                // so that handshakes in progress are bounded as connections are.
                let open = Open::new(&shard.app, seat);
                spawn_local(connection(context.clone(), socket, address, open));
            }
            // None of them is the end: whatever is wrong is wrong with one connection, or passes when others have closed.
            Err(error) => {
                if let Some(times) = shard.app.accept_failures.happened() {
                    tracing::warn!(error = %error, times, "cannot accept a connection");
                }
                if !concerns_one(&error) {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Whether it is about the connection that would have been accepted, which is gone with it; the next one may be sound. What else
/// there is (no descriptors, no memory) leaves the connection waiting, and asking again at once would only spin.
fn concerns_one(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// The place of a connection among those of its address; a proxy's are its clients'.
fn seat(shard: &ShardState, address: IpAddr) -> Result<Option<OpenPermit>, Exceeded> {
    let proxy = shard.credentials.policy(&shard.app.policies).proxies.trusts(address);
    if proxy { Ok(None) } else { shard.app.quotas.address(address).connect().map(Some) }
}

/// Looks at the certificate's files now and then, on a thread that may wait for the disk.
async fn watch_certificate(app: Arc<AppState>) {
    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        let app = Arc::clone(&app);
        let look = move || app.tls.as_ref().is_none_or(TlsServer::reload);
        // A panic there was told, and the next look is another try.
        let _ = tokio::task::spawn_blocking(look).await;
    }
}
