//! Binding and listening: TCP addresses and Unix socket files.
//!
//! | module | idea |
//! |---|---|
//! | this file | a list of addresses, bound first and listening later, with a listener for every core |
//! | `file` | the file of a Unix socket: permissions, replacing a stale one, removal |
//!
//! Binding happens before the store is opened, so that a hub whose address is taken does not touch the disk. Listening
//! happens after that, so that connections are refused until they can be served; one accepted earlier would wait, or be
//! reset. A socket that was inherited from the service manager listens already; its clients wait.

use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use socket2::{Domain, Protocol, Socket, Type};

mod file;

pub use file::SocketFile;

use super::transport::Transport;
use crate::lifecycle::inherited::InheritedListener;

/// Connections that the kernel queues until they are accepted: Linux's default limit (`somaxconn`).
const BACKLOG: i32 = 4096;

/// Attempts to find a port that is free in both address families, for port 0.
const MAX_TRIES: usize = 16;

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// TCP; port 0 takes a free one.
    Tcp(SocketAddr),
    /// This port of the loopback, for IPv4 and, where this machine has it, IPv6.
    Localhost(u16),
    /// A socket file, and its permissions.
    Unix(PathBuf, u32),
}

/// An address that clients can connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Of the network.
    Tcp(SocketAddr),
    /// A socket file.
    Unix(PathBuf),
}

impl From<&InheritedListener> for Endpoint {
    fn from(socket: &InheritedListener) -> Self {
        match socket {
            InheritedListener::Tcp(_, address) => Self::Tcp(*address),
            InheritedListener::Unix(_, path) => Self::Unix(path.clone()),
        }
    }
}

/// An address cannot be bound or listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {place}: {source}")]
pub struct ListenError {
    /// The address.
    pub place: Endpoint,
    /// The system's error.
    pub source: io::Error,
}

/// Bound addresses that do not accept connections yet.
#[derive(Debug)]
pub struct BoundAddresses {
    tcp: Vec<(SocketAddr, Vec<Socket>)>,
    unix: Vec<file::BoundSocketFile>,
    inherited: Vec<InheritedListener>,
    cores: usize,
}

/// Listening sockets.
#[derive(Debug)]
pub struct Listening {
    /// Their addresses.
    pub places: Vec<Endpoint>,
    /// The listeners of each core.
    pub listeners: Vec<Vec<Listener>>,
    /// The socket files, which are removed when this is dropped.
    pub files: Vec<SocketFile>,
}

/// A listening socket of one core.
#[derive(Debug)]
pub struct Listener {
    socket: ListenerSocket,
    is_inherited: bool,
}

#[derive(Debug)]
enum ListenerSocket {
    /// TCP. Each core has its own, and the kernel distributes connections over them (`SO_REUSEPORT`); all cores share one
    /// that is inherited.
    Tcp(std::net::TcpListener),
    /// A Unix socket. All cores share it, and the first idle one accepts.
    Unix(std::os::unix::net::UnixListener),
}

/// A [`Listener`] registered with a runtime.
#[derive(Debug)]
pub enum Acceptor {
    /// Of the network.
    Tcp(tokio::net::TcpListener),
    /// Of a socket file.
    Unix(tokio::net::UnixListener),
}

impl BoundAddresses {
    /// Binds every address in `list`, for this number of cores, which share the `inherited` sockets.
    ///
    /// # Errors
    /// When one of them cannot be bound.
    pub fn new(list: &[Address], inherited: Vec<InheritedListener>, cores: usize) -> Result<Self, ListenError> {
        let mut bound = Self { tcp: Vec::new(), unix: Vec::new(), inherited, cores };
        for address in list {
            match address {
                Address::Tcp(address) => bound.tcp.push(tcp(*address, cores)?),
                Address::Localhost(port) => bound.tcp.extend(localhost(*port, cores)?),
                Address::Unix(path, mode) => {
                    let refused = |source| ListenError { place: Endpoint::Unix(path.clone()), source };
                    bound.unix.push(file::BoundSocketFile::new(path, *mode).map_err(refused)?);
                }
            }
        }
        Ok(bound)
    }

