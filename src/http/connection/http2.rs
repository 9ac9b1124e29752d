//! HTTP/2: requests side by side on one connection, and the bounds of that. hyper and h2 keep the protocol; the numbers
//! are ours, and each of them is what one connection may cost.
//!
//! A connection whose client takes nothing at all is cut by its [`wire`](crate::http::wire); a single stream that takes
//! nothing, by its [seat](super::tracked_body). Until then such a stream holds two steps of its own (32 KiB) and the piece it
//! was at, which is mostly shared with others; so all of them hold, besides, [`Limits::h2_streams`] times 32 KiB.

use std::{convert::Infallible, pin::pin, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body::Body as _;
use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::{
    Connection, last_request,
    maybe_tls::MaybeTls,
    tasks::Tasks,
    tracked_body::{STEP, StallTrackedBody},
};
use crate::http::{Body, Limits, full};

/// Bytes of bodies that a client may send before they are read: of one request, and of all on a connection. One body that
/// waits for room leaves the others theirs.
const STREAM_WINDOW: u32 = 128 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;

/// Requests that are reset before they were looked at, on one connection at a time. Twenty is h2's own: what a page
/// that is left in a hurry may do, and no work for an attacker (CVE-2023-44487).
const RESET_EARLY: usize = 20;

/// Streams that a client makes us reset by its mistakes, in a connection's whole life. A sane client makes none
/// (CVE-2025-8671 is what happens without a bound).
const RESET_BY_MISTAKE: usize = 64;

/// How long a client is given to understand that the connection is over, when none of its requests is open.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves a connection to its end.
pub(super) async fn serve(connection: Connection, channel: MaybeTls) {
    let app = Arc::clone(&connection.context.shard.app);
    let (limits, drain) = (&app.limits, &app.drain);
    let tasks = Tasks::new(Rc::clone(&connection.context.stalls));
    let connection = Rc::new(connection);
    let service = service_fn(|mut request| {
        tidy(&mut request);
        connection.introduce(request.extensions_mut());
        let (connection, tasks) = (Rc::clone(&connection), tasks.clone());
        // On the heap, because hyper moves it.
        Box::pin(async move {
            let method = request.method().clone();
            let Ok(response) = connection.context.routes.response(&connection.context.shard, request).await;
            Ok::<_, Infallible>(fit(response, &method, &tasks))
        })
    });
    let connection = builder(limits, &tasks).serve_connection(TokioIo::new(channel), service);
    let mut connection = pin!(connection);
    let going = async {
        tokio::select! {
            () = async { drain.begun().await; last_request(tasks.asked()).await } => {}
            () = tasks.idle(limits) => {}
            () = tasks.leaving() => {}
        }
    };
    let result = tokio::select! {
        biased;
        result = connection.as_mut() => result,
        () = drain.ended() => return,
        () = going => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                result = connection.as_mut() => result,
                () = drain.ended() => return,
                // Whoever does not answer to that is not waited for.
                () = async { tokio::time::sleep(FAREWELL).await; tasks.quiet_for(FAREWELL).await } => return,
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(error = %error, "a connection ended early");
    }
}

fn builder(limits: &Limits, tasks: &Tasks) -> http2::Builder<Tasks> {
    let mut builder = http2::Builder::new(tasks.clone());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams)
        // Also bounds CONTINUATION frames (CVE-2024-27316) and what HPACK may blow a head up to.
        .max_header_list_size(u32::try_from(limits.headers_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(STEP)
        .max_pending_accept_reset_streams(RESET_EARLY)
        .max_local_error_reset_streams(RESET_BY_MISTAKE)
        // A client that has vanished acknowledges nothing, but only when there is something to acknowledge. As long as
        // the kernel tries: one that is there and does not read is cut by us, and counted.
        .keep_alive_interval(limits.keepalive)
        .keep_alive_timeout(limits.write_timeout * 2);
    builder
}

/// What a request is in HTTP/1.1, for the sake of whoever handles it: the client's name for us stands in one place, and
/// its cookies in one line (RFC 9113, sections 8.3.1 and 8.2.3).
fn tidy<B>(request: &mut Request<B>) {
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

/// What an answer is in HTTP/2: nothing is said about the connection in it, and HEAD has no body (hyper leaves both to
/// us).
fn fit(mut response: Response<Body>, method: &Method, tasks: &Tasks) -> Response<StallTrackedBody> {
    if response.headers_mut().remove(header::CONNECTION).is_some() {
        tasks.leave();
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
    Response::from_parts(head, StallTrackedBody::new(body, Tasks::seat()))
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
        tidy(&mut request);
        assert_eq!(request.headers()[header::HOST], "hub.example:8443");
    }
}
