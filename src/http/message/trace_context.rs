//! The trace that a request belongs to: the header `traceparent` of [W3C Trace Context](https://www.w3.org/TR/trace-context/).
//! It is only logged; the hub sends none.

use std::fmt;

use http::{HeaderMap, HeaderName};

use super::headers;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Bytes of a `traceparent` of version 00: `00-<trace id>-<parent id>-<flags>`. Later versions may append to it.
const VERSION_0_BYTES: usize = 55;

/// The id of a trace; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// The trace of a request with these headers; `None` when the header is missing, comes twice or is not valid, as the
    /// standard says. Anyone may send one: it identifies a trace of the sender's, and nothing depends on it here.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        parse(headers::one(headers, &TRACEPARENT).ok()??.as_bytes())
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

fn parse(text: &[u8]) -> Option<TraceId> {
    let (known, rest) = text.split_at_checked(VERSION_0_BYTES)?;
    let version = hex(&known[..2])?;
    let extended = version > 0 && rest.first() == Some(&b'-');
    let dashes = [2, 35, 52].iter().all(|at| known[*at] == b'-');
    // Version ff is invalid; what follows the flags is defined by a later version.
    if version == 0xff || !dashes || !(rest.is_empty() || extended) {
        return None;
    }
    let (trace, parent) = (hex(&known[3..35])?, hex(&known[36..52])?);
    hex(&known[53..])?;
    (trace != 0 && parent != 0).then(|| TraceId(trace.to_be_bytes()))
}

/// The number that lower-case hexadecimal digits stand for, at most 32 of them.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn trace(lines: &[&str]) -> Option<String> {
        let headers = lines.iter().map(|line| (TRACEPARENT, line.parse().expect("a value"))).collect();
        TraceId::of(&headers).map(|trace| trace.to_string())
    }

    #[test]
    fn a_valid_header_names_its_trace() {
        for valid in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later",
        ] {
            assert_eq!(trace(&[valid]).as_deref(), Some(TRACE), "{valid}");
        }
    }

    #[test]
    fn any_other_header_is_ignored() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for invalid in [
            &[][..],
            &[""],
            &[valid, valid],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"],
            &["01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more"],
            &["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
            &["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"],
            &["00-00000000000000000000000000000000-00f067aa0ba902b7-01"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g"],
            &["00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01"],
        ] {
            assert_eq!(trace(invalid), None, "{invalid:?}");
        }
    }
}
