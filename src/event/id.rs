//! `<epoch>-<seq>`: an event's id, and the text of a cursor.

use std::fmt;

/// A position in the hub-wide order of events. 0 is before every event; the first event has 1. Strictly rising, never
/// used twice, not even after a crash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

/// The incarnation of a store, generated when the store is created: 4 to 16 characters of `[0-9a-z]`. Stored inline,
/// without an allocation, because every frame is encoded with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch {
    text: [u8; Self::MAX],
    len: u8,
}

/// An event's id, text `<epoch>-<seq>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId {
    /// The store that assigned the id.
    pub epoch: Epoch,
    /// The position in that store's order.
    pub seq: Seq,
}

impl Seq {
    /// The position before every event.
    pub const ZERO: Self = Self(0);

    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Epoch {
    const MIN: usize = 4;
    const MAX: usize = 16;

    /// Parses an epoch; `None` unless it is 4 to 16 characters of `[0-9a-z]`.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let valid = (Self::MIN..=Self::MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
        valid.then(|| {
            let mut bytes = [0; Self::MAX];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            Self { text: bytes, len: u8::try_from(text.len()).expect("at most 16") }
        })
    }

    /// An epoch of 8 characters from 64 random bits.
    #[must_use]
    pub fn from_random(mut bits: u64) -> Self {
        let text: String = std::iter::repeat_with(|| {
            let digit = u8::try_from(bits % 36).expect("below 36");
            bits /= 36;
            char::from(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 })
        })
        .take(8)
        .collect();
        Self::new(&text).expect("8 characters of [0-9a-z]")
    }

    /// The epoch as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.len)]).expect("ASCII")
    }
}

impl EventId {
    /// Parses `<epoch>-<seq>`; `None` when it is anything else. A valid id has at most 37 bytes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, seq) = text.split_once('-')?;
        let digits = !seq.is_empty() && seq.bytes().all(|b| b.is_ascii_digit());
        Some(Self { epoch: Epoch::new(epoch)?, seq: Seq(digits.then(|| seq.parse().ok())??) })
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        for text in ["abcd-0", "0a1b2c3d-18446744073709551615", "aaaaaaaaaaaaaaaa-7"] {
            assert_eq!(EventId::parse(text).expect(text).to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_no_id() {
        for text in
            ["", "-", "abcd", "abcd-", "abc-1", "ABCD-1", "abcd--1", "abcd-+1", "abcd-1 ", "abcd-18446744073709551616"]
        {
            assert_eq!(EventId::parse(text), None, "{text}");
        }
        assert_eq!(EventId::parse(&format!("{}-1", "a".repeat(17))), None);
    }

    #[test]
    fn random_bits_make_a_valid_epoch() {
        for bits in [0, 1, u64::MAX] {
            assert_eq!(Epoch::from_random(bits).as_str().len(), 8);
        }
    }
}
