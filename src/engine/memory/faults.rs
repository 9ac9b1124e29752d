//! Fault injection for the store in memory: failing, full and slow disks, and interleavings.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::{
    engine::log::store::StoreError,
    event::Seq,
    sync::{Condvar, Mutex},
};

/// A fault injector.
#[derive(Debug, Default)]
pub struct FaultInjector {
    fail_next: AtomicBool,
    doubt_next: AtomicBool,
    full: AtomicBool,
    writes: AtomicU64,
    /// The number of the write from which on the disk is full; 0 for none.
    fills_at: AtomicU64,
    headers: AtomicU64,
    losses: AtomicU64,
    lost: Mutex<Vec<(Seq, Seq)>>,
    held: Mutex<bool>,
    /// The disk does not answer: every call waits.
    stalled: Mutex<bool>,
    /// Calls that wait while the disk is stalled.
    waiting: AtomicU64,
    released: Condvar,
    interleavings: Mutex<Vec<(InterruptedRead, Interleaving)>>,
}

/// A call after which a test can interleave an action.
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
    /// [`Store::commit`](crate::engine::log::Store::commit): what it wrote is durable, and not in the topic table yet.
    Commit,
}

/// The action to interleave.
struct Interleaving(Box<dyn FnOnce() + Send>);

impl fmt::Debug for Interleaving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interleaving")
    }
}

impl FaultInjector {
    /// Runs `action` in the next call of this kind, after it has done its work and before it returns.
    pub fn after_next(&self, read: InterruptedRead, action: impl FnOnce() + Send + 'static) {
        self.interleavings.lock().push((read, Interleaving(Box::new(action))));
    }

    /// Runs the action registered for this read, if there is one.
    pub(super) fn interleave(&self, read: InterruptedRead) {
        let mut waiting = self.interleavings.lock();
        let next = waiting.iter().position(|(of, _)| *of == read).map(|index| waiting.remove(index));
        drop(waiting);
        if let Some((_, Interleaving(action))) = next {
            action();
        }
    }

    /// The next write fails, and may be partly done.
    pub fn fail_next(&self) {
        self.fail_next.store(true, Ordering::SeqCst);
    }

    /// The next write is not done, and the store cannot tell whether it was.
    pub fn doubt_next(&self) {
        self.doubt_next.store(true, Ordering::SeqCst);
    }

    /// Sets whether the disk is full.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    /// The disk is full after `writes` more writes.
    pub fn fill_after(&self, writes: u64) {
        self.fills_at.store(self.writes() + writes + 1, Ordering::SeqCst);
    }

    /// Blocks writes until [`release`](Self::release).
    pub fn hold(&self) {
        *self.held.lock() = true;
    }

    /// Unblocks writes.
    pub fn release(&self) {
        *self.held.lock() = false;
        self.released.notify_all();
    }

    /// Blocks every call that would touch a disk, reads and health checks included, until [`resume`](Self::resume).
    pub fn stall(&self) {
        *self.stalled.lock() = true;
    }

    /// Unblocks what [`stall`](Self::stall) blocks.
    pub fn resume(&self) {
        *self.stalled.lock() = false;
        self.released.notify_all();
    }

    /// Number of calls that wait while the disk is stalled.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Called before each access to what a store on disk would have on disk: waits while the disk is stalled.
    pub(super) fn access(&self) {
        let mut stalled = self.stalled.lock();
        if *stalled {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            self.released.wait_while(&mut stalled, |stalled| *stalled);
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Number of writes begun, including blocked and failed ones.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    /// Number of event headers read.
    pub fn headers_read(&self) -> u64 {
        self.headers.load(Ordering::SeqCst)
    }

    pub(super) fn add_headers(&self, count: usize) {
        self.headers.fetch_add(count as u64, Ordering::SeqCst);
    }

    /// Sets the lost ranges that the next opening reports.
    pub fn set_lost(&self, ranges: Vec<(Seq, Seq)>) {
        *self.lost.lock() = ranges;
    }

    pub(super) fn lost(&self) -> Vec<(Seq, Seq)> {
        self.lost.lock().clone()
    }

    /// Counts one more damaged part.
    pub(super) fn add_loss(&self) {
        self.losses.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn losses(&self) -> u64 {
        self.losses.load(Ordering::SeqCst)
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::SeqCst)
    }

    /// Called before each write: blocks, or fails, as injected.
    pub(super) fn before_write(&self) -> Result<(), StoreError> {
        self.access();
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
        if self.doubt_next.swap(false, Ordering::SeqCst) {
            return Err(StoreError::Doubtful("nobody knows (injected)".into()));
        }
        Ok(())
    }
}
