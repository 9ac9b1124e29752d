//! What the parts of the engine share.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
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
use crate::engine::log::shared::LogShared;

/// A leader of the stream that was cut off answers for 10 s as if it led (measured on nats-server 2.15.1). What it has said
/// after a longer time is true.
pub(super) const STALE_LEADER: Duration = Duration::from_secs(12);

/// After a failed read or subscription.
const PAUSE: Duration = Duration::from_millis(200);

/// Without a heartbeat for so long, a server that does not answer a read is left.
const SILENT_SERVER: Duration = Duration::from_secs(1);

/// Until a server that was left is left again.
const SETTLING: Duration = Duration::from_secs(1);

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
    /// A newer hub writes what this one does not understand, or an import has begun.
    pub(super) outdated: AtomicBool,
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
        self.outdated.load(Ordering::Acquire)
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
            self.outdated.store(true, Ordering::Release);
            tracing::error!("an import into the stream has begun; start this hub again when it is complete");
        }
    }

    pub(super) fn leader_record(&self, resigned: bool) -> LeaderRecord {
        LeaderRecord { hub: self.hub.as_str().into(), address: self.address.clone(), resigned }
    }

    /// Waits a moment after a failure, and leaves a server that answers nothing while the leader is silent, too.
    pub(super) async fn failed(&self, error: &NatsError) {
        tracing::debug!(%error, "the log cannot be followed now");
        let silent = self.view.unheard() > SILENT_SERVER;
        if silent && matches!(error, NatsError::NoAnswer(_)) && self.nats.is_connected() {
            tracing::info!("the NATS server does not answer; another one is tried");
            self.nats.reconnect().await;
            tokio::time::sleep(SETTLING).await;
        }
        tokio::time::sleep(PAUSE).await;
    }

    pub(super) async fn send_beat(&self, beat: &Beat) {
        let text = serde_json::to_vec(beat).expect("it has no maps");
        if let Err(error) = self.nats.publish(&self.beat_subject(), text.into()).await {
            tracing::debug!(%error, "a heartbeat was not sent");
        }
    }
}
