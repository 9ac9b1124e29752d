//! The delivery rule that replay, live delivery and lag share.
//!
//! A subscription is a cursor over events in order. From the cursor, an event's position and the position before it
//! follows whether the event was already seen, comes next, or shows that events are missing.

use super::id::Seq;

/// The relation of an event to a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// `seq <= cursor`: already delivered; drop it.
    Seen,
    /// `prev <= cursor < seq`: deliver it; the cursor becomes `seq`.
    Next,
    /// `cursor < prev`: events between them are missing. When found in the ring, read the log; when found in the log,
    /// report a gap to the client.
    Hole,
}

/// Classifies the event at `seq`, whose predecessor is at `prev`, for a reader at `cursor`. The ring calls it: there the
/// predecessor is the frame before it.
#[must_use]
pub fn classify(cursor: Seq, prev: Seq, seq: Seq) -> Verdict {
    if seq <= cursor {
        Verdict::Seen
    } else if prev <= cursor {
        Verdict::Next
    } else {
        Verdict::Hole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_trimmed_event_itself_is_no_hole() {
        let at = |cursor| classify(Seq(cursor), Seq(5), Seq(9));
        assert_eq!([at(4), at(5), at(8), at(9)], [Verdict::Hole, Verdict::Next, Verdict::Next, Verdict::Seen]);
    }
}
