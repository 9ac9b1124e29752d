//! Every route in one table, and what all answers have in common.

use std::{convert::Infallible, rc::Rc};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version, header};
use hyper::body::Incoming;
use matchit::Router;

use super::{
    Answer, Beyond, Core, Limits, body,
    cors::Cors,
    docs, events, full, headers, operators,
    peer::{Operators, Peer, Side},
    problem::{Code, Problem},
    publish, topics,
    visitor::Visitor,
};

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Publish,
    Events,
    Event,
    Topics,
    Stats,
    Metrics,
    Health,
    Ready,
    Page,
    Docs,
}

/// The table: path, room, and the methods it takes as the `Allow` header lists them.
const TABLE: [(&str, Room, &str); 11] = [
    ("/", Room::Page, "GET, HEAD, OPTIONS"),
    ("/docs/{document}", Room::Docs, "GET, HEAD, OPTIONS"),
    ("/publish", Room::Publish, "POST, OPTIONS"),
    ("/events", Room::Events, "GET, HEAD, POST, OPTIONS"),
    ("/events/{id}", Room::Event, "DELETE, OPTIONS"),
    ("/topics", Room::Topics, "GET, HEAD, OPTIONS"),
    ("/topics/{*topic}", Room::Topics, "GET, HEAD, PUT, DELETE, OPTIONS"),
    ("/admin/stats", Room::Stats, "GET, HEAD, OPTIONS"),
    ("/metrics", Room::Metrics, "GET, HEAD, OPTIONS"),
    ("/healthz", Room::Health, "GET, HEAD, OPTIONS"),
    ("/readyz", Room::Ready, "GET, HEAD, OPTIONS"),
];

/// The page that anyone can open after starting the hub.
const PAGE: &str = include_str!("../../console/index.html");

/// What the page may do: its own script and style, and talk to the hub it came from.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
     connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What every answer says to browsers, unless it says something else itself: take the Content-Type for what it is, show this in
