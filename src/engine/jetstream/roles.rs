//! The two roles of a hub, and the change between them.
//!
//! The engine's thread ("gapless-writer") applies what other hubs write while this hub follows, and is the log's writer while
//! it leads. So the observer is always called by one thread, in order.

use std::sync::Arc;

use tokio::{
    sync::mpsc,
    time::{Duration, Instant},
};

use super::{
    continuity,
    decode::{Decoded, Decoder},
    election::{BEAT, Beat},
    feed::{StreamFeed, Write},
    gate::{RoleCommand, RoleGate},
    link::{Link, STALE_LEADER},
    nats::{NatsError, Outgoing, WriteError},
    proof,
    store::JetStreamStore,
    wire::WriteId,
};
use crate::{
    engine::log::{Store, writer::LogWriter},
    event::Seq,
};

/// For the write of a leader record. Without a leader of the stream it has no answer.
const TRY: Duration = Duration::from_secs(2);

/// Writes that wait to be applied. Each has at most 1000 messages; those behind them wait in the subscription.
pub(super) const WAITING_WRITES: usize = 64;

/// The engine's thread: follows and leads until the engine is closed.
pub(super) fn drive(
    mut writer: LogWriter<JetStreamStore>,
    mut commands: mpsc::Receiver<RoleCommand>,
    link: &Arc<Link>,
) {
    /// Also when this thread panics.
    struct CloseGate<'a>(&'a RoleGate);
    impl Drop for CloseGate<'_> {
        fn drop(&mut self) {
            self.0.close();
        }
    }
    let _closed = CloseGate(&link.gate);
    let mut decoder = Decoder::new(&link.subjects);
    while let Some(command) = commands.blocking_recv() {
        match command {
            RoleCommand::Apply(write) => apply(&mut writer, &mut decoder, write, link),
            // It does not know the whole log. Others try to lead, because they hear nothing of it.
            RoleCommand::Lead { .. } if link.is_outdated() => {}
            RoleCommand::Lead { term } => {
                if lead(&mut writer, term, link) {
                    break;
                }
            }
            RoleCommand::Close => break,
        }
    }
}

fn apply(writer: &mut LogWriter<JetStreamStore>, reader: &mut Decoder, write: Write, link: &Link) {
    let shared = Arc::clone(&writer.shared);
    if link.is_outdated() {
        return;
    }
    let store = &shared.store;
    let Some(last) = write.messages.last().map(|stored| Seq(stored.seq)) else { return };
    if write.after_hole {
        link.peers().feed_skipped();
        writer.withhold(Seq(write.told_at));
    }
    for stored in &write.messages {
        store.saw(stored);
    }
    if write.after_hole {
        store.skipped();
    }
    let decoded = match reader.decode(write) {
        Ok(decoded) => decoded,
        Err(error) => {
            // What a newer hub writes is not known here: this hub is late from now on, and not wrong.
            link.outdate("a newer hub writes the log, which this one cannot follow: upgrade it");
            tracing::error!(%error, "this hub can follow the log no more");
            return;
        }
    };
    for item in decoded {
        match item {
            Decoded::Epoch(record) if record.epoch != shared.epoch => {
                return continuity::end(link, &continuity::renewed(shared.epoch, record.epoch));
            }
            Decoded::Epoch(_) => {}
            Decoded::Change { change, tags } => {
                let receipts = tags.iter().map(|(tag, event)| (tag.clone(), event.receipt(writer.shared.epoch)));
                let receipts: Vec<_> = receipts.collect();
                writer.follow(change);
                for (tag, receipt) in receipts {
                    link.peers().event_seen(&tag, receipt);
                }
            }
            Decoded::Leader { record, at } => {
                if *record.hub != *link.hub.as_str() && !record.resigned {
                    link.peers().leader_seen(&record.hub, at);
                }
            }
        }
    }
    store.applied(last);
    writer.applied(last);
    link.peers().applied(last);
    // A cursor at what is withheld is not ahead of the log: it waits until that is shown.
    if !writer.withholds() {
        link.applied.send_replace(last.0);
    }
}

/// Leads until another hub does, or the engine is closed. Returns whether it is closed.
fn lead(writer: &mut LogWriter<JetStreamStore>, term: u64, link: &Arc<Link>) -> bool {
    let shared = Arc::clone(&writer.shared);
    tracing::info!(hub = %link.hub, term, "this hub leads");
    shared.queue.interrupt();
    link.gate.set_leads(true);
    shared.store.lead(term);
    shared.set_leads(true);
    link.peers().promoted(Seq(term));
    shared.queue.resume();
    writer.show_all();
    let beats = Beats(link.runtime.spawn(beats(Arc::clone(link), term)));
    writer.lead();
    beats.end(link);
    shared.set_leads(false);
    let closed = shared.queue.is_finished();
    if closed {
        shared.store_clock();
        if let Err(error) = shared.store.resign(&link.leader_record(true)) {
            tracing::debug!(%error, "the log does not say that this hub has ended");
        }
    }
    shared.store.follow();
    let head = shared.store.head();
    if closed {
        let beat = Beat { resigns: true, ..Beat::of(link, term, head) };
        link.runtime.block_on(link.send_beat(&beat));
        return true;
    }
    tracing::info!(hub = %link.hub, term, "this hub leads no more");
    link.runtime.block_on(link.peers().stepped_down());
    shared.queue.resume();
    link.gate.set_leads(false);
    link.runtime.spawn(follow(Arc::clone(link), shared.store.last()));
    false
}

