//! Cross-origin requests (CORS): which pages of other sites may use the hub from a browser. None, unless the operator
//! names them.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::http::{
    message::problem::{Code, Problem},
    net::response::{Body, full},
};

/// Bytes of `Access-Control-Request-Headers` that are answered at most; libraries ask for less.
const MAX_LISTED_BYTES: usize = 1024;

/// Response headers that a script may read besides the safelisted ones (`Cache-Control`, `Content-Type`).
const EXPOSED_HEADERS: &str = "allow, etag, gapless-run, gapless-topic, last-event-id, link, location, mercure-last-event-id, producer-epoch, \
     producer-expected-seq, producer-received-seq, producer-seq, retry-after, stream-closed, stream-cursor, stream-expires-at, \
     stream-keepalive, stream-next-offset, stream-sse-data-encoding, stream-ttl, stream-up-to-date, www-authenticate, \
     x-request-id, x-vercel-ai-ui-message-stream";

/// The operator's settings for other origins.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    origins: Vec<Allowed>,
    /// Whether pages of these origins may send cookies.
    pub credentials: bool,
    /// How long a browser may cache a preflight response.
    pub max_age: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    Any,
    Exactly(String),
    Pattern(OriginPattern),
}

/// An origin with a wildcard: any first label of the host, any port, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OriginPattern {
    /// With `://`.
    scheme: String,
    /// Whether any one label precedes `host`, which then begins with a dot.
    any_label: bool,
    /// With the port, unless `any_port`.
    host: String,
    any_port: bool,
}

impl Allowed {
    fn new(origin: String) -> Self {
        if origin == "*" {
            return Self::Any;
        }
        let Some((scheme, host)) = origin.split_once("://").filter(|(_, host)| host.contains('*')) else {
            return Self::Exactly(origin);
        };
        let (host, any_port) = host.strip_suffix(":*").map_or((host, false), |host| (host, true));
        let (host, any_label) = host.strip_prefix('*').map_or((host, false), |host| (host, true));
        Self::Pattern(OriginPattern { scheme: format!("{scheme}://"), any_label, host: host.into(), any_port })
    }

    fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(known) => known == origin,
            Self::Pattern(pattern) => pattern.matches(origin),
        }
    }
}

impl OriginPattern {
    fn matches(&self, origin: &str) -> bool {
        let Some(rest) = origin.strip_prefix(&*self.scheme) else { return false };
        let is_port = |port: &str| (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
        let host = match rest.rsplit_once(':') {
            Some((host, port)) if self.any_port && is_port(port) => host,
            _ => rest,
        };
        if !self.any_label {
            return host == self.host;
        }
        let is_label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        host.strip_suffix(&*self.host).is_some_and(is_label)
    }
}

impl Cors {
    /// Permits these origins: each as browsers send it, with `*` as the first label of its host or as its port, or `*`
    /// alone. With an [origin that pages of any site can have](is_shared_origin) cookies are not permitted, whatever
    /// `credentials` says.
    #[must_use]
    pub fn new(origins: Vec<String>, credentials: bool, max_age: Duration) -> Self {
        let credentials = credentials && !origins.iter().any(|origin| is_shared_origin(origin));
        Self { credentials, origins: origins.into_iter().map(Allowed::new).collect(), max_age }
    }

    /// Whether `origin`, as a browser sends it, is permitted.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        self.origins.iter().any(|allowed| allowed.matches(origin))
    }

