//! An open stream: frames into bytes, waking, keepalive, ending.
//!
//! | room | idea |
//! |---|---|
//! | [`session`] | what a stream says, in order |
//! | [`encoding`] | what an event, a gap and an end are in SSE and NDJSON |
//! | [`chunk`] | bytes that can be sent as they are |
//! | `parts` | a run that is too large to be one piece |
//! | [`streams`] | a shard's open streams |
//! | [`socket`] | where a stream's bytes go, in the clear or within TLS |
//! | [`fan_out`] | the hot loop: sends the news to all who are at the ring's end |
//! | [`takeover`] | hyper writes the head, and then lets go |
//! | [`mod@line`] | a stream on a socket of its own |
//! | [`body`] | a stream as the body of an answer, for every other connection |

pub mod body;
pub mod chunk;
pub mod direct;
pub mod encoding;
pub mod fan_out;
mod parts;
pub mod session;
pub mod socket;
pub mod streams;
pub mod takeover;
