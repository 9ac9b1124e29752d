//! Proxies from the environment: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`.
//!
//! `https://` uses a tunnel, so the proxy cannot read the requests. `http://` sends an HTTP proxy the absolute URL, as
//! curl does, because many proxies allow tunnels only to port 443.

use std::{
    error::Error as StdError,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use hyper::{Uri, header::HeaderValue};
use hyper_util::{
    client::{
        legacy::connect::{
            HttpConnector,
            proxy::{SocksV5, Tunnel},
        },
        proxy::matcher::{Intercept, Matcher},
    },
    rt::TokioIo,
};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower_service::Service;

use super::{KEEPALIVE, KEEPALIVE_RETRIES, ServerAddress, byte_stream::ByteStream, trust};

/// A proxy.
#[derive(Debug)]
pub struct Proxy {
    intercept: Intercept,
    mode: ProxyMode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProxyMode {
    /// Requests are sent to the proxy, each with its absolute URL.
    Forward,
    /// A tunnel to the server (`CONNECT`). `tls`: the proxy itself is reached by TLS.
    Tunnel { tls: bool },
    /// A SOCKS 5 connection. `remote_names`: the proxy resolves the server's name.
    Socks { remote_names: bool },
}

/// Which variables of the environment name the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyVariables {
    /// The variable of the URL's scheme, else `ALL_PROXY`, as curl has it. An invalid one is an error.
    OfScheme,
    /// `ALL_PROXY`, `HTTPS_PROXY` or `HTTP_PROXY`, whatever the URL's scheme; an invalid one is passed over. The proxy of
    /// a tunnel may be reached by TLS. For the servers of issuers' keys, whose hub has no user who could read an error.
    Any,
}

/// A variable of the environment that names no proxy. Its value is left out, because it may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidProxy {
    /// The variable.
    pub name: &'static str,
    /// What is wrong.
    pub problem: &'static str,
}

/// The variables of each scheme; the first that is set counts.
const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];
const NO: [&str; 2] = ["NO_PROXY", "no_proxy"];

impl Proxy {
    /// The proxy for `server` from the environment. `None` for a server on this machine.
    ///
    /// # Errors
    /// When the variable that counts names no proxy.
    pub fn from_environment(server: &ServerAddress, variables: ProxyVariables) -> Result<Option<Self>, InvalidProxy> {
        Self::find(server, variables, |name| std::env::var(name).ok())
    }

