//! The text forms of NATS servers, names in subjects, and monitoring ports.

use super::kinds::{ValueKind, problem};
use crate::client::{HttpUrl, InvalidUrl};

/// The URL of a NATS server: `nats://host:4222`, or `tls://host:4222`, which requires TLS.
#[derive(Debug)]
pub struct NatsServer;
/// A name of 1 to 64 letters, digits, `_` and `-`, which is one token of a subject.
#[derive(Debug)]
pub struct SubjectToken;
/// A [`SubjectToken`] of at most [`MAX_HUB_NAME`] characters, or `auto`: the host's name.
#[derive(Debug)]
pub struct HubName;
/// The URL of a NATS server's monitoring port, without a path.
#[derive(Debug)]
pub struct MonitorUrl;

/// Longest name of a hub, in bytes. The engine adds a random part to it.
pub const MAX_HUB_NAME: usize = 40;

impl ValueKind for NatsServer {
    type Value = String;
    const METAVAR: &'static str = "URLS";

    fn parse(text: &str) -> Result<String, Vec<String>> {
        let split = text.split_once("://").filter(|(scheme, _)| ["nats", "tls"].contains(scheme));
        let Some((scheme, rest)) = split else {
            return problem("is not the URL of a NATS server; write it like nats://10.0.0.1:4222, or tls://…");
        };
        // HTTP's rules of an authority are those of NATS.
        match HttpUrl::parse(&format!("http://{rest}")) {
            Err(InvalidUrl::UserInfo) => {
                problem("has a user name or a secret; these do not stand in a URL, see nats.user and nats.token_file")
            }
            Ok(url) if is_bare(&url, text) => {
                let authority = url.server.authority;
                let port = if url.server.address.len() == authority.len() { "" } else { ":4222" };
                Ok(format!("{scheme}://{authority}{port}"))
            }
            _ => problem(
                "is not the URL of a NATS server: it has a scheme, a host and a port, as in nats://10.0.0.1:4222",
            ),
        }
    }
}

impl ValueKind for SubjectToken {
    type Value = String;
    const METAVAR: &'static str = "NAME";

    fn parse(text: &str) -> Result<String, Vec<String>> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !(1..=64).contains(&text.len()) || !text.bytes().all(plain) {
            return problem("is not a name of 1 to 64 letters, digits, '_' and '-'");
        }
        Ok(text.into())
    }
}

impl ValueKind for HubName {
    type Value = Option<String>;
    const METAVAR: &'static str = "NAME";

    fn parse(text: &str) -> Result<Option<String>, Vec<String>> {
        match text {
            "auto" => Ok(None),
            _ if text.len() > MAX_HUB_NAME => problem("is longer than 40 characters"),
            _ => SubjectToken::parse(text).map(Some),
        }
    }
}

impl ValueKind for MonitorUrl {
    type Value = HttpUrl;
    const METAVAR: &'static str = "URLS";

    fn parse(text: &str) -> Result<HttpUrl, Vec<String>> {
        match HttpUrl::parse(text) {
            Ok(url) if is_bare(&url, text) => Ok(url),
            Err(InvalidUrl::UserInfo) => problem("has a user name; a monitoring port takes none"),
            _ => problem("is not the URL of a monitoring port; write it like http://10.0.0.1:8222"),
        }
    }
}

/// Whether `url`, written as `text`, has nothing but a host and perhaps a port.
fn is_bare(url: &HttpUrl, text: &str) -> bool {
    let authority = &url.server.authority;
    let port = authority.rsplit_once(':').filter(|_| !authority.ends_with(']'));
    let sound = port.is_none_or(|(_, port)| port.parse::<u16>().is_ok());
    sound && url.query.is_none() && ["", "/"].contains(&&*url.path) && !text.contains('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_url_with_a_port_and_without_a_secret() {
        for (text, want) in [
            ("nats://a", "nats://a:4222"),
            ("nats://a:4333/", "nats://a:4333"),
            ("tls://nats.example", "tls://nats.example:4222"),
            ("nats://[::1]", "nats://[::1]:4222"),
        ] {
            assert_eq!(NatsServer::parse(text), Ok(want.to_owned()), "{text}");
        }
        for text in [
            "",
            "a:4222",
            "http://a:4222",
            "nats://",
            "nats://a/b",
            "nats://a?x",
            "nats://a b",
            "nats://a:x",
            "nats://a:",
        ] {
            assert!(NatsServer::parse(text).is_err(), "{text}");
        }
        let problems = NatsServer::parse("nats://ann:hunter2@a").expect_err("a secret");
        assert!(problems[0].contains("do not stand in a URL") && !problems[0].contains("hunter2"), "{problems:?}");
    }

    #[test]
    fn a_name_is_one_token_of_a_subject() {
        for text in ["GAPLESS", "a-b_1"] {
            assert!(SubjectToken::parse(text).is_ok(), "{text}");
        }
        for text in ["", "a.b", "a*", "a>", "a b", "ä", &"x".repeat(65)] {
            assert!(SubjectToken::parse(text).is_err(), "{text}");
        }
        assert_eq!(HubName::parse("auto"), Ok(None));
        assert!(MonitorUrl::parse("http://a:8222").is_ok() && MonitorUrl::parse("http://a:8222/varz").is_err());
    }
}
