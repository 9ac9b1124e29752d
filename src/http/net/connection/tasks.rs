//! The request tasks of an HTTP/2 connection: on this core, and each can be cancelled alone.

use std::{
    cell::Cell,
    pin::pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::Executor;
use tokio::{sync::Notify, task::spawn_local, time::Instant};
use tracing::{Instrument as _, Span};

use crate::http::net::{
    state::NetLimits,
    tracked_socket::{StallHandle, StallWatch},
};

tokio::task_local! {
    /// The stall handle of the request whose task is running. Its response body marks it.
    static STALL_HANDLE: Rc<StallHandle>;
}

/// hyper's executor for the requests of one connection.
#[derive(Clone)]
pub(super) struct Tasks {
    stalls: Rc<StallWatch>,
    requests: Rc<RequestTracker>,
}

/// Counts the open requests of a connection.
struct RequestTracker {
    open: Cell<usize>,
    /// Since when none is open.
    quiet_since: Cell<Instant>,
    had_request: Cell<bool>,
    request_close: Notify,
}

impl Tasks {
    /// The executor of a new connection.
    pub(super) fn new(stalls: Rc<StallWatch>) -> Self {
        let requests = RequestTracker {
            open: Cell::new(0),
            quiet_since: Cell::new(Instant::now()),
            had_request: Cell::new(false),
            request_close: Notify::new(),
        };
        Self { stalls, requests: Rc::new(requests) }
    }

    /// The stall handle of the request whose task is running.
    pub(super) fn stall_handle() -> Rc<StallHandle> {
        STALL_HANDLE.with(Rc::clone)
    }

    /// The same; `None` outside the task of a request.
    pub(super) fn stall_handle_if_any() -> Option<Rc<StallHandle>> {
        STALL_HANDLE.try_with(Rc::clone).ok()
    }

    /// Whether there has been a request.
    pub(super) fn had_request(&self) -> bool {
        self.requests.had_request.get()
    }

    /// Asks for the connection to be closed after its open requests.
    pub(super) fn request_close(&self) {
        self.requests.request_close.notify_one();
    }

    /// Waits for [`Tasks::request_close`].
    pub(super) async fn close_requested(&self) {
        self.requests.request_close.notified().await;
    }

    /// Waits until the connection has been idle for too long: `header_timeout` before its first request, `idle_timeout`
    /// after it.
    pub(super) async fn idle(&self, limits: &NetLimits) {
        let NetLimits { header_timeout, idle_timeout, .. } = *limits;
        loop {
            let limit = if self.had_request() { idle_timeout } else { header_timeout };
            let Some(end) = self.quiet_until(limit) else { return };
            // The first request changes the limit, so the sleep is at most the shorter of both.
            tokio::time::sleep_until(end.min(Instant::now() + header_timeout.min(idle_timeout))).await;
        }
    }

    /// Waits until no request has been open for `limit`.
    pub(super) async fn quiet_for(&self, limit: Duration) {
        while let Some(end) = self.quiet_until(limit) {
            tokio::time::sleep_until(end).await;
        }
    }

    /// The earliest time at which no request will have been open for `limit`; `None` when that is now.
    fn quiet_until(&self, limit: Duration) -> Option<Instant> {
        let now = Instant::now();
        let since = if self.requests.open.get() == 0 { self.requests.quiet_since.get() } else { now };
        Some(since + limit).filter(|end| now < *end)
    }
}

impl<F: Future<Output = ()> + 'static> Executor<F> for Tasks {
    fn execute(&self, work: F) {
        let (handle, running) = (Rc::new(self.stalls.handle()), RunningRequest::new(&self.requests));
        // The task of a request has the span of its connection, in which it is spawned.
        let connection = Span::current();
        let task = STALL_HANDLE.scope(Rc::clone(&handle), async move {
            let _running = running;
            let mut work = pin!(work);
            // Dropping the work before its end resets this stream, and no other of the connection.
            std::future::poll_fn(|cx: &mut Context<'_>| match work.as_mut().poll(cx) {
                Poll::Pending if !handle.is_cut() => Poll::Pending,
                _ => Poll::Ready(()),
            })
            .await;
        });
        spawn_local(task.instrument(connection));
    }
}

/// Counts an open request until it is dropped.
struct RunningRequest(Rc<RequestTracker>);

impl RunningRequest {
    fn new(requests: &Rc<RequestTracker>) -> Self {
        requests.open.set(requests.open.get() + 1);
        requests.had_request.set(true);
        Self(Rc::clone(requests))
    }
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        let RequestTracker { open, quiet_since, .. } = &*self.0;
        open.set(open.get() - 1);
        quiet_since.set(Instant::now());
    }
}
