//! The lines of a stream as its publisher may publish them: with its right, and no faster than its limits.
//!
//! A line that comes too fast waits, and nothing after it is read: the publisher is slowed by its own connection. One that is
//! not open is refused in its place.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::Body;
use tokio::time::{Instant, Sleep, sleep};

use super::{body_reader::BodyReader, event_reader::ParsedItem};
use crate::{
    event::{NewEvent, TopicName},
    http::{AppState, auth::Caller, policy::Policies, problem::Problem},
    hub::Hub,
};

pub(super) struct RateGate {
    caller: Caller,
    hub: Arc<Hub>,
    policies: Arc<Policies>,
    /// How long a line waits at most before it is refused.
    patience: Duration,
    held: Option<DelayedEvent>,
}

/// A line that came too fast.
struct DelayedEvent {
    event: NewEvent,
    since: Instant,
    pause: Pin<Box<Sleep>>,
}

impl RateGate {
    /// For what `caller` pours in.
    pub(super) fn new(app: &AppState, caller: Caller) -> Self {
        let (hub, policies) = (Arc::clone(&app.hub), Arc::clone(&app.policies));
        Self { caller, hub, policies, patience: app.limits.body_timeout, held: None }
    }

    /// Whether a line waits.
    pub(super) fn is_shut(&self) -> bool {
        self.held.is_some()
    }

    /// Whether the publisher's credential is still good.
    pub(super) fn renew(&mut self) -> Result<(), Problem> {
        self.caller.authorization.renew(&self.policies)
    }

    /// Whether the publisher may close `topic`, whose last line was taken long ago or never came.
    pub(super) fn close(&mut self, topic: &TopicName) -> Result<(), Problem> {
        self.renew()?;
        self.caller.authorization.publish(topic)?;
        Ok(self.caller.quotas.close(&self.hub, topic)?)
    }

    /// The next line, or why it is refused; `None` when all that came was taken. Pending while one waits.
    pub(super) fn next<B: Body<Data = Bytes>>(
        &mut self,
        cx: &mut Context<'_>,
        body_reader: &mut BodyReader<B>,
    ) -> Poll<Option<ParsedItem>> {
        let (event, since) = match self.held.take() {
            Some(mut held) => {
                if held.pause.as_mut().poll(cx).is_pending() {
                    self.held = Some(held);
                    return Poll::Pending;
                }
                (held.event, Some(held.since))
            }
            None => match body_reader.next() {
                Some(Ok(event)) => (event, None),
                other => return Poll::Ready(other),
            },
        };
        if let Err(problem) = self.caller.authorization.publish(&event.topic) {
            return Poll::Ready(Some(Err(problem)));
        }
        let Err(exceeded) = self.caller.quotas.publish(&self.hub, std::slice::from_ref(&event)) else {
            return Poll::Ready(Some(Ok(event)));
        };
        let since = since.unwrap_or_else(Instant::now);
        if since.elapsed() + exceeded.wait > self.patience {
            return Poll::Ready(Some(Err(exceeded.into())));
        }
        let mut pause = Box::pin(sleep(exceeded.wait));
        let _not_yet = pause.as_mut().poll(cx);
        self.held = Some(DelayedEvent { event, since, pause });
        Poll::Pending
    }
}
