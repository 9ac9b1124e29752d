//! The routing table.

use http::Request;
use matchit::Router;

use super::{
    durable_streams,
    head_checks::{check_framing, check_headers},
    mercure::{self, settings::DISCOVERY_PATH, topic_rules::HUB_PATH},
    state::ShardState,
};
use crate::http::{
    message::problem::{Code, Problem},
    net::{
        handler::IncomingRequest,
        peer::{ListenerRole, Peer},
    },
};

/// The handler of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Publish,
    Events,
    Event,
    Topics,
    Whoami,
    Relay,
    Runs,
    Run,
    RunEvents,
    RunStop,
    ActiveRun,
    Stats,
    History,
    Streams,
    Stream,
    Metrics,
    Health,
    Ready,
    Console,
    Docs,
    OpenApi,
    Site,
    Backup,
    DurableStream,
    Mercure,
}

/// The table: path, handler, and the methods it accepts, as the `Allow` header lists them.
pub(super) const TABLE: [(&str, Route, &str); 34] = [
    ("/", Route::Console, "GET, HEAD, OPTIONS"),
    ("/console/{*path}", Route::Console, "GET, HEAD, OPTIONS"),
    ("/docs/{document}", Route::Docs, "GET, HEAD, OPTIONS"),
    ("/openapi.json", Route::OpenApi, "GET, HEAD, OPTIONS"),
    ("/site", Route::Site, "GET, HEAD, OPTIONS"),
    ("/site/", Route::Site, "GET, HEAD, OPTIONS"),
    ("/site/{*path}", Route::Site, "GET, HEAD, OPTIONS"),
    ("/publish", Route::Publish, "POST, OPTIONS"),
    ("/events", Route::Events, "GET, HEAD, POST, OPTIONS"),
    ("/events/{id}", Route::Event, "GET, HEAD, DELETE, OPTIONS"),
    ("/topics", Route::Topics, "GET, HEAD, OPTIONS"),
    ("/topics/{*topic}", Route::Topics, "GET, HEAD, PUT, DELETE, OPTIONS"),
    ("/whoami", Route::Whoami, "GET, HEAD, OPTIONS"),
    ("/relay/{provider}/{*path}", Route::Relay, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
    ("/runs", Route::Runs, "GET, HEAD, POST, OPTIONS"),
    ("/runs/active", Route::ActiveRun, "GET, HEAD, OPTIONS"),
    ("/runs/{run}", Route::Run, "GET, HEAD, DELETE, OPTIONS"),
    ("/runs/{run}/events", Route::RunEvents, "GET, HEAD, OPTIONS"),
    ("/runs/{run}/stop", Route::RunStop, "POST, OPTIONS"),
    ("/admin/stats", Route::Stats, "GET, HEAD, OPTIONS"),
    ("/admin/history", Route::History, "GET, HEAD, OPTIONS"),
    ("/admin/streams", Route::Streams, "GET, HEAD, DELETE, OPTIONS"),
    ("/admin/streams/{id}", Route::Stream, "DELETE, OPTIONS"),
    ("/metrics", Route::Metrics, "GET, HEAD, OPTIONS"),
    ("/backup", Route::Backup, "POST, OPTIONS"),
    ("/v1/stream/{*name}", Route::DurableStream, durable_streams::METHODS),
    (HUB_PATH, Route::Mercure, mercure::METHODS),
    (DISCOVERY_PATH, Route::Mercure, mercure::READING_METHODS),
    ("/.well-known/mercure/subscriptions", Route::Mercure, mercure::READING_METHODS),
    ("/.well-known/mercure/subscriptions/{selector}", Route::Mercure, mercure::READING_METHODS),
    ("/.well-known/mercure/subscriptions/{selector}/{name}", Route::Mercure, mercure::READING_METHODS),
    ("/.well-known/mercure/subscriptions/{selector}/{name}/{subscriber}", Route::Mercure, mercure::READING_METHODS),
    ("/healthz", Route::Health, "GET, HEAD, OPTIONS"),
    ("/readyz", Route::Ready, "GET, HEAD, OPTIONS"),
];

/// Finds the handler of a path.
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
    /// The handler of a request's path, and the methods that the path has.
    ///
    /// # Errors
    /// When the head is not acceptable, or there is no such path or method here.
    pub(super) fn find(&self, shard: &ShardState, request: &IncomingRequest) -> Result<(Route, &'static str), Problem> {
        check_headers(request.headers(), &shard.app.limits)?;
        check_framing(request)?;
        let (route, methods) = self.at(shard, request)?;
        let allowed = methods.split(", ").any(|method| method == request.method().as_str());
        allowed.then_some((route, methods)).ok_or_else(|| Problem::method_not_allowed(methods))
    }

    /// The route of the path, if the listener that accepted the request serves it.
    fn at(&self, shard: &ShardState, request: &IncomingRequest) -> Result<(Route, &'static str), Problem> {
        let (route, methods) = *self.0.at(request.uri().path()).map_err(|_| no_such_path())?.value;
        let listener = listener(request);
        let here = match route {
            Route::Health | Route::Ready | Route::Docs | Route::OpenApi | Route::Whoami => true,
            Route::Stats | Route::History | Route::Streams | Route::Stream | Route::Metrics => {
                shard.app.auth.serves_operators(listener)
            }
            // A protocol that is off is not there.
            Route::DurableStream if shard.app.protocols.durable_streams.is_none() => return Err(no_such_path()),
            Route::Mercure if shard.mercure.is_none() => return Err(no_such_path()),
            Route::Publish
            | Route::Events
            | Route::Event
            | Route::Topics
            | Route::Relay
            | Route::DurableStream
            | Route::Runs
            | Route::Run
            | Route::RunEvents
            | Route::RunStop
            | Route::ActiveRun
            | Route::Console
            | Route::Backup
            | Route::Site
            | Route::Mercure => listener == ListenerRole::Public,
        };
        here.then_some((route, methods)).ok_or_else(|| {
            Problem::new(Code::NotFound, "this listener does not serve this path; the hub's other listener does")
        })
    }
}

/// The refusal of a path that the hub does not have.
pub(super) fn no_such_path() -> Problem {
    Problem::new(Code::NotFound, "no such path; GET /docs/PROTOCOL.md lists them")
}

/// The listener that has accepted a request.
pub(super) fn listener<B>(request: &Request<B>) -> ListenerRole {
    request.extensions().get::<Peer>().map_or(ListenerRole::Public, |peer| peer.listener)
}
