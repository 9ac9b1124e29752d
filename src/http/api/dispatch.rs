//! Calls the handler of a request's route, and completes the response.

use std::{future::poll_fn, pin::pin, sync::atomic::Ordering::Relaxed};

use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};

use super::{
    backup, console, docs, durable_streams,
    events::{self, native::NATIVE},
    mercure, openapi, operators, publish,
    relay::{
        drop_in::{self, RelayPath},
        runs,
    },
    request_log::RequestScope,
    routes::{Route, Routes, listener, no_such_path},
    site,
    state::ShardState,
    topics, whoami,
};
use crate::http::{
    auth::{Caller, cors::Cors},
    message::{accept, problem::Problem, query::Query, request_id::REQUEST_ID},
    net::{
        client_watch::ClientWatch,
        handler::IncomingRequest,
        peer::{ListenerRole, OverCapacity},
        response::Response,
    },
};

/// Headers for browsers on every response that does not set them itself: do not sniff the content type, do not show it
/// in a frame and run nothing in it, do not let another site embed it, and send no `Referer` (the address may contain a
/// token). No Strict-Transport-Security: it would apply to all ports of the name.
const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Handles a request. Every refusal becomes a problem response, and is counted.
pub async fn respond(routes: &Routes, shard: &ShardState, request: IncomingRequest) -> Response {
    let logged = shard.app.log_requests.load(Relaxed);
    let tracer = shard.app.tracer.as_ref();
    let scope = RequestScope::new(&request, &shard.auth.policy(), &shard.request_ids, logged, tracer);
    let span = scope.span(&request);
    let response = {
        // `Instrument` would copy the future, which is large.
        let mut responding = pin!(complete(routes, shard, &scope, request));
        poll_fn(|cx| span.in_scope(|| responding.as_mut().poll(cx))).await
    };
    scope.respond(response)
}

