//! A client cannot choose its address, whatever it writes into the headers that proxies append to.
//!
//! Input: a byte of flags (which header, the client's address family, how the proxy appends), and the client's header
//! lines.

use std::net::IpAddr;

use gapless::http::auth::forwarded::{ForwardedHeader, Proxies};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Checks the address of a client that sends the input, directly and through a trusted proxy.
pub(crate) fn holds_for(input: &[u8]) {
    let Some((&flags, sent)) = input.split_first() else { return };
    let bit = |n: u8| flags & (1 << n) != 0;
    let (header, name) = if bit(0) {
        (ForwardedHeader::Forwarded, HeaderName::from_static("forwarded"))
    } else {
        (ForwardedHeader::XForwardedFor, HeaderName::from_static("x-forwarded-for"))
    };
    let own: IpAddr = if bit(1) { "2001:db8::7" } else { "198.51.100.7" }.parse().expect("an address");
    let proxies = Proxies::new(["10.0.0.0/8".parse().expect("a network")], header);

    let mut lines: Vec<Vec<u8>> = sent.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let ask = |peer: IpAddr, lines: &[Vec<u8>]| {
        let value = |line: &Vec<u8>| HeaderValue::from_bytes(line).ok();
        let headers: HeaderMap = lines.iter().filter_map(value).map(|value| (name.clone(), value)).collect();
        proxies.client(peer, &headers)
    };
    let proxy: IpAddr = "10.0.0.1".parse().expect("an address");
    // Through a proxy that appends nothing the address can be anything, but there must be no panic.
    let _ = ask(proxy, &lines);
    assert_eq!(ask(own, &lines), own, "no trusted proxy vouches for the headers");

    lines.retain(|line| HeaderValue::from_bytes(line).is_ok());
    let added = match (header, own) {
        (ForwardedHeader::XForwardedFor, _) => own.to_string(),
        (ForwardedHeader::Forwarded, IpAddr::V4(_)) => format!("for={own};proto=https"),
        (ForwardedHeader::Forwarded, IpAddr::V6(_)) => format!("by=_x;for=\"[{own}]:4711\""),
    };
    match lines.last_mut() {
        Some(last) if bit(2) => last.extend_from_slice(format!(", {added}").as_bytes()),
        _ => lines.push(added.into_bytes()),
    }
    assert_eq!(ask(proxy, &lines), own, "the address that the proxy appended");
    if bit(3) {
        lines.push(if bit(0) { "for=10.0.0.2" } else { "10.0.0.2" }.into());
        assert_eq!(ask(proxy, &lines), own, "the address that the first of two proxies appended");
    }
}
