//! A request is answered: its body is read, its events are published, and their receipts are sent.
//!
//! | module | idea |
//! |---|---|
//! | [`whole`] | a body that is read completely: all of its events are published, or none |
//! | [`stream`] | a publish stream and the stream of its receipts |
//! | `body_reader` | the body of a stream, chunk by chunk within the memory for bodies |
//! | `rate_gate` | the publisher's grant and rates, line by line |
//! | `pipeline` | batches of lines in flight, and their receipts in order |

mod body_reader;
mod pipeline;
mod rate_gate;
pub(super) mod stream;
pub(super) mod whole;
