//! The writer's queue: FIFO, bounded by bytes.
//!
//! Large and small jobs have separate capacity, so that a publisher of many large batches cannot lock out those that
//! publish single events.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use tokio::sync::oneshot;

use super::{
    config::{EVENT_OVERHEAD, LogConfig},
    store::{AppendOrigin, TopicKey},
};
use crate::{
    engine::{Append, AppendError, AppendResult, Receipt, TopicChange, TopicState},
    event::{Seq, TopicName},
    sync::{Condvar, Mutex},
};

/// The channel of an answer. The receiver may be gone.
pub(in crate::engine) type AppendReply<T> = oneshot::Sender<Result<T, AppendError>>;

/// A queued append with its reply channel.
pub(in crate::engine) struct PendingAppend {
    pub(in crate::engine) append: Append,
    pub(in crate::engine) reply: Replies,
    /// The hub that has forwarded it.
    pub(in crate::engine) origin: Option<AppendOrigin>,
    /// Bytes it counts in the queue.
    pub(in crate::engine) cost: usize,
    /// Bytes of its data.
    bytes: usize,
    pub(in crate::engine) past: AppendPast,
}

/// What has become of an append before it is in this queue.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct AppendPast {
    /// When the engine has accepted it.
    pub(in crate::engine) accepted: Instant,
    /// It was executed by another hub, perhaps with success.
    pub(in crate::engine) may_be_stored: bool,
}

impl AppendPast {
    /// Of one that is accepted now.
    pub(in crate::engine) fn none() -> Self {
        Self { accepted: Instant::now(), may_be_stored: false }
    }

    /// What to tell of an append that is not executed now, for this reason.
    pub(in crate::engine) fn refusal(self, error: &AppendError) -> AppendError {
        if self.may_be_stored {
            AppendError::Unavailable { reason: format!("it may have been stored, and {error}").into() }
        } else {
            error.clone()
        }
    }
}

/// The kind of an append's answer.
pub(in crate::engine) enum Replies {
    /// One result for all events.
    Whole(AppendReply<Vec<Receipt>>),
    /// One result per event; such an append has neither condition nor key.
    Each(AppendReply<Vec<AppendResult>>),
}

/// A request to the writer.
pub(in crate::engine) enum Job {
    Append(PendingAppend),
    Configure(TopicName, TopicChange, AppendReply<TopicState>),
    Delete(TopicName, AppendReply<bool>),
    Remove(TopicName, Seq, AppendReply<bool>),
    /// One of the three above, of another hub: not executed when this hub does not lead any more.
    Forwarded(Box<Job>),
    /// Show that the store accepts writes.
    Prove(AppendReply<()>),
    /// Durably record the newest positions of these emptied topics, or their marks. Sent by the retention thread; has no answer.
    RecordStates(Vec<TopicKey>),
}

/// What the writer executes in one step.
pub(in crate::engine) enum Work {
    Group(Vec<PendingAppend>),
    Single(Job),
}

/// The writer's queue.
pub(in crate::engine) struct AppendQueue {
    state: Mutex<QueueState>,
    wake: Condvar,
    max_bytes: usize,
}

/// A job above this part of the queue's bytes is large. A single event is not, unless `publish.event_bytes` is raised.
const LARGE_PART: usize = 32;

/// Extra capacity for small jobs when large ones have filled the queue: 1/4 of its bytes, in addition to them.
const RESERVE_PART: usize = 4;

#[derive(Default)]
struct QueueState {
    jobs: VecDeque<Job>,
    /// Cost of all jobs queued or being written.
    bytes: usize,
    /// The part of `bytes` that belongs to large jobs.
    large: usize,
    /// Jobs that were completed or refused.
    finished: u64,
    /// Set when the queue accepts nothing more: the reason.
    closed: Option<Arc<str>>,
    /// Set while nothing is taken from the queue.
    interrupted: bool,
    /// Set while the queue accepts nothing for now: the error that a push gets.
    paused: Option<AppendError>,
}

