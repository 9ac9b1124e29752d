//! The other hubs: a follower's jobs on their way to the leader, and the leader's answers.
//!
//! [`forward`](super::forward) decides what is sent and what a result is; here is what connects it with the queue of this
//! hub's log, with the feed, and with NATS.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};

use super::{
    forward::{
        FollowerSession, ForwardLimits, ForwardedUnit, HubId, LeaderSessions, UndecidedUnit, Unit, UnitResult,
        UnitTicket,
    },
    gate::RoleGate,
    messages::Messages,
    nats::Nats,
    shared_proof::Proofs,
    store::JetStreamStore,
    wire::JobTag,
};
use crate::{
    engine::{
        Append, AppendError, Receipt,
        log::{
            queue::{AppendPast, AppendReply, Job, PendingAppend, Replies, Work},
            shared::LogShared,
            store::AppendOrigin,
        },
    },
    event::Seq,
};

/// Between two looks at what is due, when nothing else happens.
const TICK: Duration = Duration::from_millis(500);

/// How long the queue's last jobs may take when the engine closes: a take-over of the lead, and some time.
const CLOSING: Duration = Duration::from_secs(8);

/// Where the result of a forwarded job goes, and what the job costs in the queue until then.
pub(super) struct WaitingJob {
    cost: usize,
    reply: WaitingReply,
}

enum WaitingReply {
    Append(Replies),
    Configure(AppendReply<crate::engine::TopicState>),
    Done(AppendReply<bool>),
}

/// Both sides of forwarding, of one hub.
pub(super) struct Peers {
    shared: Arc<LogShared<JetStreamStore>>,
    nats: Nats,
    prefix: Box<str>,
    pub(super) me: HubId,
    limits: ForwardLimits,
    follower: Mutex<FollowerSession<WaitingJob>>,
    leader: Mutex<Option<LeaderSessions>>,
    /// Where the log ends: see [`proof`](super::proof).
    pub(super) proofs: Proofs,
    /// Something is to be sent or passed on.
    due: Notify,
}

impl Peers {
    pub(super) fn new(shared: Arc<LogShared<JetStreamStore>>, nats: Nats, prefix: &str, me: HubId) -> Arc<Self> {
        // Also of what is sent again within a session.
        let repeat = shared.config.repeats_within();
        let idle = ForwardLimits::DEFAULT.idle.min(2 * repeat);
        let limits = ForwardLimits { repeat, idle, ..ForwardLimits::DEFAULT };
        Arc::new(Self {
            shared,
            nats,
            prefix: prefix.into(),
            follower: Mutex::new(FollowerSession::new(me.clone(), limits)),
            me,
            limits,
            leader: Mutex::new(None),
            proofs: Proofs::default(),
            due: Notify::new(),
        })
    }

    // What the engine's thread tells.

    /// An event of this hub's job was applied.
    pub(super) fn event_seen(&self, tag: &JobTag, receipt: Receipt) {
        if *tag.hub == *self.me.as_str() {
            self.follower.lock().event_seen(tag.number, tag.index, receipt);
        }
    }

    /// The feed was applied up to this position.
    pub(super) fn applied(&self, position: Seq) {
        self.follower.lock().applied(position);
        self.due.notify_one();
    }

    /// Messages of the feed were removed before this hub has read them.
    pub(super) fn feed_skipped(&self) {
        self.follower.lock().feed_skipped();
    }

    /// A leader record of another hub was applied.
    pub(super) fn leader_seen(&self, hub: &str, term: Seq) {
        if let Some(hub) = HubId::new(hub) {
            self.follower.lock().leader_seen(Instant::now(), hub, term);
            self.due.notify_one();
        }
    }

    /// This hub leads since its record at `term`. Its undecided jobs are put back into the queue.
    pub(super) fn promoted(&self, term: Seq) {
        let again = self.follower.lock().promoted(Instant::now(), term);
        let jobs = again.into_iter().map(WaitingJob::job).collect();
        self.shared.queue.put_back(jobs);
        *self.leader.lock() = Some(LeaderSessions::new(self.me.clone(), term, self.limits));
        self.due.notify_one();
    }

    /// This hub does not lead any more. The followers are told, as far as they can be reached.
    pub(super) async fn stepped_down(&self) {
        let told = self.leader.lock().take().map(LeaderSessions::step_down).unwrap_or_default();
        self.shared.queue.drop_forwarded();
        for (follower, message) in told {
            self.answer(&follower, message).await;
        }
    }

    // Messages.

