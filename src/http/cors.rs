//! Which pages of other sites may use the hub from a browser (CORS). None, unless the operator names them.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::{
    Answer, full,
    problem::{Code, Problem},
};

/// Headers that a script may send: all that the hub reads, and what EventSource's stand-ins add.
const SENT: &str =
    "accept, authorization, cache-control, content-type, idempotency-key, if-match, last-event-id, x-requested-with";

/// Headers that a script may read, beside those that it always may (`Cache-Control`, `Content-Type`).
const READ: &str = "allow, retry-after, www-authenticate";

/// What the operator says about other sites.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    origins: Vec<Allowed>,
    /// Whether their pages may use cookies.
    pub credentials: bool,
    /// How long a browser may remember a preflight.
    pub max_age: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    Any,
    Exactly(String),
    /// A scheme with `://`, and the rest of the host with its port, after the first label's dot.
    Below(String, String),
}

impl Cors {
    /// Lets pages of `origins` in: each as browsers send it, with `*` as its host's first label, or `*`. With `*` nobody's
    /// page may use cookies, whatever `credentials` says.
    #[must_use]
    pub fn new(origins: Vec<String>, credentials: bool, max_age: Duration) -> Self {
        let allowed = |origin: String| match origin.split_once("://*.") {
            _ if origin == "*" => Allowed::Any,
            Some((scheme, rest)) => Allowed::Below(format!("{scheme}://"), format!(".{rest}")),
            None => Allowed::Exactly(origin),
        };
        let origins: Vec<Allowed> = origins.into_iter().map(allowed).collect();
        Self { credentials: credentials && !origins.contains(&Allowed::Any), origins, max_age }
    }

    /// Whether pages of `origin`, as a browser sends it, may use the hub.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        self.origins.iter().any(|allowed| match allowed {
            Allowed::Any => true,
            Allowed::Exactly(known) => known == origin,
            Allowed::Below(scheme, rest) => {
                let label = origin.strip_prefix(&**scheme).and_then(|host| host.strip_suffix(&**rest));
                label.is_some_and(|label| {
                    !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                })
            }
        })
    }

    /// Answers `OPTIONS` for a path that takes `methods`: what a browser asks before it sends a page's request.
    ///
    /// # Errors
    /// When it asks for a page that may not.
    pub fn options(&self, headers: &HeaderMap, methods: &'static str) -> Result<Answer, Problem> {
        let mut answer = Response::new(full(""));
        *answer.status_mut() = StatusCode::NO_CONTENT;
        let said = answer.headers_mut();
        let preflight = headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if let Some(origin) = headers.get(header::ORIGIN).filter(|_| preflight) {
            if !origin.to_str().is_ok_and(|origin| self.allows(origin)) {
                let detail = "pages of this origin may not use this hub; the operator can name it in cors.origins";
                return Err(Problem::new(Code::OriginForbidden, detail));
            }
            said.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
            said.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(SENT));
            said.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.as_secs().into());
        } else {
            said.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        Ok(answer)
    }

    /// Says on an answer to whom it may be shown.
    pub fn mark(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        if self.origins.is_empty() {
            return;
        }
        let any = self.origins.contains(&Allowed::Any);
        if !any {
            // A cache must not give one site the answer that was meant for another.
            answer.append(header::VARY, HeaderValue::from_static("origin"));
        }
        let Some(origin) = origin.filter(|origin| origin.to_str().is_ok_and(|origin| self.allows(origin))) else {
            return;
        };
        let shown = if any { HeaderValue::from_static("*") } else { origin.clone() };
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, shown);
        answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(READ));
        if self.credentials {
            answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str]) -> Cors {
        Cors::new(origins.iter().map(|&origin| origin.into()).collect(), true, Duration::ZERO)
    }

    fn marked(cors: &Cors, origin: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        cors.mark(Some(&origin.parse().expect("a value")), &mut headers);
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
    fn nothing_is_said_unless_somebody_is_named() {
        assert!(marked(&Cors::default(), "https://app.example").is_empty());
        let foreign = marked(&cors(&["https://app.example"]), "https://evil.example");
        assert_eq!((foreign.len(), &foreign[header::VARY]), (1, &HeaderValue::from_static("origin")));
    }

    #[test]
    fn any_origin_is_told_a_star_and_may_never_use_cookies() {
        let any = cors(&["*", "https://app.example"]);
        let told = marked(&any, "https://app.example");
        assert_eq!(told[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!any.credentials && !told.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
        let one = marked(&cors(&["https://app.example"]), "https://app.example");
        assert_eq!(one[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
        assert_eq!(one[header::ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
    }

    #[test]
    fn a_preflight_is_answered_for_who_may_and_refused_for_who_may_not() {
        let cors = cors(&["https://app.example"]);
        let ask = |origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, origin.parse().expect("a value"));
            headers.insert(header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST"));
            cors.options(&headers, "POST")
        };
        let answer = ask("https://app.example").expect("allowed");
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(answer.headers()[header::ACCESS_CONTROL_ALLOW_METHODS], "POST");
        assert_eq!(ask("https://evil.example").map(|_| ()).expect_err("foreign").code, Code::OriginForbidden);
        let bare = cors.options(&HeaderMap::new(), "POST").expect("no page asks");
        assert_eq!(bare.headers()[header::ALLOW], "POST");
    }
}
