//! The accept loops of one core. A connection stays on its core.

use std::{io, rc::Rc, sync::Arc, time::Duration};

use tokio::task::spawn_local;

use super::{
    connection::{ListenerContext, connection},
    handler::Handler,
    listen::{Acceptor, Listener},
    peer::ListenerRole,
    state::{NetState, Open},
    tls::{CHECK_INTERVAL, TlsServer},
    tracked_socket::StallWatch,
};

/// Pause before the next accept when file descriptors or connections are exhausted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One core's server: what its accept loops need.
pub struct Server<H> {
    /// What the connections of all cores share.
    pub net: Arc<NetState>,
    /// The core's list of sockets and streams that may stall. The owner calls [`StallWatch::tick`].
    pub stalls: Rc<StallWatch>,
    /// Answers the requests.
    pub handler: Rc<H>,
}

impl<H: Handler> Server<H> {
    /// Accepts connections from these listeners on tasks of the current `LocalSet`, for as long as it lives. `secure`:
    /// whether their connections use TLS, if the hub does; those of socket files never do.
    ///
    /// # Errors
    /// When the runtime cannot register a listener.
    pub fn listen(&self, listeners: Vec<Listener>, listener: ListenerRole, secure: bool) -> io::Result<()> {
        let Self { net, stalls, handler } = self;
        let (net, stalls, handler) = (Arc::clone(net), Rc::clone(stalls), Rc::clone(handler));
        let context = Rc::new(ListenerContext { net, stalls, handler, listener, secure });
        let acceptor = |listener: Listener| Ok((listener.is_inherited(), listener.into_acceptor()?));
        let acceptors = listeners.into_iter().map(acceptor).collect::<io::Result<Vec<_>>>()?;
        for (inherited, acceptor) in acceptors {
            let context = Rc::clone(&context);
            spawn_local(async move {
                if inherited {
                    accept_until_drain(&context, acceptor).await;
                } else {
                    accept(&context, &acceptor).await;
                }
            });
        }
        Ok(())
    }
}

/// Accepts connections until the hub drains. The socket stays open in the service manager, so a client that connects from
/// then on waits for the next process and is not refused. Connections that were accepted before drain like all others.
async fn accept_until_drain<H: Handler>(context: &Rc<ListenerContext<H>>, acceptor: Acceptor) {
    let drain = context.net.drain.clone();
    tokio::select! {
        biased;
        () = drain.begun() => {}
        () = accept(context, &acceptor) => {}
    }
}

