//! A core's listeners and its connections: one current-thread runtime, where everything lives and dies.

use std::{io, net::IpAddr, rc::Rc, sync::Arc, time::Duration};

use tokio::task::spawn_local;

use super::{
    Core, Door,
    converse::{House, Open, converse},
    listen::{Acceptor, Listener},
    peer::Side,
    publish::gather::Gather,
    quota::{Exceeded, Seat},
    routes::Routes,
    stream::{fan_out::fan_out, streams::TICK},
    tls::{LOOK, Tls},
    visitor::passes::Passes,
    wire::Wires,
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
pub async fn serve(door: Arc<Door>, index: usize, listeners: Listeners) -> io::Result<()> {
    let acceptors = |all: Vec<Listener>| all.into_iter().map(Listener::into_acceptor).collect::<io::Result<Vec<_>>>();
    let sides = [(Side::Public, acceptors(listeners.public)?), (Side::Operators, acceptors(listeners.operators)?)];
    let gather = Gather::new(door.hub.epoch());
    let passes = Passes::new(&door.policies);
    let core = Rc::new(Core { door, index, streams: Rc::default(), passes, gather });
    let wires = Rc::new(Wires::default());
    let routes = Rc::new(Routes::default());
    spawn_local(fan_out(Rc::clone(&core)));
    spawn_local(hand_in(Rc::clone(&core)));
    spawn_local(tick(Rc::clone(&core), Rc::clone(&wires)));
    spawn_local(end_streams(Rc::clone(&core)));
    if index == 0 && core.door.tls.is_some() {
        spawn_local(watch_certificate(Arc::clone(&core.door)));
    }
    for (side, acceptors) in sides {
        for acceptor in acceptors {
            let house = House { core: Rc::clone(&core), wires: Rc::clone(&wires), routes: Rc::clone(&routes), side };
            spawn_local(async move { accept(&house, &acceptor).await });
        }
    }
    core.door.drain.ended().await;
    Ok(())
}

async fn hand_in(core: Rc<Core>) {
    core.gather.run(&core.door.hub).await;
}

/// The core's one clock: keepalives, stalled clients, and on the first core what the whole process needs.
async fn tick(core: Rc<Core>, wires: Rc<Wires>) {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        let limits = &core.door.limits;
        let cut = core.streams.tick(limits.keepalive, limits.write_timeout, core.door.policies.generation())
            + wires.tick(limits.write_timeout);
        core.door.hub.board().shards()[core.index].forget_runs();
        if cut > 0 {
            core.door.hub.stats().slow_readers_cut.add(cut);
            tracing::info!(streams = cut, "cut clients that do not read");
        }
        if core.index == 0 {
            core.door.rates.sample(core.door.hub.stats());
            core.door.hub.sweep();
            core.door.quotas.sweep();
        }
    }
}

async fn end_streams(core: Rc<Core>) {
    core.door.drain.begun().await;
    core.streams.wake_all();
}

/// Newcomers are served while the hub drains, too: to be told to come back.
async fn accept(house: &House, acceptor: &Acceptor) {
    let core = &house.core;
    let connections = &core.door.hub.stats().connections;
    let most = (core.door.limits.connections + core.door.limits.overflow) as u64;
    loop {
        if connections.get() >= most {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        }
        match acceptor.accept().await {
            Ok((socket, address)) => {
                // Refused before TLS, which costs more than the refusal. Who is hung up on comes back later: an EventSource
                // does so by itself.
                let Ok(seat) = seat(core, address.ip()) else { continue };
                // Counted before the next one is accepted, which may be before this one's task begins; and from here to its end,
                // so that handshakes in progress are bounded as connections are.
                let open = Open::new(&core.door, seat);
                spawn_local(converse(house.clone(), socket, address, open));
            }
            // None of them is the end: whatever is wrong is wrong with one connection, or passes when others have closed.
            Err(error) => {
                if let Some(times) = core.door.unaccepted.happened() {
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
fn seat(core: &Core, address: IpAddr) -> Result<Option<Seat>, Exceeded> {
    let proxy = core.passes.policy(&core.door.policies).proxies.trusts(address);
    if proxy { Ok(None) } else { core.door.quotas.address(address).connect().map(Some) }
}

/// Looks at the certificate's files now and then, on a thread that may wait for the disk.
async fn watch_certificate(door: Arc<Door>) {
    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        let door = Arc::clone(&door);
        let look = move || door.tls.as_ref().is_none_or(Tls::reload);
        // A panic there was told, and the next look is another try.
        let _ = tokio::task::spawn_blocking(look).await;
    }
}
