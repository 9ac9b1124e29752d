//! Connections to one server: over TCP or a Unix socket, directly or through a proxy, with or without TLS.

use std::{io, sync::Arc};

use hyper::{
    Request,
    header::{self, HeaderValue},
};
use rustls::{ClientConfig, pki_types::ServerName};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio_rustls::TlsConnector;

use super::{KEEPALIVE, KEEPALIVE_RETRIES, ServerAddress, byte_stream::ByteStream, proxy::Proxy, trust};

/// Opens connections to one server.
pub struct Connector {
    server: ServerAddress,
    proxy: Option<Proxy>,
    tls: Option<ClientTls>,
}

struct ClientTls {
    connector: TlsConnector,
    /// The name that the certificate must be for.
    name: ServerName<'static>,
}

/// A host that no certificate can be for: neither a DNS name nor an IP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidHost;

/// The server's name cannot be resolved. Inside the [`io::Error`] of a connection.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct HostNotFound(io::Error);

impl Connector {
    /// Connections to `server`, with TLS if `tls` is given, through `proxy` if there is one.
    ///
    /// # Errors
    /// When TLS is wanted with a host that no certificate can be for.
    pub fn new(
        server: ServerAddress,
        proxy: Option<Proxy>,
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<Self, InvalidHost> {
        let tls = tls.map(|config| {
            let name = ServerName::try_from(server.host.clone()).map_err(|_| InvalidHost)?;
            Ok(ClientTls { connector: TlsConnector::from(config), name })
        });
        Ok(Self { server, proxy, tls: tls.transpose()? })
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &ServerAddress {
        &self.server
    }

    /// The proxy to connect through.
    #[must_use]
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Through a forwarding proxy: the prefix of each request target, and the `Proxy-Authorization`.
    pub(super) fn forwarding(&self) -> Option<(String, Option<HeaderValue>)> {
        self.proxy()?.forward(&self.server.authority)
    }

    /// Opens a connection: name resolution, proxy, TCP, TLS. Has no timeout of its own. Cancel safe: dropping the future
    /// closes what was opened.
    ///
    /// # Errors
    /// The system's error. Of a TLS handshake, [`tls_error`] finds the reason in it, and of a name [`is_host_unknown`].
    pub async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        Ok(self.open().await?.0)
    }

    /// As [`connect`](Self::connect), and whether the server has chosen HTTP/2.
    pub(super) async fn open(&self) -> io::Result<(Box<dyn ByteStream>, bool)> {
        if let Some(socket) = &self.server.socket {
            return Ok((Box::new(UnixStream::connect(socket).await?), false));
        }
        let stream: Box<dyn ByteStream> = match &self.proxy {
            Some(proxy) => proxy.connect(&self.server.address).await?,
            None => Box::new(tcp(&self.server.address).await?),
        };
        match &self.tls {
            Some(ClientTls { connector, name }) => {
                let stream = connector.connect(name.clone(), stream).await?;
                let http2 = stream.get_ref().1.alpn_protocol() == Some(trust::HTTP2);
                Ok((Box::new(stream), http2))
            }
            None => Ok((stream, false)),
        }
    }

    /// Completes the head of a request for this server, whose URI has only a path and a query: `Host` and `User-Agent`,
    /// and what a forwarding proxy needs.
    ///
    /// # Errors
    /// When the path or query is not one of a URI.
    pub(super) fn address<B>(&self, request: &mut Request<B>) -> Result<(), hyper::http::Error> {
        if let Some((prefix, authorization)) = self.forwarding() {
            *request.uri_mut() = format!("{prefix}{}", request.uri()).parse()?;
            if let Some(value) = authorization {
                request.headers_mut().insert(header::PROXY_AUTHORIZATION, value);
            }
        }
        let headers = request.headers_mut();
        headers.insert(header::HOST, HeaderValue::from_str(&self.server.authority)?);
        headers.insert(header::USER_AGENT, HeaderValue::from_static(super::USER_AGENT));
        Ok(())
    }
}

/// A TCP connection to `host:port`, without Nagle's delay.
async fn tcp(address: &str) -> io::Result<TcpStream> {
    let found = lookup_host(address).await;
    let found = found.map_err(|error| io::Error::new(error.kind(), HostNotFound(error)))?;
    let stream = TcpStream::connect(&*found.collect::<Vec<_>>()).await?;
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE).with_retries(KEEPALIVE_RETRIES);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}

/// The reason, if `error` is of a TLS handshake.
#[must_use]
pub fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// Whether `error` is of a name that cannot be resolved.
#[must_use]
pub fn is_host_unknown(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<HostNotFound>)
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("server", &self.server).finish_non_exhaustive()
    }
}
