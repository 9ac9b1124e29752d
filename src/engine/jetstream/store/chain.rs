//! The writes of the hub that leads. Each expects the position at which the one before it ended, so none is stored after
//! another hub has written. A write without an answer is repeated with the same expectation until its fate is known.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::super::{
    nats::{Nats, Outgoing, Range, Stored, WriteError},
    wire::{StreamSubjects, WriteId},
};
use crate::engine::log::store::StoreError;

/// For the answer to one attempt. A quorum answers within milliseconds, a busy one within a second.
const ANSWER: Duration = Duration::from_secs(3);

/// Between attempts of one write.
const AGAIN: Duration = Duration::from_millis(100);

/// Attempts that a server refuses though nobody has written, before the write is given up: 2 s. Such a server has just
/// stopped or begun to lead the stream.
const REFUSALS: usize = 20;

/// How long a write waits for a leader of the stream: elections take 4 to 9 s. Shorter than the time after which those that wait
/// for it are told that its outcome is not known.
const ELECTION: Duration = Duration::from_secs(9);

/// Bytes of a message that is looked at.
const LOOK: usize = 1 << 16;

/// After a failed write, the store says for so long that it accepts none. Then the next write decides.
const UNWELL: Duration = Duration::from_secs(2);

/// A write that has had no answer for so long means that none is accepted now: a change of the stream's leader takes 2.5 to
/// 4 s.
const UNANSWERED: Duration = Duration::from_secs(4);

/// The end of this hub's writes.
pub(super) struct Chain {
    /// Held while a write is under way: there is one at a time.
    turn: tokio::sync::Mutex<()>,
    /// The position of the newest message, as far as this hub has written or read.
    last: AtomicU64,
    leads: AtomicBool,
    /// When the present write began.
    began: Mutex<Option<Instant>>,
    unwell: Mutex<Option<(Instant, Arc<str>)>>,
    /// Since when no write has succeeded.
    failing: Mutex<Option<Instant>>,
    closing: watch::Sender<bool>,
}

/// A write that is under way, until this is dropped.
struct UnderWay<'a>(&'a Mutex<Option<Instant>>);