impl Beat {
    /// Of this hub, which leads and accepts writes.
    fn of(link: &Link, term: u64, head: u64) -> Self {
        let epoch = Some(link.shared().epoch.as_str().into());
        Self { hub: link.hub.as_str().into(), epoch, term, head, resigns: false, refuses: None }
    }
}

/// The task of the heartbeats. It ends when this is dropped, also when this thread panics: then another hub is to lead.
struct Beats(tokio::task::JoinHandle<()>);

impl Beats {
    /// Ends it, and waits until it does nothing more.
    fn end(mut self, link: &Link) {
        self.0.abort();
        drop(link.runtime.block_on(&mut self.0));
    }
}

impl Drop for Beats {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends heartbeats while this hub leads, and notices another leader.
async fn beats(link: Arc<Link>, term: u64) {
    let mut times = tokio::time::interval(BEAT);
    let (mut written, mut since) = (0, Instant::now());
    loop {
        times.tick().await;
        let store = &link.shared().store;
        let (head, last) = (store.head(), store.last());
        if written != last {
            (written, since) = (last, Instant::now());
        } else if since.elapsed() > proof::IDLE {
            since = Instant::now();
            let idle = Arc::clone(&link);
            tokio::spawn(async move { drop(proof::prove(&idle).await) });
        }
        let refuses = store.room().err().map(|error| error.to_string().into());
        let beat = Beat { refuses, ..Beat::of(&link, term, head) };
        link.send_beat(&beat).await;
        if link.view.leader().is_some_and(|leader| leader.term > term) {
            link.shared().queue.interrupt();
        }
    }
}

/// Follows the stream after `position`, until this hub leads or the engine is closed.
pub(super) async fn follow(link: Arc<Link>, mut position: u64) {
    // The same for all tries: one without an answer may be stored later.
    let id = WriteId::random();
    let (mut tried, mut ends) = (false, EndWatch::default());
    loop {
        let mut feed = match StreamFeed::after(&link.nats, &link.subjects, position).await {
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
            match feed.next(link.patience()).await {
                Ok(writes) => {
                    let is_after_hole = writes.iter().any(|write| write.after_hole);
                    let told_at = if is_after_hole { end(&link).await } else { 0 };
                    for write in writes {
                        let write = Write { told_at, ..write };
                        let ours = tried && write.messages.iter().any(|stored| id.is_of(&stored.headers));
                        let last = write.messages.last().map_or(0, |stored| stored.seq);
                        link.notice_leader(&write);
                        if link.commands.send(RoleCommand::Apply(write)).await.is_err() {
                            return;
                        }
                        if ours && last == feed.position() {
                            drop(link.commands.send(RoleCommand::Lead { term: last }).await);
                            return;
                        }
                    }
                    position = feed.returned();
                }
                Err(error) => {
                    link.failed(&error).await;
                    break;
                }
            }
            if feed.is_level() && feed.is_whole() && link.may_lead() && link.view.tries() {
                tried = true;
                let led = try_to_lead(&link, position, id).await;
                link.set_full(matches!(led, Err(WriteError::Full(_))));
                match led {
                    Ok(term) => {
                        drop(link.commands.send(RoleCommand::Lead { term }).await);
                        return;
                    }
                    Err(WriteError::WrongLast) => {
                        if let Ok(end) = gone_through(&link, position).await
                            && let Some(end) = ends.lasts(position, end)
                        {
                            feed.skip_to(end);
                        }
                        feed.doubt();
                    }
                    Err(WriteError::Unknown(_)) => feed.doubt(),
                    Err(error) => tracing::debug!(%error, "this hub cannot lead now"),
                }
            }
        }
    }
}

/// The end of the log, once it can be proved. What is gone from the stream was told of before it: readers see what follows a hole
/// when this hub has read up to there.
async fn end(link: &Link) -> u64 {
    loop {
        match link.shared().store.log_end().await {
            Ok(end) => return end.max(link.view.leader().map_or(0, |leader| leader.head)),
            Err(error) => link.failed(&error).await,
        }
    }
}

/// The servers refuse it as well when the epoch was renewed: then the stream may be another one, and end at the same position.
async fn try_to_lead(link: &Link, position: u64, id: WriteId) -> Result<u64, WriteError> {
    let mut headers = link.leader_record(false).headers();
    headers.extend([id.header(), ("Nats-Rollup", "sub".into())]);
    headers.extend([
        ("Nats-Expected-Last-Subject-Sequence", link.shared().store.epoch_at().to_string()),
        ("Nats-Expected-Last-Subject-Sequence-Subject", link.subjects.epoch()),
    ]);
    let message = Outgoing { subject: link.subjects.leader(), headers, payload: bytes::Bytes::new() };
    link.nats.write(vec![message], position, TRY).await
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

/// An end of the stream behind which nothing was found, and since when.
#[derive(Default)]
struct EndWatch(Option<(u64, u64, Instant)>);

impl EndWatch {
    /// The end, when it was the same for so long that no stale leader can have told it.
    fn lasts(&mut self, position: u64, end: Option<u64>) -> Option<u64> {
        let end = end?;
        let since = match self.0 {
            Some((from, to, since)) if (from, to) == (position, end) => since,
            _ => Instant::now(),
        };
        self.0 = Some((position, end, since));
        (since.elapsed() > STALE_LEADER).then_some(end)
    }
}
