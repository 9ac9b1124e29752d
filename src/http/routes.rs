//! Every route in one table, and what all answers have in common.

use std::{convert::Infallible, rc::Rc};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version, header};
use hyper::body::Incoming;
use matchit::Router;

use super::{
    Limits, OverCapacity, Response, ShardState,
    auth::Caller,
    body,
    cors::Cors,
    docs, events, full, headers, operators,
    peer::{AdminListener, ListenerRole, Peer},
    problem::{Code, Problem},
    publish, topics,
};

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
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
const TABLE: [(&str, Route, &str); 11] = [
    ("/", Route::Page, "GET, HEAD, OPTIONS"),
    ("/docs/{document}", Route::Docs, "GET, HEAD, OPTIONS"),
    ("/publish", Route::Publish, "POST, OPTIONS"),
    ("/events", Route::Events, "GET, HEAD, POST, OPTIONS"),
    ("/events/{id}", Route::Event, "DELETE, OPTIONS"),
    ("/topics", Route::Topics, "GET, HEAD, OPTIONS"),
    ("/topics/{*topic}", Route::Topics, "GET, HEAD, PUT, DELETE, OPTIONS"),
    ("/admin/stats", Route::Stats, "GET, HEAD, OPTIONS"),
    ("/metrics", Route::Metrics, "GET, HEAD, OPTIONS"),
    ("/healthz", Route::Health, "GET, HEAD, OPTIONS"),
    ("/readyz", Route::Ready, "GET, HEAD, OPTIONS"),
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
pub struct Routes(Router<(Route, &'static str)>);

impl Default for Routes {
    fn default() -> Self {
        let mut router = Router::new();
        for (path, route, methods) in TABLE {
            router.insert(path, (route, methods)).expect("the table's paths are distinct");
        }
        Self(router)
    }
}

impl Routes {
    /// Answers a request; every refusal is a problem, and counted.
    ///
    /// # Errors
    /// Never.
    pub async fn response(&self, shard: &Rc<ShardState>, request: Request<Incoming>) -> Result<Response, Infallible> {
        // One too many may find room when it comes back as another connection.
        let last = request.extensions().get::<OverCapacity>().is_some();
        let origin = request.headers().get(header::ORIGIN).cloned();
        let side = side(&request);
        let result = self.lead(shard, request).await;
        let mut response = result.unwrap_or_else(|problem| problem.into_answer(shard.app.hub.stats()));
        let headers = response.headers_mut();
        for (name, value) in EVERY {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        if pages_may_ask(shard, side) {
            shard.credentials.policy(&shard.app.policies).cors.mark(origin.as_ref(), headers);
        }
        // Where a body ends that nobody understands is not known.
        let unread = response.status() == StatusCode::NOT_IMPLEMENTED;
        if last || unread || shard.app.drain.is_draining() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    /// Leads a request into its room, when whoever sends it may go there.
    async fn lead(&self, shard: &Rc<ShardState>, request: Request<Incoming>) -> Result<Response, Problem> {
        let (route, methods) = self.find(shard, &request)?;
        if request.method() == Method::OPTIONS {
            let policy = shard.credentials.policy(&shard.app.policies);
            let closed = Cors::default();
            let pages = if pages_may_ask(shard, side(&request)) { &policy.cors } else { &closed };
            return pages.options(request.headers(), methods);
        }
        match route {
            Route::Health => return Ok(operators::health::alive()),
            Route::Ready => return operators::health::ready(&shard.app),
            Route::Page => return Ok(page()),
            Route::Docs => return docs::document(request.uri().path().rsplit('/').next().unwrap_or_default()),
            Route::Publish | Route::Events | Route::Event | Route::Topics | Route::Stats | Route::Metrics => {}
        }
        let (head, body) = request.into_parts();
        let caller = match Caller::of(shard, &head) {
            Ok(caller) => caller,
            Err(problem) if matches!(route, Route::Events | Route::Stats) => {
                return events::come_back(shard, &head.headers, problem);
            }
            Err(problem) => {
                body::discard(&shard.app, &head.headers, body).await;
                return Err(problem);
            }
        };
        enter(route, shard, caller, Request::from_parts(head, body)).await
    }

    fn find(&self, shard: &ShardState, request: &Request<Incoming>) -> Result<(Route, &'static str), Problem> {
        check_headers(request.headers(), &shard.app.limits)?;
        check_framing(request)?;
        let (route, methods) = self.at(shard, request)?;
        let allowed = methods.split(", ").any(|method| method == request.method().as_str());
        allowed.then_some((route, methods)).ok_or_else(|| Problem::method_not_allowed(methods))
    }

    /// What the path leads to, at the address that the request came to.
    fn at(&self, shard: &ShardState, request: &Request<Incoming>) -> Result<(Route, &'static str), Problem> {
        let (route, methods) = *self
            .0
            .at(request.uri().path())
            .map_err(|_| Problem::new(Code::NotFound, "see GET / for where things are"))?
            .value;
        let side = side(request);
        let here = match route {
            Route::Health | Route::Ready | Route::Docs => true,
            Route::Stats | Route::Metrics => {
                side == ListenerRole::Operators || shard.app.operators == AdminListener::AmongAll
            }
            Route::Publish | Route::Events | Route::Event | Route::Topics | Route::Page => side == ListenerRole::Public,
        };
        here.then_some((route, methods))
            .ok_or_else(|| Problem::new(Code::NotFound, "this is at the hub's other address"))
    }
}

fn side<B>(request: &Request<B>) -> ListenerRole {
    request.extensions().get::<Peer>().map_or(ListenerRole::Public, |peer| peer.side)
}

/// Whether pages of other sites may use an address at all. Where whoever reaches it needs no credential, any page in a browser on
/// this machine reaches it.
fn pages_may_ask(shard: &ShardState, side: ListenerRole) -> bool {
    side == ListenerRole::Public || shard.app.operators != AdminListener::ApartFree
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

async fn enter(
    route: Route,
    shard: &Rc<ShardState>,
    caller: Caller,
    request: Request<Incoming>,
) -> Result<Response, Problem> {
    let app = &shard.app;
    match route {
        Route::Publish => publish::handle(app, &shard.batcher, caller, request).await,
        Route::Events if request.method() == Method::POST => events::post(shard, caller, request).await,
        Route::Events => events::get(shard, caller, request).await,
        Route::Event => events::removal::handle(app, &caller.authorization, request.uri()).await,
        Route::Topics => topics::handle(app, &caller, request).await,
        Route::Stats => operators::stats::handle(app, caller.authorization, request.headers()),
        Route::Metrics => operators::metrics::handle(app, &caller.authorization),
        Route::Health | Route::Ready | Route::Page | Route::Docs => unreachable!("open to everyone"),
    }
}

fn page() -> Response {
    let mut response = Response::new(full(PAGE));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    response
}
