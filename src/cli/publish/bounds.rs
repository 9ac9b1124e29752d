//! The bounds of a batch, by which the reading of stdin and a response are bounded, too.

/// Most lines of a batch, and most bytes of its envelopes (a single larger one is sent alone). A hub accepts 100,000
/// events and 16 MiB by default; these bounds are enough to share a flush, and small enough that the next lines wait
/// only briefly.
pub(super) const MAX_LINES: usize = 4096;
pub(super) const MAX_BYTES: usize = 1 << 20;
