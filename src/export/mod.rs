//! Floor 1: events as a file of lines, which `gapless export` writes and `gapless import` reads.
//!
//! ```text
//! {"export":{"version":2,"topics":["jobs/**"],"from":"earliest","through":"yrtxnomj-15","made":"2026-11-27T…"}}
//! {"gap":{"topic":"jobs/7","after":"yrtxnomj-0","resumes_at":"yrtxnomj-9","reason":"trimmed"}}
//! {"topic":"jobs/7","id":"yrtxnomj-9","time":"2026-11-27T05:13:25.801Z","event":"message","data":"Hel"}
//! {"cursor":{"id":"yrtxnomj-15"}}
//! {"end":{"topic":"jobs/7","reason":"closed","last_id":"yrtxnomj-9"}}
//! {"complete":{"events":1}}
//! ```
//!
//! Envelopes, gaps, cursors and ends are those of a stream as NDJSON. A gap stands between the event before it and the one after
//! it. The first line says what was asked for, and the last one that the file has all of it: without it an export was cut short,
//! and goes on after its last cursor when it is started again.
//!
//! | module | idea |
//! |---|---|
//! | [`mod@line`] | the lines |
//! | [`reader`] | reads a file, and checks that it is one export |
//! | [`mod@file`] | writes one, or goes on with one that was cut short |
//! | [`error`] | what can be wrong with a file |

pub mod error;
pub mod file;
pub mod line;
pub mod reader;

pub use error::ExportError;

/// Longest line, in bytes: an event of the largest `publish.event_bytes`, 64 MiB, of which JSON may escape each byte as
/// six, and room for the rest of its envelope.
pub const MAX_LINE_BYTES: usize = 6 * (64 << 20) + (64 << 10);