/// no frame and run nothing of it, let no other site embed it, and tell nobody where its reader came from (there may be a token
/// in the address). No Strict-Transport-Security: it would hold for every port of the name.
const EVERY: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Finds rooms by path.
pub struct Routes(Router<(Room, &'static str)>);

impl Default for Routes {
    fn default() -> Self {
        let mut router = Router::new();
        for (path, room, methods) in TABLE {
            router.insert(path, (room, methods)).expect("the table's paths are distinct");
        }
        Self(router)
    }
}

impl Routes {
    /// Answers a request; every refusal is a problem, and counted.
    ///
    /// # Errors
    /// Never.
    pub async fn answer(&self, core: &Rc<Core>, request: Request<Incoming>) -> Result<Answer, Infallible> {
        // One too many may find room when it comes back as another connection.
        let last = request.extensions().get::<Beyond>().is_some();
        let origin = request.headers().get(header::ORIGIN).cloned();
        let side = side(&request);
        let result = self.lead(core, request).await;
        let mut answer = result.unwrap_or_else(|problem| problem.into_answer(core.door.hub.stats()));
        let headers = answer.headers_mut();
        for (name, value) in EVERY {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        if pages_may_ask(core, side) {
            core.passes.policy(&core.door.policies).cors.mark(origin.as_ref(), headers);
        }
        // Where a body ends that nobody understands is not known.
        let unread = answer.status() == StatusCode::NOT_IMPLEMENTED;
        if last || unread || core.door.drain.is_draining() {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(answer)
    }

    /// Leads a request into its room, when whoever sends it may go there.
    async fn lead(&self, core: &Rc<Core>, request: Request<Incoming>) -> Result<Answer, Problem> {
        let (room, methods) = self.find(core, &request)?;
        if request.method() == Method::OPTIONS {
            let policy = core.passes.policy(&core.door.policies);
            let closed = Cors::default();
            let pages = if pages_may_ask(core, side(&request)) { &policy.cors } else { &closed };
            return pages.options(request.headers(), methods);
        }
        match room {
            Room::Health => return Ok(operators::health::alive()),
            Room::Ready => return operators::health::ready(&core.door),
            Room::Page => return Ok(page()),
            Room::Docs => return docs::document(request.uri().path().rsplit('/').next().unwrap_or_default()),
            Room::Publish | Room::Events | Room::Event | Room::Topics | Room::Stats | Room::Metrics => {}
        }
        let (head, body) = request.into_parts();
        let visitor = match Visitor::of(core, &head) {
            Ok(visitor) => visitor,
            Err(problem) if matches!(room, Room::Events | Room::Stats) => {
                return events::come_back(core, &head.headers, problem);
            }
            Err(problem) => {
                body::discard(&core.door, &head.headers, body).await;
                return Err(problem);
            }
        };
        enter(room, core, visitor, Request::from_parts(head, body)).await
    }

    fn find(&self, core: &Core, request: &Request<Incoming>) -> Result<(Room, &'static str), Problem> {
        check_headers(request.headers(), &core.door.limits)?;
        check_framing(request)?;
        let (room, methods) = self.at(core, request)?;
        let allowed = methods.split(", ").any(|method| method == request.method().as_str());
        allowed.then_some((room, methods)).ok_or_else(|| Problem::method_not_allowed(methods))
    }

    /// What the path leads to, at the address that the request came to.
    fn at(&self, core: &Core, request: &Request<Incoming>) -> Result<(Room, &'static str), Problem> {
        let (room, methods) = *self
            .0
            .at(request.uri().path())
            .map_err(|_| Problem::new(Code::NotFound, "see GET / for where things are"))?
            .value;
        let side = side(request);
        let here = match room {
            Room::Health | Room::Ready | Room::Docs => true,
            Room::Stats | Room::Metrics => side == Side::Operators || core.door.operators == Operators::AmongAll,
            Room::Publish | Room::Events | Room::Event | Room::Topics | Room::Page => side == Side::Public,
        };
        here.then_some((room, methods))
            .ok_or_else(|| Problem::new(Code::NotFound, "this is at the hub's other address"))
    }
}

fn side<B>(request: &Request<B>) -> Side {
    request.extensions().get::<Peer>().map_or(Side::Public, |peer| peer.side)
}

/// Whether pages of other sites may use an address at all. Where whoever reaches it needs no credential, any page in a browser on
/// this machine reaches it.
fn pages_may_ask(core: &Core, side: Side) -> bool {
    side == Side::Public || core.door.operators != Operators::ApartFree
}

/// hyper has already bounded what it reads of a head, but only roughly, and not by line.
fn check_headers(headers: &HeaderMap, limits: &Limits) -> Result<(), Problem> {
    let mut total = 0;
    for (name, value) in headers {
        let size = name.as_str().len() + value.len();
        total += size;
        if size > limits.header_line_bytes {
            let detail = format!("the header '{name}' has more than {} bytes; shorten it", limits.header_line_bytes);
            return Err(Problem::new(Code::HeadersTooLarge, detail));
        }
    }
    if total > limits.headers_bytes {
        let detail = format!("the headers have more than {} bytes together; send fewer", limits.headers_bytes);
        return Err(Problem::new(Code::HeadersTooLarge, detail));
    }
    Ok(())
}

/// What RFC 9112 wants of a request besides: one name for the hub (3.2), and a body in chunks or not, but in no other coding (6.1).
/// hyper reads bodies of other codings as they are, and nobody should take them for what they stand for.
fn check_framing<B>(request: &Request<B>) -> Result<(), Problem> {
    let headers = request.headers();
    if headers::one(headers, &header::HOST)?.is_none() && request.version() == Version::HTTP_11 {
        return Err(Problem::new(Code::HeaderInvalid, "the header Host is missing; HTTP/1.1 needs it"));
    }
    let lines = headers.get_all(header::TRANSFER_ENCODING).iter();
    let codings = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let mut codings = codings.map(<[u8]>::trim_ascii).filter(|coding| !coding.is_empty());
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if only.eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Problem::new(
            Code::TransferEncodingUnsupported,
            "send the body with Content-Length, or with Transfer-Encoding: chunked and nothing else",
        )),
    }
}

async fn enter(room: Room, core: &Rc<Core>, visitor: Visitor, request: Request<Incoming>) -> Result<Answer, Problem> {
    let door = &core.door;
    match room {
        Room::Publish => publish::handle(door, &core.gather, visitor, request).await,
        Room::Events if request.method() == Method::POST => events::post(core, visitor, request).await,
        Room::Events => events::get(core, visitor, request).await,
        Room::Event => events::removal::handle(door, &visitor.right, request.uri()).await,
        Room::Topics => topics::handle(door, &visitor, request).await,
        Room::Stats => operators::stats::handle(door, visitor.right, request.headers()),
        Room::Metrics => operators::metrics::handle(door, &visitor.right),
        Room::Health | Room::Ready | Room::Page | Room::Docs => unreachable!("open to everyone"),
    }
}

fn page() -> Answer {
    let mut answer = Answer::new(full(PAGE));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    answer
}
