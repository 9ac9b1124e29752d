//! Pipelines the lines of a publish stream into the engine and returns their receipts in the order of the lines.
//!
//! Lines that arrived together go to the engine as one batch. Each line is accepted or refused for itself, but the
//! batch shares an entry in the engine's queue, a commit and a reply. Many batches are in flight at the same time; none
//! waits for the receipts of the one before it.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

use crate::{
    engine::{AppendError, EngineFuture, Rejected},
    event::NewEvent,
    http::{
        api::publish::receipt::{self, RECEIPT_BYTES, ReceiptWriter},
        message::problem::Problem,
    },
    hub::{PublishResult, publisher::Publisher},
    quota::memory::BodyPermit,
};

/// Largest number of lines in flight: at 20 ms for two flushes, 800,000 events a second. 4 MiB besides their data.
const MAX_LINES: usize = 16_384;

/// Bytes of data in flight after which no more lines are accepted: at 20 ms for two flushes, 200 MB a second.
const MAX_BYTES: usize = 4 << 20;

/// Largest number of lines in a batch where the engine takes as many at once, a quarter of what it groups into one commit: so
/// its groups are full and have room for other publishers.
const BATCH_LINES: usize = 1024;

/// Bytes of data after which a batch ends; for the reason see [`BATCH_LINES`].
const BATCH_BYTES: usize = 256 << 10;

/// Pause before a batch is submitted again to an engine whose queue was full: the time of a few flushes.
const PAUSE: Duration = Duration::from_millis(20);

pub(super) struct Pipeline {
    publisher: Rc<Publisher>,
    timeout: Duration,
    /// Most lines in a batch.
    batch_lines: usize,
    /// Lines that were not submitted yet.
    batch: Vec<NewEvent>,
    batch_bytes: usize,
    slots: VecDeque<ReceiptSlot>,
    /// Lines in flight: in `batch` and `slots`.
    lines: usize,
    /// Bytes of their data.
    bytes: usize,
    /// Whether a slot is [`SlotState::Stalled`].
    stalled: bool,
    receipts: ReceiptWriter,
}

/// The place of a batch, or of a refused line, in the response.
struct ReceiptSlot {
    lines: usize,
    bytes: usize,
    state: SlotState,
}

enum SlotState {
    /// The lines of the response are known.
    Ready(Vec<u8>),
    /// Waits for its commit.
    Pending { response: EngineFuture<Vec<PublishResult>, AppendError>, _permit: BodyPermit },
    /// The engine's queue was full. Nothing after it is submitted before it is accepted, so that the order is kept.
    Stalled { events: Vec<NewEvent>, permit: BodyPermit, since: Instant, pause: Pin<Box<Sleep>> },
}

impl Pipeline {
    /// Publishes with `publisher`. A line waits at most `timeout` for a full queue before it is refused.
    pub(super) fn new(publisher: Rc<Publisher>, timeout: Duration) -> Self {
        let receipts = ReceiptWriter::default();
        let batch_lines = BATCH_LINES.min(publisher.hub().max_batch());
        Self {
            publisher,
            timeout,
            batch_lines,
            batch: Vec::new(),
            batch_bytes: 0,
            slots: VecDeque::new(),
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

    /// Whether no line is in flight.
    pub(super) fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// Adds a line to the batch; `true` when the batch is full and must be submitted.
    pub(super) fn push(&mut self, event: NewEvent) -> bool {
        let bytes = event.payload_bytes();
        self.lines += 1;
        self.bytes += bytes;
        self.batch_bytes += bytes;
        self.batch.push(event);
        self.batch.len() >= self.batch_lines || self.batch_bytes >= BATCH_BYTES
    }

    /// Submits the batch to the engine; `permit` holds the memory of its bytes.
    pub(super) fn submit(&mut self, permit: BodyPermit) {
        if self.batch.is_empty() {
            return;
        }
        let (events, bytes) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.batch_bytes));
        let lines = events.len();
        let state = self.append(events, permit, Instant::now());
        self.slots.push_back(ReceiptSlot { lines, bytes, state });
    }

    /// Adds a refusal in the next place. Every line before it must have been submitted.
    pub(super) fn refuse(&mut self, problem: &Problem) {
        let mut line = Vec::new();
        self.write_refusal(&mut line, problem);
        self.lines += 1;
        self.slots.push_back(ReceiptSlot { lines: 1, bytes: 0, state: SlotState::Ready(line) });
    }

