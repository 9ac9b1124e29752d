//! The proxy to a hub, from `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`.
//!
//! `https://` uses a tunnel, so the proxy cannot read the requests. `http://` sends an HTTP proxy the absolute URL, as
//! curl does, because many proxies allow tunnels only to port 443.

use std::{error::Error as StdError, io};

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
use tokio::net::TcpStream;
use tower_service::Service;

use super::address::HubAddress;
use crate::cli::CliError;

/// A proxy.
#[derive(Debug)]
pub(in crate::cli) struct Proxy {
    intercept: Intercept,
    mode: ProxyMode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProxyMode {
    /// Requests are sent to the proxy, each with its absolute URL.
    Forward,
    /// A tunnel to the hub (`CONNECT`).
    Tunnel,
    /// A SOCKS 5 connection. `remote_names`: the proxy resolves the hub's name.
    Socks { remote_names: bool },
}

/// The variables of each scheme; the first that is set counts.
const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];
const NO: [&str; 2] = ["NO_PROXY", "no_proxy"];

impl Proxy {
    /// The proxy for `hub_address` from the environment. `None` for a hub on this machine.
    pub(super) fn from_environment(hub_address: &HubAddress) -> Result<Option<Self>, CliError> {
        Self::find(hub_address, |name| std::env::var(name).ok())
    }

    fn find(hub_address: &HubAddress, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, CliError> {
        // In a CGI script HTTP_PROXY comes from the client's header `Proxy`.
        let cgi = variable("REQUEST_METHOD").is_some();
        if hub_address.is_local() || cgi {
            return Ok(None);
        }
        // An empty variable counts as unset.
        let set = |name: &'static str| variable(name).filter(|value| !value.is_empty()).map(|value| (name, value));
        let first = |names: [&'static str; 2]| names.into_iter().find_map(&set);
        let Some((name, value)) = first(if hub_address.tls { HTTPS } else { HTTP }).or_else(|| first(ALL)) else {
            return Ok(None);
        };
        let no = first(NO).map(|(_, value)| value).unwrap_or_default();
        let hub: Uri = format!("http://{}/", hub_address.address).parse().expect("it was a URL's");
        if Matcher::builder().all("http://proxy").no(no).build().intercept(&hub).is_none() {
            return Ok(None);
        }
        // The message leaves out the value, which may contain a password.
        let wrong = |problem| CliError::Proxy { name, problem };
        let scheme = value.split_once("://").map_or("http", |(scheme, _)| scheme).to_ascii_lowercase();
        let mode = match &*scheme {
            "http" if hub_address.tls => ProxyMode::Tunnel,
            "http" => ProxyMode::Forward,
            "socks5" => ProxyMode::Socks { remote_names: false },
            "socks5h" => ProxyMode::Socks { remote_names: true },
            _ => return Err(wrong("its URL must begin with http://, socks5:// or socks5h://")),
        };
        let intercept = Matcher::builder().all(value).build().intercept(&hub);
        let intercept =
            intercept.ok_or_else(|| wrong("it is not the URL of a proxy, like http://proxy.example:3128"))?;
        Ok(Some(Self { intercept, mode }))
    }

    /// For a forwarding proxy: the prefix of each request target to a hub at `authority`, and the
    /// `Proxy-Authorization`.
    pub(super) fn forward_prefix(&self, authority: &str) -> Option<(String, Option<HeaderValue>)> {
        (self.mode == ProxyMode::Forward).then(|| (format!("http://{authority}"), self.intercept.basic_auth().cloned()))
    }

    /// Opens a connection through the proxy to `address`, `host:port`.
    pub(super) async fn connect(&self, address: &str) -> io::Result<TcpStream> {
        let hub: Uri = format!("http://{address}/").parse().expect("it was a URL's");
        let (proxy, mut connector) = (self.intercept.uri().clone(), HttpConnector::new());
        connector.enforce_http(false);
        let stream = match self.mode {
            ProxyMode::Forward => connector.call(proxy).await.map_err(|error| self.failed(&error))?,
            ProxyMode::Tunnel => {
                let mut tunnel = Tunnel::new(proxy, connector);
                if let Some(shown) = self.intercept.basic_auth() {
                    tunnel = tunnel.with_auth(shown.clone());
                }
                tunnel.call(hub).await.map_err(|error| self.failed(&error))?
            }
            ProxyMode::Socks { remote_names } => {
                let mut socks = SocksV5::new(proxy, connector).local_dns(!remote_names);
                if let Some((user, password)) = self.intercept.raw_auth() {
                    socks = socks.with_auth(user.into(), password.into());
                }
                socks.call(hub).await.map_err(|error| self.failed(&error))?
            }
        };
        Ok(TokioIo::into_inner(stream))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn found(url: &str, environment: &[(&str, &str)]) -> Result<Option<Proxy>, CliError> {
        let variable = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into());
        Proxy::find(&HubAddress::parse(url).expect("a URL"), variable)
    }

    #[test]
    fn the_proxy_of_the_scheme_comes_before_all_proxy() {
        let all = [("HTTP_PROXY", "http://a:1"), ("https_proxy", "b:2"), ("ALL_PROXY", "socks5h://u:p@c:3")];
        for (url, environment, want) in [
            ("http://hub.example", &all[..], Some(("a:1", ProxyMode::Forward))),
            ("https://hub.example", &all[..], Some(("b:2", ProxyMode::Tunnel))),
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
            let message = found("http://hub.example", &[("http_proxy", value)]).expect_err(value).to_string();
            assert!(
                message.contains("http_proxy") && message.contains(want) && !message.contains("secret"),
                "{value}: {message}"
            );
        }
    }
}
