//! Listen addresses, and the permissions of Unix sockets.

use std::{fmt, net::SocketAddr, path::PathBuf};

use super::kinds::{ValueKind, problem};

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// An IP address and a port.
    Address(SocketAddr),
    /// A port of the loopback, for IPv4 and IPv6.
    Localhost(u16),
    /// A Unix socket.
    Unix(PathBuf),
}

/// File permissions, in octal.
#[derive(Debug)]
pub struct Mode;

impl Listen {
    /// Whether it is reachable only from this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Address(address) => address.ip().to_canonical().is_loopback(),
            Self::Localhost(_) | Self::Unix(_) => true,
        }
    }
}

impl ValueKind for Listen {
    type Value = Self;
    const METAVAR: &'static str = "ADDR";

    fn parse(text: &str) -> Result<Self, Vec<String>> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() || path.contains('\0') {
                problem("has no path; write it like unix:/run/gapless/hub.sock")
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
            return Ok(Self::Localhost(port));
        }
        text.parse().map(Self::Address).or_else(|_| {
            problem(
                "is not an address; write it like 127.0.0.1:8080, [::1]:8080, localhost:8080 or unix:/run/gapless/hub.sock",
            )
        })
    }
}

impl ValueKind for Mode {
    type Value = u32;
    const METAVAR: &'static str = "MODE";

    fn parse(text: &str) -> Result<u32, Vec<String>> {
        let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| octal && *mode <= 0o777);
        match mode {
            // This also refuses most numbers that TOML has already converted from octal.
            Some(mode) if mode & 0o600 == 0o600 => Ok(mode),
            Some(_) => problem("denies access to the hub's own user; write it like 0600, 0660 or 0666"),
            None => problem("is not a file mode; write it in octal, like 0660, and in the file in quotes"),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Localhost(port) => write!(f, "localhost:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::list::ListOf;

    #[test]
    fn a_list_of_addresses_may_begin_with_an_ipv6_address() {
        let v4 = Listen::Address(SocketAddr::from(([127, 0, 0, 1], 80)));
        let v6 = Listen::Address("[::1]:80".parse().expect("an address"));
        let file = Listen::Unix("/run/hub".into());
        for (text, want) in [
            ("127.0.0.1:80", vec![v4.clone()]),
            ("[::1]:80", vec![v6.clone()]),
            ("[::1]:80, 127.0.0.1:80", vec![v6.clone(), v4.clone()]),
            ("localhost:80,unix:/run/hub", vec![Listen::Localhost(80), file.clone()]),
            ("[\"[::1]:80\", \"unix:/run/hub\"]", vec![v6, file]),
        ] {
            assert_eq!(ListOf::<Listen>::parse(text), Ok(want.clone()), "{text}");
            let shown = want.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            assert_eq!(ListOf::<Listen>::parse(&shown), Ok(want), "{shown}");
        }
        for text in ["8080", ":8080", "localhost", "hub.example:80", "unix:", "[::1]", "localhost:65536"] {
            assert!(ListOf::<Listen>::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_mode_is_octal_and_includes_the_hubs_user() {
        for (text, want) in [("0660", 0o660), ("660", 0o660), ("0600", 0o600), ("0777", 0o777)] {
            assert_eq!(Mode::parse(text), Ok(want), "{text}");
        }
        // TOML converts 0o660 to 432.
        for text in ["", "0", "432", "0888", "rw-rw----", "1660", "0066", "00660"] {
            assert!(Mode::parse(text).is_err(), "{text}");
        }
    }
}
