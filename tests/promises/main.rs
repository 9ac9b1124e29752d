//! What users may rely on, each promise in a file of its own, kept by the real binary.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;
