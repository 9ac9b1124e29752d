//! The messages of the stream as records, and back. Pure: no I/O, no clock.
//!
//! What a record tells is in headers whose values are printable ASCII without blanks at either end: other clients drop
//! such blanks. Every record has the header `Gl`, which begins with the version of the format: a hub that reads a newer
//! one says so, and does not guess: it stops. A record has the oldest version
//! whose readers understand it. Fields and headers that a hub does not know are ignored.
//!
//! | module | idea |
//! |---|---|
//! | `subject` | topics and positions as subjects |
//! | `fields` | the text of a header: the version, then `k=v` fields |
//! | `event` | an event, and its topic's state after it |
//! | `settings` | a topic's settings and state |
//! | `tombstone` | the place of a removed event |
//! | `keys` | the idempotency keys of a commit, in payloads of bounded size |
//! | `import` | an import of another store, and where its positions are now |
//! | `control` | the leader, the epoch, the log's clock |
//! | `error` | why a message is no record |

mod control;
mod error;
mod event;
mod fields;
mod import;
mod keys;
mod settings;
mod subject;
mod tombstone;

pub(in crate::engine::jetstream) use control::{ClockRecord, EpochRecord, LeaderRecord, ProofRecord};
pub(in crate::engine::jetstream) use error::WireError;
pub(in crate::engine::jetstream) use event::{EventRecord, JobTag, WriteId};
pub(in crate::engine::jetstream) use fields::{HeaderLookup, HeaderText};
pub(in crate::engine::jetstream) use import::{ImportRecord, OldIdPart};
pub(in crate::engine::jetstream) use keys::{KeyPart, decode_keys, encode_keys};
pub(in crate::engine::jetstream) use settings::SettingsRecord;
pub(in crate::engine::jetstream) use subject::{StreamSubjects, SubjectPlace};
pub(in crate::engine::jetstream) use tombstone::TombstoneRecord;
