//! The idempotency keys of one commit, as payloads of bounded size.
//!
//! All keys of a commit are one text of bytes, which is cut into parts: a commit of thousands of events may have keys that
//! exceed what servers accept in one message. Numbers are varints.
//!
//! ```text
//! number of topics | each: length, name |
//! number of keys   | each: key 16, fingerprint 16, owner, time, position of the first receipt, number of runs |
//!                    each run of receipts: index of the topic, number of receipts
//! ```

use std::collections::HashMap;

use bytes::Bytes;

use super::{
    error::WireError,
    fields::{FieldText, Fields, GL, HeaderLookup, HeaderText},
};
use crate::{
    engine::{
        IdempotencyKey,
        log::store::{KeyRecord, StoredReceipts},
    },
    event::{Millis, Seq, TopicName},
};

/// Bytes of a part's payload: half of what servers accept by default.
const PART: usize = 512 * 1024;

/// Receipts of one key: above the events of any commit, so that a few hostile bytes are not decoded for hours.
const MAX_RECEIPTS: u64 = 1 << 20;

/// A part of the keys of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine::jetstream) struct KeyPart {
    /// Which part; the first is 0.
    pub(in crate::engine::jetstream) index: usize,
    /// The number of parts.
    pub(in crate::engine::jetstream) parts: usize,
    /// Its bytes.
    pub(in crate::engine::jetstream) payload: Bytes,
}

impl KeyPart {
    /// The headers of its message, whose payload is [`KeyPart::payload`].
    pub(in crate::engine::jetstream) fn headers(&self) -> HeaderText {
        let text = FieldText::versioned().number_unless_0('i', self.index as u64).number('n', self.parts as u64);
        vec![(GL, text.finish())]
    }

    /// The part in a message.
    ///
    /// # Errors
    /// When it is none, or of a newer version.
    pub(in crate::engine::jetstream) fn decode(
        headers: &(impl HeaderLookup + ?Sized),
        payload: Bytes,
    ) -> Result<Self, WireError> {
        let fields = Fields::of(headers)?;
        let (index, parts) = (fields.number_or_0('i')?, fields.number('n')?.unwrap_or(1));
        let size = |number: u64| usize::try_from(number).map_err(|_| WireError::Malformed("a field is not a number"));
        if index >= parts {
            return Err(WireError::Malformed("a part of keys beyond their number"));
        }
        Ok(Self { index: size(index)?, parts: size(parts)?, payload })
    }
}

/// The parts in which the keys of a commit are stored; none when there are no keys.
pub(in crate::engine::jetstream) fn encode_keys(records: &[KeyRecord]) -> Vec<KeyPart> {
    if records.is_empty() {
        return Vec::new();
    }
    let (mut topics, mut indices): (Vec<&TopicName>, HashMap<&TopicName, u64>) = (Vec::new(), HashMap::new());
    let mut body = Vec::new();
    put_number(&mut body, records.len() as u64);
    for KeyRecord { key, time, receipts } in records {
        body.extend_from_slice(&key.key);
        body.extend_from_slice(&key.fingerprint);
        put_number(&mut body, key.owner);
        put_number(&mut body, time.0);
        put_number(&mut body, receipts.iter().next().map_or(0, |(_, first)| first.0));
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for (topic, _) in receipts.iter() {
            let index = *indices.entry(topic).or_insert_with(|| {
                topics.push(topic);
                topics.len() as u64 - 1
            });
            match runs.last_mut() {
                Some((of, count)) if *of == index => *count += 1,
                _ => runs.push((index, 1)),
            }
        }
        put_number(&mut body, runs.len() as u64);
        for (index, count) in runs {
            put_number(&mut body, index);
            put_number(&mut body, count);
        }
    }
    let mut bytes = Vec::new();
    put_number(&mut bytes, topics.len() as u64);
    for topic in topics {
        put_number(&mut bytes, topic.as_str().len() as u64);
        bytes.extend_from_slice(topic.as_str().as_bytes());
    }
    bytes.append(&mut body);
    let bytes = Bytes::from(bytes);
    let parts = bytes.len().div_ceil(PART);
    let part =
        |index| KeyPart { index, parts, payload: bytes.slice(index * PART..bytes.len().min((index + 1) * PART)) };
    (0..parts).map(part).collect()
}

/// The keys of a commit from all of its parts, in any order. Empty while one of them is missing: they expire together,
/// not quite at once.
///
/// # Errors
/// When they are no keys.
pub(in crate::engine::jetstream) fn decode_keys(mut parts: Vec<KeyPart>) -> Result<Vec<KeyRecord>, WireError> {
    parts.sort_unstable_by_key(|part| part.index);
    parts.dedup_by_key(|part| part.index);
    if parts.first().is_none_or(|first| first.parts != parts.len()) {
        return Ok(Vec::new());
    }
    let bytes = match parts.as_slice() {
        [only] => only.payload.clone(),
        parts => parts.iter().flat_map(|part| part.payload.iter().copied()).collect::<Vec<u8>>().into(),
    };
    records(&bytes).ok_or(WireError::Malformed("the keys of a commit"))
}