    pub(super) fn find(
        server: &ServerAddress,
        variables: ProxyVariables,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, InvalidProxy> {
        // In a CGI script HTTP_PROXY comes from the client's header `Proxy`.
        let cgi = variable("REQUEST_METHOD").is_some();
        if server.is_local() || cgi {
            return Ok(None);
        }
        // An empty variable counts as unset.
        let set = |name: &'static str| variable(name).filter(|value| !value.is_empty()).map(|value| (name, value));
        let first = |names: [&'static str; 2]| names.into_iter().find_map(&set);
        // The matcher has no wildcards, and takes a leading dot for them.
        let no = first(NO).map(|(_, value)| value.replace("*.", ".")).unwrap_or_default();
        let uri: Uri = format!("http://{}/", server.address).parse().expect("it was a URL's");
        if Matcher::builder().all("http://proxy").no(no).build().intercept(&uri).is_none() {
            return Ok(None);
        }
        match variables {
            ProxyVariables::OfScheme => {
                let found = first(if server.tls { HTTPS } else { HTTP }).or_else(|| first(ALL));
                let found = found.map(|(name, value)| (name, Self::new(server, &uri, &value)));
                found.map_or(Ok(None), |(name, proxy)| match proxy {
                    Ok(Self { mode: ProxyMode::Tunnel { tls: true }, .. }) => {
                        Err(InvalidProxy { name, problem: UNKNOWN_SCHEME })
                    }
                    Ok(proxy) => Ok(Some(proxy)),
                    Err(problem) => Err(InvalidProxy { name, problem }),
                })
            }
            ProxyVariables::Any => {
                let values = [ALL, HTTPS, HTTP].into_iter().flatten().filter_map(&set);
                Ok(values.map(|(_, value)| Self::new(server, &uri, &value)).find_map(Result::ok))
            }
        }
    }

    fn new(server: &ServerAddress, uri: &Uri, value: &str) -> Result<Self, &'static str> {
        let scheme = value.split_once("://").map_or("http", |(scheme, _)| scheme).to_ascii_lowercase();
        let mode = match &*scheme {
            "http" if server.tls => ProxyMode::Tunnel { tls: false },
            "http" => ProxyMode::Forward,
            "https" => ProxyMode::Tunnel { tls: true },
            "socks5" => ProxyMode::Socks { remote_names: false },
            "socks5h" => ProxyMode::Socks { remote_names: true },
            _ => return Err(UNKNOWN_SCHEME),
        };
        let intercept = Matcher::builder().all(value).build().intercept(uri);
        let intercept = intercept.ok_or("it is not the URL of a proxy, like http://proxy.example:3128")?;
        Ok(Self { intercept, mode })
    }

    /// For a forwarding proxy: the prefix of each request target to a server at `authority`, and the
    /// `Proxy-Authorization`.
    #[must_use]
    pub fn forward(&self, authority: &str) -> Option<(String, Option<HeaderValue>)> {
        (self.mode == ProxyMode::Forward).then(|| (format!("http://{authority}"), self.intercept.basic_auth().cloned()))
    }

    /// Opens a connection through the proxy to `address`, `host:port`.
    pub(super) async fn connect(&self, address: &str) -> io::Result<Box<dyn ByteStream>> {
        let server: Uri = format!("http://{address}/").parse().expect("it was a URL's");
        let (proxy, mut connector) = (self.intercept.uri().clone(), HttpConnector::new());
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_keepalive(Some(KEEPALIVE));
        connector.set_keepalive_interval(Some(KEEPALIVE));
        connector.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        let stream = match self.mode {
            ProxyMode::Forward => connector.call(proxy).await.map_err(|error| self.failed(&error))?,
            ProxyMode::Tunnel { tls: false } => {
                self.tunnel(connector).call(server).await.map_err(|error| self.failed(&error))?
            }
            ProxyMode::Tunnel { tls: true } => {
                let secure = TlsToProxy::new(connector).map_err(|error| self.failed(&error))?;
                let stream = self.tunnel(secure).call(server).await.map_err(|error| self.failed(&error))?;
                return Ok(Box::new(TokioIo::into_inner(stream)));
            }
            ProxyMode::Socks { remote_names } => {
                let mut socks = SocksV5::new(proxy, connector).local_dns(!remote_names);
                if let Some((user, password)) = self.intercept.raw_auth() {
                    socks = socks.with_auth(user.into(), password.into());
                }
                socks.call(server).await.map_err(|error| self.failed(&error))?
            }
        };
        Ok(Box::new(TokioIo::into_inner(stream)))
    }

    fn tunnel<C>(&self, connector: C) -> Tunnel<C> {
        let tunnel = Tunnel::new(self.intercept.uri().clone(), connector);
        match self.intercept.basic_auth() {
            Some(shown) => tunnel.with_auth(shown.clone()),
            None => tunnel,
        }
    }

    fn failed(&self, error: &dyn StdError) -> io::Error {
        let mut message =
            format!("through the proxy {}: {error}", self.intercept.uri().authority().map_or("", |at| at.as_str()));
        let mut cause = error.source();
        while let Some(error) = cause {
            message = format!("{message}: {error}");
            cause = error.source();
        }
        io::Error::other(message)
    }
}

const UNKNOWN_SCHEME: &str = "its URL must begin with http://, socks5:// or socks5h://";

/// Connects to a proxy by TLS, with this machine's root certificates.
#[derive(Clone)]
struct TlsToProxy {
    tcp: HttpConnector,
    tls: TlsConnector,
}

impl TlsToProxy {
    fn new(tcp: HttpConnector) -> io::Result<Self> {
        let config = trust::config(trust::system_roots().0);
        let config = config.ok_or_else(|| io::Error::other("this machine has no trusted root certificates"))?;
        Ok(Self { tcp, tls: TlsConnector::from(config) })
    }
}

impl Service<Uri> for TlsToProxy {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, proxy: Uri) -> Self::Future {
        let name = proxy.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let (tcp, tls) = (self.tcp.call(proxy), self.tls.clone());
        Box::pin(async move {
            let stream = TokioIo::into_inner(tcp.await?);
            Ok(TokioIo::new(tls.connect(ServerName::try_from(name)?, stream).await?))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::transport::HttpUrl;

    fn found(url: &str, environment: &[(&str, &str)]) -> Result<Option<Proxy>, InvalidProxy> {
        found_in(url, ProxyVariables::OfScheme, environment)
    }

    fn found_in(
        url: &str,
        variables: ProxyVariables,
        environment: &[(&str, &str)],
    ) -> Result<Option<Proxy>, InvalidProxy> {
        let variable = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into());
        let server = match url.strip_prefix("unix:") {
            Some(path) => ServerAddress::unix(path.into()),
            None => HttpUrl::parse(url).expect("a URL").server,
        };
        Proxy::find(&server, variables, variable)
    }

    #[test]
    fn the_proxy_of_the_scheme_comes_before_all_proxy() {
        let all = [("HTTP_PROXY", "http://a:1"), ("https_proxy", "b:2"), ("ALL_PROXY", "socks5h://u:p@c:3")];
        for (url, environment, want) in [
            ("http://hub.example", &all[..], Some(("a:1", ProxyMode::Forward))),
            ("https://hub.example", &all[..], Some(("b:2", ProxyMode::Tunnel { tls: false }))),
            ("https://hub.example", &all[2..], Some(("c:3", ProxyMode::Socks { remote_names: true }))),
            ("https://hub.example", &all[..1], None),
            ("http://127.0.0.1:8080", &all[..], None),
            ("http://hub.localhost", &all[..], None),
            ("unix:/run/hub.sock", &all[..], None),
        ] {
            let proxy = found(url, environment).expect("valid");
            let got =
                proxy.as_ref().map(|proxy| (proxy.intercept.uri().authority().expect("one").as_str(), proxy.mode));
            assert_eq!(got, want, "{url}");
        }
    }

    #[test]
    fn an_empty_variable_is_unset() {
        for (environment, want) in [
            (&[("HTTP_PROXY", ""), ("http_proxy", "a:1")][..], true),
            (&[("http_proxy", ""), ("ALL_PROXY", ""), ("all_proxy", "a:1")], true),
            (&[("HTTP_PROXY", ""), ("ALL_PROXY", "")], false),
        ] {
            assert_eq!(found("http://hub.example", environment).expect("valid").is_some(), want, "{environment:?}");
        }
    }

    #[test]
    fn no_proxy_names_hubs_that_are_reached_without_one() {
        for (no, want) in
            [("hub.example", true), (".example,other", true), ("10.0.0.0/8", false), ("*", true), ("", false)]
        {
            let environment = [("HTTP_PROXY", "http://a:1"), ("NO_PROXY", no)];
            assert_eq!(found("http://hub.example", &environment).expect("valid").is_none(), want, "{no}");
        }
        let environment = [("HTTP_PROXY", "http://a:1"), ("REQUEST_METHOD", "GET")];
        assert!(
            found("http://hub.example", &environment).expect("valid").is_none(),
            "in a CGI script it is a header of the client"
        );
    }

    #[test]
    fn an_unsupported_proxy_is_refused_and_its_password_not_repeated() {
        let (scheme, url) = ("begin with http://, socks5:// or socks5h://", "not the URL of a proxy");
        for (value, want) in [
            ("https://me:secret@a:1", scheme),
            ("socks4://me:secret@a:1", scheme),
            ("ftp://me:secret@a", scheme),
            ("me:secret@a b", url),
            ("socks5://me:secret@a b", url),
            ("http://", url),
        ] {
            let error = found("http://hub.example", &[("http_proxy", value)]).expect_err(value);
            assert!(error.name == "http_proxy" && error.problem.contains(want), "{value}: {error:?}");
            assert!(!format!("{error:?}").contains("secret"), "{value}: {error:?}");
        }
    }

    #[test]
    fn the_first_usable_proxy_of_any_variable_is_taken_where_nobody_reads_an_error() {
        let all = [("HTTP_PROXY", "http://a:1"), ("https_proxy", "https://b:2"), ("ALL_PROXY", "ftp://c:3")];
        for (environment, want) in [
            (&all[..], Some(("b:2", ProxyMode::Tunnel { tls: true }))),
            (&all[..1], Some(("a:1", ProxyMode::Tunnel { tls: false }))),
            (&[("all_proxy", "d:4"), ("HTTPS_PROXY", "b:2")], Some(("d:4", ProxyMode::Tunnel { tls: false }))),
            (&[("HTTP_PROXY", "http://a:1"), ("NO_PROXY", "*.example")], None),
            (&[("HTTP_PROXY", "")], None),
        ] {
            let proxy = found_in("https://login.example/keys", ProxyVariables::Any, environment).expect("no error");
            let got =
                proxy.as_ref().map(|proxy| (proxy.intercept.uri().authority().expect("one").as_str(), proxy.mode));
            assert_eq!(got, want, "{environment:?}");
        }
    }

    #[tokio::test]
    async fn a_tunnel_goes_through_a_proxy_that_is_reached_by_tls() {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(own.cert.der().clone()).expect("a root");
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).expect("a key");
        let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .expect("they fit");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let serving = tokio::spawn(async move {
            let (socket, _) = listener.accept().await.expect("a client");
            let mut stream = TlsAcceptor::from(Arc::new(server)).accept(socket).await.expect("a handshake");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("a request"));
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("it reads");
            // The end of the head must arrive by itself: in a tunnel the client speaks first.
            stream.read_u8().await.expect("the client's first byte");
            stream.write_all(b"hi").await.expect("it reads");
            (String::from_utf8(head).expect("ASCII"), stream)
        });
        let variables = [("HTTPS_PROXY".to_owned(), format!("https://me:secret@localhost:{port}"))];
        let environment: Vec<_> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
        let proxy = found_in("https://login.example/keys", ProxyVariables::Any, &environment);
        let proxy = proxy.expect("valid").expect("named");
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        let secure = TlsToProxy { tcp, tls: TlsConnector::from(trust::config(roots).expect("a root")) };
        let tunnel = proxy.tunnel(secure).call("http://login.example:443/".parse().expect("a URI")).await;
        let mut tunnel = TokioIo::into_inner(tunnel.expect("a tunnel"));
        tunnel.write_all(b"?").await.expect("the other end reads");
        let mut greeting = [0; 2];
        let read = tokio::time::timeout(std::time::Duration::from_secs(20), tunnel.read_exact(&mut greeting));
        read.await.expect("in time").expect("the other end");
        assert_eq!(&greeting, b"hi");
        let (head, _) = serving.await.expect("it served");
        assert!(head.starts_with("CONNECT login.example:443 HTTP/1.1\r\n"), "{head}");
        assert!(head.to_lowercase().contains("\r\nproxy-authorization: basic "), "{head}");
    }
}