impl AppendQueue {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { state: Mutex::default(), wake: Condvar::new(), max_bytes }
    }

    /// Appends a job to the queue.
    ///
    /// # Errors
    /// When the queue is full or closed; returns the job.
    #[expect(
        clippy::result_large_err,
        reason = "a returned job may be retried, and boxing would cost every caller an allocation"
    )]
    pub(in crate::engine) fn push(&self, job: Job) -> Result<(), (AppendError, Job)> {
        let mut state = self.state.lock();
        if let Some(reason) = &state.closed {
            return Err((AppendError::Unavailable { reason: Arc::clone(reason) }, job));
        }
        if let Some(error) = &state.paused {
            return Err((error.clone(), job));
        }
        let (cost, reserve) = (job.cost(), self.max_bytes / RESERVE_PART);
        if self.is_large(cost) {
            // A job may be larger than the whole queue, so the first large one is always accepted.
            if state.large > 0 && state.bytes + cost > self.max_bytes {
                return Err((AppendError::Busy, job));
            }
            state.large += cost;
        } else {
            let small = state.bytes - state.large;
            if state.bytes + cost > self.max_bytes && small + cost > reserve {
                return Err((AppendError::Busy, job));
            }
        }
        state.bytes += cost;
        state.jobs.push_back(job);
        drop(state); // before the wake, or the writer would block on the lock
        self.wake.notify_one();
        Ok(())
    }

    /// Waits for work and takes as much as one commit may hold. `None` when the queue is closed and empty, or
    /// [interrupted](Self::interrupt).
    pub(in crate::engine) fn take(&self, config: &LogConfig) -> Option<Work> {
        let mut state = self.state.lock();
        loop {
            if state.interrupted {
                return None;
            }
            match state.jobs.pop_front() {
                Some(Job::Append(first)) => return Some(Work::Group(state.group(first, config))),
                Some(job) => return Some(Work::Single(job)),
                None if state.closed.is_some() => return None,
                None => self.wake.wait(&mut state),
            }
        }
    }

    /// Wakes who waits for work, and lets nobody take any until [`resume`](Self::resume): another one is to execute it.
    pub(in crate::engine) fn interrupt(&self) {
        self.state.lock().interrupted = true;
        self.wake.notify_all();
    }

    /// Ends an [interruption](Self::interrupt).
    pub(in crate::engine) fn resume(&self) {
        self.state.lock().interrupted = false;
        self.wake.notify_all();
    }

    /// Refuses further jobs with this error, or accepts them again. Queued jobs stay.
    pub(in crate::engine) fn pause(&self, error: Option<AppendError>) {
        self.state.lock().paused = error;
    }

    /// Refuses all queued jobs of callers with this error; none of them was executed.
    pub(in crate::engine) fn refuse_waiting(&self, error: &AppendError) {
        let mut state = self.state.lock();
        let all = std::mem::take(&mut state.jobs);
        let (kept, refused): (VecDeque<Job>, VecDeque<Job>) =
            all.into_iter().partition(|job| matches!(job, Job::RecordStates(_)));
        state.jobs = kept;
        drop(state);
        self.release(refused.iter().map(Job::cost));
        for job in refused {
            job.refuse(error);
        }
    }

    /// Puts jobs that were taken, and not executed, back before all others. Their cost was not released.
    pub(in crate::engine) fn put_back(&self, jobs: Vec<Job>) {
        let mut state = self.state.lock();
        for job in jobs.into_iter().rev() {
            state.jobs.push_front(job);
        }
        drop(state);
        self.wake.notify_all();
    }

    /// Drops the jobs of other hubs, which send them to the hub that leads now.
    pub(in crate::engine) fn drop_forwarded(&self) {
        let mut state = self.state.lock();
        let all = std::mem::take(&mut state.jobs);
        let (dropped, kept): (VecDeque<Job>, VecDeque<Job>) = all.into_iter().partition(Job::is_forwarded);
        state.jobs = kept;
        drop(state);
        self.release(dropped.iter().map(Job::cost));
    }

    /// Whether it accepts nothing more and has no jobs left.
    pub(in crate::engine) fn is_finished(&self) -> bool {
        let state = self.state.lock();
        state.closed.is_some() && state.jobs.is_empty()
    }

    fn is_large(&self, cost: usize) -> bool {
        cost > self.max_bytes / LARGE_PART
    }

    /// Releases the capacity of completed jobs with these costs.
    pub(in crate::engine) fn release(&self, costs: impl IntoIterator<Item = usize>) {
        let mut state = self.state.lock();
        for cost in costs {
            assert!(state.bytes >= cost, "only the cost of a queued job is released");
            state.bytes -= cost;
            state.finished += 1;
            state.large -= if self.is_large(cost) { cost } else { 0 };
            debug_assert!(state.large <= state.bytes, "large jobs are a part of all");
        }
    }

    /// Closes the queue; queued jobs are still executed. The first reason is kept.
    pub(super) fn close(&self, reason: &str) {
        self.state.lock().closed.get_or_insert_with(|| reason.into());
        self.wake.notify_one();
    }

    /// Closes the queue and refuses all queued jobs.
    pub(in crate::engine) fn fail(&self, reason: &str) {
        let waiting = {
            let mut state = self.state.lock();
            state.closed = Some(reason.into());
            std::mem::take(&mut state.jobs)
        };
        self.release(waiting.iter().map(Job::cost));
        for job in waiting {
            job.refuse(&AppendError::Unavailable { reason: reason.into() });
        }
    }

    /// The error that a push gets when the queue is closed or paused; `None` while it is open.
    pub(super) fn refusal(&self) -> Option<AppendError> {
        let state = self.state.lock();
        let closed = state.closed.clone().map(|reason| AppendError::Unavailable { reason });
        closed.or_else(|| state.paused.clone())
    }

    /// Cost in bytes of all jobs queued or being written.
    pub(in crate::engine) fn bytes(&self) -> usize {
        self.state.lock().bytes
    }

    /// Jobs that the writer has completed, or that were refused after they were queued.
    pub(super) fn finished(&self) -> u64 {
        self.state.lock().finished
    }
}

