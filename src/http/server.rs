//! A core's listener and its connections: one current-thread runtime, where everything lives and dies.

use std::{
    cell::Cell, convert::Infallible, future::poll_fn, io, net::SocketAddr, rc::Rc, sync::Arc, task::Poll,
    time::Duration,
};

use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{HttpService, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    task::spawn_local,
};

use super::{
    Beyond, Body, Core, Door,
    publish::gather::Gather,
    routes::Routes,
    stream::{fan_out::fan_out, line::Stream, streams::TICK, takeover::Handover},
    visitor::passes::Passes,
    wire::{Wire, Wires},
};

/// Connections the kernel keeps waiting for [`serve`] to accept: what Linux allows by default (`somaxconn`).
const BACKLOG: i32 = 4096;

/// Connections served beyond the limit, only to be told to come back.
const OVERFLOW: u64 = 256;

/// Bytes the kernel may hold for a client that does not read. Left to itself it takes up to 4 MiB a socket
/// (`tcp_wmem`), and a stalled client would not be noticed before.
const SEND_BUFFER: usize = 256 << 10;

/// How long a connection that has asked for nothing yet may still do so when the hub drains: its request may be on its
/// way, or just written.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

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

/// Serves one core until the drain is over. Must run inside a `LocalSet` on a current-thread runtime.
///
/// # Errors
/// When the listener cannot be used at all.
pub async fn serve(door: Arc<Door>, index: usize, listener: std::net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let gather = Gather::new(door.hub.epoch());
    let passes = Passes::new(&door.policies);
    let core = Rc::new(Core { door, index, streams: Rc::default(), passes, gather });
    let wires = Rc::new(Wires::default());
    let routes = Rc::new(Routes::default());
    spawn_local(fan_out(Rc::clone(&core)));
    spawn_local(hand_in(Rc::clone(&core)));
    spawn_local(tick(Rc::clone(&core), Rc::clone(&wires)));
    spawn_local(end_streams(Rc::clone(&core)));
    let accepting = accept(&core, &wires, &routes, &listener);
    tokio::select! {
        () = accepting => {}
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
            tracing::info!(connections = cut, "cut clients that do not read");
        }
        if core.index == 0 {
            core.door.rates.sample(core.door.hub.stats());
            core.door.hub.sweep();
        }
    }
}

async fn end_streams(core: Rc<Core>) {
    core.door.drain.begun().await;
    core.streams.wake_all();
}

/// Newcomers are served while the hub drains, too: to be told to come back.
async fn accept(core: &Rc<Core>, wires: &Rc<Wires>, routes: &Rc<Routes>, listener: &TcpListener) {
    let connections = &core.door.hub.stats().connections;
    let most = core.door.limits.connections as u64 + OVERFLOW;
    loop {
        if connections.get() >= most {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        }
        match listener.accept().await {
            Ok((socket, _)) => {
                spawn_local(converse(Rc::clone(core), Rc::clone(wires), Rc::clone(routes), socket));
            }
            Err(error) => {
                tracing::warn!(error = %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection from its first byte to its last.
async fn converse(core: Rc<Core>, wires: Rc<Wires>, routes: Rc<Routes>, socket: TcpStream) {
    let open = Open::new(&core.door);
    let busy = core.door.drain.guard();
    let limits = &core.door.limits;
    // Failing to set an option only makes the connection slower, or its end later.
    let _ = socket.set_nodelay(true);
    let _ = SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER);
    // A client that has vanished acknowledges nothing, and the kernel would go on trying for a quarter of an hour.
    // Twice, so that one that is there and does not read is cut by us, and counted.
    let _ = SockRef::from(&socket).set_tcp_user_timeout(Some(limits.write_timeout * 2));
    let handover = Rc::<Handover>::default();
    let io = TokioIo::new(wires.add(socket, Rc::clone(&handover)));
    let asked = Cell::new(false);
    let beyond = open.beyond;
    let service = service_fn(|mut request| {
        asked.set(true);
        if beyond {
            request.extensions_mut().insert(Beyond);
        }
        let (method, version) = (request.method().clone(), request.version());
        let (core, routes, handover) = (&core, &routes, &handover);
        Box::pin(async move {
            let Ok(answer) = routes.answer(core, request).await;
            Ok::<_, Infallible>(handover.keep_back(&method, version, answer))
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.headers_bytes)
        .serve_connection(io, service);
    let result = tokio::select! {
        biased;
        result = drive(&mut connection, &handover) => result,
        () = core.door.drain.begun() => tokio::select! {
            result = drive(&mut connection, &handover) => result,
            () = core.door.drain.ended() => return,
            () = last_request(&asked) => {
                Pin::new(&mut connection).graceful_shutdown();
                tokio::select! {
                    result = drive(&mut connection, &handover) => result,
                    () = core.door.drain.ended() => return,
                }
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(error = %error, "a connection ended early");
        return;
    }
    let wire = connection.into_parts().io.into_inner();
    if let Some(telling) = handover.take() {
        // A task of its own, because this one keeps the room that hyper needed.
        spawn_local(Stream::new(telling, wire.into_socket(), (open, busy)));
    }
}

/// Drives a connection until its end, or until it is to be taken over.
async fn drive<S>(connection: &mut http1::Connection<TokioIo<Wire>, S>, handover: &Handover) -> hyper::Result<()>
where
    S: HttpService<Incoming, ResBody = Body> + Unpin,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Unpin,
{
    poll_fn(|cx| {
        let polled = connection.poll_without_shutdown(cx);
        if handover.is_due() { Poll::Ready(Ok(())) } else { polled }
    })
    .await
}

/// Waits, while the hub drains, until a connection need not be read any more. hyper hangs up at once on one that has
/// asked for nothing, and would leave a newcomer without the word to come back.
async fn last_request(asked: &Cell<bool>) {
    if !asked.get() {
        tokio::time::sleep(FIRST_REQUEST).await;
    }
}

/// Counts a connection for as long as it lives.
struct Open {
    door: Arc<Door>,
    /// There was no room for it. Said of the newcomer, so that whoever was there before is served on.
    beyond: bool,
}

impl Open {
    fn new(door: &Arc<Door>) -> Self {
        let stats = door.hub.stats();
        stats.connections.add(1);
        stats.connections_total.add(1);
        Self { beyond: stats.connections.get() > door.limits.connections as u64, door: Arc::clone(door) }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.door.hub.stats().connections.add(-1);
    }
}
