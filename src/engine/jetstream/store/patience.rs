//! How often, and how long, a read is tried.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::nats::NatsError;
use super::shared::not_now;
use crate::engine::log::store::StoreError;

/// Between two reads of what a replica did not have: under load, replicas are behind by some 10 ms.
pub(super) const AGAIN: Duration = Duration::from_millis(20);

/// How long replicas may be behind before a read fails.
pub(super) const BEHIND: Duration = Duration::from_secs(2);

/// Reads without an answer before one fails: one of three replicas may be dead, and each wait takes 2 s.
pub(super) const SILENCES: usize = 3;

/// Retries of one read.
pub(super) struct Patience {
    until: Instant,
    silences: usize,
    pub(super) doubts: usize,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { until: Instant::now() + BEHIND, silences: 0, doubts: 0 }
    }

    /// The servers have taken their time to answer: what follows has the whole time again.
    pub(super) fn begin_again(&mut self) {
        self.until = Instant::now() + BEHIND;
    }

    /// A request had this error: waits, if it is worth repeating.
    pub(super) async fn after_error(&mut self, error: NatsError) -> Result<(), StoreError> {
        self.silences += 1;
        if !matches!(error, NatsError::NoAnswer(_)) || self.silences >= SILENCES {
            return Err(not_now(&error));
        }
        sleep(AGAIN).await;
        Ok(())
    }

    /// The answer was incomplete: waits, unless it has taken too long.
    pub(super) async fn after_doubt(&mut self) -> Result<(), StoreError> {
        self.doubts += 1;
        if Instant::now() >= self.until {
            return Err(StoreError::NotNow("the NATS servers that answer are behind the log".into()));
        }
        sleep(AGAIN).await;
        Ok(())
    }
}
