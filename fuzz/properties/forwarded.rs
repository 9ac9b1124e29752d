//! Whatever a client writes into the headers that proxies add to, it does not choose its address.
//!
//! Input: a byte that says which header, who calls and how the proxy adds, and the lines that the client sends.

use std::net::IpAddr;

use gapless::http::forwarded::{ForwardedHeader, Proxies};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Asks for the address of a client that sends the input, directly and through a trusted proxy.
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
    // What a proxy that adds nothing is told can be anything, and must be something.
    let _ = ask(proxy, &lines);
    assert_eq!(ask(own, &lines), own, "nobody vouches for it");

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
    assert_eq!(ask(proxy, &lines), own, "the proxy says so");
    if bit(3) {
        lines.push(if bit(0) { "for=10.0.0.2" } else { "10.0.0.2" }.into());
        assert_eq!(ask(proxy, &lines), own, "two proxies say so");
    }
}
