//! The origin of the page that makes a request, and the name that it uses for the hub.
//!
//! A browser sends requests for any page, with the user's cookies and from the user's network. CORS hides responses
//! from a page of another origin; this module refuses requests of such a page that would change something (CSRF).

use http::{HeaderMap, Uri, header};

use super::{
    cors::Cors,
    credential::{Action, Carrier},
};
use crate::http::message::{
    headers,
    problem::{Code, Problem},
};

/// The origin of the requesting page, as far as the rules distinguish it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestOrigin {
    /// No `Origin`: not a browser, or a read. Browsers send it with every change.
    Absent,
    /// The hub's own origin.
    SameOrigin,
    /// Another origin, permitted by the operator.
    Allowed,
    /// Any other origin.
    CrossOrigin,
}

impl RequestOrigin {
    /// Classifies the `Origin` of a request. `secure`: the hub itself terminates TLS.
    ///
    /// # Errors
    /// When `Origin` or `Host` occurs twice.
    pub fn of(headers: &HeaderMap, uri: &Uri, secure: bool, cors: &Cors) -> Result<Self, Problem> {
        let Some(origin) = headers::one(headers, &header::ORIGIN)? else { return Ok(Self::Absent) };
        let Ok(origin) = origin.to_str() else { return Ok(Self::CrossOrigin) };
        Ok(if is_same_origin(origin, host(headers, uri)?, secure) {
            Self::SameOrigin
        } else if cors.allows(origin) {
            Self::Allowed
        } else {
            Self::CrossOrigin
        })
    }

    /// Permits an action for a page of this origin, with a credential from this source.
    ///
    /// # Errors
    /// Says why it is not permitted.
    pub fn check(self, action: Action, carrier: Option<Carrier>, cors: &Cors) -> Result<(), Problem> {
        // A browser adds neither of these by itself.
        if action == Action::Read || matches!(carrier, Some(Carrier::Header | Carrier::Query)) {
            return Ok(());
        }
        let cookie = carrier == Some(Carrier::Cookie);
        let detail = match self {
            Self::CrossOrigin => {
                "pages of this origin may not change anything; the operator can allow it in cors.origins"
            }
            Self::Absent if cookie => {
                "a change with a cookie needs the header Origin, which every browser sends; use 'Authorization: Bearer TOKEN'"
            }
            Self::Allowed if cookie && !cors.credentials => {
                "pages of this origin may not use cookies; the operator can allow it with cors.credentials"
            }
            Self::Absent | Self::SameOrigin | Self::Allowed => return Ok(()),
        };
        Err(Problem::new(Code::OriginForbidden, detail))
    }
}

/// The host and port in the request: the authority of the target (HTTP/2), else `Host`.
///
/// # Errors
/// When `Host` occurs twice.
pub fn host<'r>(headers: &'r HeaderMap, uri: &'r Uri) -> Result<Option<&'r str>, Problem> {
    let header = headers::one(headers, &header::HOST)?.and_then(|value| value.to_str().ok());
    Ok(uri.authority().map(http::uri::Authority::as_str).or(header))
}

/// Whether `host` names the loopback. A request of a page that reached this machine by DNS rebinding has the page's own
/// name here.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let name = without_port(host);
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Whether the origin is where the request was sent to. Behind a proxy the hub knows the host name, but not the scheme.
fn is_same_origin(origin: &str, host: Option<&str>, secure: bool) -> bool {
    let (Some((scheme, authority)), Some(host)) = (origin.split_once("://"), host) else { return false };
    let usual = match scheme {
        "https" => ":443",
        "http" if !secure => ":80",
        _ => return false,
    };
    let plain = |text: &str| text.strip_suffix(usual).unwrap_or(text).to_ascii_lowercase();
    plain(authority) == plain(host)
}

