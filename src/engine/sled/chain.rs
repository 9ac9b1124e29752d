//! Notices what one segment lacks of one topic.
//!
//! Every block names the position before it in its topic, and the summary names the topic's first and last in the segment.
//! Within a segment what retention takes away is always the oldest, so between a block and the next nothing may be
//! missing.

use crate::event::Seq;

/// The blocks of a topic in one segment, in order, as a reader meets them.
#[derive(Debug)]
pub(super) struct Chain {
    /// First and last position that the segment holds of the topic, when it is sealed.
    held: Option<(Seq, Seq)>,
    /// Where the next block has to begin, or what it has to follow.
    expect: NextBlock,
}

#[derive(Debug)]
enum NextBlock {
    /// The reader came in the middle, or the last block was damaged and told.
    Anything,
    /// The segment's first.
    Begin(Seq),
    /// The one after this.
    Follow(Seq),
}

impl Chain {
    /// For a reader that has everything up to `after`.
    pub(super) fn new(held: Option<(Seq, Seq)>, after: Seq) -> Self {
        let expect = match held {
            Some((first, _)) if first > after => NextBlock::Begin(first),
            _ => NextBlock::Anything,
        };
        Self { held, expect }
    }

    /// A block that begins at `first` and follows `prev`; answers with what is missing before it.
    pub(super) fn meet(&self, first: Seq, prev: Seq) -> Option<(Seq, Seq)> {
        match self.expect {
            NextBlock::Begin(begin) if first > begin => Some((begin, Seq(first.0 - 1))),
            NextBlock::Follow(before) if prev > before => Some((before.next(), prev)),
            _ => None,
        }
    }

    /// That block, now that it was read to its `last`.
    pub(super) fn pass(&mut self, last: Seq) {
        self.expect = NextBlock::Follow(last);
    }

    /// A damaged block that begins at `first`; what it held is told by others.
    pub(super) fn skip(&mut self, first: Seq) {
        self.held = self.held.filter(|(_, last)| *last > first);
        self.expect = NextBlock::Anything;
    }

    /// The segment has no more of the topic up to `through`; answers with what is missing.
    pub(super) fn end(self, through: Seq) -> Option<(Seq, Seq)> {
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

    fn chain(after: u64) -> Chain {
        Chain::new(Some((Seq(10), Seq(30))), Seq(after))
    }

    impl Chain {
        fn follow(&mut self, first: Seq, prev: Seq, last: Seq) -> Option<(Seq, Seq)> {
            let hole = self.meet(first, prev);
            self.pass(last);
            hole
        }
    }

    #[test]
    fn a_whole_run_lacks_nothing() {
        let mut chain = chain(0);
        assert_eq!(chain.follow(Seq(10), Seq(7), Seq(15)), None);
        assert_eq!(chain.follow(Seq(20), Seq(15), Seq(30)), None);
        assert_eq!(chain.end(Seq(99)), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut whole = chain(0);
        assert_eq!(whole.follow(Seq(12), Seq(10), Seq(15)), Some((Seq(10), Seq(11))));
        assert_eq!(whole.follow(Seq(20), Seq(18), Seq(22)), Some((Seq(16), Seq(18))));
        assert_eq!(whole.end(Seq(99)), Some((Seq(23), Seq(30))));
        assert_eq!(chain(0).end(Seq(99)), Some((Seq(10), Seq(30))));
        assert_eq!(chain(0).end(Seq(29)), None, "the reader wanted less");
        let mut middle = chain(15);
        assert_eq!(middle.follow(Seq(20), Seq(18), Seq(30)), None, "the reader came later");
    }
}
