//! Applies the publisher's authorization and rate limits to the lines of a publish stream.
//!
//! A line beyond the rate waits, and nothing after it is read, so the connection's flow control slows the publisher
//! down. A line whose topic the publisher may not publish to is refused in its place.

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

use super::body_reader::BodyReader;
use crate::{
    event::{NewEvent, TopicName},
    http::{
        api::{
            publish::{decode::event_reader::ParsedItem, state::PublishState},
            topic_guard::TopicGuards,
        },
        auth::{Caller, policy::Policies},
        message::problem::Problem,
    },
    hub::Hub,
};

pub(super) struct RateGate {
    caller: Caller,
    hub: Arc<Hub>,
    policies: Arc<Policies>,
    guards: TopicGuards,
    /// How long a line may wait before it is refused.
    timeout: Duration,
    delayed: Option<DelayedEvent>,
}

/// A line that waits for the rate limit.
struct DelayedEvent {
    event: NewEvent,
    since: Instant,
    pause: Pin<Box<Sleep>>,
}

impl RateGate {
    /// A gate for the stream of `caller`.
    pub(super) fn new(state: &PublishState, caller: Caller) -> Self {
        let (hub, policies, guards) = (Arc::clone(&state.hub), Arc::clone(&state.policies), state.guards.clone());
        Self { caller, hub, policies, guards, timeout: state.bodies.timeout, delayed: None }
    }

    /// Whether a line waits.
    pub(super) fn is_waiting(&self) -> bool {
        self.delayed.is_some()
    }

    /// Checks that the publisher's credential is still valid.
    pub(super) fn renew(&mut self) -> Result<(), Problem> {
        self.caller.authorization.renew(&self.policies)
    }

    /// Checks that the publisher may close `topic`. The checks of its lines may be long past, or there were no lines.
    pub(super) fn close(&mut self, topic: &TopicName) -> Result<(), Problem> {
        self.renew()?;
        self.caller.authorization.publish(topic)?;
        Ok(self.caller.quotas.close(&self.hub, topic)?)
    }

    /// The next event, or the problem in its place; `None` when more of the body must be read. Pending while a line
    /// waits.
    pub(super) fn next<B: Body<Data = Bytes>>(
        &mut self,
        cx: &mut Context<'_>,
        body_reader: &mut BodyReader<B>,
    ) -> Poll<Option<ParsedItem>> {
        let (event, since) = match self.delayed.take() {
            Some(mut delayed) => {
                if delayed.pause.as_mut().poll(cx).is_pending() {
                    self.delayed = Some(delayed);
                    return Poll::Pending;
                }
                (delayed.event, Some(delayed.since))
            }
            None => match body_reader.next() {
                Some(Ok(event)) => (event, None),
                other => return Poll::Ready(other),
            },
        };
        let authorized = self.caller.authorization.publish(&event.topic);
        let allowed = authorized.and_then(|()| self.guards.check_publish(std::slice::from_ref(&event)));
        if let Err(problem) = allowed {
            return Poll::Ready(Some(Err(problem)));
        }
        let Err(exceeded) = self.caller.quotas.publish(&self.hub, std::slice::from_ref(&event)) else {
            return Poll::Ready(Some(Ok(event)));
        };
        let since = since.unwrap_or_else(Instant::now);
        if since.elapsed() + exceeded.wait > self.timeout {
            return Poll::Ready(Some(Err(exceeded.into())));
        }
        let mut pause = Box::pin(sleep(exceeded.wait));
        let _not_yet = pause.as_mut().poll(cx);
        self.delayed = Some(DelayedEvent { event, since, pause });
        Poll::Pending
    }
}
