//! Offsets: positions of the log as text.
//!
//! An offset is `<seq>_<tag>`, both of 16 decimal digits, so that offsets sort as text as the positions do. The tag is of
//! the epoch: an offset of another store is told from one of this.

use std::{cell::Cell, cmp::Ordering, fmt};

use aws_lc_rs::digest::{SHA256, digest};

use crate::event::{Epoch, EventId, Seq};

/// Digits of each of the two numbers.
const DIGITS: usize = 16;

/// One above the largest number of [`DIGITS`] digits. At 1,000,000 events a second it is reached after 300 years.
const LIMIT: u64 = 10_u64.pow(16);

/// Where a request begins to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOffset {
    /// `-1`, all zeros, or no offset: at the oldest event that is kept.
    Start,
    /// `now`: at the end.
    Now,
    /// After this position of the present store.
    After(Seq),
    /// After a position of another store.
    Foreign(Seq),
}

/// The offset of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset(pub EventId);

impl ReadOffset {
    /// Reads an offset, or the id of an event, in a store of this epoch. `None` for text that is neither.
    #[must_use]
    pub fn parse(text: &str, epoch: Epoch) -> Option<Self> {
        match text {
            "-1" => return Some(Self::Start),
            "now" => return Some(Self::Now),
            _ => {}
        }
        let (seq, is_here) = if let Some((seq, tag)) = text.split_once('_') {
            (Seq(number(seq)?), number(tag)? == tag_of(epoch))
        } else {
            let id = EventId::parse(text)?;
            (id.seq, id.epoch == epoch)
        };
        Some(match seq.0.cmp(&0) {
            Ordering::Equal => Self::Start,
            _ if is_here => Self::After(seq),
            _ => Self::Foreign(seq),
        })
    }

    /// The position, in whatever store; zero at the beginning. `None` for `now`.
    #[must_use]
    pub fn seq(self) -> Option<Seq> {
        match self {
            Self::Start => Some(Seq::ZERO),
            Self::Now => None,
            Self::After(seq) | Self::Foreign(seq) => Some(seq),
        }
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016}_{:016}", self.0.seq.0, tag_of(self.0.epoch))
    }
}

/// A decimal number of exactly [`DIGITS`] digits.
fn number(text: &str) -> Option<u64> {
    (text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

thread_local! {
    /// The epoch whose tag was computed last, which nearly always is the only one.
    static LAST_TAG: Cell<Option<(Epoch, u64)>> = const { Cell::new(None) };
}

/// The tag of an epoch. Every response tells offsets, and every event of an event stream three of them.
fn tag_of(epoch: Epoch) -> u64 {
    if let Some((last, tag)) = LAST_TAG.get()
        && last == epoch
    {
        return tag;
    }
    let tag = digest_of(epoch);
    LAST_TAG.set(Some((epoch, tag)));
    tag
}

fn digest_of(epoch: Epoch) -> u64 {
    let digest = digest(&SHA256, epoch.to_string().as_bytes());
    let first = digest.as_ref().first_chunk().expect("32 bytes");
    u64::from_be_bytes(*first) % LIMIT
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn epoch(text: &str) -> Epoch {
        Epoch::new(text).expect("valid")
    }

    fn offset(seq: u64, of: &str) -> String {
        Offset(EventId { epoch: epoch(of), seq: Seq(seq) }).to_string()
    }

    #[test]
    fn an_offset_of_this_store_is_read_back_and_one_of_another_is_told_apart() {
        let (here, there) = (epoch("abcd"), "efgh");
        assert_eq!(ReadOffset::parse(&offset(7, "abcd"), here), Some(ReadOffset::After(Seq(7))));
        assert_eq!(ReadOffset::parse(&offset(7, there), here), Some(ReadOffset::Foreign(Seq(7))));
        assert_eq!(ReadOffset::parse("abcd-7", here), Some(ReadOffset::After(Seq(7))));
        assert_eq!(ReadOffset::parse("efgh-7", here), Some(ReadOffset::Foreign(Seq(7))));
    }

    #[test]
    fn the_beginning_has_several_names() {
        for text in ["-1", "0000000000000000_0000000000000000", &offset(0, "abcd"), &offset(0, "efgh"), "abcd-0"] {
            assert_eq!(ReadOffset::parse(text, epoch("abcd")), Some(ReadOffset::Start), "{text}");
        }
        assert_eq!(ReadOffset::parse("now", epoch("abcd")), Some(ReadOffset::Now));
    }

    #[test]
    fn other_text_is_no_offset() {
        for text in ["", "-2", "1", "a,b", "0 0", "NOW", "1_2", "00000000000000001_0000000000000000", "é_é", "_"] {
            assert_eq!(ReadOffset::parse(text, epoch("abcd")), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn offsets_sort_as_their_positions(a in 0..LIMIT, b in 0..LIMIT) {
            prop_assert_eq!(a.cmp(&b), offset(a, "abcd").cmp(&offset(b, "abcd")));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC*") {
            let _ = ReadOffset::parse(&text, epoch("abcd"));
        }
    }
}
