//! The text forms of origins, domains, networks, and names of headers and cookies.

use std::net::IpAddr;

use super::kinds::{ValueKind, problem};

/// A network, as `10.0.0.0/8`, or one address.
#[derive(Debug)]
pub struct Network;
/// An origin as browsers send it, `https://app.example` or `null`, with `*` as the whole, as the host's first label, or
/// as the port.
#[derive(Debug)]
pub struct AllowedOrigin;
/// A domain name.
#[derive(Debug)]
pub struct Domain;
/// A contact of an ACME account: a mailto URL.
#[derive(Debug)]
pub struct Contact;
/// The directory of an ACME service: a URL, or the name of a known service.
#[derive(Debug)]
pub struct AcmeDirectory;
/// An HTTP token (RFC 9110), such as the name of a cookie.
#[derive(Debug)]
pub struct Token;

/// The header in which a proxy sends its client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarded {
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded`, RFC 7239.
    Forwarded,
}

impl ValueKind for Network {
    type Value = ipnet::IpNet;
    const METAVAR: &'static str = "NETWORK";

    fn parse(text: &str) -> Result<ipnet::IpNet, Vec<String>> {
        let one = || text.parse::<IpAddr>().map(ipnet::IpNet::from);
        text.parse().or_else(|_| one()).or_else(|_| problem("is not a network; write it like 10.0.0.0/8 or 127.0.0.1"))
    }
}

const NOT_AN_ORIGIN: &str = "is not an origin; write it like https://app.example, https://*.example, http://localhost:*, null or *, in lower \
                         case, with no path";

impl ValueKind for AllowedOrigin {
    type Value = String;
    const METAVAR: &'static str = "ORIGIN";

    fn parse(text: &str) -> Result<String, Vec<String>> {
        if text == "*" || text == "null" {
            return Ok(text.into());
        }
        // Apps and browser extensions have their own schemes: capacitor://localhost, chrome-extension://…
        let scheme = |text: &str| {
            let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
            text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(rest)
        };
        let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._:[]".contains(c);
        match text.split_once("://").filter(|(name, _)| scheme(name)) {
            Some((_, host)) => {
                let host = host.strip_prefix("*.").unwrap_or(host);
                let host = host.strip_suffix(":*").unwrap_or(host);
                if !host.is_empty() && host.chars().all(label) { Ok(text.into()) } else { problem(NOT_AN_ORIGIN) }
            }
            None => problem(NOT_AN_ORIGIN),
        }
    }
}

impl ValueKind for Domain {
    type Value = String;
    const METAVAR: &'static str = "DOMAIN";

    fn parse(text: &str) -> Result<String, Vec<String>> {
        let label = |label: &str| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        // An IP address is not a domain name; certificates for addresses are not ordered.
        if text.len() <= 253 && text.split('.').all(label) && text.parse::<IpAddr>().is_err() {
            return Ok(text.into());
        }
        problem("is not a domain; write it like hub.example, in lower case")
    }
}

impl ValueKind for Contact {
    type Value = String;
    const METAVAR: &'static str = "URL";

    fn parse(text: &str) -> Result<String, Vec<String>> {
        let address = text.strip_prefix("mailto:").and_then(|address| address.split_once('@'));
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic());
        if address.is_some_and(|(who, at)| plain(who) && plain(at)) {
            return Ok(text.into());
        }
        problem("is not a contact; write it like mailto:ops@hub.example")
    }
}

impl ValueKind for AcmeDirectory {
    type Value = String;
    const METAVAR: &'static str = "URL";

    fn parse(text: &str) -> Result<String, Vec<String>> {
        let host = text.strip_prefix("https://").filter(|rest| !rest.is_empty() && !rest.starts_with('/'));
        if host.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_graphic()))
            || ["letsencrypt", "letsencrypt-staging"].contains(&text)
        {
            return Ok(text.into());
        }
        problem("is not an ACME directory; write its URL with https://, or letsencrypt, or letsencrypt-staging")
    }
}

impl ValueKind for Token {
    type Value = String;
    const METAVAR: &'static str = "NAME";

    fn parse(text: &str) -> Result<String, Vec<String>> {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if !text.is_empty() && text.bytes().all(token) {
            Ok(text.into())
        } else {
            problem("is not a name of letters, digits and -._~ without white space")
        }
    }
}

impl ValueKind for Forwarded {
    type Value = Self;
    const METAVAR: &'static str = "HEADER";

    fn parse(text: &str) -> Result<Self, Vec<String>> {
        match text {
            "x-forwarded-for" => Ok(Self::XForwardedFor),
            "forwarded" => Ok(Self::Forwarded),
            _ => problem("is not a supported header; choose x-forwarded-for or forwarded"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_as_browsers_send_them() {
        for text in [
            "*",
            "null",
            "https://app.example",
            "http://localhost:3000",
            "http://localhost:*",
            "https://*.example",
            "https://*.example:*",
            "http://[::1]:80",
            "capacitor://localhost",
            "tauri://localhost",
            "chrome-extension://abcdefghijklmnop",
        ] {
            assert!(AllowedOrigin::parse(text).is_ok(), "{text}");
        }
        for text in [
            "app.example",
            "https://",
            "https://*",
            "https://:*",
            "https://app.example/",
            "https://App.example",
            "https://a.*.b",
            "https://a:8*",
            "://a",
            "1a://b",
            "NULL",
            "",
        ] {
            assert!(AllowedOrigin::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn acme_settings_that_every_authority_refuses_are_mistakes() {
        for text in ["hub.example", "localhost", "xn--hb-fka.example", "4.example"] {
            assert!(Domain::parse(text).is_ok(), "{text}");
        }
        for text in ["10.0.0.1", "*.example", "hub_1.example", "Hub.example", "hub..example", ""] {
            assert!(Domain::parse(text).is_err(), "{text}");
        }
        assert!(Contact::parse("mailto:ops@hub.example").is_ok());
        for text in ["ops@hub.example", "mailto:ops", "mailto:@hub.example", "mailto:ops@hub example", ""] {
            assert!(Contact::parse(text).is_err(), "{text}");
        }
        for text in ["letsencrypt", "letsencrypt-staging", "https://localhost:14000/dir"] {
            assert!(AcmeDirectory::parse(text).is_ok(), "{text}");
        }
        for text in ["http://acme.example/dir", "lets-encrypt", "https://", ""] {
            assert!(AcmeDirectory::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_network_may_be_one_address() {
        assert_eq!(Network::parse("127.0.0.1").expect("one").to_string(), "127.0.0.1/32");
        assert_eq!(Network::parse("fd00::/8").expect("many").to_string(), "fd00::/8");
        assert!(Network::parse("10.0.0.0/33").is_err() && Network::parse("proxy").is_err());
    }
}
