//! The engine over one NATS JetStream stream, which is the log: any number of hubs, none with a disk of its own.
//!
//! One hub at a time, the **leader**, writes the stream, with the [log engine](super::log) over a store that is the stream.
//! The others **follow**: they apply the stream's messages to their own table of topics, read from the stream, and forward
//! their appends to the leader. So every hub answers as if it were the only one.
//!
//! **Safety.** Each write names the position of the writer's last one (`Nats-Expected-Last-Sequence`). If any other hub has
//! written since, the servers refuse it. A hub leads because they have accepted its leader record after the last position
//! that it knows; from then on no write of an earlier leader is accepted. Heartbeats decide only when a follower tries.
//!
//! **A position is the sequence of the stream.** Records use some up, so the positions of events have holes.
//!
//! | module | idea |
//! |---|---|
//! | `hub_engine` | the engine as every hub uses it |
//! | `opening`, `nats_thread` | its configuration, the load of the stream, the tasks that it starts; their thread |
//! | `nats` | everything that speaks NATS; knows neither topics nor events |
//! | `wire` | the messages of the stream as records, and back |
//! | `store` | the stream as a store of the log engine |
//! | `feed` | every message of the stream from a position on, in order, once |
//! | `decode` | messages as changes of the log |
//! | `election` | who leads, and when to try to |
//! | `roles` | the engine's thread: following, leading, and the change between them |
//! | `gate`, `link` | what that thread is told; what all parts share |
//! | `messages` | the messages of a subject in core NATS |
//! | `metadata_text` | metadata as text |
//! | `forward` | a follower's jobs and the leader's answers, over a network that loses messages |
//! | `peers` | connects `forward` with the queue, the feed and NATS |
//! | `proof`, `shared_proof` | where the log ends, proved by a write; one proof for all who ask at once |
//! | `members`, `here` | which hubs live; what they tell each other for it |
//! | `health` | when jobs are refused |
//! | `continuity` | whether the stream is still the one that was loaded |
//! | `import` | a closed store of one machine into an empty stream |
//! | [`admin`] | making and checking the stream |

pub mod admin;
mod continuity;
#[cfg(test)]
mod contract;
mod decode;
mod election;
mod feed;
mod forward;
mod gate;
mod health;
mod here;
mod hub_engine;
mod import;
mod link;
mod members;
mod messages;
mod metadata_text;
mod nats;
#[cfg(test)]
#[path = "../../../tests/support/nats_cluster.rs"]
mod nats_cluster;
mod nats_thread;
mod opening;
mod peers;
mod proof;
mod roles;
mod shared_proof;
mod store;
#[cfg(test)]
mod tests;
mod wire;

pub use self::hub_engine::JetStreamEngine;
pub use self::import::{ImportError, ImportReport, import};
pub use self::nats::{NatsConfig, NatsCredentials};
pub use self::opening::{JetStreamConfig, JetStreamError};
