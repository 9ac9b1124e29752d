//! The two roles of a hub, and the change between them.
//!
//! The engine's thread ("gapless-writer") applies what other hubs write while this hub follows, and is the log's writer while
//! it leads. So the observer is always called by one thread, in order.

use std::sync::{Arc, atomic::Ordering};

use parking_lot::{Condvar, Mutex};
use tokio::{sync::mpsc, time::Duration};

use super::{
    Link,
    election::{BEAT, Beat},
    feed::{Feed, Write},
    nats::NatsError,
    store::{Incoming, JetStreamStore},
    wire::LeaderRecord,
};
use crate::{
    engine::{Receipt, log::writer::LogWriter},
    event::Seq,
};

/// After a failed read or subscription.
const PAUSE: Duration = Duration::from_millis(200);

/// Writes that wait to be applied. Each has at most 1000 messages; those behind them wait in the subscription.
pub(super) const WAITING_WRITES: usize = 64;

/// What the engine's thread is to do.
pub(super) enum Command {
    /// Apply a write of another hub.
    Apply(Write),
    /// Lead: this hub's leader record is at this position, and is the stream's newest.
    Lead { term: u64 },
    /// End.
    Close,
}

/// Who takes jobs from the queue: a hub that follows forwards them, a hub that leads executes them.
#[derive(Default)]
pub(super) struct RoleGate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    leads: bool,
    closed: bool,
    /// Whoever forwards waits.
    parked: bool,
}

impl RoleGate {
    /// Waits while this hub leads. `false` when the engine is closed.
    pub(super) fn wait_to_follow(&self) -> bool {
        let mut state = self.state.lock();
        state.parked = true;
        self.changed.notify_all();
        while state.leads && !state.closed {
            self.changed.wait(&mut state);
        }
        state.parked = false;
        !state.closed
    }

    /// From now on this hub leads, or follows. Before it leads, it waits until nobody takes jobs any more.
    fn set_leads(&self, leads: bool) {
        let mut state = self.state.lock();
        state.leads = leads;
        self.changed.notify_all();
        while leads && !state.parked && !state.closed {
            self.changed.wait(&mut state);
        }
    }

    /// Takes no jobs from now on.
    pub(super) fn park(&self) {
        self.state.lock().parked = true;
        self.changed.notify_all();
    }

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }
}

/// The engine's thread: follows and leads until the engine is closed.
pub(super) fn drive(mut writer: LogWriter<JetStreamStore>, mut commands: mpsc::Receiver<Command>, link: &Arc<Link>) {
    while let Some(command) = commands.blocking_recv() {
        match command {
            Command::Apply(write) => apply(&mut writer, write, link),
            Command::Lead { term } => {
                if lead(&mut writer, term, link) {
                    break;
                }
            }
            Command::Close => break,
        }
    }
    link.gate.close();
}

fn apply(writer: &mut LogWriter<JetStreamStore>, write: Write, link: &Link) {
    let Some(last) = write.last().map(|stored| Seq(stored.seq)) else { return };
    let shared = Arc::clone(&writer.shared);
    let Incoming { changes, jobs, leader } = match shared.store.take_in(write) {
        Ok(incoming) => incoming,
        Err(error) => {
            // What a newer hub writes is not known here: this hub is late from now on, and not wrong.
            link.outdated.store(true, Ordering::Release);
            tracing::error!(%error, position = last.0, "this hub can follow the log no more: upgrade it");
            return;
        }
    };
    for change in changes {
        writer.follow(change);
    }
    let epoch = shared.epoch;
    for (tag, topic, seq, time) in jobs {
        link.peers().event_seen(&tag, Receipt { topic, epoch, seq, time });
    }
    if let Some((at, record)) = leader {
        link.view.record(&record.hub, at, record.resigned);
        if *record.hub != *link.hub.as_str() && !record.resigned {
            link.peers().leader_seen(&record.hub, Seq(at));
        }
    }
    link.peers().applied(last);
    link.applied.send_replace(last.0);
}

