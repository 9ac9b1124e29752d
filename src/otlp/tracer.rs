//! Which requests get a span, and the queue of the spans that have ended.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{span::Span, stats::OtlpStats};
use crate::event::{SpanId, TraceId, TraceParent};

/// The flags of a trace that begins here: sampled, and its id is random.
const ROOT_FLAGS: u8 = 0b11;

/// Bits of a trace id that the sampler compares: the lower ones, which are random in every implementation.
const RANDOM_BITS: u64 = u64::MAX >> 1;

/// Begins spans, and queues those that have ended. Never waits.
#[derive(Debug)]
pub struct Tracer {
    queue: mpsc::Sender<Span>,
    /// A trace that begins here is sampled when the random part of its id is below this.
    threshold: u64,
    stats: Arc<OtlpStats>,
}

impl Tracer {
    /// A tracer that samples this share of the traces that begin here.
    #[must_use]
    pub(super) fn new(queue: mpsc::Sender<Span>, sample: f64, stats: Arc<OtlpStats>) -> Self {
        Self { queue, threshold: threshold(sample), stats }
    }

    /// A span that begins now; `None` when the request is not sampled. A parent decides, as it has decided for the whole
    /// trace; without one chance does.
    #[must_use]
    pub fn begin(&self, parent: Option<TraceParent>) -> Option<Span> {
        if parent.is_some_and(|parent| !parent.is_sampled()) {
            return None;
        }
        let id = SpanId::new(fastrand::u64(1..).to_be_bytes())?;
        let (trace, flags) = if let Some(parent) = parent {
            (parent.trace, parent.flags())
        } else {
            let random = fastrand::u64(..);
            if random & RANDOM_BITS >= self.threshold {
                return None;
            }
            let number = u128::from(fastrand::u64(1..)) << 64 | u128::from(random);
            (TraceId::new(number.to_be_bytes())?, ROOT_FLAGS)
        };
        Some(Span::begin(trace, id, parent, flags))
    }

    /// The span ends now. It is dropped and counted when the queue is full.
    pub fn end(&self, mut span: Span) {
        span.end();
        if self.queue.try_send(span).is_err() {
            self.stats.dropped(1);
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a share of 0 to 1, and `as` saturates"
)]
fn threshold(sample: f64) -> u64 {
    if sample >= 1.0 { u64::MAX } else { (sample * RANDOM_BITS as f64) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracer(sample: f64, room: usize) -> (Tracer, mpsc::Receiver<Span>) {
        let (sender, spans) = mpsc::channel(room);
        (Tracer::new(sender, sample, Arc::default()), spans)
    }

    fn parent(flags: &str) -> TraceParent {
        let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
        TraceParent::parse(text.as_bytes()).expect("valid")
    }

    #[test]
    fn a_parent_decides_whether_there_is_a_span_and_it_is_of_the_parents_trace() {
        let (never, _spans) = tracer(0.0, 1);
        let sampled = parent("01");
        let span = never.begin(Some(sampled)).expect("its parent is sampled");
        assert_eq!((span.trace, span.parent, span.flags), (sampled.trace, Some(sampled.parent), 1));
        assert_ne!(span.id, sampled.parent);
        let (always, _spans) = tracer(1.0, 1);
        assert!(always.begin(Some(parent("00"))).is_none());
    }

    #[test]
    fn of_the_traces_that_begin_here_a_share_is_sampled() {
        let count = |sample| {
            let (tracer, _spans) = tracer(sample, 1);
            (0..10_000).filter(|_| tracer.begin(None).is_some()).count()
        };
        assert_eq!((count(0.0), count(1.0)), (0, 10_000));
        let quarter = count(0.25);
        assert!((2000..3000).contains(&quarter), "{quarter}");
    }

    #[test]
    fn a_span_without_room_is_dropped_and_counted() {
        let (tracer, mut spans) = tracer(1.0, 2);
        for _ in 0..5 {
            tracer.end(tracer.begin(None).expect("sampled"));
        }
        assert_eq!(tracer.stats.counts().dropped_spans, 3);
        assert!(spans.try_recv().is_ok_and(|span| span.nanos > 0));
    }
}
