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
    Guest,
    channel::Channel,
    last_request,
    phase::{Alarm, Attended, Heard, Late, Phase},
};
use crate::http::{
    Limits,
    stream::{line::Stream, takeover::Handover},
};

/// Serves a connection to its end, or until its stream has a task of its own.
pub(super) async fn serve(guest: Guest, channel: Channel, handover: Rc<Handover>) {
    let door = Arc::clone(&guest.house.core.door);
    let (limits, drain) = (&door.limits, &door.drain);
    let phase = Phase::new();
    let service = service_fn(|mut request| {
        phase.begins();
        guest.introduce(request.extensions_mut());
        let (method, version) = (request.method().clone(), request.version());
        let (house, handover, phase) = (&guest.house, &handover, &phase);
        Box::pin(async move {
            let Ok(answer) = house.routes.answer(&house.core, request).await;
            let answer = handover.keep_back(&method, version, answer);
            Ok::<_, Infallible>(answer.map(|body| Attended { body, phase: Rc::clone(phase) }))
        })
    });
    let mut connection = http1::Builder::new()
        // The bounds of a head are ours: see `phase`.
        .header_read_timeout(None)
        .half_close(true)
        .max_buf_size(limits.headers_bytes)
        .serve_connection(TokioIo::new(Heard { channel, phase: Rc::clone(&phase) }), service);
    let mut driver = Driver { alarm: Alarm::new(limits), phase: &phase, limits, handover: &handover };
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
    if let Some(telling) = handover.take() {
        let Guest { open, busy, .. } = guest;
        // A task of its own, because this one keeps the room that hyper needed.
        spawn_local(Stream::new(telling, channel.into_socket(), (open, busy)));
    }
}

/// What a connection is driven with.
struct Driver<'a> {
    alarm: Alarm,
    phase: &'a Phase,
    limits: &'a Limits,
    handover: &'a Handover,
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
    async fn drive<S>(&mut self, connection: &mut http1::Connection<TokioIo<Heard>, S>) -> Result<(), Ended>
    where
        S: HttpService<Incoming, ResBody = Attended> + Unpin,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S::Future: Unpin,
    {
        poll_fn(|cx| {
            loop {
                let polled = connection.poll_without_shutdown(cx);
                if self.handover.is_due() {
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
