//! The thread of the export: when what is sent.

use std::{cell::Cell, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    collector::{self, Outcome},
    messages::OtlpMessages,
    settings::{Gathering, LAST_EXPORT, OtlpSettings},
    span::Span,
    stats::{OtlpStats, Signal},
};

/// Spans of one request at most, and how long the first of them waits for others: the defaults of OpenTelemetry's SDKs.
const BATCH_SPANS: usize = 512;
const BATCH_WAIT: Duration = Duration::from_secs(5);

/// Waits between attempts to export the same spans, the shortest and the longest. They double.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_mins(1);

/// What both signals share.
pub(super) struct Exporter<'a> {
    settings: &'a OtlpSettings,
    stats: &'a OtlpStats,
    messages: OtlpMessages,
    ends: watch::Receiver<bool>,
}

/// Whether it was told that a signal is not taken. It is told once, and once that it is taken again.
struct Outage {
    signal: Signal,
    told: Cell<bool>,
}

impl<'a> Exporter<'a> {
    pub(super) fn new(settings: &'a OtlpSettings, stats: &'a OtlpStats, ends: watch::Receiver<bool>) -> Self {
        Self { settings, stats, messages: OtlpMessages::new(&settings.service), ends }
    }

    /// Exports spans until the end. Those of an attempt that failed are sent again; meanwhile the queue fills.
    pub(super) async fn traces(&self, mut spans: mpsc::Receiver<Span>) {
        let outage = Outage::new(Signal::Traces);
        let mut wait = FIRST_WAIT;
        loop {
            let mut batch = Vec::new();
            self.fill(&mut spans, &mut batch).await;
            if batch.is_empty() {
                return;
            }
            let (body, count) = (self.messages.traces(&batch), batch.len() as u64);
            drop(batch);
            loop {
                match self.attempt(&outage, body.clone()).await {
                    Outcome::Taken { rejected, .. } => {
                        let rejected = rejected.min(count);
                        self.stats.exported(count - rejected);
                        self.stats.dropped(rejected);
                        wait = FIRST_WAIT;
                        break;
                    }
                    Outcome::Refused(_) => {
                        self.stats.dropped(count);
                        break;
                    }
                    Outcome::Later { .. } if self.is_ending() => {
                        self.stats.dropped(count + spans.len() as u64);
                        return;
                    }
                    Outcome::Later { wait: asked, .. } => {
                        self.pause(asked.unwrap_or(wait).max(wait)).await;
                        wait = (2 * wait).min(LAST_WAIT);
                    }
                }
            }
        }
    }

    /// Exports the metrics at each interval, and at the end. They are sums since the start: an export that fails loses
    /// no count, and the next one has them all.
    pub(super) async fn metrics(&self, gather: impl Fn() -> Gathering) {
        if !self.settings.metrics {
            return;
        }
        let outage = Outage::new(Signal::Metrics);
        while !self.is_ending() {
            self.pause(self.settings.interval).await;
            // A disk that does not answer delays what is known of it.
            let Ok(gathered) = timeout(self.settings.timeout, gather()).await else { continue };
            let _counted = self.attempt(&outage, self.messages.metrics(&gathered)).await;
        }
    }

    /// Waits for a span, and then for a batch of them. At the end what is there is one; empty when there is nothing, or no
    /// span can come any more.
    async fn fill(&self, spans: &mut mpsc::Receiver<Span>, batch: &mut Vec<Span>) {
        let mut ends = self.ends.clone();
        tokio::select! {
            biased;
            _ = spans.recv_many(batch, BATCH_SPANS) => {}
            _ = ends.wait_for(|ending| *ending) => {}
        }
        let full = Instant::now() + BATCH_WAIT;
        while !batch.is_empty() && batch.len() < BATCH_SPANS && !self.is_ending() {
            tokio::select! {
                more = spans.recv_many(batch, BATCH_SPANS - batch.len()) => if more == 0 { return },
                () = tokio::time::sleep_until(full) => return,
                _ = ends.wait_for(|ending| *ending) => {}
            }
        }
        while batch.len() < BATCH_SPANS
            && let Ok(span) = spans.try_recv()
        {
            batch.push(span);
        }
    }

    /// One attempt, counted and told. The last one is as long as the exit waits.
    async fn attempt(&self, outage: &Outage, body: Bytes) -> Outcome {
        let limit = if self.is_ending() { LAST_EXPORT } else { Duration::MAX };
        let sent = timeout(limit, collector::send(self.settings, outage.signal, body)).await;
        let late = || Outcome::Later { reason: "it does not answer".into(), wait: None };
        let outcome = sent.unwrap_or_else(|_| late());
        let (Outcome::Refused(reason) | Outcome::Later { reason, .. } | Outcome::Taken { reason, .. }) = &outcome;
        let taken = matches!(outcome, Outcome::Taken { rejected: 0, .. });
        if !taken {
            self.stats.failed(outage.signal);
        }
        outage.tell(taken, reason);
        outcome
    }

    /// Waits for `time`, or for the end.
    async fn pause(&self, time: Duration) {
        let mut ends = self.ends.clone();
        tokio::select! {
            () = sleep(time) => {}
            _ = ends.wait_for(|ending| *ending) => {}
        }
    }

    fn is_ending(&self) -> bool {
        // Without a sender, too: the export was dropped.
        *self.ends.borrow() || self.ends.has_changed().is_err()
    }
}

impl Outage {
    fn new(signal: Signal) -> Self {
        Self { signal, told: Cell::new(false) }
    }

    fn tell(&self, taken: bool, reason: &str) {
        let signal = self.signal.as_str();
        match (taken, self.told.replace(!taken)) {
            (false, false) => {
                tracing::warn!(signal, reason, "the OTLP collector does not take what is exported; the hub serves on");
            }
            (true, true) => tracing::info!(signal, "the OTLP collector takes what is exported again"),
            _ => {}
        }
    }
}
