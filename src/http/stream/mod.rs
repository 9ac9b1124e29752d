//! An open stream: frames into bytes, waking, keepalive, ending.
//!
//! | room | idea |
//! |---|---|
//! | [`language`] | what an event, a gap and an end are in SSE and NDJSON |
//! | [`streams`] | a shard's open streams, and who is woken when |
//! | [`body`] | a subscription as the body of an answer |

pub mod body;
pub mod language;
pub mod streams;
