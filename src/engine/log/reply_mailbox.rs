//! Delivery of replies to the publishers of one thread, on that thread.
//!
//! Waking a task of another thread costs a system call, and a group may have hundreds of publishers. A thread that runs
//! many of them opens a mailbox: the writer posts all of a group's replies there and wakes only its [`ReplyTask`],
//! which wakes the publishers' tasks on their own thread, without system calls. Publishers on threads without a mailbox
//! are woken by the writer.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use super::queue::AppendReply;
use crate::engine::{AppendError, Receipt};

thread_local!(static OPEN: RefCell<Option<Arc<ReplyMailbox>>> = const { RefCell::new(None) });

/// Opens a mailbox for this thread: replies to appends made on this thread are delivered by the returned task, which
/// must run on this thread as long as any append waits. Dropping the task closes the mailbox and loses no reply.
#[must_use = "no reply is delivered unless the task runs"]
pub fn reply_task() -> ReplyTask {
    let mailbox = Arc::<ReplyMailbox>::default();
    OPEN.set(Some(Arc::clone(&mailbox)));
    ReplyTask(mailbox)
}

/// Replies posted by the writer for one thread. Bounded by the writer's queue: every reply belongs to an append of this
/// thread, and a thread that is too busy to deliver them appends nothing either.
#[derive(Default)]
pub(super) struct ReplyMailbox {
    state: Mutex<MailboxState>,
}

#[derive(Default)]
struct MailboxState {
    replies: Vec<PendingReply>,
    reply_task: Option<Waker>,
    closed: bool,
}

/// A reply to deliver.
pub(super) struct PendingReply {
    pub(super) reply: AppendReply<Vec<Receipt>>,
    pub(super) answer: Result<Vec<Receipt>, AppendError>,
}

/// Delivers the replies of a mailbox. Never completes; dropping it closes the mailbox.
pub struct ReplyTask(Arc<ReplyMailbox>);

impl ReplyMailbox {
    /// The mailbox of the current thread.
    pub(super) fn current() -> Option<Arc<Self>> {
        OPEN.with_borrow(Option::clone)
    }

    /// Posts replies and wakes the reply task. Delivers them directly if the mailbox is closed.
    fn post(&self, replies: Vec<PendingReply>) {
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            return replies.into_iter().for_each(PendingReply::deliver);
        }
        state.replies.extend(replies);
        let reply_task = state.reply_task.take();
        drop(state);
        if let Some(reply_task) = reply_task {
            reply_task.wake();
        }
    }
}

impl PendingReply {
    fn deliver(self) {
        drop(self.reply.send(self.answer)); // the receiver may be gone
    }
}

/// A group's replies by mailbox. There is one mailbox per core, so a linear search is enough.
#[derive(Default)]
pub(super) struct ReplyBatch(Vec<(Arc<ReplyMailbox>, Vec<PendingReply>)>);

impl ReplyBatch {
    /// Adds a reply for `mailbox`, or delivers it directly when there is none.
    pub(super) fn add(&mut self, mailbox: Option<Arc<ReplyMailbox>>, reply: PendingReply) {
        let Some(mailbox) = mailbox else { return reply.deliver() };
        match self.0.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &mailbox)) {
            Some((_, replies)) => replies.push(reply),
            None => self.0.push((mailbox, vec![reply])),
        }
    }

    /// Posts each mailbox's replies. A single reply is delivered directly: one wake either way.
    pub(super) fn send(self) {
        for (mailbox, mut replies) in self.0 {
            match replies.len() {
                1 => replies.drain(..).for_each(PendingReply::deliver),
                _ => mailbox.post(replies),
            }
        }
    }
}

impl Future for ReplyTask {
    type Output = Infallible;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Infallible> {
        let replies = {
            let mut state = self.0.state.lock();
            state.reply_task = Some(cx.waker().clone());
            std::mem::take(&mut state.replies)
        };
        replies.into_iter().for_each(PendingReply::deliver);
        Poll::Pending
    }
}

impl Drop for ReplyTask {
    fn drop(&mut self) {
        let ours = |mailbox: &Arc<ReplyMailbox>| Arc::ptr_eq(mailbox, &self.0);
        // A terminating thread has no thread-locals left, and makes no more appends.
        let _ = OPEN.try_with(|open| open.borrow_mut().take_if(|mailbox| ours(mailbox)));
        let replies = {
            let mut state = self.0.state.lock();
            state.closed = true;
            state.reply_task = None;
            std::mem::take(&mut state.replies)
        };
        replies.into_iter().for_each(PendingReply::deliver);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
    };

    use tokio::sync::oneshot;

    use super::*;

    #[derive(Default)]
    struct CountingWaker(AtomicUsize);

    impl Wake for CountingWaker {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    type AwaitedReply = oneshot::Receiver<Result<Vec<Receipt>, AppendError>>;

    /// Replies for this thread's mailbox, and their receivers.
    fn mail(count: usize) -> (ReplyBatch, Vec<AwaitedReply>) {
        let mut mail = ReplyBatch::default();
        let receivers = (0..count).map(|_| {
            let (reply, receiver) = oneshot::channel();
            mail.add(ReplyMailbox::current(), PendingReply { reply, answer: Ok(Vec::new()) });
            receiver
        });
        let receivers = receivers.collect();
        (mail, receivers)
    }

    #[test]
    fn a_group_wakes_the_reply_task_once_and_it_delivers_all() {
        let (mut reply_task, count) = (Box::pin(reply_task()), Arc::new(CountingWaker::default()));
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        assert!(reply_task.as_mut().poll(&mut context).is_pending());
        let (mail, mut receivers) = mail(3);
        mail.send();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(receivers[0].try_recv().is_err(), "not before the reply task runs");
        assert!(reply_task.as_mut().poll(&mut context).is_pending());
        assert!(receivers.iter_mut().all(|receiver| receiver.try_recv().is_ok()));
    }

    #[test]
    fn a_single_reply_and_one_without_a_mailbox_are_delivered_at_once() {
        let (alone, mut receivers) = mail(2);
        alone.send();
        assert!(receivers.iter_mut().all(|receiver| receiver.try_recv().is_ok()), "no mailbox is open");
        let _task = reply_task();
        let (single, mut receivers) = mail(1);
        single.send();
        assert!(receivers[0].try_recv().is_ok());
    }

    #[test]
    fn dropping_the_reply_task_loses_no_reply() {
        let reply_task = reply_task();
        let (before, mut answered) = mail(2);
        let (after, late) = mail(2);
        before.send();
        drop(reply_task);
        after.send();
        answered.extend(late);
        assert!(answered.iter_mut().all(|receiver| receiver.try_recv().is_ok()));
        assert!(ReplyMailbox::current().is_none());
    }
}
