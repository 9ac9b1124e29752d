//! A poured-in stream and the stream of its receipts: both at once, over one connection.
//!
//! The answer starts before the body ends, and each receipt leaves when its event is durable. The answer's body drives
//! it all by being polled: a publisher that does not read its receipts is not read either, and one that hangs up drops
//! everything but the commits that have begun.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, header};
use http_body::{Body, Frame};

use super::{
    ask::Ask,
    gate::Gate,
    intake::{End, Intake},
    pipeline::Pipeline,
    source::Source,
};
use crate::{
    engine::TopicChange,
    event::TopicName,
    http::{
        Answer, Door, made,
        problem::{Code, Problem},
        visitor::Visitor,
    },
    hub::Hub,
};

/// Answers a stream of events with the stream of their receipts.
pub(super) fn answer<B>(door: &Door, ask: Ask, visitor: Visitor, body: B) -> Answer
where
    B: Body<Data = Bytes> + 'static,
{
    let closes = ask.topic.clone().filter(|_| ask.close);
    // The end of the body closes the topic: which event is the last is not known when it comes.
    let source = Source::new(Ask { close: false, ..ask }, door.limits.event_bytes);
    let poured = Poured {
        intake: Intake::new(door, &visitor.means, body, source),
        pipeline: Pipeline::new(door.hub.clone(), door.limits.body_timeout),
        hub: door.hub.clone(),
        gate: Gate::new(door, visitor),
        lapsed: None,
        closes,
        closing: None,
        ended: false,
    };
    let mut answer = Answer::new(made(poured));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer
}

const TOO_SLOW: &str = "an event was begun and came too slowly; a stream may pause between its events, not within one. Send what \
                        has no receipt again";

type Closing = Pin<Box<dyn Future<Output = Result<(), Problem>>>>;

struct Poured<B> {
    intake: Intake<B>,
    pipeline: Pipeline,
    hub: Arc<Hub>,
    gate: Gate,
    /// Why the publisher's right ended before its stream did.
    lapsed: Option<Problem>,
    /// The topic to close when all of the body is in the log.
    closes: Option<TopicName>,
    closing: Option<Closing>,
    /// What follows the last line was said.
    ended: bool,
}

impl<B: Body<Data = Bytes>> Poured<B> {
    /// Lines that can be answered now; `None` when all is said.
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
            // With room left all of the chunk is taken; without, the first receipt due wakes this again.
            if !self.pipeline.has_room() || self.gate.is_shut() || self.lapsed.is_some() {
                return Poll::Pending;
            }
            if self.intake.end().is_none() {
                std::task::ready!(self.intake.poll_fill(cx));
            } else if !self.pipeline.is_empty() {
                return Poll::Pending;
            } else if self.ended {
                return Poll::Ready(None);
            } else {
                std::task::ready!(self.poll_end(cx));
            }
        }
    }

    /// Hands what was read to the engine, as far as there is room.
    fn take_lines(&mut self, cx: &mut Context<'_>) {
        self.lapsed = self.lapsed.take().or_else(|| self.gate.renew().err());
        while self.pipeline.has_room() && self.lapsed.is_none() {
            let Poll::Ready(item) = self.gate.next(cx, &mut self.intake) else { break };
            match item {
                Some(Ok(event)) => {
                    if self.pipeline.push(event) {
                        self.pipeline.submit(self.intake.release());
                    }
                }
                Some(Err(problem)) => {
                    self.pipeline.submit(self.intake.release());
                    self.pipeline.refuse(&problem);
                }
                None => break,
            }
        }
        self.pipeline.submit(self.intake.release());
    }

    /// Closes the topic if that was asked for, and says what went wrong at the end.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let problem = match (self.intake.end().cloned(), self.closes.clone()) {
            _ if self.lapsed.is_some() => self.lapsed.clone(),
            (Some(End::Whole), Some(topic)) => {
                let (hub, gate) = (&self.hub, &mut self.gate);
                let closing = self.closing.get_or_insert_with(|| match gate.close(&topic) {
                    Ok(()) => close(hub.clone(), topic),
                    Err(problem) => Box::pin(std::future::ready(Err(problem))),
                });
                std::task::ready!(closing.as_mut().poll(cx)).err()
            }
            (Some(End::Draining), _) => {
                Some(Problem::new(Code::Draining, "the hub is about to stop; send what has no receipt to it again"))
            }
            (Some(End::NoRoom(problem)), _) => Some(problem),
            (Some(End::TooSlow), _) => Some(Problem::new(Code::RequestTimeout, TOO_SLOW)),
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

impl<B: Body<Data = Bytes>> Body for Poured<B> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.poll_lines(cx).map(|lines| lines.map(|lines| Ok(Frame::data(lines.into()))))
    }
}
