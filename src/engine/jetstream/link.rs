//! What the parts of the engine share.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    election::{Beat, LeaderView},
    feed::Write,
    forward::HubId,
    gate::{RoleCommand, RoleGate},
    members::HubsHeard,
    nats::{Nats, NatsError, Stored},
    peers::Peers,
    store::JetStreamStore,
    wire::{ImportRecord, LeaderRecord, StreamSubjects},
};
use crate::engine::{AppendError, log::shared::LogShared};

/// A leader of the stream that was cut off answers for 10 s as if it led (measured on nats-server 2.15.1). What it has said
/// after a longer time is true.
pub(super) const STALE_LEADER: Duration = Duration::from_secs(12);

/// After a failed read or subscription.
const PAUSE: Duration = Duration::from_millis(200);

/// Without a heartbeat for so long, a server that does not answer a read is left.
const SILENT_SERVER: Duration = Duration::from_secs(1);

/// A server that answers nothing for so long is left. Under load one answers within 0.2 s.
pub(super) const PATIENCE: Duration = Duration::from_millis(400);

/// The same within [`SETTLING`] after one was left: this machine may be the one that is slow.
const LONG_PATIENCE: Duration = Duration::from_secs(2);

/// After a server was left.
const SETTLING: Duration = Duration::from_secs(10);

/// Between two times that a server is left: for the login at the next one.
const LOGIN: Duration = Duration::from_secs(1);

/// What the parts of the engine share.
pub(super) struct Link {
    pub(super) runtime: Handle,
    pub(super) nats: Nats,
    pub(super) subjects: StreamSubjects,
    pub(super) prefix: Box<str>,
    pub(super) hub: HubId,
    pub(super) address: Box<str>,
    pub(super) view: LeaderView,
    pub(super) gate: Arc<RoleGate>,
    pub(super) commands: mpsc::Sender<RoleCommand>,
    /// Why this hub follows the log no more: a newer hub writes what it does not understand, an import has begun, or the stream or
    /// its epoch is another one. It needs a restart.
    pub(super) outdated: OnceLock<Arc<str>>,
    /// The stream had no room for the record of a hub that was to lead.
    pub(super) full: AtomicBool,
    /// Why no job is executed now, once that has lasted: those under way are not waited for any longer.
    pub(super) refusing: watch::Sender<Option<AppendError>>,
    /// When a server was last left.
    pub(super) left: Mutex<Option<Instant>>,
    /// The other hubs.
    pub(super) heard: HubsHeard,
    /// The newest position that was applied while this hub follows.
    pub(super) applied: watch::Sender<u64>,
    pub(super) log: OnceLock<(Arc<LogShared<JetStreamStore>>, Arc<Peers>)>,
}

impl Link {
    pub(super) fn shared(&self) -> &Arc<LogShared<JetStreamStore>> {
        &self.log.get().expect("set when the engine is opened").0
    }

    pub(super) fn peers(&self) -> &Arc<Peers> {
        &self.log.get().expect("set when the engine is opened").1
    }

    pub(super) fn beat_subject(&self) -> String {
        format!("hub.{}.beat", self.prefix)
    }

    /// Whether this hub can lead: the engine is not closed, and knows the whole log.
    pub(super) fn may_lead(&self) -> bool {
        !self.shared().queue.is_finished() && !self.is_outdated()
    }

    pub(super) fn is_outdated(&self) -> bool {
        self.outdated.get().is_some()
    }

    /// This hub follows the log no more, for this reason; the first one counts.
    pub(super) fn outdate(&self, reason: &str) {
        drop(self.outdated.set(reason.into()));
    }

    /// Notes whether the stream has room for the record of a hub that is to lead.
    pub(super) fn set_full(&self, full: bool) {
        if self.full.swap(full, Ordering::AcqRel) != full && full {
            tracing::warn!("the stream is full, so that no hub can lead, and nothing is trimmed; raise its bound");
        }
    }

    /// Whether it had none when a hub was last to lead.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }
}

impl Link {
    /// Notes a leader record before it is applied, so that this hub does not try to lead meanwhile.
    pub(super) fn notice_leader(&self, write: &Write) {
        let subject = self.subjects.leader();
        for stored in write.messages.iter().filter(|stored| stored.subject == subject) {
            if let Ok(record) = LeaderRecord::decode(&stored.headers) {
                self.view.record(&record.hub, stored.seq, record.resigned);
            }
        }
        let subject = self.subjects.import();
        let imports = |stored: &Stored| ImportRecord::decode(&stored.headers).is_ok_and(|import| !import.done);
        if write.messages.iter().any(|stored| stored.subject == subject && imports(stored)) {
            // It was begun while this hub was starting.
            self.outdate("an import into the stream has begun; start this hub again when it is complete");
            tracing::error!("an import into the stream has begun; start this hub again when it is complete");
        }
    }

    pub(super) fn leader_record(&self, resigned: bool) -> LeaderRecord {
        LeaderRecord { hub: self.hub.as_str().into(), address: self.address.clone(), resigned }
    }

    /// Leaves a server that answers nothing; waits a moment after every other failure.
    pub(super) async fn failed(&self, error: &NatsError) {
        tracing::debug!(%error, "the log cannot be followed now");
        let is_silent = match error {
            NatsError::Silent => true,
            NatsError::NoAnswer(_) => self.view.unheard() > SILENT_SERVER,
            _ => false,
        };
        if is_silent && self.nats.is_connected() && self.may_leave() {
            tracing::info!("the NATS server does not answer; another one is tried");
            // What is asked next waits for the login there.
            self.nats.reconnect().await;
        } else {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// How long the server may answer nothing before it is left.
    pub(super) fn patience(&self) -> Duration {
        let is_settling = self.left.lock().is_some_and(|left| left.elapsed() < SETTLING);
        if is_settling { LONG_PATIENCE } else { PATIENCE }
    }

    fn may_leave(&self) -> bool {
        let mut left = self.left.lock();
        let may = left.is_none_or(|left| left.elapsed() > LOGIN);
        if may {
            *left = Some(Instant::now());
        }
        may
    }

    pub(super) async fn send_beat(&self, beat: &Beat) {
        let text = serde_json::to_vec(beat).expect("it has no maps");
        if let Err(error) = self.nats.publish(&self.beat_subject(), text.into()).await {
            tracing::debug!(%error, "a heartbeat was not sent");
        }
    }
}
