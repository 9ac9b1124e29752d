//! A stream on an HTTP/1.1 connection that was taken over from hyper: a socket, a cursor and a small task.
//!
//! At the ring's end the task sleeps and [`fan_out`](super::fan_out) sends for it. It wakes for everything else: to
//! read the log, to wait for a slow client, to send a keepalive, and to end.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::{
    chunk,
    direct_connection::DirectConnection,
    record::StreamOutcome,
    session::StreamSession,
    streams::{StreamHandle, StreamSender, WakeMode},
};
use crate::http::net::socket::Socket;

/// Chunks that one stream sends in a row before it yields to other tasks of its shard.
const CHUNKS_PER_POLL: usize = 8;

/// The task of a stream. `T` is held until the task ends. Dropping it ends the subscription and closes the socket.
pub struct DirectStream<T> {
    session: StreamSession,
    handle: StreamHandle,
    _held: T,
}

impl<T> DirectStream<T> {
    /// Continues a stream whose response head was sent on `socket`.
    #[must_use]
    pub fn new(session: StreamSession, handle: StreamHandle, socket: Socket, held: T) -> Self {
        handle.connect(DirectConnection::new(socket, session.encoding));
        Self { session, handle, _held: held }
    }

    fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { session, handle, .. } = self;
        let now = handle.now();
        let mut members = handle.group.members.borrow_mut();
        let member = &mut members[handle.key];
        let keepalive_due = member.register_waker(cx);
        member.wake_mode = WakeMode::Busy;
        let StreamSender::Direct(connection) = &mut member.sender else { unreachable!("connected by `new`") };
        let record = session.record();
        record.add(std::mem::take(&mut connection.sent));
        if connection.is_closed() {
            let by_operator = record.is_end_requested();
            record.ends(if by_operator { StreamOutcome::EndedByOperator } else { StreamOutcome::Stalled });
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        // A client that has closed its direction is sent a keepalive at once: if it has left, it answers with a reset.
        let mut keepalive_due = connection.socket.discard_input(cx)? || keepalive_due;
        session.sent(connection.cursor);
        for _ in 0..CHUNKS_PER_POLL {
            if connection.has_unsent() {
                ready!(connection.poll_write(cx, now))?;
                // The fan-out records its sends itself. Without this the tick would wake the stream every second.
                (member.last_sent, member.keepalive_due) = (now, false);
                keepalive_due = false;
            }
            if connection.over {
                connection.socket.send_close_notify();
                return Poll::Ready(Ok(()));
            }
            match session.poll(cx, keepalive_due) {
                Poll::Ready(Some(chunk)) => connection.unsent = Some(Box::new(chunk.framed())),
                Poll::Ready(None) => (connection.unsent, connection.over) = (Some(Box::new(chunk::LAST)), true),
                Poll::Pending => {
                    member.wake_mode = match session.follows() {
                        Some(cursor) => {
                            connection.cursor = cursor;
                            WakeMode::Send
                        }
                        None => WakeMode::Wake,
                    };
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T: Unpin> Future for DirectStream<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_stream(cx).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{http::net::state::Open, lifecycle::Guard};

    #[test]
    fn a_streams_task_takes_384_bytes() {
        // What tokio adds to a task: its header, its scheduler and id, the stage's tag, and its trailer.
        const TOKIO: usize = 104;
        let own = size_of::<DirectStream<(Open, Guard)>>();
        assert!(own + TOKIO <= 384, "{own}");
    }
}
