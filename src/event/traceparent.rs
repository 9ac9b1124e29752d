//! Where in a trace an event was published: the value of the header `traceparent` of
//! [W3C Trace Context](https://www.w3.org/TR/trace-context/).

use std::fmt;

/// Bytes of a value of version 00: `00-<trace id>-<parent id>-<flags>`. Later versions may append to it.
const VERSION_0_BYTES: usize = 55;

/// The flags that are kept, since the standard says that others are not passed on: sampled, and that the trace id is
/// random (which level 2 of the standard adds).
const KNOWN_FLAGS: u8 = 0b11;

const SAMPLED: u8 = 1;

/// The id of a trace; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

/// The id of a span; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId([u8; 8]);

/// A place in a trace. `Display` writes it as version 00, whatever version it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// The sender's span in it.
    pub parent: SpanId,
    flags: u8,
}

impl TraceId {
    /// The id with these bytes; `None` for zero.
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl SpanId {
    /// The id with these bytes; `None` for zero.
    #[must_use]
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(self) -> [u8; 8] {
        self.0
    }
}

impl TraceParent {
    /// Size of [`bytes`](Self::bytes).
    pub const BYTES: usize = 25;

    /// Parses the value of a header; `None` when it is not valid.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (known, rest) = text.split_at_checked(VERSION_0_BYTES)?;
        let [version] = hex(&known[..2])?;
        let extended = version > 0 && rest.first() == Some(&b'-');
        let dashes = [2, 35, 52].iter().all(|at| known[*at] == b'-');
        // Version ff is invalid; what follows the flags is defined by a later version.
        if version == 0xff || !dashes || !(rest.is_empty() || extended) {
            return None;
        }
        let [flags] = hex(&known[53..])?;
        let (trace, parent) = (TraceId::new(hex(&known[3..35])?)?, SpanId::new(hex(&known[36..52])?)?);
        Some(Self { trace, parent, flags: flags & KNOWN_FLAGS })
    }

    /// Whether the sender records its span.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The flags, as a span has them.
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// Trace id, parent id and flags, as stores keep them.
    #[must_use]
    pub fn bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [self.flags; Self::BYTES];
        bytes[..16].copy_from_slice(&self.trace.0);
        bytes[16..24].copy_from_slice(&self.parent.0);
        bytes
    }

    /// The value with these [`bytes`](Self::bytes); `None` when one of the ids is zero.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Option<Self> {
        let (trace, rest) = bytes.split_first_chunk()?;
        let (parent, flags) = rest.split_first_chunk()?;
        Some(Self { trace: TraceId::new(*trace)?, parent: SpanId::new(*parent)?, flags: flags.first()? & KNOWN_FLAGS })
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.parent, self.flags)
    }
}

/// The bytes that lower-case hexadecimal digits stand for.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |digit| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    (digits.len() == 2 * N).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_value_survives_and_one_of_a_later_version_becomes_one_of_version_00() {
        let unsampled = VALID.replace("-01", "-00");
        for (value, want) in [
            (VALID, VALID),
            (&unsampled, &unsampled),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", &VALID.replace("-01", "-03")),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", VALID),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later", VALID),
        ] {
            let parsed = TraceParent::parse(value.as_bytes()).expect(value);
            assert_eq!(parsed.to_string(), want, "{value}");
            assert_eq!(TraceParent::from_bytes(parsed.bytes()), Some(parsed));
        }
        let sampled = |text: &str| TraceParent::parse(text.as_bytes()).expect(text).is_sampled();
        assert_eq!((sampled(VALID), sampled(&unsampled)), (true, false));
    }

    #[test]
    fn any_other_value_is_none() {
        for invalid in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        ] {
            assert_eq!(TraceParent::parse(invalid.as_bytes()), None, "{invalid}");
        }
        assert_eq!(TraceParent::from_bytes([0; TraceParent::BYTES]), None);
    }
}
