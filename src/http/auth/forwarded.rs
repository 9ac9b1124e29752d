//! The client's address behind proxies, as far as trusted proxies vouch for it.
//!
//! Each proxy appends the address of its peer to a header, and a client can write anything before that. So the header
//! is read from the right, also within an element, while the writers are trusted: text further left cannot change the
//! result. The scheme and the host name are not taken from such headers; the connection and `Host` have them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName, header};
use ipnet::{IpNet, Ipv4Net};

/// Elements of the header that are read: more proxies than any request passes, and few enough to be cheap.
const MAX_HOPS: usize = 32;

/// The header in which proxies put the address of their peer. Only one is read: a client could write the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`: addresses.
    #[default]
    XForwardedFor,
    /// `Forwarded`, RFC 7239: parameters, `for` among them.
    Forwarded,
}

/// The trusted proxies. The default trusts none.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    trusted: Vec<IpNet>,
    header: ForwardedHeader,
}

impl Proxies {
    /// Trusts the proxies in these networks, which use `header`.
    #[must_use]
    pub fn new(trusted: impl IntoIterator<Item = IpNet>, header: ForwardedHeader) -> Self {
        Self { trusted: trusted.into_iter().map(canonical).collect(), header }
    }

    /// The client's address for a connection from `peer`: the last address that is not a trusted proxy's. Where a
    /// trusted proxy gives no valid address, its own address stands for its clients.
    ///
    /// An IPv4-mapped IPv6 address is returned as IPv4.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        for element in elements(headers, self.header.name()).take(MAX_HOPS) {
            let element = element.trim_ascii();
            if element.is_empty() {
                continue;
            }
            let Some(caller) = self.header.address(element) else { break };
            client = caller;
            if !self.trusts(client) {
                break;
            }
        }
        client
    }

    /// Whether `address` is a trusted proxy's.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(&address))
    }
}

impl ForwardedHeader {
    fn name(self) -> HeaderName {
        match self {
            Self::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            Self::Forwarded => header::FORWARDED,
        }
    }

    fn address(self, element: &[u8]) -> Option<IpAddr> {
        match self {
            Self::XForwardedFor => node(std::str::from_utf8(element).ok()?),
            Self::Forwarded => {
                let mut named = from_right(element, b';').filter_map(parameter_for);
                let value = named.next()?;
                // The RFC permits `for` once; with two, the meant one is unknown.
                if named.next().is_some() { None } else { node(&value) }
            }
        }
    }
}

/// A network of IPv4-mapped addresses as a network of IPv4, because addresses are compared in canonical form.
fn canonical(network: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    let (IpAddr::V4(address), IpNet::V6(_), Some(length)) =
        (network.addr().to_canonical(), network, network.prefix_len().checked_sub(MAPPED))
    else {
        return network;
    };
    Ipv4Net::new(address, length).map_or(network, IpNet::V4)
}

/// The elements of all lines of a header, from the last to the first. Each line is split by itself, so that a quote
/// left open in a client's line cannot swallow the next line.
fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    headers.get_all(name).into_iter().rev().flat_map(|line| from_right(line.as_bytes(), b','))
}

/// The parts of `text` between unquoted `separator`s, from the last to the first. A part whose quote is not closed
/// extends to the beginning of the text.
fn from_right(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut quoted = false;
        for at in (0..text.len()).rev() {
            let escaped = || text[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
            match text[at] {
                b'"' if !(quoted && escaped()) => quoted = !quoted,
                byte if byte == separator && !quoted => {
                    rest = Some(&text[..at]);
                    return Some(&text[at + 1..]);
                }
                _ => {}
            }
        }
        rest = None;
        Some(text)
    })
}

/// The value of a parameter `for`, without its quotes; `None` for any other.
fn parameter_for(parameter: &[u8]) -> Option<String> {
    let (name, value) = std::str::from_utf8(parameter).ok()?.split_once('=')?;
    if !name.trim_ascii().eq_ignore_ascii_case("for") {
        return None;
    }
    let value = value.trim_ascii();
    let Some(quoted) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
        return Some(value.into());
    };
    let mut characters = quoted.chars();
    let plain = std::iter::from_fn(|| match characters.next()? {
        '\\' => characters.next(),
        c => Some(c),
    });
    Some(plain.collect())
}

