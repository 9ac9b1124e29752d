//! Keeps a provider's key out of what is passed on, wherever the provider repeats it.

use std::{borrow::Cow, sync::Arc};

use bytes::{Bytes, BytesMut};
use memchr::memmem;

use super::provider::{Provider, UpstreamKey};

/// What stands in the place of a key.
const MASK: &str = "***";

/// Bytes of the shortest key that is masked. A shorter one is a placeholder, as local services take, and its letters may
/// be a part of any word.
const LEAST_KEY_BYTES: usize = 8;

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
        let begins = |length: &usize| masked.ends_with(&key[..*length]);
        let held = (1..key.len().min(masked.len() + 1)).rev().find(begins).unwrap_or(0);
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
    match secret(provider) {
        Some(key) if memmem::find(text.as_bytes(), key.secret().as_bytes()).is_some() => {
            text.replace(key.secret(), MASK)
        }
        _ => text,
    }
}

/// The provider's key, if it is one to be masked.
fn secret(provider: &Provider) -> Option<Arc<UpstreamKey>> {
    provider.key.load_full().filter(|key| key.secret().len() >= LEAST_KEY_BYTES)
}

fn masked_bytes(key: &[u8], bytes: Bytes) -> Bytes {
    let finder = memmem::Finder::new(key);
    let mut out = Cow::Borrowed(&[][..]);
    let mut from = 0;
    for at in finder.find_iter(&bytes) {
        let out = out.to_mut();
        out.extend_from_slice(&bytes[from..at]);
        out.extend_from_slice(MASK.as_bytes());
        from = at + key.len();
    }
    if from == 0 {
        return bytes;
    }
    out.to_mut().extend_from_slice(&bytes[from..]);
    out.into_owned().into()
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
