//! An import in progress, and its writes.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::super::{
    JetStreamConfig,
    nats::Outgoing,
    store::JetStreamStore,
    wire::{ImportRecord, StreamSubjects},
};
use super::report::{ImportError, ImportReport};
use crate::{
    engine::log::{contents::StoreContents, store::StoreError},
    event::Millis,
    progress::WorkProgress,
};

/// Tries of one write: an election of NATS takes up to 10 s.
const TRIES: usize = 10;

/// Between them.
const PAUSE: Duration = Duration::from_secs(2);

/// The table of old positions stays so much longer in the stream than it counts.
const TABLE_MARGIN: Duration = Duration::from_hours(24);

/// Whether all parts of an import's table are still in the stream; without them it would begin again, and store everything
/// twice. Half of the margin is for the clocks of machines that differ.
pub(super) fn has_table(import: &ImportRecord, now: Millis) -> bool {
    let margin = u64::try_from(TABLE_MARGIN.as_millis() / 2).unwrap_or(0);
    now.0 < import.until.0.saturating_add(margin)
}

/// An import in progress.
pub(super) struct ImportRun<'a, S> {
    pub(super) config: &'a JetStreamConfig,
    pub(super) from: &'a S,
    pub(super) contents: StoreContents,
    pub(super) to: JetStreamStore,
    pub(super) subjects: StreamSubjects,
    pub(super) record: ImportRecord,
    /// How long an idempotency key is stored.
    pub(super) key_ttl: Duration,
    pub(super) progress: &'a WorkProgress,
    pub(super) report: ImportReport,
}

impl<S> ImportRun<'_, S> {
    /// The position of the next message.
    pub(super) fn next(&self) -> u64 {
        self.to.last() + 1
    }

    /// Stores these messages together, and waits through elections.
    pub(super) fn write(&self, messages: &[Outgoing]) -> Result<(), ImportError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.to.store_imported(messages.to_vec(), self.next()) {
                Err(StoreError::NotNow(reason)) if tries < TRIES => {
                    tracing::debug!(%reason, "the servers do not take a part of the import now");
                    std::thread::sleep(PAUSE);
                }
                result => return result.map_err(ImportError::from),
            }
        }
    }

    pub(super) fn record_message(&self, record: &ImportRecord) -> Outgoing {
        let mut headers = record.headers();
        headers.push(("Nats-Rollup", "sub".into()));
        Outgoing { subject: self.subjects.import(), headers, payload: Bytes::new() }
    }

    /// How long a part of the table stays in the stream.
    pub(super) fn table_ttl(&self) -> Duration {
        let now = Millis::from(SystemTime::now());
        Duration::from_millis(self.record.until.0.saturating_sub(now.0)) + TABLE_MARGIN
    }
}
