//! The relay: answers of LLM providers, recorded as runs that outlive the client's connection.
//!
//! A **run** is one generation: one request to a provider, and the stream that answers it. Its frames are ordinary events
//! of a topic, so replay, fan-out, retention, access and gaps are the hub's. What is stored is what the provider sent;
//! every other form is derived when it is read.
//!
//! | module | idea |
//! |---|---|
//! | [`dialect`] | the wire formats of the providers: requests, credentials, errors; what a frame means |
//! | [`frames`] | a provider's bytes as frames |
//! | [`provider`] | a configured provider: its address, key and models |
//! | [`upstream`] | a request to a provider, and an answer that is not a stream |
//! | [`mask`] | keeps a provider's key out of what is passed on |
//! | [`run`] | one run, and the signals between its task and those who wait for it |
//! | [`signals`] | what a run's task is told; why a run did not start |
//! | [`runs`] | the table of runs; whether a request joins one |
//! | [`shard`] | the relay of the process, and of one core |
//! | [`start`] | a request joins a run, or a task is spawned for a new one |
//! | `task` | the task that owns a provider's answer |
//! | `reading` | a provider's stream becomes events |
//! | `publishing` | a run's events on their way into the log |
//! | `clock` | what time does to a run |
//! | [`ending`] | how a run ends, on the wire |
//! | `run_ending` | the one function that ends a run |
//! | [`journal`] | the beginnings and ends of runs in the log |
//! | `replay` | an entry of the journal changes the table of runs |
//! | [`recovery`] | the journal is read at a start |
//! | `interrupting` | the ending of a run whose task is gone |
//! | `claim` | whose run it is, when hubs share a log |
//! | [`following`] | the runs of other hubs, when hubs share a log |
//! | [`mod@format`] | the events of a run as the bytes of a response |
//! | [`stats`] | counters |

mod claim;
mod clock;
pub mod dialect;
pub mod ending;
pub mod following;
pub mod format;
pub mod frames;
mod interrupting;
pub mod journal;
pub mod mask;
pub mod provider;
mod publishing;
mod reading;
pub mod recovery;
mod replay;
pub mod run;
mod run_ending;
pub mod runs;
pub mod shard;
#[cfg(test)]
mod sharing_tests;
pub mod signals;
pub mod start;
pub mod stats;
mod task;
pub mod upstream;

pub use shard::{Relay, RelayLimits, RelayShard};