/// Accepts connections, also while the hub drains: the handler tells their clients.
/// Cancel safe: a connection that was taken from the kernel has its task.
async fn accept<H: Handler>(context: &Rc<ListenerContext<H>>, acceptor: &Acceptor) {
    let net = &context.net;
    let max_open = (net.limits.connections + net.limits.overflow) as u64;
    loop {
        if net.open() >= max_open {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        }
        match acceptor.accept().await {
            Ok((socket, address)) => {
                // Refused before the TLS handshake, which costs more than the refusal. We close without a response;
                // clients retry, and EventSource does so automatically.
                let Ok(permit) = context.handler.admit(address.ip()) else { continue };
                // Counted here, because the next accept may precede the first poll of the task; and until its end, so
                // that handshakes in progress are bounded like connections.
                let open = Open::new(net, permit);
                spawn_local(connection(Rc::clone(context), socket, address, open));
            }
            // No error ends the loop: it concerns one connection, or passes when others are closed.
            Err(error) => {
                if let Some(times) = net.accept_failures.record() {
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

/// Checks the certificate's files periodically, on a thread that may block on the disk. Never returns.
pub async fn watch_certificate(net: Arc<NetState>) {
    let check = move || {
        let _logged = net.tls.as_ref().is_none_or(TlsServer::reload);
    };
    repeat_blocking(CHECK_INTERVAL, Arc::new(check)).await;
}

/// Runs `check` now and after each `period`, on a blocking thread. Never returns. One check runs at a time; while it
/// blocks none is started, and the next one is a period after its end.
async fn repeat_blocking(period: Duration, check: Arc<dyn Fn() + Send + Sync>) {
    loop {
        let check = Arc::clone(&check);
        // The panic hook has logged a panic; the next check tries again.
        let _ = tokio::task::spawn_blocking(move || check()).await;
        tokio::time::sleep(period).await;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        convert::Infallible,
        net::{IpAddr, Ipv4Addr, SocketAddr},
        pin::Pin,
        task::{Context, Poll},
    };

    use bytes::Bytes;
    use http::Response;
    use http_body::Frame;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
        task::LocalSet,
        time::timeout,
    };
    use tracing::span::{Attributes, Id};
    use tracing_subscriber::{
        Layer,
        filter::LevelFilter,
        layer::{self, SubscriberExt as _},
        registry::LookupSpan,
    };

    use super::*;
    use crate::{
        http::net::{
            handler::IncomingRequest,
            listen::{Address, BoundAddresses, Endpoint},
            response::{self, Body, DetachableBody},
            state::NetLimits,
            takeover::Continuation,
        },
        lifecycle::Drain,
        quota::{ConnectionPermit, Exceeded, Limit},
    };

    /// Answers `/` itself, and detaches a body for every other path. What `/open` detaches stays open.
    #[derive(Default)]
    struct Scripted {
        full: Cell<bool>,
    }

    impl Handler for Scripted {
        fn admit(&self, _: IpAddr) -> Result<Option<ConnectionPermit>, Exceeded> {
            let (what, wait) = (Limit::AddressConnections, Duration::ZERO);
            if self.full.get() { Err(Exceeded { what, limit: 0, wait, shared: false }) } else { Ok(None) }
        }

        async fn respond(&self, request: IncomingRequest) -> response::Response {
            match request.uri().path() {
                "/" => Response::new(response::full("whole")),
                path => Response::new(Body::Detachable(Box::new(Greeting { stays_open: path == "/open" }))),
            }
        }
    }

    /// A body whose rest is sent on the bare socket.
    struct Greeting {
        stays_open: bool,
    }

    impl http_body::Body for Greeting {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            unreachable!("it is detached")
        }
    }

    impl DetachableBody for Greeting {
        fn detach(self: Box<Self>) -> (Bytes, Continuation) {
            let continuation = move |mut socket: crate::http::net::socket::Socket, held| {
                if self.stays_open {
                    spawn_local(async move {
                        let _open = (socket, held);
                        std::future::pending::<()>().await;
                    });
                } else {
                    assert!(socket.send(b"3\r\nbye\r\n0\r\n\r\n").is_ok());
                }
            };
            (Bytes::from_static(b"hello"), Box::new(continuation))
        }
    }

    fn net() -> Arc<NetState> {
        let second = Duration::from_secs(1);
        let limits = NetLimits {
            connections: 2,
            overflow: 2,
            headers_bytes: 65_536,
            header_timeout: second,
            idle_timeout: second,
            h2_streams: 1,
            ping_interval: second,
            write_timeout: second,
        };
        Arc::new(NetState::new(limits, Drain::new(), None))
    }

    /// All that the server sends on a connection, up to its end.
    async fn received(address: SocketAddr, path: &str) -> String {
        let exchange = async {
            let mut socket = TcpStream::connect(address).await.expect("it listens");
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            let _refused = socket.write_all(request.as_bytes()).await;
            let mut text = Vec::new();
            let _reset = socket.read_to_end(&mut text).await;
            String::from_utf8(text).expect("ASCII")
        };
        timeout(Duration::from_secs(10), exchange).await.expect("it ends")
    }

    #[tokio::test]
    async fn any_handler_is_served_and_what_it_detaches_continues_on_the_socket() {
        let bound = BoundAddresses::new(&[Address::Tcp((Ipv4Addr::LOCALHOST, 0).into())], Vec::new(), 1).expect("free");
        let mut listening = bound.listen().expect("free");
        let Endpoint::Tcp(address) = listening.places[0] else { unreachable!("TCP") };
        let server = Server { net: net(), stalls: Rc::default(), handler: Rc::<Scripted>::default() };
        let clients = async {
            server.listen(listening.listeners.remove(0), ListenerRole::Public, true).expect("registered");
            let whole = received(address, "/").await;
            assert!(whole.starts_with("HTTP/1.1 200 OK\r\n") && whole.ends_with("\r\n\r\nwhole"), "{whole}");
            let detached = received(address, "/detached").await;
            assert!(detached.ends_with("\r\n\r\n5\r\nhello\r\n3\r\nbye\r\n0\r\n\r\n"), "{detached}");
            server.handler.full.set(true);
            assert_eq!(received(address, "/").await, "", "closed without a response");
            assert_eq!((server.net.accepted(), server.net.open()), (2, 0), "one that is refused does not count");
        };
        LocalSet::new().run_until(clients).await;
    }

    /// Counts the spans that are alive, by name.
    #[derive(Clone, Default)]
    struct LiveSpans(Arc<parking_lot::Mutex<std::collections::BTreeMap<&'static str, usize>>>);

    impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LiveSpans {
        fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: layer::Context<'_, S>) {
            *self.0.lock().entry(context.span(id).expect("alive").name()).or_default() += 1;
        }

        fn on_close(&self, id: Id, context: layer::Context<'_, S>) {
            *self.0.lock().entry(context.span(&id).expect("closing").name()).or_default() -= 1;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn while_a_check_blocks_no_other_is_started_and_none_is_made_up_for() {
        const PERIOD: Duration = Duration::from_secs(10);
        let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
        let (unblock, blocked) = std::sync::mpsc::channel();
        let blocked = parking_lot::Mutex::new(blocked);
        let check = move || {
            begun.send(()).expect("the test reads it");
            // Fails when the test ends.
            let _ = blocked.lock().recv();
        };
        let checks = tokio::spawn(repeat_blocking(PERIOD, Arc::new(check)));
        begins.recv().await.expect("the first");
        for _ in 0..10 {
            tokio::time::advance(PERIOD).await;
        }
        unblock.send(()).expect("it waits");
        assert!(timeout(PERIOD / 2, begins.recv()).await.is_err(), "a period after its end");
        begins.recv().await.expect("the second");
        checks.abort();
    }

    #[tokio::test]
    async fn a_connection_has_a_span_for_warnings_until_a_stream_takes_it_over() {
        let spans = LiveSpans::default();
        let subscriber = tracing_subscriber::registry().with(spans.clone()).with(LevelFilter::WARN);
        let _default = tracing::subscriber::set_default(subscriber);
        let alive = |name| spans.0.lock().get(name).copied();
        let bound = BoundAddresses::new(&[Address::Tcp((Ipv4Addr::LOCALHOST, 0).into())], Vec::new(), 1).expect("free");
        let mut listening = bound.listen().expect("free");
        let Endpoint::Tcp(address) = listening.places[0] else { unreachable!("TCP") };
        let server = Server { net: net(), stalls: Rc::default(), handler: Rc::<Scripted>::default() };
        let clients = async {
            server.listen(listening.listeners.remove(0), ListenerRole::Public, true).expect("registered");
            let mut idle = TcpStream::connect(address).await.expect("it listens");
            idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("open");
            idle.read_exact(&mut [0; 15]).await.expect("a response");
            assert_eq!(alive("connection"), Some(1));
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            stream.write_all(b"GET /open HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("open");
            let mut text = Vec::new();
            while !text.ends_with(b"hello\r\n") {
                stream.read_buf(&mut text).await.expect("a stream");
            }
            assert_eq!((server.net.open(), alive("connection")), (2, Some(1)), "only the one that is not a stream");
        };
        LocalSet::new().run_until(timeout(Duration::from_secs(10), clients)).await.expect("in time");
    }
}
