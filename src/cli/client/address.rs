//! A URL as something to connect to.

use std::{net::IpAddr, path::PathBuf};

use hyper::Uri;

use crate::cli::CliError;

/// Where a hub is.
#[derive(Debug)]
pub(super) struct HubAddress {
    pub(super) tls: bool,
    /// A name or an address, the latter without brackets.
    pub(super) host: String,
    /// `host:port`.
    pub(super) address: String,
    /// As the URL has it.
    pub(super) authority: String,
    /// The URL's path.
    pub(super) base: String,
    /// The socket in the file system, for a hub that listens on one.
    pub(super) socket: Option<PathBuf>,
}

impl HubAddress {
    /// Reads `url`.
    pub(super) fn parse(url: &str) -> Result<Self, CliError> {
        let wrong = |problem| CliError::Url { url: without_secrets(url), problem };
        if let Some(path) = url.strip_prefix("unix:") {
            return Self::at(path)
                .ok_or_else(|| wrong("name the socket by its whole path, as in unix:/run/gapless.sock"));
        }
        let uri: Uri = url.parse().map_err(|_| wrong("write it like http://127.0.0.1:8080"))?;
        let (tls, port) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err(wrong("it starts with http://, https:// or unix:/, as in http://127.0.0.1:8080")),
        };
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("leave the credentials out; a token goes with --token-file or GAPLESS_TOKEN"));
        }
        if uri.query().is_some() {
            return Err(wrong("leave the query out; a token goes with --token-file or GAPLESS_TOKEN"));
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

    /// A socket in the file system, `None` when that is no whole path. Nobody else is on the way, and a hub takes this machine's
    /// name for its own.
    fn at(path: &str) -> Option<Self> {
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

    /// Whether others may read what goes there: it is not encrypted and leaves this machine, or may. The names are those
    /// that never leave it (RFC 6761, 6.3).
    pub(super) fn shows_all(&self) -> bool {
        !self.tls && !self.is_here()
    }

    /// Whether it is on this machine.
    pub(super) fn is_here(&self) -> bool {
        let name = self.host.trim_end_matches('.').to_ascii_lowercase();
        match name.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => name == "localhost" || name.ends_with(".localhost"),
        }
    }
}

/// `url` for a message: without what may be a secret in it.
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
    fn a_url_says_where_to_connect_and_below_which_path() {
        for (url, tls, host, address, base) in [
            ("http://127.0.0.1:8080", false, "127.0.0.1", "127.0.0.1:8080", "/"),
            ("http://hub.example/", false, "hub.example", "hub.example:80", "/"),
            ("https://hub.example", true, "hub.example", "hub.example:443", "/"),
            ("https://[::1]:9/live/", true, "::1", "[::1]:9", "/live/"),
        ] {
            let place = HubAddress::parse(url).expect(url);
            let found = (place.tls, &*place.host, &*place.address, &*place.base);
            assert_eq!(found, (tls, host, address, base), "{url}");
        }
    }

    #[test]
    fn a_socket_in_the_file_system_is_a_place_on_this_machine() {
        let place = HubAddress::parse("unix:/run/gapless.sock").expect("a path");
        assert_eq!((place.socket, &*place.authority), (Some("/run/gapless.sock".into()), "localhost"));
        for url in ["unix:", "unix:gapless.sock", "unix:./gapless.sock"] {
            assert!(HubAddress::parse(url).expect_err(url).to_string().contains("unix:/run/gapless.sock"), "{url}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_hub_is_told_what_to_write() {
        for (url, want) in [
            ("ftp://hub.example", "starts with http://, https:// or unix:/"),
            ("localhost:8080", "starts with http://"),
            ("hub.example", "starts with http://"),
            ("", "write it like"),
            ("http://a b", "write it like"),
            ("http://user:pass@hub", "credentials"),
            ("http://hub/?x=1", "query"),
        ] {
            let told = HubAddress::parse(url).expect_err(url).to_string();
            assert!(told.contains(want), "{url}: {told}");
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
            let told = HubAddress::parse(url).expect_err(url).to_string();
            assert!(!told.contains("secret") && told.contains("hub"), "{told}");
        }
    }
}
