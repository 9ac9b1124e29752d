//! Parses the URL of a hub.

use std::path::PathBuf;

use crate::{
    ClientError,
    transport::{HttpUrl, InvalidUrl, ServerAddress},
};

/// The address of a hub.
#[derive(Debug)]
pub struct HubAddress {
    /// Where it listens.
    pub server: ServerAddress,
    /// The URL's path.
    pub base: String,
}

impl HubAddress {
    /// Parses `url`: `http://`, `https://`, or `unix:/` and the path of its socket.
    ///
    /// # Errors
    /// [`ClientError::Url`], without what may be secret in `url`.
    pub fn parse(url: &str) -> Result<Self, ClientError> {
        let wrong = |problem| ClientError::Url { url: without_secrets(url), problem };
        if let Some(path) = url.strip_prefix("unix:") {
            let socket = Some(PathBuf::from(path)).filter(|path| path.is_absolute());
            let socket =
                socket.ok_or_else(|| wrong("give the absolute path of the socket, as in unix:/run/gapless.sock"))?;
            return Ok(Self { server: ServerAddress::unix(socket), base: "/".into() });
        }
        let url = HttpUrl::parse(url).map_err(|invalid| {
            wrong(match invalid {
                InvalidUrl::Syntax => "write it like http://127.0.0.1:8080",
                InvalidUrl::NoScheme | InvalidUrl::OtherScheme => {
                    "it must start with http://, https:// or unix:/, as in http://127.0.0.1:8080"
                }
                InvalidUrl::NoHost => "it has no host",
                InvalidUrl::UserInfo => "remove the credentials; give them as the token",
            })
        })?;
        if url.query.is_some() {
            return Err(wrong("remove the query; give a credential as the token"));
        }
        Ok(Self { server: url.server, base: url.path })
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
            let HubAddress { server, base: found_base } = HubAddress::parse(url).expect(url);
            let found = (server.tls, &*server.host, &*server.address, &*found_base);
            assert_eq!(found, (tls, host, address, base), "{url}");
        }
    }

    #[test]
    fn a_unix_socket_is_local() {
        let server = HubAddress::parse("unix:/run/gapless.sock").expect("a path").server;
        assert_eq!((server.socket, &*server.authority), (Some("/run/gapless.sock".into()), "localhost"));
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
