//! HTTP/1.1: one request after another, until either side closes, or a stream takes the connection over.
//!
//! A client may close its sending direction after its request (netcat does, and some agents and load balancers): a
//! complete request is answered nevertheless. Whether such a client has closed both directions shows at the next write.
//! A handler whose response is worth nothing to others may take it for one that has left ([`ClientWatch`]).
//!
//! [`ClientWatch`]: crate::http::net::client_watch::ClientWatch

use std::{convert::Infallible, future::poll_fn, pin::Pin, rc::Rc, sync::Arc, task::Poll};

use http::{HeaderValue, Method, Version, header};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{HttpService, service_fn},
};
use hyper_util::rt::TokioIo;

use super::{
    context::{Connection, first_request_grace},
    maybe_tls::MaybeTls,
    phase::{ActivityTracked, Expired, PhaseTimer, RequestPhase, TrackedResponseBody},
};
use crate::http::net::{
    handler::Handler,
    response::{Body, Response},
    state::NetLimits,
    takeover::Takeover,
};

/// Serves a connection until its end, or until its stream has a task of its own.
pub(super) async fn serve<H: Handler>(accepted: Connection<H>, io: MaybeTls, takeover: Rc<Takeover>) {
    let net = Arc::clone(&accepted.context.net);
    let (limits, drain) = (&net.limits, &net.drain);
    let phase = RequestPhase::new();
    let service = service_fn(|mut request| {
        phase.request_started();
        accepted.annotate(request.extensions_mut());
        request.extensions_mut().insert(phase.client_watch());
        let (method, version) = (request.method().clone(), request.version());
        let (context, takeover, phase) = (&accepted.context, &takeover, &phase);
        Box::pin(async move {
            let response = keep_back(takeover, &method, version, context.handler.respond(request).await);
            Ok::<_, Infallible>(response.map(|body| TrackedResponseBody { body, phase: Rc::clone(phase) }))
        })
    });
    let mut connection = http1::Builder::new()
        // `phase` has the timeouts.
        .header_read_timeout(None)
        .half_close(true)
        .max_buf_size(limits.headers_bytes)
        .serve_connection(TokioIo::new(ActivityTracked::new(io, Rc::clone(&phase))), service);
    let mut driver = Driver { timer: PhaseTimer::new(limits), phase: &phase, limits, takeover: &takeover };
    let result = tokio::select! {
        biased;
        result = driver.drive(&mut connection) => result,
        () = drain.begun() => tokio::select! {
            result = driver.drive(&mut connection) => result,
            () = drain.ended() => return,
            () = first_request_grace(phase.had_request()) => {
                Pin::new(&mut connection).graceful_shutdown();
                tokio::select! {
                    result = driver.drive(&mut connection) => result,
                    () = drain.ended() => return,
                }
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(error = %error, "a connection ended early");
        return;
    }
    let io = connection.into_parts().io.into_inner().io;
    if let Some(continuation) = takeover.take() {
        let Connection { open, busy, .. } = accepted;
        continuation(io.into_socket(), (open, busy));
    }
}

/// Begins the takeover when the connection can be taken over for the body of `response`: when nothing else follows on
/// it. Any other response is returned as it is.
fn keep_back(takeover: &Rc<Takeover>, method: &Method, version: Version, response: Response) -> Response {
    if *method == Method::HEAD || version != Version::HTTP_11 || !matches!(response.body(), Body::Detachable(_)) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let Body::Detachable(body) = body else { unreachable!("just seen") };
    let (greeting, continuation) = body.detach();
    takeover.begin(greeting, continuation);
    // No other request is read from this connection.
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    Response::from_parts(head, Body::TakenOver(Rc::clone(takeover)))
}

/// Drives a connection and enforces its timeouts.
struct Driver<'a> {
    timer: PhaseTimer,
    phase: &'a RequestPhase,
    limits: &'a NetLimits,
    takeover: &'a Takeover,
}

/// Why a connection ended with an error.
#[derive(Debug, thiserror::Error)]
enum ConnectionEnd {
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error("the request head was not complete in time")]
    HeadTimeout,
}

impl Driver<'_> {
    /// Drives a connection until its end, or until a stream takes it over.
    async fn drive<S>(
        &mut self,
        connection: &mut http1::Connection<TokioIo<ActivityTracked>, S>,
    ) -> Result<(), ConnectionEnd>
    where
        S: HttpService<Incoming, ResBody = TrackedResponseBody> + Unpin,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S::Future: Unpin,
    {
        poll_fn(|cx| {
            loop {
                let polled = connection.poll_without_shutdown(cx);
                if self.takeover.is_due() {
                    return Poll::Ready(Ok(()));
                }
                if polled.is_ready() {
                    return polled.map_err(ConnectionEnd::from);
                }
                match std::task::ready!(self.timer.poll(cx, self.phase, self.limits)) {
                    Expired::Head => return Poll::Ready(Err(ConnectionEnd::HeadTimeout)),
                    // An idle connection is shut down cleanly, which completes at once.
                    Expired::Idle => {
                        self.phase.request_started();
                        Pin::new(&mut *connection).graceful_shutdown();
                    }
                }
            }
        })
        .await
    }
}