    /// Sends what is due and passes results on, until the process ends.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            let step = self.follower.lock().poll(Instant::now());
            self.pass_on(step.results);
            for (leader, message) in step.send {
                let subject = format!("hub.{}.jobs.{leader}.{}", self.prefix, self.me);
                self.hand_over(&subject, message).await;
            }
            if let Some(sessions) = &mut *self.leader.lock() {
                sessions.drop_idle(Instant::now());
            }
            let wait = step.wake.map_or(TICK, |at| at.saturating_duration_since(Instant::now()).min(TICK));
            drop(timeout(wait, self.due.notified()).await);
        }
    }

    /// Refuses the jobs of this hub that wait to be sent to the leader: nothing was written of them.
    pub(super) fn refuse_waiting(&self, error: &AppendError) {
        let results = self.follower.lock().refuse_waiting(error);
        self.pass_on(results);
    }

    fn pass_on(&self, results: Vec<(WaitingJob, UnitResult)>) {
        for (waiting, result) in results {
            self.shared.queue.release([waiting.cost]);
            waiting.answer(result);
        }
    }

    /// Takes the leader's answers, until the process ends.
    pub(super) async fn take_answers(self: Arc<Self>) {
        let subject = format!("hub.{}.answers.{}", self.prefix, self.me);
        let mut answers = Messages::of(&self.nats, subject);
        loop {
            let message = answers.next().await;
            if let Err(error) = self.follower.lock().message(Instant::now(), &message.payload) {
                tracing::warn!(%error, "an answer of the leading hub cannot be understood");
            }
            self.due.notify_one();
        }
    }

    /// Takes the followers' requests, until the process ends.
    pub(super) async fn take_requests(self: Arc<Self>) {
        let subject = format!("hub.{}.jobs.{}.*", self.prefix, self.me);
        let mut requests = Messages::of(&self.nats, subject);
        loop {
            let message = requests.next().await;
            let Some(follower) = message.subject.rsplit('.').next().and_then(HubId::new) else { continue };
            let answer = {
                let mut leader = self.leader.lock();
                let handled = match &mut *leader {
                    Some(sessions) => {
                        sessions.handle(Instant::now(), self.durable(), &message.payload).map(|handled| {
                            // Under the lock, so that units are queued in order.
                            handled.execute.into_iter().for_each(|unit| self.execute(unit));
                            handled.answer
                        })
                    }
                    None => LeaderSessions::refuse(&self.me, &message.payload).map(Some),
                };
                handled.unwrap_or_else(|error| {
                    tracing::warn!(%error, %follower, "a request of another hub cannot be understood");
                    None
                })
            };
            if let Some(answer) = answer {
                self.answer(&follower, answer).await;
            }
            self.flush().await;
        }
    }

    /// Queues a follower's unit. Its result is answered when it is there.
    fn execute(self: &Arc<Self>, forwarded: ForwardedUnit) {
        let ForwardedUnit { ticket, n, unit } = forwarded;
        let origin = AppendOrigin { hub: ticket.hub.as_str().into(), number: n };
        let (peers, refused) = (Arc::clone(self), unit.clone());
        let pushed = match unit {
            Unit::Append(append) => {
                let (reply, answer) = oneshot::channel();
                let job = Job::Append(PendingAppend::new(append, Replies::Whole(reply)).of(Some(origin)));
                self.queue(job, answer, UnitResult::Append, &ticket)
            }
            Unit::Each(events) => {
                let (reply, answer) = oneshot::channel();
                let append = Append { events, expect: None, key: None };
                let job = Job::Append(PendingAppend::new(append, Replies::Each(reply)).of(Some(origin)));
                self.queue(job, answer, UnitResult::Each, &ticket)
            }
            Unit::Configure(topic, change) => {
                let (reply, answer) = oneshot::channel();
                let job = Job::Forwarded(Box::new(Job::Configure(topic, change, reply)));
                self.queue(job, answer, UnitResult::Configure, &ticket)
            }
            Unit::Delete(topic) => {
                let (reply, answer) = oneshot::channel();
                self.queue(Job::Forwarded(Box::new(Job::Delete(topic, reply))), answer, UnitResult::Done, &ticket)
            }
            Unit::Remove(topic, seq) => {
                let (reply, answer) = oneshot::channel();
                self.queue(Job::Forwarded(Box::new(Job::Remove(topic, seq, reply))), answer, UnitResult::Done, &ticket)
            }
        };
        match pushed {
            // The queue is closed: this hub ends, and the next one that leads is sent it again.
            Ok(()) | Err(AppendError::Unavailable { .. }) => {}
            Err(error) => {
                tokio::spawn(async move { peers.complete(&ticket, &refused.refused(error)).await });
            }
        }
    }

    fn queue<T: Send + 'static>(
        self: &Arc<Self>,
        job: Job,
        answer: oneshot::Receiver<Result<T, AppendError>>,
        result: impl FnOnce(Result<T, AppendError>) -> UnitResult + Send + 'static,
        ticket: &UnitTicket,
    ) -> Result<(), AppendError> {
        self.shared.queue.push(job).map_err(|(error, _)| error)?;
        let (peers, ticket) = (Arc::clone(self), ticket.clone());
        tokio::spawn(async move {
            // Without an answer this hub has stopped leading, and the follower learns the result from the feed.
            if let Ok(answered) = answer.await {
                peers.complete(&ticket, &result(answered)).await;
            }
        });
        Ok(())
    }

    async fn complete(&self, ticket: &UnitTicket, result: &UnitResult) {
        let head = self.durable();
        if let Some(sessions) = &mut *self.leader.lock() {
            sessions.complete(ticket, result, head);
        }
        self.flush().await;
    }

    /// The newest position that is durable here, records included.
    fn durable(&self) -> Seq {
        Seq(self.shared.store.last())
    }

    async fn flush(&self) {
        let answers = self.leader.lock().as_mut().map(LeaderSessions::flush).unwrap_or_default();
        for (follower, message) in answers {
            self.answer(&follower, message).await;
        }
    }

    async fn answer(&self, follower: &HubId, message: Vec<u8>) {
        self.hand_over(&format!("hub.{}.answers.{follower}", self.prefix), message).await;
    }

    /// A message that cannot be sent is lost, like one that is lost on the way.
    async fn hand_over(&self, subject: &str, message: Vec<u8>) {
        if let Err(error) = self.nats.publish(subject, Bytes::from(message)).await {
            tracing::debug!(%error, subject, "a message to another hub was not sent");
        }
    }

    // The queue of a follower.

    /// Starts the thread that takes the jobs of a follower from the queue. It waits while this hub leads, and ends when the
    /// queue is closed and empty; then it calls `finished`.
    ///
    /// # Panics
    /// When the system cannot start a thread.
    pub(super) fn take_jobs(
        self: &Arc<Self>,
        role: Arc<RoleGate>,
        finished: impl FnOnce() + Send + 'static,
    ) -> JoinHandle<()> {
        let peers = Arc::clone(self);
        let take = move || {
            while role.wait_to_follow() {
                match peers.shared.queue.take(&peers.shared.config) {
                    Some(Work::Group(group)) => group.into_iter().for_each(|pending| peers.push(Job::Append(pending))),
                    Some(Work::Single(job)) => peers.push(job),
                    None if peers.shared.queue.is_finished() => {
                        role.park();
                        peers.settle();
                        break;
                    }
                    None => {} // interrupted: this hub is about to lead
                }
            }
            finished();
        };
        thread::Builder::new().name("gapless-forward".into()).spawn(take).expect("the system can start a thread")
    }

    fn push(&self, job: Job) {
        let (cost, mut past) = (job.cost(), AppendPast::none());
        let (unit, reply) = match job {
            Job::Append(pending) => {
                let PendingAppend { append, reply, .. } = pending;
                past = pending.past;
                let is_whole = matches!(reply, Replies::Whole(_));
                let unit = if is_whole { Unit::Append(append) } else { Unit::Each(append.events) };
                (unit, WaitingReply::Append(reply))
            }
            Job::Configure(topic, change, reply) => (Unit::Configure(topic, change), WaitingReply::Configure(reply)),
            Job::Delete(topic, reply) => (Unit::Delete(topic), WaitingReply::Done(reply)),
            Job::Remove(topic, seq, reply) => (Unit::Remove(topic, seq), WaitingReply::Done(reply)),
            // The hub that leads has its own.
            Job::RecordStates(_) | Job::Forwarded(_) | Job::Prove(_) => return self.shared.queue.release([cost]),
        };
        let left = UndecidedUnit { unit, past, reply: WaitingJob { cost, reply } };
        self.follower.lock().push(Instant::now(), left);
        self.due.notify_one();
    }

    /// Waits until every job has its result, or too long for that.
    fn settle(&self) {
        let until = Instant::now() + CLOSING;
        while self.shared.queue.bytes() > 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl WaitingJob {
    /// The job of a unit that was not executed.
    fn job(left: UndecidedUnit<Self>) -> Job {
        let UndecidedUnit { unit, past, reply: Self { reply, .. } } = left;
        match (unit, reply) {
            (Unit::Append(append), WaitingReply::Append(reply)) => {
                Job::Append(PendingAppend::new(append, reply).after(past))
            }
            (Unit::Each(events), WaitingReply::Append(reply)) => {
                Job::Append(PendingAppend::new(Append { events, expect: None, key: None }, reply).after(past))
            }
            (Unit::Configure(topic, change), WaitingReply::Configure(reply)) => Job::Configure(topic, change, reply),
            (Unit::Delete(topic), WaitingReply::Done(reply)) => Job::Delete(topic, reply),
            (Unit::Remove(topic, seq), WaitingReply::Done(reply)) => Job::Remove(topic, seq, reply),
            _ => unreachable!("a unit has the reply of its job"),
        }
    }

    /// Passes the result on. Nobody may wait for it any more.
    fn answer(self, result: UnitResult) {
        match (result, self.reply) {
            (UnitResult::Append(result), WaitingReply::Append(Replies::Whole(reply))) => drop(reply.send(result)),
            (UnitResult::Each(result), WaitingReply::Append(Replies::Each(reply))) => drop(reply.send(result)),
            (UnitResult::Configure(result), WaitingReply::Configure(reply)) => drop(reply.send(result)),
            (UnitResult::Done(result), WaitingReply::Done(reply)) => drop(reply.send(result)),
            _ => tracing::error!("a result of another kind than its job; this is a bug"),
        }
    }
}
