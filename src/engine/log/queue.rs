//! What waits for the writer: bounded by bytes, in order of arrival.
//!
//! Large jobs and small ones have room of their own, so that a publisher of large batches, one after the other, leaves some to
//! those who publish an event now and then.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::{
    config::{EVENT_OVERHEAD, LogConfig},
    reply_mailbox::ReplyMailbox,
    store::TopicKey,
};
use crate::{
    engine::{Append, AppendError, AppendResult, Receipt, TopicChange, TopicState},
    event::{Seq, TopicName},
};

/// Where an answer goes; nobody may be waiting for it any more.
pub(super) type AppendReply<T> = oneshot::Sender<Result<T, AppendError>>;

/// An append and who waits for it.
pub(super) struct PendingAppend {
    pub(super) append: Append,
    pub(super) reply: Replies,
    /// Where the answer is handed out; `None` for at once.
    pub(super) mailbox: Option<Arc<ReplyMailbox>>,
    /// What it costs the queue.
    pub(super) cost: usize,
    /// Bytes of its data.
    bytes: usize,
}

/// What an append's answer is to be.
pub(super) enum Replies {
    /// All of it, or why nothing.
    Whole(AppendReply<Vec<Receipt>>),
    /// Its events each for itself; it has neither condition nor key.
    Each(AppendReply<Vec<AppendResult>>),
}

/// What the writer is asked to do.
pub(super) enum Job {
    Append(PendingAppend),
    Configure(TopicName, TopicChange, AppendReply<TopicState>),
    Delete(TopicName, AppendReply<bool>),
    Remove(TopicName, Seq, AppendReply<bool>),
    /// Keep durably where these emptied topics ended. Asked by the retention thread, which waits for no answer.
    Remember(Vec<TopicKey>),
}

/// What the writer does at once.
pub(super) enum Work {
    Group(Vec<PendingAppend>),
    Single(Job),
}

/// The writer's queue.
pub(super) struct AppendQueue {
    state: Mutex<QueueState>,
    wake: Condvar,
    max_bytes: usize,
}

/// A job above this part of the queue's bytes is large: 2 MiB of 64, more than one event of the usual limit takes.
const LARGE_PART: usize = 32;

/// Room that small jobs have when large ones have filled the queue, as a part of its bytes and beyond them.
const RESERVE_PART: usize = 4;

#[derive(Default)]
struct QueueState {
    jobs: VecDeque<Job>,
    /// Of jobs waiting or being written.
    bytes: usize,
    /// Of these, those of large jobs.
    large: usize,
    /// Why nothing more is taken.
    refusing: Option<Arc<str>>,
}

impl AppendQueue {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { state: Mutex::default(), wake: Condvar::new(), max_bytes }
    }

    /// Puts a job at the end.
    ///
    /// # Errors
    /// When the queue is full, or refuses; gives the job back.
    #[expect(
        clippy::result_large_err,
        reason = "a job that came back is tried again, and a box would be for that alone"
    )]
    pub(super) fn push(&self, job: Job) -> Result<(), (AppendError, Job)> {
        let mut state = self.state.lock();
        if let Some(reason) = &state.refusing {
            return Err((AppendError::Unavailable { reason: Arc::clone(reason) }, job));
        }
        let (cost, reserve) = (job.cost(), self.max_bytes / RESERVE_PART);
        if self.is_large(cost) {
            // One may be larger than all of the queue, and must come in some time.
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
        drop(state); // or the writer would wake up only to wait for it
        self.wake.notify_one();
        Ok(())
    }

    /// Waits for work and takes as much as one commit may hold. `None` when the queue refuses and nothing is left.
    pub(super) fn take(&self, config: &LogConfig) -> Option<Work> {
        let mut state = self.state.lock();
        loop {
            match state.jobs.pop_front() {
                Some(Job::Append(first)) => return Some(Work::Group(state.group(first, config))),
                Some(job) => return Some(Work::Single(job)),
                None if state.refusing.is_some() => return None,
                None => self.wake.wait(&mut state),
            }
        }
    }

    fn is_large(&self, cost: usize) -> bool {
        cost > self.max_bytes / LARGE_PART
    }

    /// Says that jobs of these costs are done.
    pub(super) fn done(&self, costs: impl IntoIterator<Item = usize>) {
        let mut state = self.state.lock();
        for cost in costs {
            state.bytes -= cost;
            state.large -= if self.is_large(cost) { cost } else { 0 };
        }
    }

    /// Takes nothing more; what waits is still served. The first reason stays.
    pub(super) fn refuse(&self, reason: &str) {
        self.state.lock().refusing.get_or_insert_with(|| reason.into());
        self.wake.notify_one();
    }

    /// Takes nothing more, and refuses what waits.
    pub(super) fn fail(&self, reason: &str) {
        let waiting = {
            let mut state = self.state.lock();
            state.refusing = Some(reason.into());
            std::mem::take(&mut state.jobs)
        };
        self.done(waiting.iter().map(Job::cost));
        for job in waiting {
            job.refuse(&AppendError::Unavailable { reason: reason.into() });
        }
    }

    /// Why it takes nothing more.
    pub(super) fn refusing(&self) -> Option<AppendError> {
        self.state.lock().refusing.clone().map(|reason| AppendError::Unavailable { reason })
    }

    /// Bytes waiting or being written.
    pub(super) fn bytes(&self) -> usize {
        self.state.lock().bytes
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
    /// Weighed here, by whoever asks, and not by the writer.
    pub(super) fn new(append: Append, reply: Replies) -> Self {
        let (mut cost, mut bytes) = (0, 0);
        for event in &append.events {
            bytes += event.data.len();
            cost += event.data.len() + event.topic.as_str().len() + event.name.as_str().len() + EVENT_OVERHEAD;
        }
        Self { append, reply, mailbox: ReplyMailbox::here(), cost, bytes }
    }
}

impl Job {
    /// What it costs the queue.
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Append(pending) => pending.cost,
            Self::Configure(topic, ..) | Self::Delete(topic, _) | Self::Remove(topic, ..) => {
                topic.as_str().len() + EVENT_OVERHEAD
            }
            Self::Remember(topics) => topics.len() * size_of::<TopicKey>(),
        }
    }

    fn refuse(self, error: &AppendError) {
        match self {
            Self::Append(PendingAppend { reply: Replies::Whole(reply), .. }) => drop(reply.send(Err(error.clone()))),
            Self::Append(PendingAppend { reply: Replies::Each(reply), .. }) => drop(reply.send(Err(error.clone()))),
            Self::Configure(_, _, reply) => drop(reply.send(Err(error.clone()))),
            Self::Delete(_, reply) | Self::Remove(_, _, reply) => drop(reply.send(Err(error.clone()))),
            Self::Remember(_) => {}
        }
    }
}
