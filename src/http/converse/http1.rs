//! HTTP/1.1: one request after another, until the hub or the client has enough, or a stream takes the connection.

use std::{cell::Cell, convert::Infallible, future::poll_fn, rc::Rc, sync::Arc, task::Poll};

use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{HttpService, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::spawn_local;

use super::{Guest, channel::Channel, last_request};
use crate::http::{
    Body,
    stream::{line::Stream, takeover::Handover},
};

/// Serves a connection to its end, or until its stream has a task of its own.
pub(super) async fn serve(guest: Guest, channel: Channel, handover: Rc<Handover>) {
    let door = Arc::clone(&guest.house.core.door);
    let (limits, drain) = (&door.limits, &door.drain);
    let asked = Cell::new(false);
    let service = service_fn(|mut request| {
        asked.set(true);
        guest.introduce(request.extensions_mut());
        let (method, version) = (request.method().clone(), request.version());
        let (house, handover) = (&guest.house, &handover);
        Box::pin(async move {
            let Ok(answer) = house.routes.answer(&house.core, request).await;
            Ok::<_, Infallible>(handover.keep_back(&method, version, answer))
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.headers_bytes)
        .serve_connection(TokioIo::new(channel), service);
    let result = tokio::select! {
        biased;
        result = drive(&mut connection, &handover) => result,
        () = drain.begun() => tokio::select! {
            result = drive(&mut connection, &handover) => result,
            () = drain.ended() => return,
            () = last_request(asked.get()) => {
                Pin::new(&mut connection).graceful_shutdown();
                tokio::select! {
                    result = drive(&mut connection, &handover) => result,
                    () = drain.ended() => return,
                }
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(error = %error, "a connection ended early");
        return;
    }
    let channel = connection.into_parts().io.into_inner();
    if let Some(telling) = handover.take() {
        let Guest { open, busy, .. } = guest;
        // A task of its own, because this one keeps the room that hyper needed.
        spawn_local(Stream::new(telling, channel.into_socket(), (open, busy)));
    }
}

/// Drives a connection until its end, or until it is to be taken over.
async fn drive<S>(connection: &mut http1::Connection<TokioIo<Channel>, S>, handover: &Handover) -> hyper::Result<()>
where
    S: HttpService<Incoming, ResBody = Body> + Unpin,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Unpin,
{
    poll_fn(|cx| {
        let polled = connection.poll_without_shutdown(cx);
        if handover.is_due() { Poll::Ready(Ok(())) } else { polled }
    })
    .await
}
