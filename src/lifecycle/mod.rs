//! Floor 0: how a process ends.
//!
//! Whoever has something to finish holds a [`Guard`] of the [`Drain`]; the drain is over when no guard is left, when
//! its deadline has passed, or when someone asks a second time.
//!
//! | room | idea |
//! |---|---|
//! | `drain` | running, draining, ended: one signal for every thread |
//! | [`signals`] | SIGTERM and SIGINT start it, the next one ends at once |
//! | [`descriptors`] | as many open files as the system allows |

pub mod descriptors;
mod drain;
pub mod signals;

pub use drain::{Drain, DrainOutcome, DrainPhase, Guard};
