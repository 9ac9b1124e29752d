//! Keeps a provider's key out of what is passed on, wherever the provider repeats it.

use std::{ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use memchr::memmem;

use super::provider::{Provider, UpstreamKey};

/// What stands in the place of a key.
const MASK: &str = "***";

/// Bytes of the shortest key that is masked. A shorter one is a placeholder, as local services take, and its letters may
/// be a part of any word.
const MIN_KEY_BYTES: usize = 8;

/// Masks a key in bytes that come in pieces: it may be cut anywhere.
#[derive(Debug)]
pub struct KeyMask {
    key: Option<Box<[u8]>>,
    /// The end of what has come, if the key could begin there: shorter than the key.
    held: BytesMut,
}

impl KeyMask {
    /// A mask of the key that the provider has now.
    #[must_use]
    pub fn new(provider: &Provider) -> Self {
        Self { key: secret(provider).map(|key| key.secret().as_bytes().into()), held: BytesMut::new() }
    }

    /// The next piece, without the key; may hold back its last bytes.
    pub fn piece(&mut self, bytes: Bytes) -> Bytes {
        let Some(key) = &self.key else { return bytes };
        let whole = if self.held.is_empty() {
            bytes
        } else {
            self.held.extend_from_slice(&bytes);
            self.held.split().freeze()
        };
        let masked = masked_bytes(key, whole);
        let held = beginning_at_end(key, &masked);
        self.held.extend_from_slice(&masked[masked.len() - held..]);
        masked.slice(..masked.len() - held)
    }

    /// What was held back: no key.
    pub fn rest(&mut self) -> Bytes {
        self.held.split().freeze()
    }
}

/// `bytes` without the provider's key.
#[must_use]
pub fn masked(provider: &Provider, bytes: Bytes) -> Bytes {
    match secret(provider) {
        Some(key) => masked_bytes(key.secret().as_bytes(), bytes),
        None => bytes,
    }
}

/// `text` without the provider's key.
#[must_use]
pub fn masked_text(provider: &Provider, text: String) -> String {
    let Some(key) = secret(provider) else { return text };
    match places(key.secret().as_bytes(), text.as_bytes()) {
        places if places.is_empty() => text,
        places => places.into_iter().rev().fold(text, |mut text, place| {
            text.replace_range(place, MASK);
            text
        }),
    }
}

/// The provider's key, if it is one to be masked.
fn secret(provider: &Provider) -> Option<Arc<UpstreamKey>> {
    provider.key.load_full().filter(|key| key.secret().len() >= MIN_KEY_BYTES)
}

fn masked_bytes(key: &[u8], bytes: Bytes) -> Bytes {
    let places = places(key, &bytes);
    if places.is_empty() {
        return bytes;
    }
    let mut out = BytesMut::with_capacity(bytes.len());
    let mut from = 0;
    for place in places {
        out.extend_from_slice(&bytes[from..place.start]);
        out.extend_from_slice(MASK.as_bytes());
        from = place.end;
    }
    out.extend_from_slice(&bytes[from..]);
    out.freeze()
}

/// Where `bytes` have the key, as it is or with characters that JSON escapes. In order, and apart from each other.
fn places(key: &[u8], bytes: &[u8]) -> Vec<Range<usize>> {
    let plain = memmem::find_iter(bytes, key).map(|at| at..at + key.len());
    if !may_escape(bytes) {
        return plain.collect();
    }
    let units = Unescaped::of(bytes);
    let escaped = memmem::find_iter(&units.text, key).map(|at| units.starts[at]..units.starts[at + key.len()]);
    let mut places: Vec<_> = plain.chain(escaped).collect();
    places.sort_by_key(|place| place.start);
    places.dedup_by(|next, place| {
        let overlaps = next.start < place.end;
        if overlaps {
            place.end = place.end.max(next.end);
        }
        overlaps
    });
    places
}

/// The length of the end of `bytes` that may be the beginning of the key.
fn beginning_at_end(key: &[u8], bytes: &[u8]) -> usize {
    let begins = |text: &[u8]| (1..key.len().min(text.len() + 1)).rev().find(|&length| text.ends_with(&key[..length]));
    let plain = begins(bytes).unwrap_or(0);
    if !bytes.contains(&b'\\') {
        return plain;
    }
    let units = Unescaped::of(bytes);
    // An escape that is not whole yet may be any character of the key, as its first one or after others.
    let whole = units.text.len() - units.unfinished;
    let begun = begins(&units.text[..whole]).unwrap_or(0);
    let escaped = if begun + units.unfinished == 0 { 0 } else { bytes.len() - units.starts[whole - begun] };
    plain.max(escaped)
}

/// Whether characters that a key may have are escaped.
fn may_escape(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'\\', bytes).any(|at| matches!(bytes.get(at + 1), Some(b'u' | b'/' | b'"' | b'\\')))
}

