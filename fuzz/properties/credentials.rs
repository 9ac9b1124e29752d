//! The credential found is one that the request carries, byte for byte, from the first source that has any; a
//! credential that is present is never ignored.
//!
//! Input: a byte of flags (the action, and which sources are enabled), the query, and one header a line, whose first
//! letter names it: `a` for Authorization, anything else for Cookie.

use gapless::http::auth::credential::{self, Action, Carrier, CredentialSources};
use http::{HeaderMap, HeaderValue, Uri, header};

const COOKIE: &str = "gapless";

/// Checks the property for the request that the input describes.
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
    let action = if bit(0) { Action::Read } else { Action::Change };
    let sources =
        CredentialSources { cookie: bit(1).then(|| COOKIE.into()), query_subscribe: bit(2), query_publish: bit(3) };
    let query_counts = if action == Action::Read { sources.query_subscribe } else { sources.query_publish };

    let mut found = [in_header(&headers), in_query(&uri), if bit(1) { in_cookies(&headers) } else { vec![] }];
    if is_a_proxys_password(&headers) && found[1..].iter().any(|tokens| !tokens.is_empty()) {
        found[0].clear();
    }
    let first = found.iter().find(|tokens| !tokens.is_empty());
    match credential::find(&sources, action, &headers, &uri) {
        Ok(None) => assert_eq!(first, None, "a credential that is present is never ignored"),
        Ok(Some((token, carrier))) => {
            let source = match carrier {
                Carrier::Header => 0,
                Carrier::Query => 1,
                Carrier::Cookie => 2,
            };
            assert_eq!(first, Some(&found[source]), "the first source that has one counts");
            assert_eq!(found[source], [token.as_bytes()], "it is there once, byte for byte");
            assert!(token.bytes().all(|byte| byte.is_ascii_graphic()), "{token:?}");
            assert!(carrier != Carrier::Query || query_counts, "the query is not enabled");
        }
        Err(problem) => {
            assert!(first.is_some(), "there is no credential: {problem:?}");
            assert!(!problem.detail.contains(char::is_control), "{problem:?}");
        }
    }
}

/// Whether the only Authorization header has a scheme that proxies use for passwords: it is ignored when there is a
/// token.
fn is_a_proxys_password(headers: &HeaderMap) -> bool {
    let values: Vec<_> = headers.get_all(header::AUTHORIZATION).iter().collect();
    let [value] = values[..] else { return false };
    let scheme = value.to_str().unwrap_or_default().split(' ').next().unwrap_or_default();
    ["basic", "digest", "negotiate", "ntlm"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// The credential in each Authorization header, valid or not.
fn in_header(headers: &HeaderMap) -> Vec<Vec<u8>> {
    let credential = |value: &HeaderValue| {
        let (scheme, token) = value.as_bytes().split_at(value.len().min(7));
        let token = if scheme.eq_ignore_ascii_case(b"bearer ") { token } else { b"" };
        token.trim_ascii().to_vec()
    };
    headers.get_all(header::AUTHORIZATION).iter().map(credential).collect()
}

/// The values that a browser's `URLSearchParams` finds.
fn in_query(uri: &Uri) -> Vec<Vec<u8>> {
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs.filter(|(key, _)| key == "access_token").map(|(_, value)| value.as_bytes().to_vec()).collect()
}

/// The values of our cookie, without the quotes that RFC 6265 allows around a value.
fn in_cookies(headers: &HeaderMap) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    // Bytes, because other cookies on the same line may have any encoding.
    for pair in headers.get_all(header::COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';')) {
        let named = pair.trim_ascii().strip_prefix(COOKIE.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        let Some(value) = named else { continue };
        let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        found.push(bare.to_vec());
    }
    found
}
