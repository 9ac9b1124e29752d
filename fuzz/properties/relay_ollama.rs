//! The property of `relay_stream` with what reads Ollama's dialect.

use super::relay_stream;

/// Reads the input as a stream of each API of the dialect.
pub(crate) fn holds_for(input: &[u8]) {
    for api in ["ollama.chat", "ollama.generate"] {
        relay_stream::holds_for(api, input);
    }
}
