//! Floor 0: the data types that every other module uses: events, topics, selections, ids and cursors.
//!
//! No I/O, no tokio, no clock. Input is parsed into these types where it enters the process, and is not validated
//! again: a [`TopicName`] that exists is valid.
//!
//! | module | purpose |
//! |---|---|
//! | [`topic`] | topic names and their validation |
//! | [`selection`] | the set of names and patterns of a subscription |
//! | [`shape`] | the wildcard positions of a pattern; the index for matching |
//! | [`cover`] | whether one filter matches everything that another one matches |
//! | [`glob`] | patterns of other names: models, paths at a provider |
//! | [`id`] | `<epoch>-<seq>`, the id of an event and the text of a cursor |
//! | [`position`] | where a reader begins, as text: cursors, `from` and `since` |
//! | [`cursor`] | the delivery rule: seen, next, or a hole |
//! | [`byte_size`] | numbers of bytes as text for people |
//! | [`data`] | an event's payload: text, or binary data |
//! | [`duration`] | durations as text: one parser, and a printed form for programs and one for people |
//! | [`metadata`] | what a protocol keeps with an event or a topic |
//! | [`record`] | an event, before and after the log has assigned its position |
//! | [`removal`] | the tombstone of a removed event, and the notice of a removal |
//! | [`retention`] | retention limits, and rules by pattern |
//! | [`rule`] | a rule of a protocol that narrows a selection down |
//! | [`time`] | time stamps: milliseconds since 1970, as RFC 3339 |
//! | [`traceparent`] | where in a trace an event was published |
//! | [`json_text`] | JSON on one line, whatever splits it into lines |
//! | [`sse`] | encoder for `text/event-stream` |
//! | [`sse_parser`] | incremental parser for `text/event-stream` |

pub mod byte_size;
pub mod cover;
pub mod cursor;
pub mod data;
pub mod duration;
pub mod glob;
pub mod id;
pub mod json_text;
pub mod metadata;
pub mod position;
pub mod record;
pub mod removal;
pub mod retention;
pub mod rule;
pub mod selection;
pub mod shape;
pub mod sse;
pub mod time;
pub mod topic;
pub mod traceparent;

pub use cursor::Verdict;
pub use data::Data;
pub use gapless_client::sse_parser;
pub use glob::Glob;
pub use id::{Epoch, EventId, Seq};
pub use metadata::Metadata;
pub use record::{Event, EventName, NewEvent};
pub use retention::Retention;
pub use rule::{EventRule, SelectionRule};
pub use selection::{Filter, Pattern, Selection};
pub use time::Millis;
pub use topic::TopicName;
pub use traceparent::{SpanId, TraceId, TraceParent};
