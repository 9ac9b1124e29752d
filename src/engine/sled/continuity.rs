//! Detects events of a topic that are missing from a segment.
//!
//! Every block stores the position before it in its topic, and the summary stores the topic's first and last positions
//! in the segment. Retention removes the oldest events first, so within a segment no event between two blocks may be
//! missing.

use crate::event::Seq;

/// A check of the blocks of one topic in one segment, in the order in which they are read.
#[derive(Debug)]
pub(super) struct ContinuityCheck {
    /// The topic's first and last positions in a sealed segment.
    held: Option<(Seq, Seq)>,
    /// The expected next block.
    expect: NextBlock,
}

#[derive(Debug)]
enum NextBlock {
    /// Any block: the reader starts in the middle, or the last block was damaged and reported.
    Anything,
    /// The segment's first block of the topic, which begins at this position.
    Begin(Seq),
    /// A block whose predecessor is this position.
    Follow(Seq),
}

impl ContinuityCheck {
    /// For a reader that has all positions up to `after`.
    pub(super) fn new(held: Option<(Seq, Seq)>, after: Seq) -> Self {
        let expect = match held {
            Some((first, _)) if first > after => NextBlock::Begin(first),
            _ => NextBlock::Anything,
        };
        Self { held, expect }
    }

    /// The range that is missing before a block that begins at `first` and whose predecessor is `prev`.
    pub(super) fn missing_before(&self, first: Seq, prev: Seq) -> Option<(Seq, Seq)> {
        match self.expect {
            NextBlock::Begin(begin) if first > begin => Some((begin, Seq(first.0 - 1))),
            NextBlock::Follow(before) if prev > before => Some((before.next(), prev)),
            _ => None,
        }
    }

    /// Records a block whose last event is `last`.
    pub(super) fn advance(&mut self, last: Seq) {
        self.expect = NextBlock::Follow(last);
    }

    /// Records a damaged block that begins at `first`. The caller reports the damage.
    pub(super) fn skip_damaged(&mut self, first: Seq) {
        self.held = self.held.filter(|(_, last)| *last > first);
        self.expect = NextBlock::Anything;
    }

    /// The range that is missing after the last block of the topic up to `through`.
    pub(super) fn missing_at_end(self, through: Seq) -> Option<(Seq, Seq)> {
        let (_, last) = self.held.filter(|(_, last)| *last <= through)?;
        match self.expect {
            NextBlock::Begin(begin) => Some((begin, last)),
            NextBlock::Follow(before) if before < last => Some((before.next(), last)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(after: u64) -> ContinuityCheck {
        ContinuityCheck::new(Some((Seq(10), Seq(30))), Seq(after))
    }

    impl ContinuityCheck {
        fn follow(&mut self, first: Seq, prev: Seq, last: Seq) -> Option<(Seq, Seq)> {
            let missing = self.missing_before(first, prev);
            self.advance(last);
            missing
        }
    }

    #[test]
    fn a_complete_sequence_lacks_nothing() {
        let mut check = check(0);
        assert_eq!(check.follow(Seq(10), Seq(7), Seq(15)), None);
        assert_eq!(check.follow(Seq(20), Seq(15), Seq(30)), None);
        assert_eq!(check.missing_at_end(Seq(99)), None);
    }

    #[test]
    fn missing_ranges_are_returned() {
        let mut whole = check(0);
        assert_eq!(whole.follow(Seq(12), Seq(10), Seq(15)), Some((Seq(10), Seq(11))));
        assert_eq!(whole.follow(Seq(20), Seq(18), Seq(22)), Some((Seq(16), Seq(18))));
        assert_eq!(whole.missing_at_end(Seq(99)), Some((Seq(23), Seq(30))));
        assert_eq!(check(0).missing_at_end(Seq(99)), Some((Seq(10), Seq(30))));
        assert_eq!(check(0).missing_at_end(Seq(29)), None, "the reader wanted less");
        let mut middle = check(15);
        assert_eq!(middle.follow(Seq(20), Seq(18), Seq(30)), None, "the reader came later");
    }
}
