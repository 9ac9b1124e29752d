//! Open event streams: encoding, fan-out, keepalive, back-pressure and end.
//!
//! | module | idea |
//! |---|---|
//! | [`session`] | the state machine of one stream: greeting, events, keepalives, end |
//! | [`encoding`] | events, gaps and ends as SSE and NDJSON |
//! | [`chunk`] | bytes with their HTTP/1.1 chunk framing |
//! | [`ephemeral`] | events that are sent and not kept |
//! | `parts` | a batch too large for one buffer, encoded in parts |
//! | [`shard`] | what the streams of one core share |
//! | [`streams`] | the registry of a shard's open streams, and their keepalive and stall timers |
//! | [`record`] | what is known of one stream, for the log and for operators |
//! | [`open_streams`] | lists a shard's open streams, and ends those that an operator names |
//! | [`mailbox`] | how other cores ask for that |
//! | [`fan_out`] | the hot loop: sends new frames to every stream that is at the ring's end |
//! | [`direct_connection`] | the connection of a stream that was taken over |
//! | [`direct`] | a stream on a connection that was taken over |
//! | [`body`] | a stream as an `http_body::Body`, for every other connection |

pub mod body;
pub mod chunk;
pub mod direct;
pub mod direct_connection;
pub mod encoding;
pub mod ephemeral;
pub mod fan_out;
pub mod mailbox;
pub mod open_streams;
mod parts;
pub mod record;
pub mod session;
pub mod shard;
pub mod streams;