impl<'a> UnderWay<'a> {
    fn begin(began: &'a Mutex<Option<Instant>>) -> Self {
        *began.lock() = Some(Instant::now());
        Self(began)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

/// What became of a write.
enum Fate {
    /// It is stored.
    Stored,
    /// Something else is stored in its place.
    Excluded,
    /// What is or was stored in its place has been removed since, and it may have been this.
    Gone,
    /// Nothing is stored there, to the knowledge of the servers that have answered.
    Open,
}

impl Chain {
    /// Does not lead.
    pub(super) fn new() -> Self {
        Self {
            turn: tokio::sync::Mutex::default(),
            last: AtomicU64::new(0),
            leads: AtomicBool::new(false),
            began: Mutex::default(),
            unwell: Mutex::default(),
            failing: Mutex::default(),
            closing: watch::Sender::new(false),
        }
    }

    pub(super) fn leads(&self) -> bool {
        self.leads.load(Ordering::Acquire)
    }

    /// The position of the newest message of a hub that leads.
    pub(super) fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// Why no write is accepted now.
    pub(super) fn refusal(&self) -> Option<Arc<str>> {
        let unwell = self.unwell.lock();
        if self.waited() > UNANSWERED {
            let reason = unwell.as_ref().map(|(_, reason)| Arc::clone(reason));
            return Some(reason.unwrap_or_else(|| "the NATS servers have not answered a write".into()));
        }
        unwell.as_ref().filter(|(since, _)| since.elapsed() < UNWELL).map(|(_, reason)| Arc::clone(reason))
    }

    /// How long the present write has had no answer.
    pub(super) fn waited(&self) -> Duration {
        self.began.lock().map_or(Duration::ZERO, |began| began.elapsed())
    }

    /// Ends the waits for the fate of a write; later writes are refused.
    pub(super) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// This hub follows another one from now on.
    pub(super) fn follow(&self) {
        self.leads.store(false, Ordering::Release);
    }

    /// This hub leads from now on: its leader record, at `position`, is the stream's newest message.
    pub(super) fn lead(&self, position: u64) {
        self.last.store(position, Ordering::Release);
        self.leads.store(true, Ordering::Release);
        *self.unwell.lock() = None;
    }

    /// Stores these messages together. `first`: the position that the first of them must get. Returns the position of the
    /// last one.
    ///
    /// # Errors
    /// [`StoreError::Fenced`], [`StoreError::Full`] and [`StoreError::NotNow`]: not stored. [`StoreError::Doubtful`] when
    /// another hub has written since, and has removed what was in its place; and when an attempt had no answer and the
    /// servers refuse every later one: then the record of the next hub that leads decides whether it is stored.
    /// [`StoreError::Failed`] when the engine was closed before the fate of the write was known.
    pub(super) async fn write(
        &self,
        nats: &Nats,
        subjects: &StreamSubjects,
        messages: Vec<Outgoing>,
        first: Option<u64>,
    ) -> Result<u64, StoreError> {
        let _turn = self.turn.lock().await;
        if !self.leads() {
            return Err(StoreError::Fenced);
        }
        let last = self.last();
        if first.is_some_and(|first| first != last + 1) {
            return Err(StoreError::NotNow("another write has taken the position".into()));
        }
        let under_way = UnderWay::begin(&self.began);
        let settled = self.settle(nats, subjects, messages, last).await;
        drop(under_way);
        match settled {
            Ok(end) => {
                self.last.store(end, Ordering::Release);
                *self.unwell.lock() = None;
                *self.failing.lock() = None;
                Ok(end)
            }
            Err(error) => {
                // What was stored, if anything, is not known: nothing may be written after it.
                if matches!(error, StoreError::Fenced | StoreError::Doubtful(_) | StoreError::Failed(_)) {
                    self.follow();
                }
                Err(error)
            }
        }
    }

    /// Whether writes fail for longer than an election takes: then none waits for its end.
    fn fails_long(&self) -> bool {
        self.failing.lock().is_some_and(|since| since.elapsed() > ELECTION)
    }

    fn feels(&self, reason: &str) {
        self.failing.lock().get_or_insert_with(Instant::now);
        *self.unwell.lock() = Some((Instant::now(), reason.into()));
    }

    async fn settle(
        &self,
        nats: &Nats,
        subjects: &StreamSubjects,
        mut messages: Vec<Outgoing>,
        last: u64,
    ) -> Result<u64, StoreError> {
        let (id, end) = (WriteId::random(), last + messages.len() as u64);
        // On the last one too: the first may be replaced by a later message on its subject.
        let several = messages.len() > 1;
        messages.first_mut().into_iter().for_each(|first| first.headers.push(id.header()));
        messages.last_mut().filter(|_| several).into_iter().for_each(|first| first.headers.push(id.header()));
        let mut closing = self.closing.subscribe();
        let (mut unknown, mut refusals, began) = (None::<Arc<str>>, 0, Instant::now());
        loop {
            if *closing.borrow_and_update() {
                return Err(match unknown {
                    Some(reason) => StoreError::Failed(reason),
                    None => StoreError::NotNow("the engine is closed".into()),
                });
            }
            let error = match nats.write(messages.clone(), last, ANSWER).await {
                Ok(stored) if stored == end => return Ok(end),
                Ok(stored) => {
                    let reason = format!("the stream has stored a write at {stored} that was to be at {end}");
                    return Err(StoreError::Failed(reason.into()));
                }
                Err(error) => error,
            };
            let text: Arc<str> = error.to_string().into();
            let lasts = error.lasts();
            match error {
                WriteError::Unknown(_) => unknown = Some(Arc::clone(&text)),
                WriteError::WrongLast => refusals += 1,
                WriteError::Full(_) if unknown.is_none() => return Err(StoreError::Full),
                // Most likely the stream has no leader, and elects one. Nothing of it can be stored; another hub's write shows at the
                // next attempt.
                WriteError::NotNow(_) if unknown.is_none() && began.elapsed() < ELECTION && !self.fails_long() => {
                    self.feels(&text);
                    tokio::select! {
                        () = sleep(AGAIN) => {}
                        _ = closing.changed() => {}
                    }
                    continue;
                }
                // Others of this hub's writes may be taken.
                WriteError::TooLarge(_) | WriteError::TooMany if unknown.is_none() => {
                    return Err(StoreError::NotNow(text));
                }
                _ if unknown.is_none() => {
                    self.feels(&text);
                    return Err(StoreError::NotNow(text));
                }
                _ => {}
            }
            match fate(nats, subjects, id, (last, end)).await {
                Fate::Stored => return Ok(end),
                Fate::Excluded => return Err(StoreError::Fenced),
                // None of the attempts is, if the servers have refused each.
                Fate::Gone if unknown.is_none() => return Err(StoreError::Fenced),
                Fate::Gone => return Err(StoreError::Doubtful(text)),
                Fate::Open if unknown.is_none() && refusals >= REFUSALS => return Err(StoreError::NotNow(text)),
                Fate::Open if lasts && began.elapsed() > ELECTION => return Err(StoreError::Doubtful(text)),
                Fate::Open => {}
            }
            self.feels(&text);
            tokio::select! {
                () = sleep(AGAIN) => {}
                _ = closing.changed() => {}
            }
        }
    }
}

/// What is stored in the place of a write. The stream's leader is asked when a replica has nothing there.
async fn fate(nats: &Nats, subjects: &StreamSubjects, id: WriteId, (last, end): (u64, u64)) -> Fate {
    let is_ours = |stored: &Stored| stored.seq <= end && id.is_of(&stored.headers);
    let of = |stored: Stored| if is_ours(&stored) { Fate::Stored } else { Fate::Excluded };
    for by_leader in [false, true] {
        let found = if by_leader { nats.leader_message(last + 1).await } else { nats.message(last + 1).await };
        if let Ok(Some(stored)) = found {
            return of(stored);
        }
    }
    // The message there may have been replaced by a later one on its subject.
    let range = Range { filter: subjects.all(), from: last + 1, max: 1, max_bytes: LOOK };
    let next = nats.range(range).await.ok().and_then(|page| page.messages.into_iter().next());
    let Some(next) = next else { return Fate::Open };
    if is_ours(&next) {
        return Fate::Stored;
    }
    // The first and the last message of a write have its id; each of a batch has its place.
    let in_middle = last + 1 < next.seq && next.seq < end;
    if next.seq <= end && !(in_middle && next.batch.is_some_and(|batch| batch.place == next.seq - last)) {
        return Fate::Excluded;
    }
    for by_leader in [false, true] {
        let found = if by_leader { nats.leader_message(end).await } else { nats.message(end).await };
        match found {
            Ok(Some(stored)) => return of(stored),
            Ok(None) => {}
            Err(_) => return Fate::Open,
        }
    }
    Fate::Gone
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::engine::jetstream::{NatsConfig, NatsCredentials, nats::StreamSettings, nats_cluster::NatsCluster};

    #[tokio::test(start_paused = true)]
    async fn while_a_write_has_no_answer_none_is_accepted() {
        let chain = Chain::new();
        let under_way = UnderWay::begin(&chain.began);
        assert_eq!(chain.refusal(), None);
        tokio::time::advance(UNANSWERED + AGAIN).await;
        assert!(chain.refusal().is_some());
        chain.feels("no answer");
        tokio::time::advance(2 * UNWELL).await;
        assert_eq!(chain.refusal().as_deref(), Some("no answer"), "also between its attempts");
        drop(under_way);
        assert_eq!(chain.refusal(), None);
    }

    #[tokio::test]
    async fn a_write_whose_messages_are_gone_is_not_taken_for_another_hubs() {
        let cluster = NatsCluster::shared();
        let config = NatsConfig {
            servers: cluster.urls(),
            credentials: NatsCredentials::None,
            roots: None,
            client_name: "fate".into(),
            stream: "FATE".into(),
            prefix: "fate".into(),
        };
        let nats = Nats::connect(&config).await.expect("a cluster");
        nats.create_stream(&StreamSettings { replicas: 3, max_bytes: None }).await.expect("created");
        let subjects = StreamSubjects::new("fate");
        let message = |id: Option<WriteId>| {
            let headers = std::iter::once(("Gl", "1".to_owned())).chain(id.map(WriteId::header)).collect();
            Outgoing { subject: "fate.e.a".into(), headers, payload: Bytes::new() }
        };
        let [one, several, foreign] = std::array::from_fn(|_| WriteId::random());
        let mut first = nats.write(vec![message(Some(one))], 0, ANSWER).await;
        // The leader of the new stream may not be known everywhere yet.
        for _ in 0..50 {
            if first.is_ok() {
                break;
            }
            sleep(AGAIN).await;
            first = nats.write(vec![message(Some(one))], 0, ANSWER).await;
        }
        assert_eq!(first, Ok(1));
        assert_eq!(
            nats.write(vec![message(Some(several)), message(None), message(Some(several))], 1, ANSWER).await,
            Ok(4)
        );
        assert_eq!(nats.write(vec![message(None)], 4, ANSWER).await, Ok(5));
        let fate = async |id, range| fate(&nats, &subjects, id, range).await;
        assert!(matches!(fate(one, (0, 1)).await, Fate::Stored));
        assert!(matches!(fate(foreign, (0, 1)).await, Fate::Excluded));
        for seq in [1, 2, 4] {
            assert_eq!(nats.delete(seq).await, Ok(true));
        }
        assert!(matches!(fate(one, (0, 1)).await, Fate::Gone), "it may have been this");
        assert!(matches!(fate(several, (1, 4)).await, Fate::Gone), "the one in the middle may be its own");
        assert!(matches!(fate(foreign, (2, 5)).await, Fate::Excluded), "another place of another batch");
    }
}
