//! Fetches a JWK set once, within bounds.

use std::{fmt, io::ErrorKind, net::IpAddr, sync::Arc, time::Duration};

use ureq::http::{StatusCode, Uri};
use ureq::{
    Agent, Error,
    tls::{Certificate, RootCerts, TlsConfig},
};

/// The URL of a JWK set. `Display` leaves out the query, which may contain a secret.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::access) struct Url(String);

/// Settings of the request. The hub uses the default; tests use shorter timeouts and their own certificates.
#[derive(Debug, Clone)]
pub(in crate::access) struct FetchConfig {
    /// Timeout of the whole exchange: name resolution, connection, TLS, head and body.
    pub timeout: Duration,
    /// Root certificates to trust instead of the system's.
    pub roots: Option<Arc<Vec<Certificate<'static>>>>,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), roots: None }
    }
}

/// A response.
#[derive(Debug)]
pub(super) struct Fetched {
    pub body: Vec<u8>,
    /// `Cache-Control: max-age` of the response.
    pub max_age: Option<Duration>,
}

/// Largest set, in bytes. A hundred keys with their certificates have 200 KiB.
const MAX_BYTES: u64 = 256 << 10;

impl Url {
    /// Parses the configured URL.
    ///
    /// # Errors
    /// What to write instead, without repeating the URL.
    pub(in crate::access) fn new(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text.parse().map_err(|_| "is not a URL; write it like https://login.example/keys")?;
        let host = uri.host().filter(|host| !host.is_empty());
        let (Some(scheme), Some(host)) = (uri.scheme_str(), host) else {
            return Err("is not a complete URL; write it like https://login.example/keys");
        };
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("has a user name, which would not be sent; remove it");
        }
        match scheme {
            "https" => Ok(Self(text.into())),
            "http" if is_loopback(host) => Ok(Self(text.into())),
            "http" => Err("is http, so anybody on the network path could replace the keys; use https"),
            _ => Err("must be https"),
        }
    }

    fn is_plain(&self) -> bool {
        self.0.starts_with("http:") || self.0.starts_with("HTTP:")
    }
}

/// Whether `host` is the loopback, where only this machine can answer.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.split(['?', '#']).next().unwrap_or_default())
    }
}

/// Fetches the set. Blocks for at most the timeout of `fetch_config`.
///
/// # Errors
/// What went wrong, in words that follow the URL.
pub(super) fn get(url: &Url, fetch_config: &FetchConfig) -> Result<Fetched, String> {
    let mut config = Agent::config_builder()
        .timeout_global(Some(fetch_config.timeout))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("gapless/", env!("CARGO_PKG_VERSION")))
        .accept("application/jwk-set+json, application/json");
    if url.is_plain() {
        // A proxy could not reach this machine's loopback.
        config = config.proxy(None);
    } else {
        let roots = fetch_config.roots.clone().unwrap_or_else(|| Arc::new(system_roots()));
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(roots))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
        config = config.https_only(true).tls_config(tls.build());
    }
    let describe = |error| describe(&error, fetch_config.timeout);
    let mut response = config.build().new_agent().get(&url.0).call().map_err(describe)?;
    let status = response.status();
    if status.is_redirection() {
        return Err("answers with a redirect, which is not followed; configure the URL that it leads to".into());
    }
    if status != StatusCode::OK {
        return Err(format!("answers {}", status.as_u16()));
    }
    let control = response.headers().get("cache-control").and_then(|value| value.to_str().ok());
    let max_age = control.and_then(max_age);
    let body = response.body_mut().with_config().limit(MAX_BYTES).read_to_vec().map_err(describe)?;
    Ok(Fetched { body, max_age })
}

/// The system's root certificates. Read for each request, because they may change while the hub runs.
fn system_roots() -> Vec<Certificate<'static>> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        tracing::warn!(
            "the system has no root certificates, so no issuer's server can be verified; install ca-certificates"
        );
    }
    found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect()
}

fn max_age(control: &str) -> Option<Duration> {
    let mut parts = control.split(',').map(|part| part.trim().to_ascii_lowercase());
    let seconds = parts.find_map(|part| part.strip_prefix("max-age=")?.trim_matches('"').parse().ok())?;
    Some(Duration::from_secs(seconds))
}

/// Describes an error without the crate's own text, which may contain the URL with its query.
fn describe(error: &Error, timeout: Duration) -> String {
    match error {
        Error::Timeout(_) => format!("gave no complete answer within {} s", timeout.as_secs_f32()),
        Error::BodyExceedsLimit(limit) => format!("answers with more than {limit} bytes, too many for a JWK set"),
        Error::HostNotFound => "has a host that cannot be found".into(),
        Error::Rustls(error) => format!("has no trusted certificate, or broke the TLS protocol: {error}"),
        Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
            format!("has no trusted certificate, or broke the TLS protocol: {error}")
        }
        Error::Io(error) => format!("cannot be reached: {error}"),
        _ => "does not answer in HTTP".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_is_used_except_on_the_loopback() {
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
    fn max_age_is_read_among_other_directives() {
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