    /// Starts to listen.
    ///
    /// # Errors
    /// When another process has started to listen there since.
    pub fn listen(self) -> Result<Listening, ListenError> {
        let Self { tcp, unix, inherited, cores } = self;
        // Checked again, all of them before the first listens: two hubs that start at the same time can both bind.
        for (address, _) in &tcp {
            check_free(*address).map_err(|source| ListenError { place: Endpoint::Tcp(*address), source })?;
        }
        let mut all = Listening { places: Vec::new(), listeners: Vec::new(), files: Vec::new() };
        all.listeners.resize_with(cores, Vec::new);
        for (address, sockets) in tcp {
            for (socket, listeners) in sockets.into_iter().zip(&mut all.listeners) {
                socket.listen(BACKLOG).map_err(|source| ListenError { place: Endpoint::Tcp(address), source })?;
                listeners.push(Listener::from(std::net::TcpListener::from(socket)));
            }
            all.places.push(Endpoint::Tcp(address));
        }
        for bound in unix {
            let place = Endpoint::Unix(bound.path().into());
            let refused = |source| ListenError { place: place.clone(), source };
            let (socket, file) = bound.listen(BACKLOG).map_err(refused)?;
            for listeners in &mut all.listeners {
                let socket = ListenerSocket::Unix(socket.try_clone().map_err(refused)?);
                listeners.push(Listener { socket, is_inherited: false });
            }
            all.files.push(file);
            all.places.push(place);
        }
        for socket in inherited {
            let place = Endpoint::from(&socket);
            for listeners in &mut all.listeners {
                let listener = Listener::of_inherited(&socket);
                listeners.push(listener.map_err(|source| ListenError { place: place.clone(), source })?);
            }
            all.places.push(place);
        }
        Ok(all)
    }
}

/// One socket for each core on the same address. For port 0 the first one chooses the port.
fn tcp(address: SocketAddr, cores: usize) -> Result<(SocketAddr, Vec<Socket>), ListenError> {
    let refused = |source| ListenError { place: Endpoint::Tcp(address), source };
    // Without this check a second hub would silently share the port of the first (`SO_REUSEPORT`).
    check_free(address).map_err(refused)?;
    let first = reuse_port(address).map_err(refused)?;
    let local = first.local_addr().map_err(refused)?.as_socket().expect("it was bound to one");
    let rest = (1..cores).map(|_| reuse_port(local));
    let sockets = std::iter::once(Ok(first)).chain(rest).collect::<io::Result<_>>().map_err(refused)?;
    Ok((local, sockets))
}

/// Both loopbacks on the same port; IPv4 only where there is no IPv6.
fn localhost(port: u16, cores: usize) -> Result<Vec<(SocketAddr, Vec<Socket>)>, ListenError> {
    let mut tries = 0;
    loop {
        let first = tcp((Ipv4Addr::LOCALHOST, port).into(), cores)?;
        let taken = first.0.port();
        match tcp((Ipv6Addr::LOCALHOST, taken).into(), cores) {
            Ok(second) => return Ok(vec![first, second]),
            Err(ListenError { source, .. }) if lacks_family(&source) => {
                tracing::info!(address = %first.0, "this machine has no IPv6 loopback; listening on IPv4 only");
                return Ok(vec![first]);
            }
            // The port may be taken in IPv6.
            Err(error) if port != 0 || tries == MAX_TRIES => return Err(error),
            Err(_) => tries += 1,
        }
    }
}

fn lacks_family(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT))
}

/// Succeeds when no process listens on `address`: binding without `SO_REUSEPORT` fails otherwise. The socket is closed
/// at once and never listens, so no client can connect to it.
fn check_free(address: SocketAddr) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of an earlier hub may be in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