impl QueueState {
    fn group(&mut self, first: PendingAppend, config: &LogConfig) -> Vec<PendingAppend> {
        let (mut events, mut bytes) = (first.append.events.len(), first.bytes);
        let mut group = Vec::with_capacity(self.jobs.len().min(config.group_events) + 1);
        group.push(first);
        while let Some(Job::Append(next)) = self.jobs.front() {
            events += next.append.events.len();
            bytes += next.bytes;
            if events > config.group_events || bytes > config.group_bytes {
                break;
            }
            let Some(Job::Append(next)) = self.jobs.pop_front() else { unreachable!("just seen") };
            group.push(next);
        }
        group
    }
}

impl PendingAppend {
    /// Computes the cost on the caller's thread, to keep it off the writer's.
    pub(in crate::engine) fn new(append: Append, reply: Replies) -> Self {
        let (mut cost, mut bytes) = (0, 0);
        for event in &append.events {
            let payload = event.payload_bytes();
            bytes += payload;
            cost += payload + event.topic.as_str().len() + event.name.as_str().len() + EVENT_OVERHEAD;
        }
        Self { append, reply, origin: None, cost, bytes, past: AppendPast::none() }
    }

    /// The same append with this past.
    pub(in crate::engine) fn after(self, past: AppendPast) -> Self {
        Self { past, ..self }
    }

    /// The same append of another hub.
    pub(in crate::engine) fn of(self, origin: Option<AppendOrigin>) -> Self {
        Self { origin, ..self }
    }
}

impl Job {
    /// Bytes it counts in the queue.
    pub(in crate::engine) fn cost(&self) -> usize {
        match self {
            Self::Append(pending) => pending.cost,
            Self::Configure(topic, change, _) => topic.as_str().len() + change.metadata_bytes() + EVENT_OVERHEAD,
            Self::Delete(topic, _) | Self::Remove(topic, ..) => topic.as_str().len() + EVENT_OVERHEAD,
            Self::Forwarded(job) => job.cost(),
            Self::Prove(_) => EVENT_OVERHEAD,
            Self::RecordStates(topics) => topics.len() * size_of::<TopicKey>(),
        }
    }

    fn is_forwarded(&self) -> bool {
        match self {
            Self::Append(pending) => pending.origin.is_some(),
            Self::Forwarded(_) => true,
            _ => false,
        }
    }

    fn refuse(self, error: &AppendError) {
        match self {
            Self::Append(PendingAppend { reply, past, .. }) => match reply {
                Replies::Whole(reply) => drop(reply.send(Err(past.refusal(error)))),
                Replies::Each(reply) => drop(reply.send(Err(past.refusal(error)))),
            },
            Self::Configure(_, _, reply) => drop(reply.send(Err(error.clone()))),
            Self::Delete(_, reply) | Self::Remove(_, _, reply) => drop(reply.send(Err(error.clone()))),
            Self::Forwarded(job) => job.refuse(error),
            Self::Prove(reply) => drop(reply.send(Err(error.clone()))),
            Self::RecordStates(_) => {}
        }
    }
}
