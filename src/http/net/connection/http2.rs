//! HTTP/2: concurrent requests on one connection, and their bounds. hyper and h2 implement the protocol; the numbers
//! here bound what one connection may cost.
//!
//! The [tracked socket](crate::http::net::tracked_socket) closes a connection whose client takes no bytes at all; the
//! [tracked body](super::tracked_body) resets a single stream that takes none. Until then such a stream holds two steps
//! of its own (32 KiB) and its current batch, which is mostly shared with other streams. So the streams of a connection
//! hold at most [`NetLimits::h2_streams`] times 32 KiB besides the batches.

use std::{convert::Infallible, pin::pin, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body::Body as _;
use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::{
    context::{Connection, first_request_grace},
    maybe_tls::MaybeTls,
    tasks::Tasks,
    tracked_body::{STEP, StallTrackedBody},
};
use crate::http::net::{
    handler::Handler,
    response::{Body, full},
    state::NetLimits,
};

/// Flow-control windows in bytes: of one request body, and of all on a connection. One body that waits for memory
/// leaves half of the connection's window to the others.
const STREAM_WINDOW: u32 = 128 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;

/// Requests on one connection that the client may reset before they are accepted. Twenty is h2's default: enough for a
/// page that is left while it loads, and too few for an attack (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;

/// Streams that the hub resets because of the client's protocol errors, over the lifetime of a connection. A correct
/// client causes none (CVE-2025-8671 is the attack without a bound).
const MAX_ERROR_RESETS: usize = 64;

/// How long a client may take to close after GOAWAY, when no request is open.
const GOAWAY_GRACE: Duration = Duration::from_secs(1);

/// Serves a connection until its end.
pub(super) async fn serve<H: Handler>(connection: Connection<H>, io: MaybeTls) {
    let net = Arc::clone(&connection.context.net);
    let (limits, drain) = (&net.limits, &net.drain);
    let tasks = Tasks::new(Rc::clone(&connection.context.stalls));
    let connection = Rc::new(connection);
    let service = service_fn(|mut request| {
        normalize(&mut request);
        connection.annotate(request.extensions_mut());
        let (connection, tasks) = (Rc::clone(&connection), tasks.clone());
        // On the heap, because hyper moves it.
        Box::pin(async move {
            let method = request.method().clone();
            let response = connection.context.handler.respond(request).await;
            Ok::<_, Infallible>(adapt(response, &method, &tasks))
        })
    });
    let connection = builder(limits, &tasks).serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let closing = async {
        tokio::select! {
            () = async { drain.begun().await; first_request_grace(tasks.had_request()).await } => {}
            () = tasks.idle(limits) => {}
            () = tasks.close_requested() => {}
        }
    };
    let result = tokio::select! {
        biased;
        result = connection.as_mut() => result,
        () = drain.ended() => return,
        () = closing => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                result = connection.as_mut() => result,
                () = drain.ended() => return,
                // A client that does not react to GOAWAY is closed.
                () = async { tokio::time::sleep(GOAWAY_GRACE).await; tasks.quiet_for(GOAWAY_GRACE).await } => return,
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(error = %error, "a connection ended early");
    }
}

fn builder(limits: &NetLimits, tasks: &Tasks) -> http2::Builder<Tasks> {
    let mut builder = http2::Builder::new(tasks.clone());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams)
        // Also bounds CONTINUATION frames (CVE-2024-27316) and what HPACK may blow a head up to.
        .max_header_list_size(u32::try_from(limits.headers_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(STEP)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS)
        // Pings detect a vanished client when nothing else awaits an acknowledgement. The timeout exceeds the write
        // timeout, so that a client that is alive but does not read is closed by the hub, and counted.
        .keep_alive_interval(limits.ping_interval)
        .keep_alive_timeout(limits.write_timeout * 2);
    builder
}

/// Gives a request the form that it has in HTTP/1.1, for its handlers: the authority in `Host`, and all cookies in one
/// header (RFC 9113, sections 8.3.1 and 8.2.3).
fn normalize<B>(request: &mut Request<B>) {
    if let Some(authority) = request.uri().authority() {
        // An authority is always a valid value.
        if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
            request.headers_mut().insert(header::HOST, host);
        }
    }
    join_cookies(request.headers_mut());
}

fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    if let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) {
        let all: Vec<&[u8]> = [first, second].into_iter().chain(crumbs).map(HeaderValue::as_bytes).collect();
        let whole = HeaderValue::from_bytes(&all.join(&b"; "[..])).expect("made of valid values");
        headers.insert(header::COOKIE, whole);
    }
}

/// Adapts a response to HTTP/2: without `Connection`, and without a body for HEAD (hyper leaves both to the service).
fn adapt(mut response: Response<Body>, method: &Method, tasks: &Tasks) -> Response<StallTrackedBody> {
    if response.headers_mut().remove(header::CONNECTION).is_some() {
        tasks.request_close();
    }
    let (mut head, mut body) = response.into_parts();
    if *method == Method::HEAD && !matches!(body, Body::Full(_)) {
        body = full(Bytes::new());
    } else if *method == Method::HEAD {
        if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
            head.headers.insert(header::CONTENT_LENGTH, length.into());
        }
        body = full(Bytes::new());
    }
    Response::from_parts(head, StallTrackedBody::new(body, Tasks::stall_handle()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_that_came_in_crumbs_are_one_line() {
        let mut headers = HeaderMap::new();
        for crumb in ["a=1", "b=2; c=3", "d=4"] {
            headers.append(header::COOKIE, HeaderValue::from_static(crumb));
        }
        join_cookies(&mut headers);
        let all: Vec<_> = headers.get_all(header::COOKIE).iter().collect();
        assert_eq!(all, ["a=1; b=2; c=3; d=4"]);
    }

    #[test]
    fn the_authority_is_the_host_whatever_else_is_said() {
        let mut request =
            Request::get("https://hub.example:8443/events").header("host", "other").body(()).expect("valid");
        normalize(&mut request);
        assert_eq!(request.headers()[header::HOST], "hub.example:8443");
    }
}
