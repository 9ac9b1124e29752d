//! Answers for the publishers of one thread, handed out on that thread.
//!
//! Waking a task of another thread costs a system call, and a group has hundreds of publishers. A thread that runs many of
//! them opens a desk: the writer leaves all of a group's answers there and wakes its [`Clerk`] alone, who wakes the others
//! where that costs next to nothing. Who asks from another thread is answered as ever, by the writer.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use super::queue::Reply;
use crate::engine::{AppendError, Receipt};

thread_local!(static OPEN: RefCell<Option<Arc<Desk>>> = const { RefCell::new(None) });

/// Opens a desk for this thread: what is appended from here is answered by the clerk, who must run on this thread as long
/// as anybody here waits for an answer. Dropping the clerk closes the desk and loses no answer.
#[must_use = "nobody is answered while the clerk does not run"]
pub fn clerk() -> Clerk {
    let desk = Arc::<Desk>::default();
    OPEN.set(Some(Arc::clone(&desk)));
    Clerk(desk)
}

/// Where the writer leaves answers. Bounded by the writer's queue: every answer is one to an append of this thread, and a
/// thread that does not come to hand them out appends nothing either.
#[derive(Default)]
pub(super) struct Desk {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    letters: Vec<Letter>,
    clerk: Option<Waker>,
    closed: bool,
}

/// An answer and who waits for it.
pub(super) struct Letter {
    pub(super) reply: Reply<Vec<Receipt>>,
    pub(super) answer: Result<Vec<Receipt>, AppendError>,
}

/// Hands out the answers of a desk. Runs until it is dropped.
pub struct Clerk(Arc<Desk>);

impl Desk {
    /// The one of this thread.
    pub(super) fn here() -> Option<Arc<Self>> {
        OPEN.with_borrow(Option::clone)
    }

    /// Leaves answers to the clerk.
    fn leave(&self, letters: Vec<Letter>) {
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            return letters.into_iter().for_each(Letter::deliver);
        }
        state.letters.extend(letters);
        let clerk = state.clerk.take();
        drop(state);
        if let Some(clerk) = clerk {
            clerk.wake();
        }
    }
}

impl Letter {
    fn deliver(self) {
        drop(self.reply.send(self.answer)); // whoever asked may have gone
    }
}

/// A group's answers, sorted by desk. One thread a core has a desk, so there are few.
#[derive(Default)]
pub(super) struct Mail(Vec<(Arc<Desk>, Vec<Letter>)>);

impl Mail {
    /// Takes a letter for `desk`, or delivers it when there is none.
    pub(super) fn add(&mut self, desk: Option<Arc<Desk>>, letter: Letter) {
        let Some(desk) = desk else { return letter.deliver() };
        match self.0.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &desk)) {
            Some((_, letters)) => letters.push(letter),
            None => self.0.push((desk, vec![letter])),
        }
    }

    /// Brings each desk its letters; a single one goes to who waits for it, as fast.
    pub(super) fn send(self) {
        for (desk, mut letters) in self.0 {
            match letters.len() {
                1 => letters.drain(..).for_each(Letter::deliver),
                _ => desk.leave(letters),
            }
        }
    }
}

impl Future for Clerk {
    type Output = Infallible;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Infallible> {
        let letters = {
            let mut state = self.0.state.lock();
            state.clerk = Some(cx.waker().clone());
            std::mem::take(&mut state.letters)
        };
        letters.into_iter().for_each(Letter::deliver);
        Poll::Pending
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        let ours = |desk: &Arc<Desk>| Arc::ptr_eq(desk, &self.0);
        // A thread that ends has no thread-locals left, and appends nothing either.
        let _ = OPEN.try_with(|open| open.borrow_mut().take_if(|desk| ours(desk)));
        let letters = {
            let mut state = self.0.state.lock();
            state.closed = true;
            state.clerk = None;
            std::mem::take(&mut state.letters)
        };
        letters.into_iter().for_each(Letter::deliver);
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
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    type Waiting = oneshot::Receiver<Result<Vec<Receipt>, AppendError>>;

    /// Letters for this thread's desk, and where they arrive.
    fn mail(count: usize) -> (Mail, Vec<Waiting>) {
        let mut mail = Mail::default();
        let receivers = (0..count).map(|_| {
            let (reply, receiver) = oneshot::channel();
            mail.add(Desk::here(), Letter { reply, answer: Ok(Vec::new()) });
            receiver
        });
        let receivers = receivers.collect();
        (mail, receivers)
    }

    #[test]
    fn a_group_wakes_the_clerk_once_and_he_answers_all() {
        let (mut clerk, bell) = (Box::pin(clerk()), Arc::new(Bell::default()));
        let waker = Waker::from(Arc::clone(&bell));
        let mut context = Context::from_waker(&waker);
        assert!(clerk.as_mut().poll(&mut context).is_pending());
        let (mail, mut receivers) = mail(3);
        mail.send();
        assert_eq!(bell.0.load(Ordering::Relaxed), 1);
        assert!(receivers[0].try_recv().is_err(), "not before the clerk runs");
        assert!(clerk.as_mut().poll(&mut context).is_pending());
        assert!(receivers.iter_mut().all(|receiver| receiver.try_recv().is_ok()));
    }

    #[test]
    fn a_single_answer_and_one_without_a_desk_wait_for_no_clerk() {
        let (alone, mut receivers) = mail(2);
        alone.send();
        assert!(receivers.iter_mut().all(|receiver| receiver.try_recv().is_ok()), "no desk is open");
        let _clerk = clerk();
        let (single, mut receivers) = mail(1);
        single.send();
        assert!(receivers[0].try_recv().is_ok());
    }

    #[test]
    fn a_clerk_that_leaves_loses_no_answer() {
        let clerk = clerk();
        let (before, mut answered) = mail(2);
        let (after, late) = mail(2);
        before.send();
        drop(clerk);
        after.send();
        answered.extend(late);
        assert!(answered.iter_mut().all(|receiver| receiver.try_recv().is_ok()));
        assert!(Desk::here().is_none());
    }
}
