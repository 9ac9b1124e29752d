//! The property of `relay_stream` with what reads Gemini's dialect.

use super::relay_stream;

/// Reads the input as a stream of its one API.
pub(crate) fn holds_for(input: &[u8]) {
    relay_stream::holds_for("gemini.generate", input);
}
