//! Floor 0: process lifecycle: drain, signals, the service manager, and the limit on open files.
//!
//! A task that must finish before the process ends holds a [`Guard`] of the [`Drain`]. The drain is over when no guard
//! is left, when its deadline has passed, or at a second stop signal.
//!
//! | module | purpose |
//! |---|---|
//! | `drain` | the drain phase, shared by all threads: running, draining, ended |
//! | [`signals`] | SIGTERM and SIGINT start the drain, a second one exits at once; SIGHUP reloads |
//! | [`descriptors`] | the limit on open files, and the number of connections that fit below it |
//! | [`notify`] | messages to the service manager: ready, reloading, stopping, alive |
//! | [`inherited`] | listening sockets that the service manager has opened |
//! | `heartbeats` | when each event loop has last run |

pub mod descriptors;
mod drain;
mod heartbeats;
pub mod inherited;
pub mod notify;
pub mod signals;

pub use drain::{Drain, DrainOutcome, DrainPhase, Guard};
pub use heartbeats::Heartbeats;
