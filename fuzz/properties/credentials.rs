//! The credential that counts is one that the request has, byte for byte, from the first of its places that has any; and what
//! is there is never taken for nothing.
//!
//! Input: a byte that says what the request does and which places are looked at, the query, and one header a line, of which
//! the first letter says which one: `a` for Authorization, anything else for a cookie.

use gapless::http::auth::credential::{self, Action, Carrier, CredentialSources};
use http::{HeaderMap, HeaderValue, Uri, header};

const COOKIE: &str = "gapless";

/// Looks for the credential of a request that the input describes.
pub(crate) fn holds_for(input: &[u8]) {
    let Some((&flags, rest)) = input.split_first() else { return };
    let bit = |n: u8| flags & (1 << n) != 0;
    let mut lines = rest.split(|byte| *byte == b'\n');
    let target = [b"/events?", lines.next().unwrap_or_default()].concat();
    let Ok(uri) = Uri::try_from(target) else { return };
    let mut headers = HeaderMap::new();
    for (letter, text) in lines.filter_map(<[u8]>::split_first) {
        let name = if *letter == b'a' { header::AUTHORIZATION } else { header::COOKIE };
        let Ok(value) = HeaderValue::from_bytes(text) else { return };
        headers.append(name, value);
    }
    let act = if bit(0) { Action::Read } else { Action::Change };
    let places =
        CredentialSources { cookie: bit(1).then(|| COOKIE.into()), query_subscribe: bit(2), query_publish: bit(3) };
    let query_counts = if act == Action::Read { places.query_subscribe } else { places.query_publish };

    let mut there = [in_header(&headers), in_query(&uri), if bit(1) { in_cookies(&headers) } else { vec![] }];
    if is_a_proxys_password(&headers) && there[1..].iter().any(|tokens| !tokens.is_empty()) {
        there[0].clear();
    }
    let first = there.iter().find(|tokens| !tokens.is_empty());
    match credential::find(&places, act, &headers, &uri) {
        Ok(None) => assert_eq!(first, None, "what is there is never taken for nothing"),
        Ok(Some((token, carrier))) => {
            let place = match carrier {
                Carrier::Header => 0,
                Carrier::Query => 1,
                Carrier::Cookie => 2,
            };
            assert_eq!(first, Some(&there[place]), "the first place that has one counts");
            assert_eq!(there[place], [token.as_bytes()], "it is there once, and so");
            assert!(token.bytes().all(|byte| byte.is_ascii_graphic()), "{token:?}");
            assert!(carrier != Carrier::Query || query_counts, "nobody asked for the query");
        }
        Err(problem) => {
            assert!(first.is_some(), "nothing is there: {problem:?}");
            assert!(!problem.detail.contains(char::is_control), "{problem:?}");
        }
    }
}

/// Whether the only Authorization header is of a scheme by which proxies ask for passwords: it counts for nothing beside a token.
fn is_a_proxys_password(headers: &HeaderMap) -> bool {
    let values: Vec<_> = headers.get_all(header::AUTHORIZATION).iter().collect();
    let [value] = values[..] else { return false };
    let scheme = value.to_str().unwrap_or_default().split(' ').next().unwrap_or_default();
    ["basic", "digest", "negotiate", "ntlm"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// What each Authorization header shows, with or without being a token.
fn in_header(headers: &HeaderMap) -> Vec<Vec<u8>> {
    let shown = |value: &HeaderValue| {
        let (scheme, token) = value.as_bytes().split_at(value.len().min(7));
        let token = if scheme.eq_ignore_ascii_case(b"bearer ") { token } else { b"" };
        token.trim_ascii().to_vec()
    };
    headers.get_all(header::AUTHORIZATION).iter().map(shown).collect()
}

/// What a browser's `URLSearchParams` finds.
fn in_query(uri: &Uri) -> Vec<Vec<u8>> {
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs.filter(|(key, _)| key == "access_token").map(|(_, value)| value.as_bytes().to_vec()).collect()
}

/// Cookies of our name, without the quotes that RFC 6265 allows around a value.
fn in_cookies(headers: &HeaderMap) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    // Bytes: cookies of others on the same line may be anything.
    for pair in headers.get_all(header::COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';')) {
        let named = pair.trim_ascii().strip_prefix(COOKIE.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        let Some(value) = named else { continue };
        let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        found.push(bare.to_vec());
    }
    found
}
