//! The address of a server, from an `http` or `https` URL.

use std::{net::IpAddr, path::PathBuf};

use hyper::Uri;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    /// Whether it is reached by TLS.
    pub tls: bool,
    /// A host name, or an IP address without brackets.
    pub host: String,
    /// `host:port`.
    pub address: String,
    /// The authority as in the URL.
    pub authority: String,
    /// The path of a Unix socket, used instead of `address`.
    pub socket: Option<PathBuf>,
}

/// A URL without user info, taken apart. A fragment is dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    /// The server.
    pub server: ServerAddress,
    /// The path.
    pub path: String,
    /// The query.
    pub query: Option<String>,
}

/// Why a text is no [`HttpUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidUrl {
    /// It is no URI at all.
    Syntax,
    /// It has no scheme.
    NoScheme,
    /// Its scheme is neither http nor https.
    OtherScheme,
    /// It has no host.
    NoHost,
    /// It has a user name, which would not be sent.
    UserInfo,
}

impl HttpUrl {
    /// Parses a URL.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let uri: Uri = text.parse().map_err(|_| InvalidUrl::Syntax)?;
        let (tls, port) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            Some(_) => return Err(InvalidUrl::OtherScheme),
            None => return Err(InvalidUrl::NoScheme),
        };
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or(InvalidUrl::NoHost)?;
        if authority.as_str().contains('@') {
            return Err(InvalidUrl::UserInfo);
        }
        let server = ServerAddress {
            tls,
            host: authority.host().trim_matches(['[', ']']).into(),
            address: format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(port)),
            authority: authority.as_str().into(),
            socket: None,
        };
        Ok(Self { server, path: uri.path().into(), query: uri.query().map(Into::into) })
    }

    /// The path and the query, as a request names them.
    #[must_use]
    pub fn target(&self) -> String {
        self.query.as_ref().map_or_else(|| self.path.clone(), |query| format!("{}?{query}", self.path))
    }
}

impl ServerAddress {
    /// A server on a Unix socket. Its host is `localhost`, which a hub accepts as its own name.
    #[must_use]
    pub fn unix(socket: PathBuf) -> Self {
        Self {
            tls: false,
            host: "localhost".into(),
            address: socket.display().to_string(),
            authority: "localhost".into(),
            socket: Some(socket),
        }
    }

    /// Whether others could read what is sent: the connection is unencrypted and may leave this machine.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        !self.tls && !self.is_local()
    }

    /// Whether it is on this machine: a loopback address, or a name of RFC 6761, 6.3.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let name = self.host.trim_end_matches('.').to_ascii_lowercase();
        match name.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => name == "localhost" || name.ends_with(".localhost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_what_is_wrong_with_one_is_named() {
        let url = HttpUrl::parse("https://[::1]:9/a/b?c=d#e").expect("a URL");
        let ServerAddress { tls, host, address, authority, .. } = &url.server;
        assert_eq!((*tls, &**host, &**address, &**authority), (true, "::1", "[::1]:9", "[::1]:9"));
        assert_eq!(url.target(), "/a/b?c=d");
        for (text, want) in [
            ("", InvalidUrl::Syntax),
            ("http://a b", InvalidUrl::Syntax),
            ("/keys", InvalidUrl::NoScheme),
            ("localhost:8080", InvalidUrl::NoScheme),
            ("ftp://a/", InvalidUrl::OtherScheme),
            ("https://me:secret@a/", InvalidUrl::UserInfo),
        ] {
            assert_eq!(HttpUrl::parse(text), Err(want), "{text}");
        }
    }
}
