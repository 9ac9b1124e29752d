//! The requests of an HTTP/2 connection: a task each, on this core, and each of them can be cut alone.

use std::{
    cell::Cell,
    pin::pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::Executor;
use tokio::{sync::Notify, task::spawn_local, time::Instant};

use crate::http::{
    Limits,
    tracked_socket::{StallHandle, StallWatch},
};

tokio::task_local! {
    /// The seat of the request whose task is running: its body says there whether it is taken.
    static SEAT: Rc<StallHandle>;
}

/// Runs what hyper has to run for each request of one connection.
#[derive(Clone)]
pub(super) struct Tasks {
    stalls: Rc<StallWatch>,
    life: Rc<Life>,
}

/// How a connection's requests come and go.
struct Life {
    open: Cell<usize>,
    /// Since when none is open.
    quiet_since: Cell<Instant>,
    asked: Cell<bool>,
    leave: Notify,
}

impl Tasks {
    /// Those of a connection that has just begun.
    pub(super) fn new(stalls: Rc<StallWatch>) -> Self {
        let life = Life {
            open: Cell::new(0),
            quiet_since: Cell::new(Instant::now()),
            asked: Cell::new(false),
            leave: Notify::new(),
        };
        Self { stalls, life: Rc::new(life) }
    }

    /// The seat of the request whose task is running.
    pub(super) fn seat() -> Rc<StallHandle> {
        SEAT.with(Rc::clone)
    }

    /// Whether there was any request.
    pub(super) fn asked(&self) -> bool {
        self.life.asked.get()
    }

    /// Says that the connection should end when its requests have.
    pub(super) fn leave(&self) {
        self.life.leave.notify_one();
    }

    /// Waits for [`Tasks::leave`].
    pub(super) async fn leaving(&self) {
        self.life.leave.notified().await;
    }

    /// Waits until the connection has been idle for too long: for as long as a head may take before its first request, and for as
    /// long as idle ones are kept after it.
    pub(super) async fn idle(&self, limits: &Limits) {
        let Limits { header_timeout, idle_timeout, .. } = *limits;
        loop {
            let limit = if self.asked() { idle_timeout } else { header_timeout };
            let Some(end) = self.quiet_until(limit) else { return };
            // The first request may change the limit meanwhile.
            tokio::time::sleep_until(end.min(Instant::now() + header_timeout.min(idle_timeout))).await;
        }
    }

    /// Waits until no request was open for `limit`.
    pub(super) async fn quiet_for(&self, limit: Duration) {
        while let Some(end) = self.quiet_until(limit) {
            tokio::time::sleep_until(end).await;
        }
    }

    /// When no request will have been open for `limit`, at the earliest; `None` when that is so now.
    fn quiet_until(&self, limit: Duration) -> Option<Instant> {
        let now = Instant::now();
        let since = if self.life.open.get() == 0 { self.life.quiet_since.get() } else { now };
        Some(since + limit).filter(|end| now < *end)
    }
}

impl<F: Future<Output = ()> + 'static> Executor<F> for Tasks {
    fn execute(&self, work: F) {
        let (seat, running) = (Rc::new(self.stalls.seat()), RunningRequest::new(&self.life));
        spawn_local(SEAT.scope(Rc::clone(&seat), async move {
            let _running = running;
            let mut work = pin!(work);
            // What is dropped before its end is reset: this stream, and no other of its connection.
            std::future::poll_fn(|cx: &mut Context<'_>| match work.as_mut().poll(cx) {
                Poll::Pending if !seat.is_cut() => Poll::Pending,
                _ => Poll::Ready(()),
            })
            .await;
        }));
    }
}

/// Counts a request for as long as its task lives.
struct RunningRequest(Rc<Life>);

impl RunningRequest {
    fn new(life: &Rc<Life>) -> Self {
        life.open.set(life.open.get() + 1);
        life.asked.set(true);
        Self(Rc::clone(life))
    }
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        let Life { open, quiet_since, .. } = &*self.0;
        open.set(open.get() - 1);
        quiet_since.set(Instant::now());
    }
}
