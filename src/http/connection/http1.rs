//! HTTP/1.1: one request after another, until the hub or the client has enough, or a stream takes the connection.
//!
//! A client may close its own direction when it has asked (netcat does, and some agents and load balancers): a whole request is
//! answered all the same. Whether such a client has left altogether shows when it is written to.

use std::{convert::Infallible, future::poll_fn, pin::Pin, rc::Rc, sync::Arc, task::Poll};

use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{HttpService, service_fn},
};
use hyper_util::rt::TokioIo;
use tokio::task::spawn_local;

use super::{
    Connection, last_request,
    maybe_tls::MaybeTls,
    phase::{ActivityTracked, Alarm, Attended, Late, RequestPhase},
};
use crate::http::{
    Limits,
    stream::{direct::DirectStream, takeover::Takeover},
};

/// Serves a connection to its end, or until its stream has a task of its own.
pub(super) async fn serve(accepted: Connection, channel: MaybeTls, takeover: Rc<Takeover>) {
    let app = Arc::clone(&accepted.context.shard.app);
    let (limits, drain) = (&app.limits, &app.drain);
    let phase = RequestPhase::new();
    let service = service_fn(|mut request| {
        phase.begins();
        accepted.introduce(request.extensions_mut());
        let (method, version) = (request.method().clone(), request.version());
        let (context, takeover, phase) = (&accepted.context, &takeover, &phase);
        Box::pin(async move {
            let Ok(response) = context.routes.response(&context.shard, request).await;
            let response = takeover.keep_back(&method, version, response);
            Ok::<_, Infallible>(response.map(|body| Attended { body, phase: Rc::clone(phase) }))
        })
    });
    let mut connection = http1::Builder::new()
        // The bounds of a head are ours: see `phase`.
        .header_read_timeout(None)
        .half_close(true)
        .max_buf_size(limits.headers_bytes)
        .serve_connection(TokioIo::new(ActivityTracked { channel, phase: Rc::clone(&phase) }), service);
    let mut driver = Driver { alarm: Alarm::new(limits), phase: &phase, limits, takeover: &takeover };
    let result = tokio::select! {
        biased;
        result = driver.drive(&mut connection) => result,
        () = drain.begun() => tokio::select! {
            result = driver.drive(&mut connection) => result,
            () = drain.ended() => return,
            () = last_request(phase.asked()) => {
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
    let channel = connection.into_parts().io.into_inner().channel;
    if let Some(session) = takeover.take() {
        let Connection { open, busy, .. } = accepted;
        // A task of its own, because this one keeps the room that hyper needed.
        spawn_local(DirectStream::new(session, channel.into_socket(), (open, busy)));
    }
}

/// What a connection is driven with.
struct Driver<'a> {
    alarm: Alarm,
    phase: &'a RequestPhase,
    limits: &'a Limits,
    takeover: &'a Takeover,
}

/// Why a connection was hung up on.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error("no whole head came in time")]
    Late,
}

impl Driver<'_> {
    /// Drives a connection until its end, or until it is to be taken over.
    async fn drive<S>(&mut self, connection: &mut http1::Connection<TokioIo<ActivityTracked>, S>) -> Result<(), Ended>
    where
        S: HttpService<Incoming, ResBody = Attended> + Unpin,
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
                    return polled.map_err(Ended::from);
                }
                match std::task::ready!(self.alarm.poll(cx, self.phase, self.limits)) {
                    Late::Head => return Poll::Ready(Err(Ended::Late)),
                    // It ends in order, and so at once.
                    Late::Idle => {
                        self.phase.begins();
                        Pin::new(&mut *connection).graceful_shutdown();
                    }
                }
            }
        })
        .await
    }
}
