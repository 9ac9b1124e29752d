//! What a store in memory can be made to suffer, so that tests see what a bad disk does.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use parking_lot::{Condvar, Mutex};

use crate::{engine::log::store::StoreError, event::Seq};

/// A fault injector.
#[derive(Debug, Default)]
pub struct FaultInjector {
    fail_next: AtomicBool,
    full: AtomicBool,
    writes: AtomicU64,
    /// The number of the write that finds no room any more; 0 for none.
    fills_at: AtomicU64,
    headers: AtomicU64,
    losses: AtomicU64,
    lost: Mutex<Vec<(Seq, Seq)>>,
    held: Mutex<bool>,
    released: Condvar,
    meddling: Mutex<Vec<(InterruptedRead, Interleaving)>>,
}

/// A read that others may get in the way of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterruptedRead {
    /// [`Store::topic_events`](crate::engine::log::Store::topic_events).
    Events,
    /// [`Store::topic_headers`](crate::engine::log::Store::topic_headers).
    Headers,
    /// [`Store::scan`](crate::engine::log::Store::scan).
    Scan,
    /// [`Store::marks`](crate::engine::log::Store::marks).
    Marks,
}

/// What others do meanwhile.
struct Interleaving(Box<dyn FnOnce() + Send>);

impl fmt::Debug for Interleaving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meddling")
    }
}

impl FaultInjector {
    /// When the next such read has found what it answers with, and before its caller has the answer, `others` happens.
    pub fn after_next(&self, read: InterruptedRead, others: impl FnOnce() + Send + 'static) {
        self.meddling.lock().push((read, Interleaving(Box::new(others))));
    }

    /// Lets happen what waits for this read.
    pub(super) fn meddle(&self, read: InterruptedRead) {
        let mut waiting = self.meddling.lock();
        let next = waiting.iter().position(|(of, _)| *of == read).map(|index| waiting.remove(index));
        drop(waiting);
        if let Some((_, Interleaving(others))) = next {
            others();
        }
    }

    /// The next write fails and may be half done.
    pub fn fail_next(&self) {
        self.fail_next.store(true, Ordering::SeqCst);
    }

    /// There is no room, or there is again.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    /// There is room for so many more writes.
    pub fn fill_after(&self, writes: u64) {
        self.fills_at.store(self.writes() + writes + 1, Ordering::SeqCst);
    }

    /// Writes wait until they are released.
    pub fn hold(&self) {
        *self.held.lock() = true;
    }

    /// Held writes go on.
    pub fn release(&self) {
        *self.held.lock() = false;
        self.released.notify_all();
    }

    /// Writes that began, also those that wait or failed.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    /// Headers of events that were read.
    pub fn headers_read(&self) -> u64 {
        self.headers.load(Ordering::SeqCst)
    }

    pub(super) fn add_headers(&self, count: usize) {
        self.headers.fetch_add(count as u64, Ordering::SeqCst);
    }

    /// What the next opening says was lost.
    pub fn set_lost(&self, ranges: Vec<(Seq, Seq)>) {
        *self.lost.lock() = ranges;
    }

    pub(super) fn lost(&self) -> Vec<(Seq, Seq)> {
        self.lost.lock().clone()
    }

    /// One more part is damaged.
    pub(super) fn add_loss(&self) {
        self.losses.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn losses(&self) -> u64 {
        self.losses.load(Ordering::SeqCst)
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::SeqCst)
    }

    /// What a write meets.
    pub(super) fn suffer(&self) -> Result<(), StoreError> {
        let number = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
        if self.fills_at.compare_exchange(number, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            self.set_full(true);
        }
        let mut held = self.held.lock();
        self.released.wait_while(&mut held, |held| *held);
        drop(held);
        if self.is_full() {
            return Err(StoreError::Full);
        }
        if self.fail_next.swap(false, Ordering::SeqCst) {
            return Err(StoreError::Failed("the disk failed (injected)".into()));
        }
        Ok(())
    }
}
