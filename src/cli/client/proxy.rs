//! A proxy between this machine and the hub, as `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name it.
//!
//! `https://` goes through a tunnel, so the proxy reads nothing. `http://` is asked of an HTTP proxy by its whole URL, as
//! curl does, because many proxies tunnel to port 443 only.

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

use super::place::HubAddress;
use crate::cli::CliError;

/// One that stands between.
#[derive(Debug)]
pub(in crate::cli) struct Proxy {
    found: Intercept,
    way: ProxyMode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProxyMode {
    /// It is given requests for the hub, each with its whole URL.
    Forward,
    /// It is asked for a connection to the hub, `CONNECT`.
    Tunnel,
    /// The same in SOCKS 5; whether it looks the name up.
    Socks { remote_names: bool },
}

/// The variables for a scheme, the first that is there.
const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];
const NO: [&str; 2] = ["NO_PROXY", "no_proxy"];

impl Proxy {
    /// The one on the way to `place`, as the environment has it. A hub on this machine is behind none.
    pub(super) fn of(place: &HubAddress) -> Result<Option<Self>, CliError> {
        Self::find(place, |name| std::env::var(name).ok())
    }

    fn find(place: &HubAddress, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, CliError> {
        // HTTP_PROXY of a CGI script is a header that its client chose.
        let cgi = variable("REQUEST_METHOD").is_some();
        if place.is_here() || cgi {
            return Ok(None);
        }
        // An empty variable counts as none.
        let set = |name: &'static str| variable(name).filter(|value| !value.is_empty()).map(|value| (name, value));
        let first = |names: [&'static str; 2]| names.into_iter().find_map(&set);
        let Some((name, value)) = first(if place.tls { HTTPS } else { HTTP }).or_else(|| first(ALL)) else {
            return Ok(None);
        };
        let no = first(NO).map(|(_, value)| value).unwrap_or_default();
        let hub: Uri = format!("http://{}/", place.address).parse().expect("it was a URL's");
        if Matcher::builder().all("http://proxy").no(no).build().intercept(&hub).is_none() {
            return Ok(None);
        }
        // Its value may hold a password.
        let wrong = |problem| CliError::Proxy { name, problem };
        let scheme = value.split_once("://").map_or("http", |(scheme, _)| scheme).to_ascii_lowercase();
        let way = match &*scheme {
            "http" if place.tls => ProxyMode::Tunnel,
            "http" => ProxyMode::Forward,
            "socks5" => ProxyMode::Socks { remote_names: false },
            "socks5h" => ProxyMode::Socks { remote_names: true },
            _ => return Err(wrong("its URL must begin with http://, socks5:// or socks5h://")),
        };
        let found = Matcher::builder().all(value).build().intercept(&hub);
        let found = found.ok_or_else(|| wrong("it is no URL of a proxy, as in http://proxy.example:3128"))?;
        Ok(Some(Self { found, way }))
    }

    /// What each request to an HTTP hub at `authority` begins with, and what the proxy is shown; nothing when it reads none.
    pub(super) fn forwards(&self, authority: &str) -> Option<(String, Option<HeaderValue>)> {
        (self.way == ProxyMode::Forward).then(|| (format!("http://{authority}"), self.found.basic_auth().cloned()))
    }

    /// A connection that leads to `address`, `host:port`.
    pub(super) async fn connect(&self, address: &str) -> io::Result<TcpStream> {
        let hub: Uri = format!("http://{address}/").parse().expect("it was a URL's");
        let (proxy, mut connector) = (self.found.uri().clone(), HttpConnector::new());
        connector.enforce_http(false);
        let stream = match self.way {
            ProxyMode::Forward => connector.call(proxy).await.map_err(|error| self.failed(&error))?,
            ProxyMode::Tunnel => {
                let mut tunnel = Tunnel::new(proxy, connector);
                if let Some(shown) = self.found.basic_auth() {
                    tunnel = tunnel.with_auth(shown.clone());
                }
                tunnel.call(hub).await.map_err(|error| self.failed(&error))?
            }
            ProxyMode::Socks { remote_names } => {
                let mut socks = SocksV5::new(proxy, connector).local_dns(!remote_names);
                if let Some((user, password)) = self.found.raw_auth() {
                    socks = socks.with_auth(user.into(), password.into());
                }
                socks.call(hub).await.map_err(|error| self.failed(&error))?
            }
        };
        Ok(TokioIo::into_inner(stream))
    }

    fn failed(&self, error: &dyn StdError) -> io::Error {
        let mut words = format!("by the proxy {}: {error}", self.found.uri().authority().map_or("", |at| at.as_str()));
        let mut cause = error.source();
        while let Some(error) = cause {
            words = format!("{words}: {error}");
            cause = error.source();
        }
        io::Error::other(words)
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
    fn the_proxy_of_the_urls_scheme_counts_and_one_for_all_after_it() {
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
            let got = proxy.as_ref().map(|proxy| (proxy.found.uri().authority().expect("one").as_str(), proxy.way));
            assert_eq!(got, want, "{url}");
        }
    }

    #[test]
    fn an_empty_variable_is_none() {
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
            "a header of a CGI script's client"
        );
    }

    #[test]
    fn a_proxy_that_is_not_understood_is_refused_and_its_password_not_repeated() {
        let (scheme, url) = ("begin with http://, socks5:// or socks5h://", "no URL of a proxy");
        for (value, want) in [
            ("https://me:secret@a:1", scheme),
            ("socks4://me:secret@a:1", scheme),
            ("ftp://me:secret@a", scheme),
            ("me:secret@a b", url),
            ("socks5://me:secret@a b", url),
            ("http://", url),
        ] {
            let told = found("http://hub.example", &[("http_proxy", value)]).expect_err(value).to_string();
            assert!(told.contains("http_proxy") && told.contains(want) && !told.contains("secret"), "{value}: {told}");
        }
    }
}
