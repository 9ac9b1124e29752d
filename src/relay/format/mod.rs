//! The events of a run as the bytes of a response.
//!
//! An [`AnswerEncoder`] is given the events of one run, from its first one on, and writes them in one format. It holds no
//! more than the state of the answer: which blocks are open, and what waits to be merged. Pure: the caller reads the
//! log, and passes the time.
//!
//! | module | idea |
//! |---|---|
//! | [`options`] | what a reader of a run asks for |
//! | [`run_event`] | an event of a run, and how a response ends |
//! | [`encoder`] | one run in one format; where a reader resumes |
//! | `raw` | the provider's own stream |
//! | `derived` | frames as parts, for every other format: which are kept, and in which order |
//! | `part_writer` | what each of these formats does with parts |
//! | `part_key` | what a delta continues |
//! | `batch` | deltas merged for a time |
//! | `event_sink` | events as SSE or as lines, the id on the last one |
//! | `events` | one shape for all dialects: `events`, `ndjson` |
//! | `text` | the answer's text alone |
//! | `ai_sdk`, `ui_chunk` | the UI message stream of Vercel's AI SDK, and its chunks |
//! | `endings` | an ending in words, and endings that are not in the log |
//! | [`snapshot`] | what a run has said up to now, for `GET /runs/ID` |

mod ai_sdk;
mod batch;
mod derived;
pub mod encoder;
mod endings;
mod event_sink;
mod events;
pub mod options;
mod part_key;
mod part_writer;
mod raw;
pub mod run_event;
pub mod snapshot;
#[cfg(test)]
mod tests;
mod text;
mod ui_chunk;

pub use encoder::AnswerEncoder;
pub use options::{AnswerOptions, Format, RawShape};
pub use run_event::{Finished, RunEvent};
pub use snapshot::RunSnapshot;
