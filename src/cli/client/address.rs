//! Parses the URL of a hub.

use std::{net::IpAddr, path::PathBuf};

use hyper::Uri;

use crate::cli::CliError;

/// The address of a hub.
#[derive(Debug)]
pub(super) struct HubAddress {
    pub(super) tls: bool,
    /// A host name, or an IP address without brackets.
    pub(super) host: String,
    /// `host:port`.
    pub(super) address: String,
    /// The authority as in the URL.
    pub(super) authority: String,
    /// The URL's path.
    pub(super) base: String,
    /// The path of a Unix socket, for a `unix:` URL.
    pub(super) socket: Option<PathBuf>,
}

impl HubAddress {
    /// Parses `url`.
    pub(super) fn parse(url: &str) -> Result<Self, CliError> {
        let wrong = |problem| CliError::Url { url: without_secrets(url), problem };
        if let Some(path) = url.strip_prefix("unix:") {
            return Self::unix_socket(path)
                .ok_or_else(|| wrong("give the absolute path of the socket, as in unix:/run/gapless.sock"));
        }
        let uri: Uri = url.parse().map_err(|_| wrong("write it like http://127.0.0.1:8080"))?;
        let (tls, port) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err(wrong("it must start with http://, https:// or unix:/, as in http://127.0.0.1:8080")),
        };
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or_else(|| wrong("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("remove the credentials; give a token with --token-file or GAPLESS_TOKEN"));
        }
        if uri.query().is_some() {
            return Err(wrong("remove the query; give a token with --token-file or GAPLESS_TOKEN"));
        }
        Ok(Self {
            tls,
            host: authority.host().trim_matches(['[', ']']).into(),
            address: format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(port)),
            authority: authority.as_str().into(),
            base: uri.path().into(),
            socket: None,
        })
    }

    /// A Unix socket; `None` when the path is not absolute. The host is `localhost`, which a hub accepts as its own
    /// name.
    fn unix_socket(path: &str) -> Option<Self> {
        let socket = PathBuf::from(path);
        socket.is_absolute().then(|| Self {
            tls: false,
            host: "localhost".into(),
            address: path.into(),
            authority: "localhost".into(),
            base: "/".into(),
            socket: Some(socket),
        })
    }

    /// Whether others could read what is sent: the connection is unencrypted and may leave this machine.
    pub(super) fn is_exposed(&self) -> bool {
        !self.tls && !self.is_local()
    }

    /// Whether it is on this machine: a loopback address, or a name of RFC 6761, 6.3.
    pub(super) fn is_local(&self) -> bool {
        let name = self.host.trim_end_matches('.').to_ascii_lowercase();
        match name.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => name == "localhost" || name.ends_with(".localhost"),
        }
    }
}

/// `url` for a message: without query, fragment and user info, which may contain secrets.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (&url[..scheme.len() + 3], rest));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_an_address_and_a_base_path() {
        for (url, tls, host, address, base) in [
            ("http://127.0.0.1:8080", false, "127.0.0.1", "127.0.0.1:8080", "/"),
            ("http://hub.example/", false, "hub.example", "hub.example:80", "/"),
            ("https://hub.example", true, "hub.example", "hub.example:443", "/"),
            ("https://[::1]:9/live/", true, "::1", "[::1]:9", "/live/"),
        ] {
            let hub_address = HubAddress::parse(url).expect(url);
            let found = (hub_address.tls, &*hub_address.host, &*hub_address.address, &*hub_address.base);
            assert_eq!(found, (tls, host, address, base), "{url}");
        }
    }

    #[test]
    fn a_unix_socket_is_local() {
        let hub_address = HubAddress::parse("unix:/run/gapless.sock").expect("a path");
        assert_eq!((hub_address.socket, &*hub_address.authority), (Some("/run/gapless.sock".into()), "localhost"));
        for url in ["unix:", "unix:gapless.sock", "unix:./gapless.sock"] {
            assert!(HubAddress::parse(url).expect_err(url).to_string().contains("unix:/run/gapless.sock"), "{url}");
        }
    }

    #[test]
    fn an_invalid_url_is_refused_with_what_to_write() {
        for (url, want) in [
            ("ftp://hub.example", "must start with http://, https:// or unix:/"),
            ("localhost:8080", "must start with http://"),
            ("hub.example", "must start with http://"),
            ("", "write it like"),
            ("http://a b", "write it like"),
            ("http://user:pass@hub", "credentials"),
            ("http://hub/?x=1", "query"),
        ] {
            let message = HubAddress::parse(url).expect_err(url).to_string();
            assert!(message.contains(want), "{url}: {message}");
        }
    }

    #[test]
    fn a_secret_in_a_url_is_not_repeated() {
        for url in [
            "https://hub/?access_token=secret",
            "https://me:secret@hub",
            "https://me:se@secret@hub",
            "ftp://secret@hub",
            "secret@hub/ x",
        ] {
            let message = HubAddress::parse(url).expect_err(url).to_string();
            assert!(!message.contains("secret") && message.contains("hub"), "{message}");
        }
    }
}
