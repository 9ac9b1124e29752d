//! A core's listener and its connections: one current-thread runtime, where everything lives and dies.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::TcpListener, task::spawn_local};

use super::{
    Core, Door,
    converse::{House, converse},
    peer::Side,
    publish::gather::Gather,
    quota::{Exceeded, Seat},
    routes::Routes,
    stream::{fan_out::fan_out, streams::TICK},
    tls::{LOOK, Tls},
    visitor::passes::Passes,
    wire::Wires,
};

/// Connections the kernel keeps waiting for [`serve`] to accept: what Linux allows by default (`somaxconn`).
const BACKLOG: i32 = 4096;

/// Connections served beyond the limit, only to be told to come back.
const OVERFLOW: u64 = 256;

/// How long to wait before accepting again when there are no descriptors, or too many connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener on `address`. Several may share it, one a core: the kernel spreads connections over them.
///
/// # Errors
/// When the address cannot be had.
pub fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Where a core's connections come from.
#[derive(Debug)]
pub struct Listeners {
    /// The address for everybody.
    pub public: std::net::TcpListener,
    /// The operators' own, on one core.
    pub operators: Option<std::net::TcpListener>,
}

/// Serves one core until the drain is over. Must run inside a `LocalSet` on a current-thread runtime.
///
/// # Errors
/// When the listener cannot be used at all.
pub async fn serve(door: Arc<Door>, index: usize, listeners: Listeners) -> io::Result<()> {
    let public = TcpListener::from_std(listeners.public)?;
    let operators = listeners.operators.map(TcpListener::from_std).transpose()?;
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
    let house = |side| House { core: Rc::clone(&core), wires: Rc::clone(&wires), routes: Rc::clone(&routes), side };
    let (everybodys, theirs) = (house(Side::Public), house(Side::Operators));
    let apart = async {
        match &operators {
            Some(listener) => accept(&theirs, listener).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = accept(&everybodys, &public) => {}
        () = apart => {}
        () = core.door.drain.ended() => {}
    }
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
async fn accept(house: &House, listener: &TcpListener) {
    let core = &house.core;
    let connections = &core.door.hub.stats().connections;
    let most = core.door.limits.connections as u64 + OVERFLOW;
    loop {
        if connections.get() >= most {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        }
        match listener.accept().await {
            Ok((socket, address)) => {
                // Refused before TLS, which costs more than the refusal. Who is hung up on comes back later: an EventSource
                // does so by itself.
                let Ok(seat) = seat(core, address.ip()) else { continue };
                spawn_local(converse(house.clone(), socket, address, seat));
            }
            Err(error) => {
                tracing::warn!(error = %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
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