    /// The response to `OPTIONS` for a path with these methods: a CORS preflight, or a plain question for `Allow`.
    ///
    /// # Errors
    /// When it is a preflight of an origin that is not permitted.
    pub fn options(&self, headers: &HeaderMap, methods: &'static str) -> Result<Response<Body>, Problem> {
        let mut response = Response::new(full(""));
        *response.status_mut() = StatusCode::NO_CONTENT;
        let response_headers = response.headers_mut();
        let preflight = headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if let Some(origin) = headers.get(header::ORIGIN).filter(|_| preflight) {
            if !origin.to_str().is_ok_and(|origin| self.allows(origin)) {
                let detail = "pages of this origin may not use this hub; the operator can name it in cors.origins";
                return Err(Problem::new(Code::OriginForbidden, detail));
            }
            response_headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
            // Every requested header is allowed: tracing and monitoring libraries add their own, which the hub does not
            // read.
            if let Some(asked) =
                headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).filter(|asked| is_header_list(asked))
            {
                response_headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            }
            response_headers.append(header::VARY, HeaderValue::from_static("access-control-request-headers"));
            response_headers.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.as_secs().into());
        } else {
            response_headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        Ok(response)
    }

    /// Sets the CORS headers of a response to a request from `origin`.
    pub fn set_headers(&self, origin: Option<&HeaderValue>, response: &mut HeaderMap) {
        if self.origins.is_empty() {
            return;
        }
        let any = self.origins.contains(&Allowed::Any);
        if !any {
            // A cache must not serve one origin's response to another.
            response.append(header::VARY, HeaderValue::from_static("origin"));
        }
        let Some(origin) = origin.filter(|origin| origin.to_str().is_ok_and(|origin| self.allows(origin))) else {
            return;
        };
        let shown = if any { HeaderValue::from_static("*") } else { origin.clone() };
        response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, shown);
        response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
        if self.credentials {
            response.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

/// Whether pages of any site can have this origin: `*`, or `null`, which sandboxed frames and local files have.
#[must_use]
pub fn is_shared_origin(origin: &str) -> bool {
    origin == "*" || origin == "null"
}

/// Whether this is a list of header names of at most [`MAX_LISTED_BYTES`].
fn is_header_list(value: &HeaderValue) -> bool {
    let named = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~, ".contains(b);
    value.len() <= MAX_LISTED_BYTES && value.as_bytes().iter().all(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str]) -> Cors {
        Cors::new(origins.iter().map(|&origin| origin.into()).collect(), true, Duration::ZERO)
    }

    fn headers_for(cors: &Cors, origin: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        cors.set_headers(Some(&origin.parse().expect("a value")), &mut headers);
        headers
    }

    #[test]
    fn an_origin_is_allowed_as_it_is_written_and_no_other() {
        let cors = cors(&["https://app.example", "https://*.wild.example", "http://*.local:3000"]);
        for origin in
            ["https://app.example", "https://a.wild.example", "https://x-1.wild.example", "http://dev.local:3000"]
        {
            assert!(cors.allows(origin), "{origin}");
        }
        for origin in [
            "http://app.example",
            "https://app.example:444",
            "https://app.example.evil.example",
            "https://APP.example",
            "https://wild.example",
            "https://a.b.wild.example",
            "https://evil.example/.wild.example",
            "https://evil.example#.wild.example",
            "https://.wild.example",
            "http://dev.local",
            "null",
            "",
        ] {
            assert!(!cors.allows(origin), "{origin}");
        }
    }

    #[test]
    fn no_header_is_set_unless_an_origin_is_configured() {
        assert!(headers_for(&Cors::default(), "https://app.example").is_empty());
        let foreign = headers_for(&cors(&["https://app.example"]), "https://evil.example");
        assert_eq!((foreign.len(), &foreign[header::VARY]), (1, &HeaderValue::from_static("origin")));
    }

    #[test]
    fn any_origin_gets_a_star_and_may_never_use_cookies() {
        let any = cors(&["*", "https://app.example"]);
        let headers = headers_for(&any, "https://app.example");
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!any.credentials && !headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
        let one = headers_for(&cors(&["https://app.example"]), "https://app.example");
        assert_eq!(one[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
        assert_eq!(one[header::ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        let read = one[header::ACCESS_CONTROL_EXPOSE_HEADERS].to_str().expect("text");
        assert!(
            read.split(", ").any(|name| name == "stream-keepalive"),
            "a page tells by it whether its stream lives: {read}"
        );
    }

    #[test]
    fn the_origins_of_apps_extensions_and_development_servers_can_be_named() {
        let named = cors(&[
            "capacitor://localhost",
            "chrome-extension://abcdef",
            "http://localhost:*",
            "https://*.dev.example:*",
        ]);
        for origin in [
            "capacitor://localhost",
            "chrome-extension://abcdef",
            "http://localhost",
            "http://localhost:5173",
            "https://a.dev.example",
            "https://a.dev.example:8443",
        ] {
            assert!(named.allows(origin), "{origin}");
        }
        for origin in [
            "capacitor://evil",
            "https://localhost:5173",
            "http://localhost:",
            "http://localhost:x",
            "http://localhost:123456",
            "http://localhost:80:80",
            "http://localhost.evil.example:80",
            "https://a.b.dev.example:1",
            "null",
        ] {
            assert!(!named.allows(origin), "{origin}");
        }
        let sandboxed = cors(&["null"]);
        assert!(sandboxed.allows("null") && !sandboxed.credentials, "every sandboxed frame has this origin");
    }

    #[test]
    fn a_preflight_may_ask_for_any_header_in_a_list_of_bounded_length() {
        let cors = cors(&["https://app.example"]);
        let allowed = |asked: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, HeaderValue::from_static("https://app.example"));
            headers.insert(header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST"));
            headers.insert(header::ACCESS_CONTROL_REQUEST_HEADERS, asked.parse().expect("a value"));
            let response = cors.options(&headers, "POST").expect("named");
            response
                .headers()
                .get(header::ACCESS_CONTROL_ALLOW_HEADERS)
                .map(|value| value.to_str().expect("text").to_owned())
        };
        let tracing = "authorization,baggage, sentry-trace,traceparent";
        assert_eq!(allowed(tracing).as_deref(), Some(tracing));
        assert_eq!(allowed("x\u{e9}"), None);
        assert_eq!(allowed(&"a".repeat(MAX_LISTED_BYTES + 1)), None);
    }

    #[test]
    fn a_preflight_is_answered_for_a_permitted_origin_and_refused_for_another() {
        let cors = cors(&["https://app.example"]);
        let ask = |origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, origin.parse().expect("a value"));
            headers.insert(header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST"));
            cors.options(&headers, "POST")
        };
        let response = ask("https://app.example").expect("allowed");
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_METHODS], "POST");
        assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_HEADERS), "it asked for none");
        assert_eq!(ask("https://evil.example").map(|_| ()).expect_err("foreign").code, Code::OriginForbidden);
        let bare = cors.options(&HeaderMap::new(), "POST").expect("no page asks");
        assert_eq!(bare.headers()[header::ALLOW], "POST");
    }
}
