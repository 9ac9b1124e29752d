//! Where a request carries its credential, and which one counts.
//!
//! The header `Authorization`, else `?access_token=`, else the cookie. The first one present counts, and the others are
//! ignored. One that is present but malformed is an error; it never counts as absent.
//!
//! One exception: an `Authorization` header with a password for a proxy before the hub (`Basic` and the like), which
//! browsers send with every request. It cannot be a token of the hub, so it is skipped if another source has one.
//! Without one it is an error.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, Method, Uri, header};

use crate::http::message::{headers, problem::Problem, query::Query};

/// The query key of RFC 6750.
const KEY: &str = "access_token";

/// The schemes for which browsers repeat a password by themselves. The hub supports none of them.
const PROXY_SCHEMES: [&str; 4] = ["basic", "digest", "negotiate", "ntlm"];

/// The sources of a credential that are enabled.
#[derive(Debug, Clone)]
pub struct CredentialSources {
    /// The name of the cookie, if cookies are enabled.
    pub cookie: Option<String>,
    /// Whether the query may carry one when events are read.
    pub query_subscribe: bool,
    /// Whether the query may carry one when something is changed.
    pub query_publish: bool,
}

/// The source of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// `Authorization: Bearer`.
    Header,
    /// `?access_token=`.
    Query,
    /// A cookie. A browser sends it for pages of any site.
    Cookie,
}

/// The kind of a request, for the rules on credentials and origins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It changes nothing.
    Read,
    /// It publishes, sets or deletes.
    Change,
}

impl Action {
    /// The action of a method and path. `POST /events` reads.
    #[must_use]
    pub fn of(method: &Method, path: &str) -> Self {
        if method.is_safe() || path == "/events" { Self::Read } else { Self::Change }
    }
}

/// The credential of a request, if it has one.
///
/// # Errors
/// When it is malformed, or its source is not enabled for this action.
pub fn find<'r>(
    sources: &CredentialSources,
    action: Action,
    headers: &'r HeaderMap,
    uri: &'r Uri,
) -> Result<Option<(Cow<'r, str>, Carrier)>, Problem> {
    let authorization = headers::one(headers, &header::AUTHORIZATION)?;
    let proxy_scheme = authorization.is_some_and(is_proxy_scheme);
    if let Some(value) = authorization.filter(|_| !proxy_scheme) {
        return Ok(Some((bearer(value)?.into(), Carrier::Header)));
    }
    if let Some(token) = from_query(sources, action, uri)? {
        return Ok(Some((token, Carrier::Query)));
    }
    let found = sources.cookie.as_deref().map(|name| cookie(headers, name)).transpose()?.flatten();
    if found.is_none() && proxy_scheme {
        let detail = "the scheme of the Authorization header is not Bearer, and no other source has a token; if a proxy before the \
                      hub asks for passwords, let it remove the header";
        return Err(Problem::unauthorized(detail));
    }
    Ok(found.map(|token| (token.into(), Carrier::Cookie)))
}

fn is_proxy_scheme(value: &HeaderValue) -> bool {
    let scheme = value.to_str().ok().and_then(|text| text.split(' ').next());
    scheme.is_some_and(|scheme| PROXY_SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)))
}

/// The token of an `Authorization` header.
///
/// # Errors
/// When it is not `Bearer TOKEN`.
pub fn bearer(value: &HeaderValue) -> Result<&str, Problem> {
    let bearer = value.to_str().ok().and_then(|text| text.split_once(' '));
    let token = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim_ascii());
    let problem =
        || Problem::unauthorized("the Authorization header must be 'Bearer TOKEN'; no other scheme is supported");
    token.filter(|token| is_token(token)).ok_or_else(problem)
}

fn from_query<'r>(sources: &CredentialSources, action: Action, uri: &'r Uri) -> Result<Option<Cow<'r, str>>, Problem> {
    let query = Query::new(uri.query());
    let Some(token) = query.one(KEY)? else { return Ok(None) };
    let counts = match action {
        Action::Read => sources.query_subscribe,
        Action::Change => sources.query_publish,
    };
    if !counts {
        let detail = "a token in the query is not accepted here; send it as 'Authorization: Bearer TOKEN'";
        return Err(Problem::unauthorized(detail));
    }
    if !is_token(token) {
        return Err(Problem::unauthorized("the query's access_token is empty or malformed; omit it to send no token"));
    }
    Ok(Some(token.to_owned().into()))
}

/// The token in the cookie with this name. HTTP/2 may split cookies into several headers. Of two cookies with one name, one
/// may be set by another site: both are refused.
///
/// # Errors
/// When it is malformed, or there are two.
pub fn cookie<'r>(headers: &'r HeaderMap, name: &str) -> Result<Option<&'r str>, Problem> {
    // Bytes, because other cookies of the header may not be ASCII, and must not hide the token.
    let pairs = headers.get_all(header::COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let named = |pair: &'r [u8]| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=");
    let mut tokens = pairs.filter_map(named);
    let Some(token) = tokens.next() else { return Ok(None) };
    if tokens.next().is_some() {
        return Err(Problem::unauthorized(format!("there are two cookies called {name}; remove one")));
    }
    let token = token.strip_prefix(b"\"").and_then(|token| token.strip_suffix(b"\"")).unwrap_or(token);
    let problem =
        || Problem::unauthorized(format!("the cookie {name} is empty or malformed; delete it to send no token"));
    std::str::from_utf8(token).ok().filter(|token| is_token(token)).map(Some).ok_or_else(problem)
}

