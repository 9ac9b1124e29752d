//! Lines of a stream on their way into the log, and their receipts in the lines' order.
//!
//! The lines that came together go to the engine together, as a run: each is accepted or refused for itself, but they
//! share a place in its queue, a commit and an answer. Many runs wait for the disk at the same time; none waits for the
//! receipts of the one before it.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

use super::receipt::{self, RECEIPT_BYTES, ReceiptWriter};
use crate::{
    engine::{AppendError, AppendResult, EngineFuture, Rejected},
    event::NewEvent,
    http::{body_memory::BodyPermit as Reserved, problem::Problem},
    hub::Hub,
};

/// Lines of one stream waiting at most: at 20 ms for two flushes, 800 000 events a second. 4 MiB beside their data.
const MAX_LINES: usize = 16_384;

/// Bytes of data of one stream waiting at most: at 20 ms for two flushes, 200 MB a second. One event is always let in.
const MAX_BYTES: usize = 4 << 20;

/// Lines of one run at most, and bytes of data after which it ends: a quarter of what the engine puts into one commit by
/// itself, so that its groups are full and publishers beside this one find room in them.
const RUN_LINES: usize = 1024;

/// See [`RUN_LINES`].
const RUN_BYTES: usize = 256 << 10;

/// Pause before a full engine is asked again: a few flushes.
const PAUSE: Duration = Duration::from_millis(20);

pub(super) struct Pipeline {
    hub: Arc<Hub>,
    patience: Duration,
    /// Lines that came and were not handed to the engine yet.
    run: Vec<NewEvent>,
    run_bytes: usize,
    places: VecDeque<ReceiptSlot>,
    /// Of all that waits.
    lines: usize,
    bytes: usize,
    /// A place is [`SlotState::Stalled`].
    stalled: bool,
    receipts: ReceiptWriter,
}

/// The place of a run, or of a refused line, in the answer.
struct ReceiptSlot {
    lines: usize,
    bytes: usize,
    way: SlotState,
}

enum SlotState {
    /// What to say there is known.
    Known(Vec<u8>),
    /// Waits for its commit.
    Due { response: EngineFuture<Vec<AppendResult>, AppendError>, _reserved: Reserved },
    /// The engine had no room for it. Nothing is tried after it before it got in, so that the order is kept.
    Stalled { events: Vec<NewEvent>, reserved: Reserved, since: Instant, pause: Pin<Box<Sleep>> },
}

impl Pipeline {
    /// Publishes to `hub`; a line waits at most `patience` for a full engine before it is refused.
    pub(super) fn new(hub: Arc<Hub>, patience: Duration) -> Self {
        let receipts = ReceiptWriter::new(hub.epoch());
        Self {
            hub,
            patience,
            run: Vec::new(),
            run_bytes: 0,
            places: VecDeque::new(),
            lines: 0,
            bytes: 0,
            stalled: false,
            receipts,
        }
    }

    /// Whether another line may be pushed now.
    pub(super) fn has_room(&self) -> bool {
        !self.stalled && self.lines < MAX_LINES && self.bytes < MAX_BYTES
    }

    /// Whether no line waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// Adds a line to the run; `true` when the run is full and must be submitted.
    pub(super) fn push(&mut self, event: NewEvent) -> bool {
        let bytes = event.data.len();
        self.lines += 1;
        self.bytes += bytes;
        self.run_bytes += bytes;
        self.run.push(event);
        self.run.len() >= RUN_LINES || self.run_bytes >= RUN_BYTES
    }

    /// Hands the run to the engine; `reserved` is the place of its bytes.
    pub(super) fn submit(&mut self, reserved: Reserved) {
        if self.run.is_empty() {
            return;
        }
        let (events, bytes) = (std::mem::take(&mut self.run), std::mem::take(&mut self.run_bytes));
        let lines = events.len();
        let way = self.options(events, reserved, Instant::now());
        self.places.push_back(ReceiptSlot { lines, bytes, way });
    }

    /// Puts a refusal into the next place. What came before must have been submitted.
    pub(super) fn refuse(&mut self, problem: &Problem) {
        let mut line = Vec::new();
        self.refusal(&mut line, problem);
        self.lines += 1;
        self.places.push_back(ReceiptSlot { lines: 1, bytes: 0, way: SlotState::Known(line) });
    }

