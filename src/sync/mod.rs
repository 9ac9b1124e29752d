//! Floor 0: threads, locks, tasks and monotonic time, as the log engine, the store in memory and the hub use them.
//!
//! They are those of `std`, parking_lot and tokio. With the feature `simulation` they are shuttle's instead: a scheduler
//! chooses at every lock, wake-up and atomic access which thread continues, so that a seed repeats an interleaving
//! (`tests/simulation`). This file is the only one that depends on the feature. The channels, semaphores and
//! notifications of `tokio::sync` work with any executor and stay as they are; the scheduler runs each of their calls as
//! one step.

#[cfg(feature = "simulation")]
mod simulated;

#[cfg(all(feature = "simulation", not(debug_assertions)))]
compile_error!("the feature `simulation` is for tests: outside of a simulation its locks panic");

#[cfg(not(feature = "simulation"))]
pub(crate) use {
    parking_lot::{Condvar, Mutex, RwLock},
    std::{collections::HashMap, hash::RandomState, sync::atomic, thread, time::Instant},
    tokio::task::{spawn, spawn_blocking},
};

#[cfg(feature = "simulation")]
pub(crate) use simulated::{
    Condvar, HashMap, Instant, Mutex, RandomState, RwLock, atomic, spawn, spawn_blocking, thread,
};