/// The response with all that every one has.
async fn complete(routes: &Routes, shard: &ShardState, scope: &RequestScope, request: IncomingRequest) -> Response {
    // The connection is over the limit; a later one may be within it.
    let over_capacity = request.extensions().get::<OverCapacity>().is_some();
    let origin = request.headers().get(header::ORIGIN).cloned();
    let listener = listener(&request);
    let result = dispatch(routes, shard, scope, request).await;
    let mut response = result.unwrap_or_else(|problem| {
        // Without the detail, which may quote the request.
        tracing::debug!(code = problem.code.as_str(), "refused a request");
        scope.set_problem(problem.code.as_str());
        problem.into_response(&scope.id, shard.app.hub.stats())
    });
    let headers = response.headers_mut();
    // A provider's own id of a request is passed on.
    headers.entry(REQUEST_ID).or_insert(scope.id.header_value());
    for (name, value) in SECURITY_HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if allows_cross_origin(shard, listener) {
        shard.auth.policy().cors.set_headers(origin.as_ref(), headers);
    }
    // The transfer coding is unknown, so the end of the body is, too.
    let unread = response.status() == StatusCode::NOT_IMPLEMENTED;
    if over_capacity || unread || shard.app.net.drain.is_draining() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Authenticates the sender of a request and calls the route's handler.
async fn dispatch(
    routes: &Routes,
    shard: &ShardState,
    scope: &RequestScope,
    request: IncomingRequest,
) -> Result<Response, Problem> {
    let (route, methods) = routes.find(shard, &request)?;
    if request.method() == Method::OPTIONS {
        let policy = shard.auth.policy();
        let no_origins = Cors::default();
        let cors = if allows_cross_origin(shard, listener(&request)) { &policy.cors } else { &no_origins };
        return cors.options(request.headers(), methods);
    }
    if follows_a_run(route, &request)
        && let Some(client) = request.extensions().get::<ClientWatch>()
    {
        client.begin();
    }
    match route {
        Route::Health => return Ok(operators::health::alive()),
        Route::Ready => return operators::health::ready(&shard.app.operators).await,
        Route::Console => return console::handle(request.uri().path(), request.headers()).await,
        Route::Docs => return docs::document(request.uri().path().rsplit('/').next().unwrap_or_default()),
        Route::OpenApi => return Ok(openapi::document(request.headers()).await),
        Route::Site => return site::handle(&shard.site, request.uri(), request.headers()).await,
        Route::Relay => return relay(shard, scope, request).await,
        Route::Mercure => return by_mercure(shard, scope, request).await,
        Route::Publish
        | Route::Events
        | Route::Event
        | Route::Topics
        | Route::Whoami
        | Route::Runs
        | Route::Run
        | Route::RunEvents
        | Route::RunStop
        | Route::ActiveRun
        | Route::Stats
        | Route::History
        | Route::Streams
        | Route::Stream
        | Route::Metrics
        | Route::Backup
        | Route::DurableStream => {}
    }
    let (head, body) = request.into_parts();
    let caller = match shard.auth.caller(&head) {
        Ok(caller) => caller,
        Err(problem) if matches!(route, Route::Events | Route::RunEvents | Route::Stats) => {
            return events::refuse_unparsed(&shard.events, &head.headers, problem);
        }
        Err(problem) if route == Route::DurableStream && head.method == Method::GET => {
            return events::refuse_unparsed(&shard.events, &head.headers, problem);
        }
        Err(problem) => {
            shard.app.bodies.discard(&head.headers, body).await;
            return Err(problem);
        }
    };
    scope.set_holder(caller.authorization.holder());
    handle(route, shard, scope, caller, Request::from_parts(head, body)).await
}

/// Whether a listener permits cross-origin requests at all. One that needs no credential does not: every web page in a
/// browser on this machine could use it.
fn allows_cross_origin(shard: &ShardState, listener: ListenerRole) -> bool {
    !shard.app.auth.is_unauthenticated(listener)
}

async fn handle(
    route: Route,
    shard: &ShardState,
    scope: &RequestScope,
    caller: Caller,
    request: IncomingRequest,
) -> Result<Response, Problem> {
    let app = &shard.app;
    match route {
        Route::Publish => publish::handle(&app.publish, &shard.publish, caller, request).await,
        // Boxed, so that they do not enlarge the future of a publish, which is smaller and more frequent.
        Route::Events if request.method() == Method::POST => {
            Box::pin(events::post(&shard.events, scope, &NATIVE, caller, request)).await
        }
        Route::Events => Box::pin(events::get(&shard.events, scope, &NATIVE, caller, request)).await,
        Route::Event if request.method() == Method::DELETE => {
            events::removal::handle(&app.hub, &app.publish.guards, &caller.authorization, request.uri()).await
        }
        Route::Event => {
            let (head, _) = request.into_parts();
            Box::pin(events::single::handle(&shard.events, caller, &head.uri, &head.headers)).await
        }
        Route::Topics => topics::handle(&app.topics, &caller, request).await,
        Route::Whoami => {
            let operators_here = app.auth.serves_operators(listener(&request));
            whoami::handle(&caller.authorization, app.relay.as_deref(), operators_here, request.uri())
        }
        Route::Stats => operators::stats::handle(&app.operators, caller.authorization, request.headers()).await,
        Route::History => operators::history::handle(&app.operators.history, &caller.authorization),
        Route::Streams | Route::Stream => {
            Box::pin(operators::streams::handle(&app.operators, &caller.authorization, request)).await
        }
        Route::DurableStream => match shard.stream_context(scope) {
            Some(context) => Box::pin(durable_streams::handle(&context, caller, request)).await,
            None => Err(no_such_path()),
        },
        Route::Backup => Box::pin(backup::handle(&app.backup, caller, request)).await,
        Route::Metrics => operators::metrics::handle(&app.operators, &caller.authorization, request.headers()).await,
        Route::Runs if request.method() == Method::POST => {
            Box::pin(runs::begin(&shard.relay, scope, caller, request)).await
        }
        Route::Runs => runs::list(&shard.relay, &caller, &Query::new(request.uri().query())).await,
        Route::ActiveRun => {
            let (head, _) = request.into_parts();
            Box::pin(runs::active(&shard.relay, scope, caller, &Query::new(head.uri.query()))).await
        }
        Route::Run | Route::RunEvents | Route::RunStop => {
            let (head, _) = request.into_parts();
            let id = head.uri.path().split('/').nth(2).unwrap_or_default();
            let query = Query::new(head.uri.query());
            match route {
                Route::RunEvents => match Box::pin(runs::events(&shard.relay, scope, caller, id, &head)).await {
                    Err(problem) => events::refuse_unparsed(&shard.events, &head.headers, problem),
                    response => response,
                },
                Route::RunStop => runs::stop(&shard.relay, &caller, id, &query).await,
                _ if head.method == Method::DELETE => runs::delete(&shard.relay, &caller, id, &query).await,
                _ => runs::show(&shard.relay, &caller, id, &query).await,
            }
        }
        Route::Health
        | Route::Ready
        | Route::Console
        | Route::Docs
        | Route::OpenApi
        | Route::Site
        | Route::Relay
        | Route::Mercure => {
            unreachable!("they authenticate nobody, or by themselves")
        }
    }
}

/// Whether the client gets an answer of a provider as it comes. A run must know when nobody watches it any more, also while
/// the provider is silent.
fn follows_a_run(route: Route, request: &IncomingRequest) -> bool {
    match route {
        Route::Relay | Route::RunEvents | Route::ActiveRun => true,
        Route::Runs => request.method() == Method::POST && accept::names(request.headers(), "text/event-stream"),
        _ => false,
    }
}

async fn by_mercure(shard: &ShardState, scope: &RequestScope, request: IncomingRequest) -> Result<Response, Problem> {
    let context = shard.mercure_context(scope).ok_or_else(no_such_path)?;
    Box::pin(mercure::handle(context, request)).await
}

/// Answers a request for a provider. The hub's token may be where the provider's SDKs put theirs.
async fn relay(shard: &ShardState, scope: &RequestScope, request: IncomingRequest) -> Result<Response, Problem> {
    let (mut head, body) = request.into_parts();
    let name = RelayPath::of(head.uri.path()).map_or("", |path| path.provider).to_owned();
    if let Ok(provider) = shard.relay.provider(&name) {
        drop_in::move_token(provider.dialect, &mut head);
    }
    let caller = shard.auth.caller(&head);
    Box::pin(drop_in::handle(&shard.relay, scope, caller, head, body)).await
}
