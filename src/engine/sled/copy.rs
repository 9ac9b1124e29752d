//! Copies what is kept of segments.