/// A socket bound to an address that the other cores' sockets share.
fn reuse_port(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

impl From<std::net::TcpListener> for Listener {
    /// A nonblocking socket of this process.
    fn from(socket: std::net::TcpListener) -> Self {
        Self { socket: ListenerSocket::Tcp(socket), is_inherited: false }
    }
}

impl Listener {
    /// One of the listeners that share `socket`.
    fn of_inherited(socket: &InheritedListener) -> io::Result<Self> {
        let socket = match socket {
            InheritedListener::Tcp(socket, _) => ListenerSocket::Tcp(socket.try_clone()?),
            InheritedListener::Unix(socket, _) => ListenerSocket::Unix(socket.try_clone()?),
        };
        Ok(Self { socket, is_inherited: true })
    }

    /// Whether the service manager keeps the socket open when this process ends, so that clients which connect meanwhile
    /// are served by the next one.
    #[must_use]
    pub fn is_inherited(&self) -> bool {
        self.is_inherited
    }

    /// Registers it with the current runtime.
    ///
    /// # Errors
    /// When the registration fails.
    pub fn into_acceptor(self) -> io::Result<Acceptor> {
        Ok(match self.socket {
            ListenerSocket::Tcp(listener) => Acceptor::Tcp(tokio::net::TcpListener::from_std(listener)?),
            ListenerSocket::Unix(listener) => Acceptor::Unix(tokio::net::UnixListener::from_std(listener)?),
        })
    }
}

impl Acceptor {
    /// The next connection and its remote address. For a Unix socket that is 127.0.0.1: the client is on this machine,
    /// and limits and trusted proxies are configured by address. Cancel safe.
    ///
    /// # Errors
    /// An error of this connection, or a transient one of the listener. Accepting can go on after either.
    pub async fn accept(&self) -> io::Result<(Transport, SocketAddr)> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(socket, address)| (Transport::Tcp(socket), address)),
            Self::Unix(listener) => {
                let (socket, _) = listener.accept().await?;
                Ok((Transport::Unix(socket), (Ipv4Addr::LOCALHOST, 0).into()))
            }
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    const FREE: Address = Address::Tcp(SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0));

    fn address(bound: &BoundAddresses) -> SocketAddr {
        bound.tcp[0].0
    }

    #[test]
    fn no_connection_is_accepted_before_it_listens() {
        let bound = BoundAddresses::new(&[FREE], Vec::new(), 2).expect("free");
        let at = address(&bound);
        let refused = TcpStream::connect(at).expect_err("nobody listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let listening = bound.listen().expect("ours");
        assert_eq!((listening.places, listening.listeners.len()), (vec![Endpoint::Tcp(at)], 2));
    }

    #[test]
    fn an_address_that_another_process_listens_on_is_not_shared() {
        let bound = BoundAddresses::new(&[FREE], Vec::new(), 2).expect("free");
        let at = address(&bound);
        // Two that start at the same time are both let bind, and one of them listens.
        let late = BoundAddresses::new(&[Address::Tcp(at)], Vec::new(), 2).expect("nobody listens yet");
        let _first = bound.listen().expect("ours");
        for refused in [
            late.listen().expect_err("taken"),
            BoundAddresses::new(&[Address::Tcp(at)], Vec::new(), 1).expect_err("taken"),
        ] {
            assert_eq!(refused.source.kind(), io::ErrorKind::AddrInUse);
            assert!(refused.to_string().contains(&at.to_string()), "{refused}");
        }
    }

    #[test]
    fn localhost_is_both_families_on_one_port() {
        let listening =
            BoundAddresses::new(&[Address::Localhost(0)], Vec::new(), 1).expect("free").listen().expect("ours");
        let mut ports = std::collections::BTreeSet::new();
        for place in &listening.places {
            let Endpoint::Tcp(address) = place else { panic!("{place}") };
            assert!(address.ip().is_loopback());
            TcpStream::connect(address).expect("it listens");
            ports.insert(address.port());
        }
        assert_eq!(ports.len(), 1, "{:?}", listening.places);
    }
}