/// Whether this is a `b64token` of RFC 6750: what may follow `Bearer`.
#[must_use]
pub fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty() && body.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::http::message::problem::Code;

    fn sources() -> CredentialSources {
        CredentialSources { cookie: Some("gapless".into()), query_subscribe: true, query_publish: false }
    }

    /// The credential of a request, or the code of the refusal.
    fn found(action: Action, target: &str, headers: &[(&str, &str)]) -> Result<Option<(String, Carrier)>, Code> {
        let mut request = Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).expect("valid").into_parts();
        let found = find(&sources(), action, &head.headers, &head.uri).map_err(|problem| problem.code)?;
        Ok(found.map(|(token, carrier)| (token.into_owned(), carrier)))
    }

    #[test]
    fn the_header_beats_the_query_which_beats_the_cookie() {
        let (header, cookie) = (("authorization", "Bearer h"), ("cookie", "a=1; gapless=c; b=2"));
        let target = "/events?topic=t&access_token=q";
        let token = |target, headers: &[_]| found(Action::Read, target, headers).expect("readable");
        assert_eq!(token(target, &[cookie, header]), Some(("h".into(), Carrier::Header)));
        assert_eq!(token(target, &[cookie]), Some(("q".into(), Carrier::Query)));
        assert_eq!(token("/events?topic=t", &[cookie]), Some(("c".into(), Carrier::Cookie)));
        assert_eq!(token("/events?topic=t", &[("cookie", "gaples=x; xgapless=y; Gapless=z")]), None);
    }

    #[test]
    fn a_password_for_a_proxy_hides_no_token_and_is_not_one() {
        let cookie = ("cookie", "gapless=c");
        for value in ["Basic dTpw", "basic dTpw", "Digest username=\"u\"", "Negotiate YII=", "NTLM TlRM"] {
            let proxys = ("authorization", value);
            let of = |target, headers: &[_]| found(Action::Read, target, headers);
            assert_eq!(of("/events", &[proxys, cookie]), Ok(Some(("c".into(), Carrier::Cookie))), "{value}");
            assert_eq!(of("/events?access_token=q", &[proxys]), Ok(Some(("q".into(), Carrier::Query))), "{value}");
            assert_eq!(of("/events", &[proxys]), Err(Code::Unauthorized), "{value}");
            assert_eq!(of("/events", &[proxys, ("cookie", "gapless=a b")]), Err(Code::Unauthorized), "{value}");
            assert_eq!(of("/events", &[proxys, proxys, cookie]), Err(Code::HeaderInvalid), "{value}");
        }
        for value in ["", "Bearer", "Bearer a b", "Token x", "Basically dTpw"] {
            let other = ("authorization", value);
            assert_eq!(found(Action::Read, "/events", &[other, cookie]), Err(Code::Unauthorized), "{value:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_beside_others_that_are_no_ascii() {
        for cookie in ["a=J\u{fc}rgen; gapless=t", "gapless=t; a=\u{20ac}"] {
            let want = Some(("t".into(), Carrier::Cookie));
            assert_eq!(found(Action::Read, "/events", &[("cookie", cookie)]), Ok(want), "{cookie}");
        }
        let junk = [("cookie", "a=1; gapless=J\u{fc}rgen")];
        assert_eq!(found(Action::Read, "/events", &junk), Err(Code::Unauthorized));
    }

    #[test]
    fn a_credential_that_cannot_be_read_is_never_none() {
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Basic dTpw",
            "bearer a b",
            "Bearer a\u{e9}",
            "Token x",
            "Bearer a,b",
            "Bearer ==",
        ] {
            assert_eq!(
                found(Action::Read, "/events", &[("authorization", value)]),
                Err(Code::Unauthorized),
                "{value:?}"
            );
        }
        let two = [("authorization", "Bearer a"), ("authorization", "Bearer a")];
        assert_eq!(found(Action::Read, "/events", &two), Err(Code::HeaderInvalid));
        for target in ["/events?access_token=", "/events?access_token=a%20b", "/events?access%5Ftoken=%00"] {
            assert_eq!(found(Action::Read, target, &[]), Err(Code::Unauthorized), "{target}");
        }
        assert_eq!(found(Action::Read, "/events?access_token=a&access_token=a", &[]), Err(Code::QueryInvalid));
        for cookies in ["gapless=", "gapless=\"\"", "gapless=a b", "gapless=a; gapless=a"] {
            assert_eq!(found(Action::Read, "/events", &[("cookie", cookies)]), Err(Code::Unauthorized), "{cookies}");
        }
        let split = [("cookie", "gapless=a"), ("cookie", "gapless=b")];
        assert_eq!(found(Action::Read, "/events", &split), Err(Code::Unauthorized));
    }

    #[test]
    fn a_token_in_the_query_publishes_nothing_unless_that_is_allowed() {
        assert_eq!(found(Action::Change, "/publish?access_token=q", &[]), Err(Code::Unauthorized));
        assert_eq!(Action::of(&Method::POST, "/events"), Action::Read);
        assert_eq!(Action::of(&Method::POST, "/publish"), Action::Change);
        assert_eq!(Action::of(&Method::DELETE, "/topics/t"), Action::Change);
    }

    #[test]
    fn spellings_that_mean_the_same_are_the_same() {
        for value in ["Bearer t0k.en-_~+/=", "bearer t0k.en-_~+/=", "BEARER   t0k.en-_~+/="] {
            let token = found(Action::Read, "/events", &[("authorization", value)]).expect(value);
            assert_eq!(token, Some(("t0k.en-_~+/=".into(), Carrier::Header)));
        }
        let quoted = found(Action::Read, "/events", &[("cookie", "gapless=\"c\"")]).expect("readable");
        assert_eq!(quoted, Some(("c".into(), Carrier::Cookie)));
    }
}