/// Leads until another hub does, or the engine is closed. Returns whether it is closed.
fn lead(writer: &mut LogWriter<JetStreamStore>, term: u64, link: &Arc<Link>) -> bool {
    let shared = Arc::clone(&writer.shared);
    tracing::info!(hub = %link.hub, term, "this hub leads");
    shared.queue.interrupt();
    link.gate.set_leads(true);
    shared.set_leads(true);
    link.peers().promoted(Seq(term));
    shared.queue.resume();
    let beats = link.runtime.spawn(beats(Arc::clone(link), term));
    writer.lead();
    beats.abort();
    shared.set_leads(false);
    let closed = shared.queue.is_finished();
    if closed && let Err(error) = link.runtime.block_on(shared.store.resign(&link.leader_record(true))) {
        tracing::debug!(%error, "the other hubs were not told that this one has ended");
    }
    shared.store.follow();
    let head = shared.store.known();
    if closed {
        let beat = Beat { hub: link.hub.as_str().into(), term, head, resigns: true };
        link.runtime.block_on(link.send_beat(&beat));
        return true;
    }
    tracing::info!(hub = %link.hub, term, "this hub leads no more");
    link.runtime.block_on(link.peers().stepped_down());
    shared.queue.resume();
    link.gate.set_leads(false);
    link.runtime.spawn(follow(Arc::clone(link), head));
    false
}

/// Sends heartbeats while this hub leads, and notices another leader.
async fn beats(link: Arc<Link>, term: u64) {
    let mut times = tokio::time::interval(BEAT);
    loop {
        times.tick().await;
        let head = link.shared().store.head();
        link.send_beat(&Beat { hub: link.hub.as_str().into(), term, head, resigns: false }).await;
        if link.view.leader().is_some_and(|leader| leader.term > term) {
            link.shared().queue.interrupt();
        }
    }
}

/// Follows the stream after `position`, until this hub leads or the engine is closed.
pub(super) async fn follow(link: Arc<Link>, mut position: u64) {
    let leader = link.leader_record(false);
    loop {
        let mut feed = match Feed::after(&link.nats, &link.subjects, position).await {
            Ok(feed) => feed,
            Err(error) => {
                link.failed(&error).await;
                continue;
            }
        };
        loop {
            if let Some(leader) = link.view.leader() {
                feed.expect(leader.head);
            }
            match feed.next().await {
                Ok(writes) => {
                    for write in writes {
                        if link.commands.send(Command::Apply(write)).await.is_err() {
                            return;
                        }
                    }
                    position = feed.position();
                }
                Err(error) => {
                    link.failed(&error).await;
                    break;
                }
            }
            if !feed.is_level() || !feed.is_whole() || link.is_outdated() {
                continue;
            }
            if link.view.silence().is_none() {
                link.shared().store.is_level();
            }
            if link.may_lead() && link.view.tries() {
                match link.shared().store.lead(position, &leader).await {
                    Ok(term) => {
                        drop(link.commands.send(Command::Lead { term }).await);
                        return;
                    }
                    Err(error) => {
                        tracing::debug!(%error, "this hub cannot lead now");
                        if let Ok(Some(end)) = gone_through(&link, position).await {
                            feed.skip_to(end);
                        }
                        feed.doubt();
                    }
                }
            }
        }
    }
}

/// The stream's end, if it holds no message after `position`: those were removed since, as keys that have expired.
async fn gone_through(link: &Link, position: u64) -> Result<Option<u64>, NatsError> {
    /// Removed messages at the end are the parts of one commit's keys.
    const MOST: u64 = 64;
    let end = link.nats.stream().await?.last;
    if end <= position || end > position + MOST {
        return Ok(None);
    }
    for seq in position + 1..=end {
        if link.nats.leader_message(seq).await?.is_some() {
            return Ok(None);
        }
    }
    Ok(Some(end))
}

impl Link {
    fn leader_record(&self, resigned: bool) -> LeaderRecord {
        LeaderRecord { hub: self.hub.as_str().into(), address: self.address.clone(), resigned }
    }

    /// Waits a moment after a failure, and leaves a server that has said nothing for a while.
    async fn failed(&self, error: &NatsError) {
        tracing::debug!(%error, "the log cannot be followed now");
        if matches!(error, NatsError::NoAnswer(_)) && self.nats.is_connected() {
            self.nats.reconnect().await;
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
