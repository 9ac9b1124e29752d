//! The body of a response with a run: a subscription to its topic, from the run's first event to its last one, in a
//! format.

use std::{
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use http_body::Frame;
use tokio::time::{Sleep, sleep_until};

use super::run_events::TopicEvent;
use crate::{
    event::Selection,
    http::{
        api::stream::{
            record::{SentCounts, StreamRecord},
            shard::StreamShard,
            streams::StreamHandle,
        },
        auth::{Authorization, StreamPermits},
        net::{cutter::Cutter, response::Aborted},
    },
    hub::subscription::{Delivery, GapReason, Subscription},
    relay::{
        format::{AnswerEncoder, Finished, RunEvent},
        run::{Run, RunPhase, Waiting},
    },
};

/// Who reads a run, and by which right.
pub struct RunReader {
    /// What the reader may do, as long as its credential is valid.
    pub authorization: Authorization,
    /// The topic, when the reader needs the grant to subscribe to it: who asked for a run may read it without.
    pub needs: Option<Selection>,
    /// Its stream, counted.
    pub permits: StreamPermits,
}

/// The body. Dropping it ends the subscription.
pub struct RunBody {
    shard: Rc<StreamShard>,
    subscription: Subscription,
    handle: StreamHandle,
    encoder: AnswerEncoder,
    reader: RunReader,
    /// Frames up to this `sequence_number` are left out.
    sequence: Option<SequenceFilter>,
    timer: Option<Pin<Box<Sleep>>>,
    /// The end of the run, until it is known. Its events are in the subscription by then, if they could be stored.
    ending: Option<Pin<Box<dyn Future<Output = RunPhase>>>>,
    over: bool,
    record: Rc<StreamRecord>,
    _watches: Waiting,
}

/// Leaves out the frames that a client of OpenAI's Responses has.
#[derive(Debug, Clone, Copy)]
pub struct SequenceFilter {
    /// The `sequence_number` of its last one.
    pub after: u64,
}

impl RunBody {
    /// The body that sends what `encoder` makes of the subscription's events.
    #[must_use]
    pub fn new(
        shard: Rc<StreamShard>,
        subscription: Subscription,
        encoder: AnswerEncoder,
        reader: RunReader,
        sequence: Option<SequenceFilter>,
        run: &Arc<Run>,
        (record, cutter): (Rc<StreamRecord>, Option<Cutter>),
    ) -> Self {
        let ending = Arc::clone(run);
        let ending = Box::pin(async move { ending.over().await });
        let expires = reader.authorization.expires();
        let handle = shard.streams.register(subscription.feed(), expires, Some(Rc::clone(&record)), cutter);
        Self {
            shard,
            subscription,
            handle,
            encoder,
            reader,
            sequence,
            timer: None,
            ending: Some(ending),
            over: false,
            record,
            _watches: run.wait(),
        }
    }

    /// Whether the reader's credential has expired, was revoked, or does not grant the topic any more.
    fn has_lapsed(&mut self) -> bool {
        let RunReader { authorization, needs, .. } = &mut self.reader;
        let lapsed = match needs {
            Some(selection) => authorization.renew_subscription(&self.shard.policies, selection),
            None => authorization.renew(&self.shard.policies),
        };
        if lapsed.is_err() {
            self.shard.hub.stats().lapsed.add(1);
        }
        lapsed.is_err()
    }

    /// Takes what the subscription delivers. `None`: the body must be broken off.
    fn take(&mut self, delivery: &Delivery, out: &mut Vec<u8>) -> Option<()> {
        let now = Instant::now();
        match delivery {
            Delivery::Events(batch) => {
                for frame in batch.frames() {
                    let event = TopicEvent::of(&frame.event);
                    if matches!(event, TopicEvent::Removed) {
                        self.encoder.gap(GapReason::Trimmed, now, out);
                    } else if let Some(of_run) = event.of_run(&frame.event)
                        && !self.sequence.is_some_and(|filter| filter.leaves_out(of_run))
                    {
                        self.encoder.push(frame.id, of_run, now, out);
                    }
                    if self.encoder.finished().is_some() {
                        break;
                    }
                }
                let sent = SentCounts { events: batch.frames().len() as u64, bytes: out.len() as u64 };
                self.shard.hub.stats().events_out.add(sent.events);
                self.shard.hub.stats().bytes_out.add(sent.bytes);
                self.record.add(sent);
            }
            Delivery::Gap(gap) => self.encoder.gap(gap.reason, now, out),
            // The topic takes no more events, and the run has not ended in it: somebody closed or deleted it.
            Delivery::End(_) | Delivery::Finished(_) => {
                self.encoder.gap(GapReason::Lost, now, out);
                self.over = true;
            }
            Delivery::Unreadable => return None,
        }
        Some(())
    }

    /// Resolves when merged deltas must be written.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.encoder.due() else {
            self.timer = None;
            return Poll::Pending;
        };
        let due = tokio::time::Instant::from_std(due);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(cx)
    }
}

impl http_body::Body for RunBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let polled = self.poll_bytes(cx);
        self.record.set_progress(self.subscription.progress());
        self.record.set_reached(self.subscription.reached());
        polled
    }
}

impl RunBody {
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let this = self;
        let keepalive_due = this.handle.register_waker(cx);
        let mut out = Vec::new();
        loop {
            match this.encoder.finished() {
                Some(Finished::Broken) if out.is_empty() => return Poll::Ready(Some(Err(Aborted))),
                Some(_) if out.is_empty() => return Poll::Ready(None),
                Some(_) => break,
                None => {}
            }
            if !out.is_empty() {
                break;
            }
            if this.over || this.record.is_end_requested() || this.has_lapsed() {
                // The answer is not complete: a clean end would say that it is.
                return Poll::Ready(Some(Err(Aborted)));
            }
            match this.subscription.poll_next(cx) {
                Poll::Ready(delivery) => {
                    if this.take(&delivery, &mut out).is_none() {
                        return Poll::Ready(Some(Err(Aborted)));
                    }
                }
                Poll::Pending => {
                    if let Some(ending) = &mut this.ending
                        && let Poll::Ready(phase) = ending.as_mut().poll(cx)
                    {
                        this.ending = None;
                        this.over = !matches!(phase, RunPhase::Ended);
                        continue;
                    }
                    if this.poll_due(cx).is_ready() {
                        this.encoder.flush(Instant::now(), &mut out);
                        this.timer = None;
                    } else if keepalive_due {
                        this.encoder.keepalive(&mut out);
                    }
                    if out.is_empty() {
                        return Poll::Pending;
                    }
                }
            }
        }
        this.handle.mark_sent();
        Poll::Ready(Some(Ok(Frame::data(out.into()))))
    }
}

impl SequenceFilter {
    /// Whether the client has this frame.
    fn leaves_out(self, event: RunEvent<'_>) -> bool {
        #[derive(serde::Deserialize)]
        struct Numbered {
            sequence_number: u64,
        }
        let RunEvent::Frame { data, .. } = event else { return false };
        serde_json::from_str::<Numbered>(data).is_ok_and(|frame| frame.sequence_number <= self.after)
    }
}
