//! From which site a request comes, and by which name it asks for the hub.
//!
//! A browser sends requests for any page that asks it to, and with them the user's cookies and the user's place in the network.
//! What may not be read by such a page is kept from it by CORS; what must not be *done* for it is decided here.

use http::{HeaderMap, Uri, header};

use super::credential::{Action, Carrier};
use crate::http::{
    cors::Cors,
    headers,
    problem::{Code, Problem},
};

/// The site of the page that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestOrigin {
    /// No page: no browser sends a change without saying from where.
    Nobodys,
    /// The hub's own.
    Ours,
    /// Another one that the operator has named.
    Named,
    /// Any other.
    Foreign,
}

impl RequestOrigin {
    /// Whose page asks. `secure`: over the hub's own TLS.
    ///
    /// # Errors
    /// When the request says so twice.
    pub fn of(headers: &HeaderMap, uri: &Uri, secure: bool, cors: &Cors) -> Result<Self, Problem> {
        let Some(origin) = headers::one(headers, &header::ORIGIN)? else { return Ok(Self::Nobodys) };
        let Ok(origin) = origin.to_str() else { return Ok(Self::Foreign) };
        Ok(if is_ours(origin, host(headers, uri)?, secure) {
            Self::Ours
        } else if cors.allows(origin) {
            Self::Named
        } else {
            Self::Foreign
        })
    }

    /// Whether a page of this site may have this done with a credential that came so.
    ///
    /// # Errors
    /// Says why not.
    pub fn check(self, act: Action, carrier: Option<Carrier>, cors: &Cors) -> Result<(), Problem> {
        // Nobody's browser adds a header or a query by itself.
        if act == Action::Read || matches!(carrier, Some(Carrier::Header | Carrier::Query)) {
            return Ok(());
        }
        let cookie = carrier == Some(Carrier::Cookie);
        let detail = match self {
            Self::Foreign => "pages of this origin may change nothing here; the operator can name it in cors.origins",
            Self::Nobodys if cookie => {
                "a change with a cookie needs the header Origin, which every browser sends; use 'Authorization: Bearer TOKEN'"
            }
            Self::Named if cookie && !cors.credentials => {
                "pages of this origin may not use cookies here; the operator can allow it with cors.credentials"
            }
            Self::Nobodys | Self::Ours | Self::Named => return Ok(()),
        };
        Err(Problem::new(Code::OriginForbidden, detail))
    }
}

/// The name by which the hub is asked, with its port; HTTP/2 has it in the target.
///
/// # Errors
/// When there are two.
pub fn host<'r>(headers: &'r HeaderMap, uri: &'r Uri) -> Result<Option<&'r str>, Problem> {
    let header = headers::one(headers, &header::HOST)?.and_then(|value| value.to_str().ok());
    Ok(uri.authority().map(http::uri::Authority::as_str).or(header))
}

/// Whether the hub is asked by a name of this machine's loopback. A page of another site whose name was made to lead here
/// (DNS rebinding) asks by that name.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let name = without_port(host);
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// An origin is ours when it is where the request went. Behind a proxy the hub does not know the scheme, only the name.
fn is_ours(origin: &str, host: Option<&str>, secure: bool) -> bool {
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
    // The last colon of a bare IPv6 address is no port's.
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
    fn an_origin_is_ours_when_it_is_where_the_request_went() {
        let none = cors(&[], false);
        for (origin, host) in [
            ("http://hub.example", "hub.example"),
            ("http://hub.example", "hub.example:80"),
            ("https://hub.example", "hub.example"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("http://Hub.Example", "hub.example"),
        ] {
            assert_eq!(site(origin, host, false, &none), RequestOrigin::Ours, "{origin} {host}");
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
            assert_eq!(site(origin, host, false, &none), RequestOrigin::Foreign, "{origin} {host}");
        }
        assert_eq!(
            site("http://hub.example", "hub.example", true, &none),
            RequestOrigin::Foreign,
            "another scheme is another site"
        );
        assert_eq!(site("https://hub.example", "hub.example", true, &none), RequestOrigin::Ours);
        assert_eq!(
            site("https://app.example", "hub.example", true, &cors(&["https://app.example"], false)),
            RequestOrigin::Named
        );
    }

    #[test]
    fn a_foreign_page_changes_nothing_with_what_a_browser_adds_by_itself() {
        let (plain, with_cookies) = (cors(&[], false), cors(&[], true));
        let allowed = |site: RequestOrigin, carrier, cors: &Cors| site.check(Action::Change, carrier, cors).is_ok();
        for carrier in [None, Some(Carrier::Cookie)] {
            assert!(!allowed(RequestOrigin::Foreign, carrier, &with_cookies), "{carrier:?}");
            assert!(allowed(RequestOrigin::Ours, carrier, &plain), "{carrier:?}");
        }
        for carrier in [Some(Carrier::Header), Some(Carrier::Query)] {
            assert!(allowed(RequestOrigin::Foreign, carrier, &plain), "{carrier:?}");
        }
        assert!(!allowed(RequestOrigin::Nobodys, Some(Carrier::Cookie), &with_cookies), "a cookie needs an origin");
        assert!(allowed(RequestOrigin::Nobodys, None, &plain), "curl has none");
        assert!(
            !allowed(RequestOrigin::Named, Some(Carrier::Cookie), &plain)
                && allowed(RequestOrigin::Named, Some(Carrier::Cookie), &with_cookies)
        );
        assert!(
            RequestOrigin::Foreign.check(Action::Read, Some(Carrier::Cookie), &plain).is_ok(),
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