    /// The receipts that are due, one a line; empty when the first is still waited for.
    pub(super) fn receipts(&mut self, cx: &mut Context<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        self.retry_stalled(cx);
        while let Some(ReceiptSlot { lines, bytes, way }) = self.places.front_mut() {
            let (lines, bytes) = (*lines, *bytes);
            match way {
                SlotState::Known(text) => out.append(text),
                SlotState::Due { response, .. } => {
                    let Poll::Ready(result) = response.as_mut().poll(cx) else { break };
                    self.settle(&mut out, lines, result);
                }
                SlotState::Stalled { .. } => break,
            }
            self.lines -= lines;
            self.bytes -= bytes;
            self.places.pop_front();
        }
        out
    }

    /// Asks the engine to append a run that waits since `since`.
    fn options(&mut self, events: Vec<NewEvent>, reserved: Reserved, since: Instant) -> SlotState {
        match self.hub.publish_each(events) {
            Ok(response) => SlotState::Due { response, _reserved: reserved },
            Err(Rejected { events, error: AppendError::Busy }) if since.elapsed() < self.patience => {
                self.stalled = true;
                SlotState::Stalled { events, reserved, since, pause: Box::pin(sleep(PAUSE)) }
            }
            Err(Rejected { events, error }) => {
                let mut out = Vec::new();
                self.settle(&mut out, events.len(), Err(error));
                SlotState::Known(out)
            }
        }
    }

    fn retry_stalled(&mut self, cx: &mut Context<'_>) {
        while self.stalled {
            // The run that stalled, or the line after it that was refused, was the last to come.
            let stalled = self.places.iter().rposition(|place| matches!(place.way, SlotState::Stalled { .. }));
            let place = &mut self.places[stalled.expect("one is")];
            if let SlotState::Stalled { pause, .. } = &mut place.way
                && pause.as_mut().poll(cx).is_pending()
            {
                return;
            }
            self.stalled = false;
            let way = std::mem::replace(&mut place.way, SlotState::Known(Vec::new()));
            let SlotState::Stalled { events, reserved, since, .. } = way else { unreachable!("just seen") };
            let way = self.options(events, reserved, since);
            self.places[stalled.expect("one is")].way = way;
        }
    }

    /// The receipts of a run that has its answer, or its refusals, counted.
    fn settle(&mut self, out: &mut Vec<u8>, lines: usize, result: Result<Vec<AppendResult>, AppendError>) {
        match result {
            Ok(all) => {
                out.reserve(all.len() * RECEIPT_BYTES);
                for appended in all {
                    match appended {
                        Ok(receipt) => {
                            self.receipts.put(out, &receipt);
                            out.push(b'\n');
                        }
                        Err(error) => self.refusal(out, &Problem::from(error)),
                    }
                }
            }
            Err(error) => {
                let problem = Problem::from(error);
                (0..lines).for_each(|_| self.refusal(out, &problem));
            }
        }
    }

    /// Writes a refused line's place, and counts it.
    fn refusal(&self, out: &mut Vec<u8>, problem: &Problem) {
        self.hub.stats().refused(problem.code.as_str());
        receipt::refuse(out, problem);
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::TopicName,
        http::testing::{app, caller},
    };

    /// Lines that a stream lets wait while the disk does not answer, and the most that one run of them held.
    fn waiting(data: &str) -> (usize, usize) {
        let (app, store) = app();
        store.faults().hold();
        let quotas = caller(&app).quotas;
        let mut pipeline = Pipeline::new(Arc::clone(&app.hub), Duration::from_secs(10));
        let (mut lines, mut longest, mut run) = (0, 0, 0);
        while pipeline.has_room() {
            let topic = TopicName::new("t").expect("valid");
            (lines, run) = (lines + 1, run + 1);
            if pipeline.push(NewEvent::new(topic, data)) {
                pipeline.submit(app.body_memory.place(&quotas));
                (longest, run) = (longest.max(run), 0);
            }
        }
        store.faults().release();
        (lines, longest)
    }

    #[tokio::test]
    async fn a_stream_has_no_more_under_way_than_its_bounds() {
        assert_eq!(waiting("x"), (MAX_LINES, RUN_LINES));
        let large = "x".repeat(64 << 10);
        assert_eq!(waiting(&large), (MAX_BYTES / large.len(), RUN_BYTES / large.len()));
    }
}
