//! The engine over one stream of NATS JetStream, which several hubs share.
//!
//! | module | idea |
//! |---|---|
//! | `forward` | how the appends of a follower reach the leader: once, in order |

#[allow(dead_code, unused_imports, reason = "the engine that uses it is not written yet")]
mod forward;
