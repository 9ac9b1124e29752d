//! Floor 0, the vocabulary: what an event, a topic and a cursor *are*.
//!
//! Pure: no I/O, no tokio, no clock. Bytes become these types at the door and are never checked again:
//! a [`TopicName`] that exists is valid.
//!
//! | room | idea |
//! |---|---|
//! | [`topic`] | a topic's name and its rules |
//! | [`selection`] | what a subscription asks for: names and patterns |
//! | [`shape`] | where a pattern's wildcards are, and which one of a shape matches |
//! | [`cover`] | whether a pattern lies within another |
//! | [`id`] | `<epoch>-<seq>`, the position every cursor speaks of |
//! | [`cursor`] | the one rule: seen, next, or a hole |
//! | [`record`] | an event, before and after it has a position |
//! | [`removal`] | what stands in the place of an event that was taken back |
//! | [`retention`] | what a topic promises to keep |
//! | [`time`] | milliseconds since 1970, as RFC 3339 |
//! | [`sse`] | an event as the bytes of `text/event-stream` |
//! | [`sse_parser`] | those bytes back into events |

pub mod cover;
pub mod cursor;
pub mod id;
pub mod record;
pub mod removal;
pub mod retention;
pub mod selection;
pub mod shape;
pub mod sse;
pub mod sse_parser;
pub mod time;
pub mod topic;

pub use cursor::Verdict;
pub use id::{Epoch, EventId, Seq};
pub use record::{Data, Event, EventName, NewEvent};
pub use retention::Retention;
pub use selection::{Filter, Pattern, Selection};
pub use time::Millis;
pub use topic::TopicName;