fn without_port(host: &str) -> &str {
    // The last colon of an IPv6 address without brackets does not begin a port.
    let ported = |(name, port): &(&str, &str)| {
        (name.ends_with(']') || !name.contains(':')) && port.bytes().all(|b| b.is_ascii_digit())
    };
    host.rsplit_once(':').filter(ported).map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;

    use super::*;

    fn cors(origins: &[&str], credentials: bool) -> Cors {
        Cors::new(origins.iter().map(|&origin| origin.into()).collect(), credentials, Duration::ZERO)
    }

    fn site(origin: &str, host: &str, secure: bool, cors: &Cors) -> RequestOrigin {
        let request = Request::post("/publish").header("host", host).header("origin", origin).body(()).expect("valid");
        RequestOrigin::of(request.headers(), request.uri(), secure, cors).expect("once")
    }

    #[test]
    fn an_origin_is_the_hubs_own_when_it_is_where_the_request_went() {
        let none = cors(&[], false);
        for (origin, host) in [
            ("http://hub.example", "hub.example"),
            ("http://hub.example", "hub.example:80"),
            ("https://hub.example", "hub.example"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("http://Hub.Example", "hub.example"),
        ] {
            assert_eq!(site(origin, host, false, &none), RequestOrigin::SameOrigin, "{origin} {host}");
        }
        for (origin, host) in [
            ("http://hub.example", "hub.example:8080"),
            ("http://hub.example:8080", "hub.example"),
            ("http://evil.example", "hub.example"),
            ("http://hub.example.evil.example", "hub.example"),
            ("null", "hub.example"),
            ("", "hub.example"),
            ("file://", "hub.example"),
        ] {
            assert_eq!(site(origin, host, false, &none), RequestOrigin::CrossOrigin, "{origin} {host}");
        }
        assert_eq!(
            site("http://hub.example", "hub.example", true, &none),
            RequestOrigin::CrossOrigin,
            "another scheme is another site"
        );
        assert_eq!(site("https://hub.example", "hub.example", true, &none), RequestOrigin::SameOrigin);
        assert_eq!(
            site("https://app.example", "hub.example", true, &cors(&["https://app.example"], false)),
            RequestOrigin::Allowed
        );
    }

    #[test]
    fn a_page_of_another_origin_changes_nothing_with_what_a_browser_adds_by_itself() {
        let (plain, with_cookies) = (cors(&[], false), cors(&[], true));
        let allowed = |site: RequestOrigin, carrier, cors: &Cors| site.check(Action::Change, carrier, cors).is_ok();
        for carrier in [None, Some(Carrier::Cookie)] {
            assert!(!allowed(RequestOrigin::CrossOrigin, carrier, &with_cookies), "{carrier:?}");
            assert!(allowed(RequestOrigin::SameOrigin, carrier, &plain), "{carrier:?}");
        }
        for carrier in [Some(Carrier::Header), Some(Carrier::Query)] {
            assert!(allowed(RequestOrigin::CrossOrigin, carrier, &plain), "{carrier:?}");
        }
        assert!(!allowed(RequestOrigin::Absent, Some(Carrier::Cookie), &with_cookies), "a cookie needs an origin");
        assert!(allowed(RequestOrigin::Absent, None, &plain), "curl has none");
        assert!(
            !allowed(RequestOrigin::Allowed, Some(Carrier::Cookie), &plain)
                && allowed(RequestOrigin::Allowed, Some(Carrier::Cookie), &with_cookies)
        );
        assert!(
            RequestOrigin::CrossOrigin.check(Action::Read, Some(Carrier::Cookie), &plain).is_ok(),
            "CORS keeps the answer from it"
        );
    }

    #[test]
    fn the_loopbacks_names_are_these() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "a.localhost:1",
            "127.0.0.1",
            "127.9.9.9:80",
            "[::1]",
            "[::1]:80",
            "[::ffff:127.0.0.1]:80",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:80",
            "127.0.0.1.evil.example",
            "0.0.0.0",
            "",
            ":80",
            "[::2]:80",
            "10.0.0.1",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