    /// The receipts that are known, one a line; empty when the first is still pending.
    pub(super) fn receipts(&mut self, cx: &mut Context<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        self.retry_stalled(cx);
        while let Some(ReceiptSlot { lines, bytes, state }) = self.slots.front_mut() {
            let (lines, bytes) = (*lines, *bytes);
            match state {
                SlotState::Ready(text) => out.append(text),
                SlotState::Pending { response, .. } => {
                    let Poll::Ready(result) = response.as_mut().poll(cx) else { break };
                    self.settle(&mut out, lines, result);
                }
                SlotState::Stalled { .. } => break,
            }
            self.lines -= lines;
            self.bytes -= bytes;
            self.slots.pop_front();
        }
        out
    }

    /// Submits a batch that has waited since `since`.
    fn append(&mut self, events: Vec<NewEvent>, permit: BodyPermit, since: Instant) -> SlotState {
        match self.publisher.publish_each(events) {
            Ok(response) => SlotState::Pending { response, _permit: permit },
            Err(Rejected { events, error: AppendError::Busy }) if since.elapsed() < self.timeout => {
                self.stalled = true;
                SlotState::Stalled { events, permit, since, pause: Box::pin(sleep(PAUSE)) }
            }
            Err(Rejected { events, error }) => {
                let mut out = Vec::new();
                self.settle(&mut out, events.len(), Err(error));
                SlotState::Ready(out)
            }
        }
    }

    fn retry_stalled(&mut self, cx: &mut Context<'_>) {
        while self.stalled {
            // Only a refused line can come after a stalled batch, so the search from the end is short.
            let stalled = self.slots.iter().rposition(|slot| matches!(slot.state, SlotState::Stalled { .. }));
            let slot = &mut self.slots[stalled.expect("one is")];
            if let SlotState::Stalled { pause, .. } = &mut slot.state
                && pause.as_mut().poll(cx).is_pending()
            {
                return;
            }
            self.stalled = false;
            let state = std::mem::replace(&mut slot.state, SlotState::Ready(Vec::new()));
            let SlotState::Stalled { events, permit, since, .. } = state else { unreachable!("just seen") };
            let state = self.append(events, permit, since);
            self.slots[stalled.expect("one is")].state = state;
        }
    }

    /// Writes the receipts and refusals of a batch that has its reply.
    fn settle(&mut self, out: &mut Vec<u8>, lines: usize, result: Result<Vec<PublishResult>, AppendError>) {
        match result {
            Ok(all) => {
                out.reserve(all.len() * RECEIPT_BYTES);
                for result in all {
                    match result {
                        Ok(receipt) => {
                            self.receipts.write(out, &receipt);
                            out.push(b'\n');
                        }
                        Err(error) => self.write_refusal(out, &Problem::from(error)),
                    }
                }
            }
            Err(error) => {
                let problem = Problem::from(error);
                (0..lines).for_each(|_| self.write_refusal(out, &problem));
            }
        }
    }

    /// Writes the line in place of a receipt, and counts the refusal.
    fn write_refusal(&self, out: &mut Vec<u8>, problem: &Problem) {
        self.publisher.hub().stats().refused(problem.code.as_str());
        receipt::write_refusal(out, problem);
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::TopicName,
        http::api::publish::shard::PublishShard,
        http::testing::{app, caller},
    };

    /// Lines that a stream has in flight while the disk does not answer, and the size of its largest batch.
    fn waiting(data: &str) -> (usize, usize) {
        let (app, store) = app();
        store.faults().hold();
        let quotas = caller(&app).quotas;
        let mut pipeline = Pipeline::new(PublishShard::new(&app.publish).publisher, Duration::from_secs(10));
        let (mut lines, mut longest, mut batch) = (0, 0, 0);
        while pipeline.has_room() {
            let topic = TopicName::new("t").expect("valid");
            (lines, batch) = (lines + 1, batch + 1);
            if pipeline.push(NewEvent::new(topic, data)) {
                pipeline.submit(quotas.memory(&app.bodies.memory));
                (longest, batch) = (longest.max(batch), 0);
            }
        }
        store.faults().release();
        (lines, longest)
    }

    #[tokio::test]
    async fn the_lines_in_flight_are_bounded() {
        assert_eq!(waiting("x"), (MAX_LINES, BATCH_LINES));
        let large = "x".repeat(64 << 10);
        assert_eq!(waiting(&large), (MAX_BYTES / large.len(), BATCH_BYTES / large.len()));
    }
}