/// Parses an address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]:80`, `2001:db8::1`. `None` for
/// obfuscated nodes (`unknown`, `_hidden`) and anything else.
fn node(text: &str) -> Option<IpAddr> {
    let plain = || text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    // RFC 7239 permits an obfuscated port: `_` and a name.
    let hidden_port = || {
        let (address, port) = text.rsplit_once(':')?;
        let bare = || address.parse().ok().filter(IpAddr::is_ipv4);
        if port.starts_with('_') { in_brackets(address).or_else(bare) } else { None }
    };
    plain().or_else(with_port).or_else(|| in_brackets(text)).or_else(hidden_port).map(|address| address.to_canonical())
}

fn in_brackets(text: &str) -> Option<IpAddr> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    inside.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn proxies(header: ForwardedHeader) -> Proxies {
        let networks = ["10.0.0.0/8", "fd00::/8", "::ffff:172.16.0.0/108"];
        Proxies::new(networks.map(|network| network.parse().expect("a network")), header)
    }

    fn headers(header: ForwardedHeader, lines: &[&str]) -> HeaderMap {
        let name = match header {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        };
        let value = |line: &&str| HeaderValue::from_bytes(line.as_bytes()).expect("may be sent");
        lines.iter().map(|line| (HeaderName::from_static(name), value(line))).collect()
    }

    fn client(header: ForwardedHeader, peer: &str, lines: &[&str]) -> String {
        proxies(header).client(ip(peer), &headers(header, lines)).to_string()
    }

    fn x_forwarded_for(lines: &[&str]) -> String {
        client(ForwardedHeader::XForwardedFor, PROXY, lines)
    }

    fn forwarded(lines: &[&str]) -> String {
        client(ForwardedHeader::Forwarded, PROXY, lines)
    }

    #[test]
    fn a_peer_that_is_not_trusted_is_the_client_whatever_it_says() {
        for peer in ["192.0.2.1", "11.0.0.1", "2001:db8::1", "::ffff:11.0.0.1"] {
            let own = ip(peer).to_canonical().to_string();
            assert_eq!(client(ForwardedHeader::XForwardedFor, peer, &["198.51.100.7"]), own);
            assert_eq!(client(ForwardedHeader::Forwarded, peer, &["for=198.51.100.7"]), own);
        }
        let none = Proxies::default().client(ip(PROXY), &headers(ForwardedHeader::default(), &["198.51.100.7"]));
        assert_eq!(none, ip(PROXY), "nobody is trusted unless somebody says so");
    }

    #[test]
    fn trusted_proxies_are_skipped_from_the_right_and_what_stands_further_left_is_not_believed() {
        for (lines, want) in [
            (&["198.51.100.7"][..], "198.51.100.7"),
            (&["198.51.100.7, 10.0.0.2,10.0.0.3"], "198.51.100.7"),
            (&["203.0.113.9, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
            (&["203.0.113.9", "198.51.100.7", "10.0.0.2"], "198.51.100.7"),
            (&["10.0.0.9, 203.0.113.9, 198.51.100.7"], "198.51.100.7"),
            (&["2001:db8::7, fd00::1, 172.16.3.4"], "2001:db8::7"),
            (&["::ffff:198.51.100.7"], "198.51.100.7"),
            (&["198.51.100.7:4711"], "198.51.100.7"),
            (&["[2001:db8::7]:4711, ::ffff:10.0.0.2"], "2001:db8::7"),
            (&["[2001:db8::7] ,, "], "2001:db8::7"),
            (&[], PROXY),
            (&["10.0.0.2"], "10.0.0.2"),
        ] {
            assert_eq!(x_forwarded_for(lines), want, "{lines:?}");
        }
        assert_eq!(client(ForwardedHeader::XForwardedFor, "::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn an_invalid_address_stands_for_the_proxy_that_passed_it_on() {
        for junk in ["unknown", "_hidden", "300.1.1.1", "fe80::1%eth0", "[1.2.3.4]", "1.2.3.4:", "\"1.2.3.4\"", "é"] {
            assert_eq!(x_forwarded_for(&[&format!("203.0.113.9, {junk}, 10.0.0.2")]), "10.0.0.2", "{junk}");
            assert_eq!(x_forwarded_for(&[junk]), PROXY, "{junk}");
        }
    }

    #[test]
    fn forwarded_is_read_as_the_rfc_writes_it() {
        for (lines, want) in [
            (&["for=198.51.100.7"][..], "198.51.100.7"),
            (&["For=\"[2001:db8::1]:4711\""], "2001:db8::1"),
            (&["for=\"[2001:db8::1]\""], "2001:db8::1"),
            (&["for=\"[2001:db8::1]:_port\""], "2001:db8::1"),
            (&["for=\"198.51.100.7:_port\""], "198.51.100.7"),
            (&["proto=http;by=203.0.113.43 ; FOR=198.51.100.7"], "198.51.100.7"),
            (&["for=198.51.100.7;host=\"a,b;for=203.0.113.9\\\"\""], "198.51.100.7"),
            (&["for=\"198.51\\.100.7\""], "198.51.100.7"),
            (&["for=203.0.113.9, for=198.51.100.7", "for=10.0.0.2, for=10.0.0.3"], "198.51.100.7"),
            (&["for=203.0.113.9, for=_hidden, for=10.0.0.2"], "10.0.0.2"),
            (&["for=203.0.113.9, for=unknown"], PROXY),
            (&["for=203.0.113.9, proto=https"], PROXY),
            (&["for=203.0.113.9;for=198.51.100.7"], PROXY),
            (&["198.51.100.7"], PROXY),
        ] {
            assert_eq!(forwarded(lines), want, "{lines:?}");
        }
    }

    #[test]
    fn a_quote_that_a_client_leaves_open_takes_in_nothing_of_the_proxys() {
        for begun in ["for=\"", "\"", "for=\"\\", "for=\"[2001:db8::9]", "for=\"x, for=203.0.113.9"] {
            for own in ["for=198.51.100.7", "for=\"198.51.100.7:80\";by=\"[fd00::1]\""] {
                assert_eq!(forwarded(&[&format!("{begun}, {own}")]), "198.51.100.7", "{begun}");
                assert_eq!(forwarded(&[begun, own]), "198.51.100.7", "{begun}");
            }
        }
    }

    #[test]
    fn the_other_header_is_not_read() {
        for text in ["203.0.113.9", "for=203.0.113.9"] {
            for (ours, other) in [
                (ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded),
                (ForwardedHeader::Forwarded, ForwardedHeader::XForwardedFor),
            ] {
                assert_eq!(proxies(ours).client(ip(PROXY), &headers(other, &[text])), ip(PROXY), "{text}");
            }
        }
    }

    #[test]
    fn a_bounded_number_of_hops_is_read() {
        let line = |hops: usize| format!("203.0.113.9{}", ", 10.0.0.2".repeat(hops));
        assert_eq!(x_forwarded_for(&[&line(MAX_HOPS - 1)]), "203.0.113.9");
        assert_eq!(x_forwarded_for(&[&line(MAX_HOPS)]), "10.0.0.2");
        assert_eq!(x_forwarded_for(&["203.0.113.9", &",".repeat(MAX_HOPS)]), PROXY, "empty ones count, too");
    }

    /// A header line, with the significant characters more frequent than in plain random text.
    fn line() -> impl Strategy<Value = String> {
        prop_oneof![
            "[\",;=\\\\ ]{0,12}",
            "[ -~]{0,40}",
            "((for=|, ?|\"|\\\\|10\\.0\\.0\\.2|203\\.0\\.113\\.9|;){1,12})"
        ]
    }

    proptest! {
        #[test]
        fn no_client_chooses_its_address(
            lines in proptest::collection::vec(line(), 0..4), own in any::<IpAddr>(), joined: bool, x: bool,
        ) {
            let header = if x { ForwardedHeader::XForwardedFor } else { ForwardedHeader::Forwarded };
            let mut lines = lines;
            let trusted = proxies(header);
            let direct = trusted.client(own, &headers(header, &lines.iter().map(String::as_str).collect::<Vec<_>>()));
            prop_assume!(!trusted.trusts(own.to_canonical()));
            prop_assert_eq!(direct, own.to_canonical());
            let named = match (header, own) {
                (ForwardedHeader::XForwardedFor, _) => own.to_string(),
                (ForwardedHeader::Forwarded, IpAddr::V4(_)) => format!("for={own}"),
                (ForwardedHeader::Forwarded, IpAddr::V6(_)) => format!("for=\"[{own}]\""),
            };
            match lines.last_mut().filter(|_| joined) {
                Some(last) => *last = format!("{last}, {named}"),
                None => lines.push(named),
            }
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            prop_assert_eq!(trusted.client(ip(PROXY), &headers(header, &lines)), own.to_canonical());
        }
    }
}