/// Bytes with the escapes of JSON resolved, and where each comes from. A character that is not ASCII is no part of a key:
/// an escaped one is `NO_KEY` here.
struct Unescaped {
    text: Vec<u8>,
    /// The start of each byte of `text`, and the end of the last one.
    starts: Vec<usize>,
    /// Bytes at the end of `text` that stand for an escape of which more must come: 0 or 1.
    unfinished: usize,
}

/// Stands for what no key has.
const NO_KEY: u8 = 0xff;

impl Unescaped {
    fn of(bytes: &[u8]) -> Self {
        let (mut text, mut starts, mut at, mut unfinished) = (Vec::new(), Vec::new(), 0, 0);
        while at < bytes.len() {
            let (byte, length) = match bytes[at..] {
                [b'\\', b'u', ref digits @ ..] if digits.len() >= 4 => match hexadecimal(&digits[..4]) {
                    Some(code) => (u8::try_from(code).ok().filter(u8::is_ascii).unwrap_or(NO_KEY), 6),
                    None => (b'\\', 1),
                },
                [b'\\'] | [b'\\', b'u', ..] => {
                    unfinished = 1;
                    (NO_KEY, bytes.len() - at)
                }
                [b'\\', byte @ (b'/' | b'"' | b'\\'), ..] => (byte, 2),
                [b'\\', b'b' | b'f' | b'n' | b'r' | b't', ..] => (NO_KEY, 2),
                [byte, ..] => (byte, 1),
                [] => unreachable!("at is below the length"),
            };
            text.push(byte);
            starts.push(at);
            at += length;
        }
        starts.push(bytes.len());
        Self { text, starts, unfinished }
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked_in_pieces(text: &str, size: usize) -> String {
        let mut mask = KeyMask { key: Some(b"sk-sksk-1"[..].into()), held: BytesMut::new() };
        let mut out = Vec::new();
        for piece in text.as_bytes().chunks(size) {
            out.extend_from_slice(&mask.piece(Bytes::copy_from_slice(piece)));
        }
        out.extend_from_slice(&mask.rest());
        String::from_utf8(out).expect("the text is ASCII")
    }

    #[test]
    fn a_key_is_masked_wherever_it_is_cut_and_nothing_else_is_changed() {
        for (text, want) in [
            ("", ""),
            ("key sk-sksk-1, twice sk-sksk-1sk-sksk-1", "key ***, twice ******"),
            ("sk-sk-sksk-1 and sk-sksk-", "sk-*** and sk-sksk-"),
            ("nothing", "nothing"),
            (r"a \u0073k\u002Dsksk-1b", "a ***b"),
            (r"sk-sk-sksk\u002d1 \\sk-sksk-1 \nsk-sksk-1\u00e9", r"sk-*** \\*** \n***\u00e9"),
            (r"\u0073k-sksk \u00zzsk-sksk-1 \u007", r"\u0073k-sksk \u00zz*** \u007"),
        ] {
            for size in 1..=text.len().max(1) {
                assert_eq!(masked_in_pieces(text, size), want, "{text:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn without_a_key_nothing_is_held_back() {
        let mut mask = KeyMask { key: None, held: BytesMut::new() };
        assert_eq!(mask.piece(Bytes::from_static(b"sk-")), "sk-");
        assert!(mask.rest().is_empty());
    }
}
