//! One request for a JWK set, and its bounds.

use std::{fmt, io::ErrorKind, net::IpAddr, sync::Arc, time::Duration};

use ureq::http::{StatusCode, Uri};
use ureq::{
    Agent, Error,
    tls::{Certificate, RootCerts, TlsConfig},
};

/// Where a JWK set is. `Display` leaves the query out, which may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::access) struct Url(String);

/// How it is asked for. The default is in force; tests are quicker, and trust their own certificates.
#[derive(Debug, Clone)]
pub(in crate::access) struct FetchConfig {
    /// Time for all of it: name, connection, TLS, head and body.
    pub timeout: Duration,
    /// Certificates that are trusted instead of the system's.
    pub roots: Option<Arc<Vec<Certificate<'static>>>>,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), roots: None }
    }
}

/// What came.
#[derive(Debug)]
pub(super) struct Fetched {
    pub body: Vec<u8>,
    /// How long the server says that it holds.
    pub max_age: Option<Duration>,
}

/// Bytes of a set at most. A hundred keys with their certificates are 200 KiB.
const MAX_BYTES: u64 = 256 << 10;

impl Url {
    /// Reads the URL that an operator has written.
    ///
    /// # Errors
    /// Says what to write instead, without repeating it.
    pub(in crate::access) fn new(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text.parse().map_err(|_| "is no URL; write it like https://login.example/keys")?;
        let host = uri.host().filter(|host| !host.is_empty());
        let (Some(scheme), Some(host)) = (uri.scheme_str(), host) else {
            return Err("is no whole URL; write it like https://login.example/keys");
        };
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("has a user's name in it, which is not sent; leave it out");
        }
        match scheme {
            "https" => Ok(Self(text.into())),
            "http" if is_loopback(host) => Ok(Self(text.into())),
            "http" => Err("is http, so that anybody on the way could give other keys; use https"),
            _ => Err("must be https"),
        }
    }

    fn is_plain(&self) -> bool {
        self.0.starts_with("http:") || self.0.starts_with("HTTP:")
    }
}

/// Whether nobody but this machine can answer for it.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.split(['?', '#']).next().unwrap_or_default())
    }
}

/// Gets it. May take as long as the manner's timeout.
///
/// # Errors
/// Why not, in words that follow the URL.
pub(super) fn get(url: &Url, manner: &FetchConfig) -> Result<Fetched, String> {
    let mut config = Agent::config_builder()
        .timeout_global(Some(manner.timeout))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("gapless/", env!("CARGO_PKG_VERSION")))
        .accept("application/jwk-set+json, application/json");
    if url.is_plain() {
        // A loopback is nobody else's.
        config = config.proxy(None);
    } else {
        let roots = manner.roots.clone().unwrap_or_else(|| Arc::new(system_roots()));
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(roots))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
        config = config.https_only(true).tls_config(tls.build());
    }
    let words = |error| words(&error, manner.timeout);
    let mut response = config.build().new_agent().get(&url.0).call().map_err(words)?;
    let status = response.status();
    if status.is_redirection() {
        return Err("answers with a redirect, which is not followed; write the URL that it leads to".into());
    }
    if status != StatusCode::OK {
        return Err(format!("answers {}", status.as_u16()));
    }
    let control = response.headers().get("cache-control").and_then(|value| value.to_str().ok());
    let max_age = control.and_then(max_age);
    let body = response.body_mut().with_config().limit(MAX_BYTES).read_to_vec().map_err(words)?;
    Ok(Fetched { body, max_age })
}

/// What the system trusts now: read each time, because it changes while a hub runs for a year.
fn system_roots() -> Vec<Certificate<'static>> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        tracing::warn!(
            "the system has no root certificates, so that no issuer can be believed; install ca-certificates"
        );
    }
    found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect()
}

fn max_age(control: &str) -> Option<Duration> {
    let mut parts = control.split(',').map(|part| part.trim().to_ascii_lowercase());
    let seconds = parts.find_map(|part| part.strip_prefix("max-age=")?.trim_matches('"').parse().ok())?;
    Some(Duration::from_secs(seconds))
}

/// In our words: the crate's may have the URL in them, with its query.
fn words(error: &Error, timeout: Duration) -> String {
    match error {
        Error::Timeout(_) => format!("gave no whole answer within {} s", timeout.as_secs_f32()),
        Error::BodyExceedsLimit(limit) => format!("gives more than {limit} bytes, which is no JWK set"),
        Error::HostNotFound => "has a host that cannot be found".into(),
        Error::Rustls(error) => format!("cannot be believed: {error}"),
        Error::Io(error) if error.kind() == ErrorKind::InvalidData => format!("cannot be believed: {error}"),
        Error::Io(error) => format!("cannot be reached: {error}"),
        _ => "gives no answer in HTTP".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_is_asked_but_for_the_machine_itself() {
        for good in ["https://login.example/keys?a=b", "http://127.0.0.1:8/x", "http://[::1]/x", "http://localhost:1/x"]
        {
            assert!(Url::new(good).is_ok(), "{good}");
        }
        for bad in [
            "http://login.example/keys",
            "http://127.0.0.1.example/keys",
            "http://localhost.example/",
            "http://2130706433/",
            "http://169.254.169.254/latest",
            "ftp://login.example/",
            "file:///etc/passwd",
            "/keys",
            "",
            "https://user:secret@login.example/keys",
            "https://",
        ] {
            assert!(Url::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_query_is_never_shown() {
        let url = Url::new("https://login.example/keys?code=hunter2").expect("a URL");
        assert_eq!(url.to_string(), "https://login.example/keys");
    }

    #[test]
    fn an_age_is_read_from_among_the_rest() {
        for (control, want) in [
            ("public, max-age=600, must-revalidate", Some(600)),
            ("Max-Age=60", Some(60)),
            ("s-maxage=5", None),
            ("max-age=x", None),
            ("no-store", None),
        ] {
            assert_eq!(max_age(control), want.map(Duration::from_secs), "{control}");
        }
    }
}