fn records(mut bytes: &[u8]) -> Option<Vec<KeyRecord>> {
    let from = &mut bytes;
    let mut topics = Vec::new();
    for _ in 0..number(from)? {
        let length = usize::try_from(number(from)?).ok()?;
        let (name, rest) = from.split_at_checked(length)?;
        *from = rest;
        topics.push(TopicName::stored(std::str::from_utf8(name).ok()?).ok()?);
    }
    let mut records = Vec::new();
    for _ in 0..number(from)? {
        let (key, fingerprint) = (array(from)?, array(from)?);
        let (owner, time, first) = (number(from)?, Millis(number(from)?), number(from)?);
        let (mut runs, mut all) = (Vec::new(), 0u64);
        for _ in 0..number(from)? {
            let topic = topics.get(usize::try_from(number(from)?).ok()?)?;
            let count = number(from)?;
            all = all.checked_add(count).filter(|all| *all <= MAX_RECEIPTS)?;
            runs.push((topic, usize::try_from(count).ok()?));
        }
        first.checked_add(all)?;
        let names = runs.iter().flat_map(|&(topic, count)| std::iter::repeat_n(topic, count));
        let receipts = StoredReceipts::new(Seq(first), names);
        records.push(KeyRecord { key: IdempotencyKey { key, fingerprint, owner }, time, receipts });
    }
    from.is_empty().then_some(records)
}

pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

pub(super) fn number(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn array<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (array, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*array)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn records_of_a_commit()(
            of in prop::collection::vec(
                (any::<[u8; 16]>(), any::<[u8; 16]>(), any::<u64>(), any::<u64>(), 0..u64::MAX / 2,
                 prop::collection::vec(0..4usize, 0..20)),
                0..6,
            )
        ) -> Vec<KeyRecord> {
            let topics = ["a", "größe/ü", "a/b/c", "$relay/runs"].map(|text| TopicName::stored(text).expect("valid"));
            of.into_iter().map(|(key, fingerprint, owner, time, first, order)| {
                // Without receipts there is no first one.
                let first = if order.is_empty() { 0 } else { first };
                KeyRecord {
                    key: IdempotencyKey { key, fingerprint, owner },
                    time: Millis(time),
                    receipts: StoredReceipts::new(Seq(first), order.iter().map(|&at| &topics[at])),
                }
            }).collect()
        }
    }

    fn over_the_wire(parts: Vec<KeyPart>) -> Vec<KeyPart> {
        let sent = |part: KeyPart| KeyPart::decode(part.headers().as_slice(), part.payload).expect("a part");
        parts.into_iter().map(sent).collect()
    }

    proptest! {
        #[test]
        fn keys_survive_their_messages(keys in records_of_a_commit()) {
            prop_assert_eq!(decode_keys(over_the_wire(encode_keys(&keys))), Ok(keys));
        }

        #[test]
        fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(decode_keys(vec![KeyPart { index: 0, parts: 1, payload: payload.into() }]));
        }

        #[test]
        fn no_cut_payload_is_taken(keys in records_of_a_commit(), at in any::<prop::sample::Index>()) {
            let parts = encode_keys(&keys);
            prop_assume!(!parts.is_empty());
            let whole = &parts[0].payload;
            let payload = whole.slice(..at.index(whole.len()));
            let cut = decode_keys(vec![KeyPart { payload, ..parts[0].clone() }]);
            prop_assert!(cut.is_err());
        }
    }

    #[test]
    fn many_keys_take_several_messages_and_count_only_together() {
        let topics: Vec<_> = (0..8_000).map(|n| TopicName::new(&format!("{n}/{}", "x".repeat(200)))).collect();
        let topics: Vec<_> = topics.into_iter().map(|topic| topic.expect("valid")).collect();
        let key = IdempotencyKey { key: [1; 16], fingerprint: [2; 16], owner: 3 };
        let receipts = StoredReceipts::new(Seq(5), topics.iter());
        let keys = vec![KeyRecord { key, time: Millis(9), receipts }];
        let mut parts = over_the_wire(encode_keys(&keys));
        assert_eq!(parts.len(), 4);
        assert!(parts.iter().all(|part| part.payload.len() <= PART));
        parts.reverse();
        assert_eq!(decode_keys(parts.clone()).as_ref(), Ok(&keys));
        parts.remove(1);
        assert_eq!(decode_keys(parts), Ok(Vec::new()));
    }

    #[test]
    fn a_few_bytes_do_not_become_many_receipts() {
        let mut bytes = vec![1, 1, b'a', 1];
        bytes.extend([0; 32]);
        bytes.extend([0, 0, 1, 1, 0]);
        put_number(&mut bytes, 1 << 40);
        assert!(decode_keys(vec![KeyPart { index: 0, parts: 1, payload: bytes.into() }]).is_err());
    }

    #[test]
    fn a_part_beyond_the_number_of_parts_is_refused() {
        for text in ["1 i=1 n=1", "1 i=0 n=0", "1 i=x n=1", "1 i=7"] {
            assert!(KeyPart::decode([(GL, text.to_owned())].as_slice(), Bytes::new()).is_err(), "{text}");
        }
    }
}
