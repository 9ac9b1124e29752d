//! Shuttle's primitives with the interfaces of parking_lot, `std` and tokio.

use std::{
    hash::{BuildHasherDefault, DefaultHasher},
    ops::{Deref, DerefMut},
    sync::PoisonError,
    time::Duration,
};

use shuttle::{
    current::context_switches,
    future::{self, JoinHandle},
    rand::{Rng, thread_rng},
    sync,
};
pub(crate) use shuttle::{sync::atomic, thread};

/// Hashes without random keys, so that the order of a table's entries is the same in each run of a seed.
pub(crate) type RandomState = BuildHasherDefault<DefaultHasher>;

/// A table whose order of entries is the same in each run of a seed.
pub(crate) type HashMap<K, V, S = RandomState> = std::collections::HashMap<K, V, S>;

/// One wait in this many reaches its timeout at once; the others end when they are notified.
const TIMEOUTS: u32 = 4;

/// [`parking_lot::Mutex`].
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(sync::Mutex<T>);

/// [`parking_lot::MutexGuard`]. `None` only while a [`Condvar`] waits with it.
#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T>(Option<sync::MutexGuard<'a, T>>);

/// [`parking_lot::RwLock`].
#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(sync::RwLock<T>);

/// [`parking_lot::Condvar`].
#[derive(Debug, Default)]
pub(crate) struct Condvar(sync::Condvar);

/// [`std::time::Instant`]: a step of the scheduler takes a millisecond.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instant(Duration);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().expect("nobody else has the guard of a wait")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_deref_mut().expect("nobody else has the guard of a wait")
    }
}

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(sync::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> sync::RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> sync::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.0.take().expect("nobody else has the guard of a wait");
        guard.0 = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn wait_while<T>(&self, guard: &mut MutexGuard<'_, T>, mut condition: impl FnMut(&mut T) -> bool) {
        while condition(guard) {
            self.wait(guard);
        }
    }

    /// Whether a wait reaches its timeout is the seed's choice.
    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, timeout: Duration) {
        if timeout > Duration::ZERO && !thread_rng().gen_ratio(1, TIMEOUTS) {
            self.wait(guard);
        }
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

impl Instant {
    pub(crate) fn now() -> Self {
        Self(Duration::from_millis(context_switches() as u64))
    }

    pub(crate) fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}

/// [`tokio::task::spawn`].
pub(crate) fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    future::spawn(task)
}

/// [`tokio::task::spawn_blocking`]: each task has a stack of its own, and may block.
pub(crate) fn spawn_blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    future::spawn(async move { call() })
}
