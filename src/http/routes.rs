//! Every route in one table, and what all answers have in common.

use std::{convert::Infallible, rc::Rc};

use http::{HeaderMap, HeaderValue, Method, Request, header};
use hyper::body::Incoming;
use matchit::Router;

use super::{
    Answer, Beyond, Core, Limits, events, full, operators,
    problem::{Code, Problem},
    publish, topics,
};

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Publish,
    Events,
    Topics,
    Stats,
    Metrics,
    Health,
    Ready,
    Page,
}

/// The table: path, room, and the methods it takes as the `Allow` header lists them.
const TABLE: [(&str, Room, &str); 9] = [
    ("/", Room::Page, "GET, HEAD"),
    ("/publish", Room::Publish, "POST"),
    ("/events", Room::Events, "GET, HEAD, POST"),
    ("/topics", Room::Topics, "GET, HEAD"),
    ("/topics/{*topic}", Room::Topics, "GET, HEAD, PUT, DELETE"),
    ("/admin/stats", Room::Stats, "GET, HEAD"),
    ("/metrics", Room::Metrics, "GET, HEAD"),
    ("/healthz", Room::Health, "GET, HEAD"),
    ("/readyz", Room::Ready, "GET, HEAD"),
];

/// The page that anyone can open after starting the hub.
const PAGE: &str = include_str!("../../console/index.html");

/// What the page may do: its own script and style, and talk to the hub it came from.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
     connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

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
        let result = match self.find(core, &request) {
            Ok(room) => enter(room, core, request).await,
            Err(problem) => Err(problem),
        };
        let mut answer = result.unwrap_or_else(|problem| problem.into_answer(core.door.hub.stats()));
        let headers = answer.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if last || core.door.drain.is_draining() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(answer)
    }

    fn find(&self, core: &Core, request: &Request<Incoming>) -> Result<Room, Problem> {
        check_headers(request.headers(), &core.door.limits)?;
        let (room, methods) = *self
            .0
            .at(request.uri().path())
            .map_err(|_| Problem::new(Code::NotFound, "see GET / for where things are"))?
            .value;
        let allowed = methods.split(", ").any(|method| method == request.method().as_str());
        allowed.then_some(room).ok_or_else(|| Problem::method_not_allowed(methods))
    }
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

async fn enter(room: Room, core: &Rc<Core>, request: Request<Incoming>) -> Result<Answer, Problem> {
    let door = &core.door;
    match room {
        Room::Publish => publish::handle(door, &core.gather, request).await,
        Room::Events if request.method() == Method::POST => events::post(core, request).await,
        Room::Events => events::get(core, request).await,
        Room::Topics => topics::handle(door, request).await,
        Room::Stats => Ok(operators::stats::handle(door, request.headers())),
        Room::Metrics => Ok(operators::metrics::handle(door)),
        Room::Health => Ok(operators::health::alive()),
        Room::Ready => operators::health::ready(door),
        Room::Page => Ok(page()),
    }
}

fn page() -> Answer {
    let mut answer = Answer::new(full(PAGE));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}
