//! A publish stream and the stream of its receipts, both at once over one connection.
//!
//! The response starts before the request's body ends, and each receipt is sent when its event is durable. Polling the
//! response's body drives everything: while a publisher does not read its receipts, its body is not read either. When
//! the connection closes, everything is dropped except the commits that have begun.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, header};
use http_body::{Body, Frame};

use super::{
    body_reader::{BodyEnd, BodyReader},
    pipeline::Pipeline,
    rate_gate::RateGate,
};
use crate::{
    engine::TopicChange,
    event::TopicName,
    http::{
        api::publish::{
            decode::{event_reader::EventReader, options::PublishOptions},
            shard::PublishShard,
            state::PublishState,
        },
        auth::Caller,
        message::problem::{Code, Problem},
        net::response::{Response, generated},
    },
    hub::Hub,
};

/// Answers a stream of events with the stream of their receipts.
pub(in crate::http::api::publish) fn response<B>(
    state: &PublishState,
    shard: &PublishShard,
    options: PublishOptions,
    caller: Caller,
    body: B,
) -> Response
where
    B: Body<Data = Bytes> + 'static,
{
    let closes = options.topic.clone().filter(|_| options.close);
    // The topic is closed at the end of the body, because no event is known to be the last when it arrives.
    let event_reader = EventReader::new(PublishOptions { close: false, ..options }, state.limits.event_bytes);
    let stream = PublishStream {
        body_reader: BodyReader::new(state, &caller.quotas, body, event_reader),
        pipeline: Pipeline::new(Rc::clone(&shard.publisher), state.bodies.timeout),
        hub: state.hub.clone(),
        rate_gate: RateGate::new(state, caller),
        lapsed: None,
        closes,
        closing: None,
        ended: false,
    };
    let mut response = Response::new(generated(stream));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

const TOO_SLOW: &str = "an event came too slowly after its first byte; a stream may pause between its events, not within \
                        one. Send again every event that has no receipt";

type Closing = Pin<Box<dyn Future<Output = Result<(), Problem>>>>;

struct PublishStream<B> {
    body_reader: BodyReader<B>,
    pipeline: Pipeline,
    hub: Arc<Hub>,
    rate_gate: RateGate,
    /// Why the publisher's authorization ended before its stream did.
    lapsed: Option<Problem>,
    /// The topic to close when all of the body is in the log.
    closes: Option<TopicName>,
    closing: Option<Closing>,
    /// Whether the problem at the end of the stream, if any, was written.
    ended: bool,
}

impl<B: Body<Data = Bytes>> PublishStream<B> {
    /// The response's next lines; `None` at its end.
    fn poll_lines(&mut self, cx: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        loop {
            self.take_lines(cx);
            let lines = self.pipeline.receipts(cx);
            if !lines.is_empty() {
                return Poll::Ready(Some(lines));
            }
            if self.lapsed.is_some() && self.pipeline.is_empty() {
                if self.ended {
                    return Poll::Ready(None);
                }
                std::task::ready!(self.poll_end(cx));
                continue;
            }
            // Without room the first pending receipt wakes this task. With room all of the chunk has been consumed.
            if !self.pipeline.has_room() || self.rate_gate.is_waiting() || self.lapsed.is_some() {
                return Poll::Pending;
            }
            if self.body_reader.end().is_none() {
                std::task::ready!(self.body_reader.poll_fill(cx));
            } else if !self.pipeline.is_empty() {
                return Poll::Pending;
            } else if self.ended {
                return Poll::Ready(None);
            } else {
                std::task::ready!(self.poll_end(cx));
            }
        }
    }

    /// Submits what was read to the engine, as far as there is room.
    fn take_lines(&mut self, cx: &mut Context<'_>) {
        self.lapsed = self.lapsed.take().or_else(|| self.rate_gate.renew().err());
        while self.pipeline.has_room() && self.lapsed.is_none() {
            let Poll::Ready(item) = self.rate_gate.next(cx, &mut self.body_reader) else { break };
            match item {
                Some(Ok(event)) => {
                    if self.pipeline.push(event) {
                        self.pipeline.submit(self.body_reader.release());
                    }
                }
                Some(Err(problem)) => {
                    self.pipeline.submit(self.body_reader.release());
                    self.pipeline.refuse(&problem);
                }
                None => break,
            }
        }
        self.pipeline.submit(self.body_reader.release());
    }

    /// Closes the topic if the request asked for that, and writes the problem at the end of the stream, if any.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let problem = match (self.body_reader.end().cloned(), self.closes.clone()) {
            _ if self.lapsed.is_some() => self.lapsed.clone(),
            (Some(BodyEnd::Whole), Some(topic)) => {
                let (hub, rate_gate) = (&self.hub, &mut self.rate_gate);
                let closing = self.closing.get_or_insert_with(|| match rate_gate.close(&topic) {
                    Ok(()) => close(hub.clone(), topic),
                    Err(problem) => Box::pin(std::future::ready(Err(problem))),
                });
                std::task::ready!(closing.as_mut().poll(cx)).err()
            }
            (Some(BodyEnd::Draining), _) => Some(Problem::new(
                Code::Draining,
                "the hub is about to stop; reconnect and send again every event that has no receipt",
            )),
            (Some(BodyEnd::NoRoom(problem)), _) => Some(problem),
            (Some(BodyEnd::TooSlow), _) => Some(Problem::new(Code::RequestTimeout, TOO_SLOW)),
            _ => None,
        };
        if let Some(problem) = problem {
            self.pipeline.refuse(&problem);
        }
        self.ended = true;
        Poll::Ready(())
    }
}

fn close(hub: Arc<Hub>, topic: TopicName) -> Closing {
    Box::pin(async move {
        hub.configure(topic, TopicChange { closed: Some(true), ..TopicChange::default() }).await?;
        Ok(())
    })
}

impl<B: Body<Data = Bytes>> Body for PublishStream<B> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.poll_lines(cx).map(|lines| lines.map(|lines| Ok(Frame::data(lines.into()))))
    }
}
