//! Fetches a JWK set once, within bounds.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use rustls::{RootCertStore, pki_types::CertificateDer};

use crate::client::{
    Connector, HttpUrl, InvalidUrl,
    connector::{is_host_unknown, tls_error},
    exchange::{self, ExchangeBounds, ExchangeError},
    proxy::{Proxy, ProxyVariables},
    trust,
};

/// The URL of a JWK set. `Display` leaves out the query, which may contain a secret.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::access) struct Url {
    text: String,
    parts: HttpUrl,
}

/// Settings of the request. The hub uses the default; tests use shorter timeouts and their own certificates.
#[derive(Debug, Clone)]
pub(in crate::access) struct FetchConfig {
    /// Timeout of the whole exchange: name resolution, connection, TLS, head and body.
    pub timeout: Duration,
    /// Root certificates to trust instead of the system's.
    pub roots: Option<Arc<Vec<CertificateDer<'static>>>>,
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

/// Largest head of a response, in bytes. Those of identity providers have 1 to 4 KiB, cookies included.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// The media type of a set, RFC 7517, 8.5, and what most servers say instead.
const ACCEPT: &str = "application/jwk-set+json, application/json";

impl Url {
    /// Parses the configured URL.
    ///
    /// # Errors
    /// What to write instead, without repeating the URL.
    pub(in crate::access) fn new(text: &str) -> Result<Self, &'static str> {
        let parts = HttpUrl::parse(text).map_err(|invalid| match invalid {
            InvalidUrl::Syntax => "is not a URL; write it like https://login.example/keys",
            InvalidUrl::NoScheme | InvalidUrl::NoHost => {
                "is not a complete URL; write it like https://login.example/keys"
            }
            InvalidUrl::OtherScheme => "must be https",
            InvalidUrl::UserInfo => "has a user name, which would not be sent; remove it",
        })?;
        if !parts.server.tls && !is_loopback(&parts.server.host) {
            return Err("is http, so anybody on the network path could replace the keys; use https");
        }
        Ok(Self { text: text.into(), parts })
    }
}

/// Whether `host` is the loopback, where only this machine can answer.
fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.split(['?', '#']).next().unwrap_or_default())
    }
}

/// Fetches the set. Blocks for at most the timeout of `fetch_config`. Must not be called by an asynchronous task.
///
/// # Errors
/// What went wrong, in words that follow the URL.
pub(super) fn get(url: &Url, fetch_config: &FetchConfig) -> Result<Fetched, String> {
    // A runtime for each request, because they are minutes apart.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot be fetched: {error}"))?;
    let fetched = runtime.block_on(fetch(url, fetch_config));
    // Dropping the runtime would wait for a name resolution that has timed out.
    runtime.shutdown_background();
    fetched
}

async fn fetch(url: &Url, fetch_config: &FetchConfig) -> Result<Fetched, String> {
    let describe = |error| describe(&error, fetch_config.timeout);
    let request = exchange::get(&url.parts.target(), ACCEPT).map_err(describe)?;
    let bounds = ExchangeBounds {
        connect: fetch_config.timeout,
        head: fetch_config.timeout,
        total: Some(fetch_config.timeout),
        head_bytes: MAX_HEAD_BYTES,
        body_bytes: MAX_BYTES,
    };
    let response = exchange::exchange(&connector(url, fetch_config)?, request, &bounds).await.map_err(describe)?;
    let status = response.status();
    if status.is_redirection() {
        return Err("answers with a redirect, which is not followed; configure the URL that it leads to".into());
    }
    if status.as_u16() != 200 {
        return Err(format!("answers {}", status.as_u16()));
    }
    let control = response.headers().get("cache-control").and_then(|value| value.to_str().ok());
    let max_age = control.and_then(max_age);
    let body = response.into_body().read_to_end().await.map_err(describe)?;
    Ok(Fetched { body, max_age })
}

fn connector(url: &Url, fetch_config: &FetchConfig) -> Result<Connector, String> {
    let server = &url.parts.server;
    let tls =
        server.tls.then(|| trust::config(roots(fetch_config)).ok_or("has no trusted certificate: there are no roots"));
    let proxy = Proxy::from_environment(server, ProxyVariables::Any).ok().flatten();
    let connector = Connector::new(server.clone(), proxy, tls.transpose()?);
    connector.map_err(|_| "has a host that no certificate can be for".into())
}

/// The root certificates to trust.
fn roots(fetch_config: &FetchConfig) -> RootCertStore {
    let Some(own) = &fetch_config.roots else {
        let (roots, _) = trust::system_roots();
        if roots.is_empty() {
            tracing::warn!(
                "the system has no root certificates, so no issuer's server can be verified; install ca-certificates"
            );
        }
        return roots;
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(own.iter().cloned());
    roots
}

fn max_age(control: &str) -> Option<Duration> {
    let mut parts = control.split(',').map(|part| part.trim().to_ascii_lowercase());
    let seconds = parts.find_map(|part| part.strip_prefix("max-age=")?.trim_matches('"').parse().ok())?;
    Some(Duration::from_secs(seconds))
}

/// Describes an error without a text that may contain the URL with its query.
fn describe(error: &ExchangeError, timeout: Duration) -> String {
    match error {
        ExchangeError::Timeout { .. } => format!("gave no complete answer within {} s", timeout.as_secs_f32()),
        ExchangeError::TooLarge(limit) => format!("answers with more than {limit} bytes, too many for a JWK set"),
        ExchangeError::Connect(error) => match tls_error(error) {
            Some(reason) => format!("has no trusted certificate, or broke the TLS protocol: {reason}"),
            None if is_host_unknown(error) => "has a host that cannot be found".into(),
            None => format!("cannot be reached: {error}"),
        },
        ExchangeError::Http(_) => "does not answer in HTTP".into(),
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
