//! One request to a hub over one connection. Plain HTTP/1.1; TLS is a proxy's work.

use std::{io, time::Duration};

use hyper::{
    Method, Request, Response, Uri,
    body::{Body, Incoming},
    client::conn::http1,
    header::{self, HeaderMap, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use super::CliError;

/// Time to connect in. The system's own is minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How connections are made, so that tests can script the other end.
pub(super) trait Dial {
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// A new connection.
    async fn dial(&self) -> io::Result<Self::Io>;
}

/// Connections over TCP to `host:port`.
#[derive(Debug)]
pub(super) struct Tcp(String);

impl Dial for Tcp {
    type Io = TcpStream;

    async fn dial(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.0).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// A hub as its clients see it.
#[derive(Debug)]
pub(super) struct Hub<D> {
    url: String,
    /// For the `Host` header.
    authority: String,
    /// The URL's path, without a final slash: a hub may live below one, behind a proxy.
    base: String,
    dial: D,
}

/// `--url`, for every command that speaks to a hub.
#[derive(Debug, clap::Args)]
pub(super) struct HubUrl {
    /// The hub's URL
    #[arg(long, env = "GAPLESS_URL", default_value = "http://127.0.0.1:8080")]
    pub(super) url: String,
}

impl Hub<Tcp> {
    /// The hub at `url`.
    pub(super) fn at(url: &str) -> Result<Self, CliError> {
        let wrong = |problem| CliError::Url { url: url.into(), problem };
        let uri: Uri = url.parse().map_err(|_| wrong("write it like http://127.0.0.1:8080"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(wrong("this client speaks http:// only; use the hub's own port, or curl -N for https://"));
            }
            _ => return Err(wrong("it starts with http://, as in http://127.0.0.1:8080")),
        }
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("leave the credentials out"));
        }
        if uri.query().is_some() {
            return Err(wrong("leave the query out"));
        }
        let address = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
        Ok(Self::new(url, authority.as_str(), uri.path(), Tcp(address)))
    }

    /// Where it is, as `host:port`; its authority; and what its paths begin with, without a final slash.
    pub(super) fn place(&self) -> (&str, &str, &str) {
        (&self.dial.0, &self.authority, &self.base)
    }
}

impl<D: Dial> Hub<D> {
    /// A hub that connections are made to by `dial`.
    pub(super) fn new(url: &str, authority: &str, base: &str, dial: D) -> Self {
        Self { url: url.into(), authority: authority.into(), base: base.trim_end_matches('/').into(), dial }
    }

    /// Sends a request for `target`, a path and query below the hub's URL, and answers with the head of the response.
    /// Dropping the response, or this future, closes the connection.
    pub(super) async fn send<B>(
        &self,
        method: Method,
        target: &str,
        headers: HeaderMap,
        body: B,
    ) -> Result<Response<Incoming>, CliError>
    where
        B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>, Data: Send> + Send + 'static,
    {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = format!("{}{target}", self.base).parse().expect("a checked path and an encoded query");
        *request.headers_mut() = headers;
        let host = HeaderValue::from_str(&self.authority).expect("a URI's authority");
        request.headers_mut().insert(header::HOST, host);
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));

        let unreachable = |reason| CliError::Unreachable { url: self.url.clone(), reason };
        let io = timeout(CONNECT_TIMEOUT, self.dial.dial()).await.map_err(|late| unreachable(late.into()))?;
        let io = TokioIo::new(io.map_err(unreachable)?);
        let (mut sender, connection) = http1::handshake(io).await.map_err(|error| CliError::broken(&error))?;
        // Its errors come out of the request and the response's body too.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(|error| CliError::broken(&error))
    }
}

const USER_AGENT: &str = concat!("gapless/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_to_connect_and_below_which_path() {
        for (url, address, base) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080", ""),
            ("http://hub.example/", "hub.example:80", ""),
            ("http://[::1]:9/live/", "[::1]:9", "/live"),
        ] {
            let hub = Hub::at(url).expect(url);
            assert_eq!((&*hub.dial.0, &*hub.base), (address, base), "{url}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_hub_is_told_what_to_write() {
        for (url, want) in [
            ("https://hub.example", "speaks http:// only"),
            ("localhost:8080", "starts with http://"),
            ("hub.example", "starts with http://"),
            ("", "write it like"),
            ("http://a b", "write it like"),
            ("http://user:pass@hub", "credentials"),
            ("http://hub/?x=1", "query"),
        ] {
            let told = Hub::at(url).expect_err(url).to_string();
            assert!(told.contains(want), "{url}: {told}");
        }
    }
}
