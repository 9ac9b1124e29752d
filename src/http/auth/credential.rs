//! Where a request carries its credential, and which one counts.
//!
//! The header `Authorization`, else `?access_token=`, else the cookie: the first that is there counts, and what stands after it
//! is not looked at. One that is there and cannot be read is an error, never taken for none.
//!
//! One header is passed over where a token comes in another place: what a browser sends a proxy before the hub, by itself, with
//! each request (`Basic` and its like). It can be no token of the hub's. Where no token comes with it, it is an error, too.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, Method, Uri, header};

use crate::http::{headers, problem::Problem, query::Query};

/// The query's key, as RFC 6750 has it.
const KEY: &str = "access_token";

/// The schemes that browsers use by themselves, with a password that a proxy asked for. The hub knows none of them.
const OF_PROXIES: [&str; 4] = ["basic", "digest", "negotiate", "ntlm"];

/// Which places are looked at.
#[derive(Debug, Clone)]
pub struct CredentialSources {
    /// The cookie's name, if one counts.
    pub cookie: Option<String>,
    /// Whether the query counts where events are read.
    pub query_subscribe: bool,
    /// Whether it counts where something is changed.
    pub query_publish: bool,
}

/// How a credential came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// `Authorization: Bearer`.
    Header,
    /// `?access_token=`.
    Query,
    /// A cookie: a browser sends it whichever page asks.
    Cookie,
}

/// What a request does, as far as credentials go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It changes nothing.
    Read,
    /// It publishes, sets or deletes.
    Change,
}

impl Action {
    /// What a request does by its method and path: `POST /events` reads.
    #[must_use]
    pub fn of(method: &Method, path: &str) -> Self {
        if method.is_safe() || path == "/events" { Self::Read } else { Self::Change }
    }
}

/// The credential of a request, if it has one.
///
/// # Errors
/// When it cannot be read, or came where it does not count.
pub fn find<'r>(
    places: &CredentialSources,
    act: Action,
    headers: &'r HeaderMap,
    uri: &'r Uri,
) -> Result<Option<(Cow<'r, str>, Carrier)>, Problem> {
    let authorization = headers::one(headers, &header::AUTHORIZATION)?;
    let a_proxys = authorization.is_some_and(is_a_proxys);
    if let Some(value) = authorization.filter(|_| !a_proxys) {
        return Ok(Some((from_header(value)?.into(), Carrier::Header)));
    }
    if let Some(token) = from_query(places, act, uri)? {
        return Ok(Some((token, Carrier::Query)));
    }
    let cookie = places.cookie.as_deref().map(|name| from_cookie(headers, name)).transpose()?.flatten();
    if cookie.is_none() && a_proxys {
        let detail = "the Authorization header is of another scheme than 'Bearer TOKEN', and no token came beside it; a proxy \
                      before the hub that asks for passwords should remove it";
        return Err(Problem::unauthorized(detail));
    }
    Ok(cookie.map(|token| (token.into(), Carrier::Cookie)))
}

fn is_a_proxys(value: &HeaderValue) -> bool {
    let scheme = value.to_str().ok().and_then(|text| text.split(' ').next());
    scheme.is_some_and(|scheme| OF_PROXIES.iter().any(|known| scheme.eq_ignore_ascii_case(known)))
}

fn from_header(value: &HeaderValue) -> Result<&str, Problem> {
    let bearer = value.to_str().ok().and_then(|text| text.split_once(' '));
    let token = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim_ascii());
    let problem =
        || Problem::unauthorized("the Authorization header must be 'Bearer TOKEN'; no other scheme is known here");
    token.filter(|token| is_token(token)).ok_or_else(problem)
}

fn from_query<'r>(places: &CredentialSources, act: Action, uri: &'r Uri) -> Result<Option<Cow<'r, str>>, Problem> {
    let query = Query::new(uri.query());
    let Some(token) = query.one(KEY)? else { return Ok(None) };
    let counts = match act {
        Action::Read => places.query_subscribe,
        Action::Change => places.query_publish,
    };
    if !counts {
        let detail = "a token is not taken from the query here; send it as 'Authorization: Bearer TOKEN'";
        return Err(Problem::unauthorized(detail));
    }
    if !is_token(token) {
        return Err(Problem::unauthorized("the query's access_token is empty, or no token; leave it out for none"));
    }
    Ok(Some(token.to_owned().into()))
}

/// HTTP/2 may split cookies into several headers. Two of one name may be another site's, set over ours: neither counts.
fn from_cookie<'r>(headers: &'r HeaderMap, name: &str) -> Result<Option<&'r str>, Problem> {
    // Bytes, because cookies of others on the same line may be no ASCII, and must not hide ours.
    let pairs = headers.get_all(header::COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let named = |pair: &'r [u8]| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=");
    let mut tokens = pairs.filter_map(named);
    let Some(token) = tokens.next() else { return Ok(None) };
    if tokens.next().is_some() {
        return Err(Problem::unauthorized(format!("there are two cookies called {name}; remove one")));
    }
    let token = token.strip_prefix(b"\"").and_then(|token| token.strip_suffix(b"\"")).unwrap_or(token);
    let problem = || Problem::unauthorized(format!("the cookie {name} is empty, or no token; remove it to have none"));
    std::str::from_utf8(token).ok().filter(|token| is_token(token)).map(Some).ok_or_else(problem)
}

/// `b64token` of RFC 6750: what may follow `Bearer`.
fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty() && body.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::http::problem::Code;

    fn places() -> CredentialSources {
        CredentialSources { cookie: Some("gapless".into()), query_subscribe: true, query_publish: false }
    }

    /// The credential of a request, or the code of the refusal.
    fn found(act: Action, target: &str, headers: &[(&str, &str)]) -> Result<Option<(String, Carrier)>, Code> {
        let mut request = Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).expect("valid").into_parts();
        let found = find(&places(), act, &head.headers, &head.uri).map_err(|problem| problem.code)?;
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
    fn a_proxys_password_hides_no_token_and_is_none_itself() {
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
