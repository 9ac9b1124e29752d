//! An `Idempotency-Key` as the engine stores it: two hashes of 128 bits.

use aws_lc_rs::digest::{Context, SHA256};

use super::batch_shape::BatchShape;
use crate::{
    engine::{ExpectedLast, IdempotencyKey},
    event::NewEvent,
};

/// The key, and a fingerprint of the whole request: its parsed events, so that a retry may format its JSON differently,
/// its condition, and the shape of its response. Their `traceparent` is left out: each attempt of a traced publisher has
/// one of its own. `owner` is the account whose share of the key table the key takes.
pub(in crate::http::api::publish) fn idempotency(
    holder: Option<&str>,
    owner: u64,
    key: &str,
    events: &[NewEvent],
    expect: Option<ExpectedLast>,
    shape: BatchShape,
) -> IdempotencyKey {
    let mut name = Context::new(&SHA256);
    // With the holder of the credential, so that keys of two publishers never collide.
    update_delimited(&mut name, holder.unwrap_or_default().as_bytes());
    update_delimited(&mut name, key.as_bytes());
    IdempotencyKey { key: truncated(name), fingerprint: truncated(fingerprint(events, expect, shape)), owner }
}

fn fingerprint(events: &[NewEvent], expect: Option<ExpectedLast>, shape: BatchShape) -> Context {
    let mut hash = Context::new(&SHA256);
    hash.update(&[u8::from(shape == BatchShape::Many)]);
    match expect {
        None => update_delimited(&mut hash, b""),
        Some(ExpectedLast::Empty) => update_delimited(&mut hash, b"none"),
        Some(ExpectedLast::Last(id)) => update_delimited(&mut hash, id.to_string().as_bytes()),
    }
    for event in events {
        update_delimited(&mut hash, event.topic.as_str().as_bytes());
        update_delimited(&mut hash, event.name.as_str().as_bytes());
        update_delimited(&mut hash, event.data.bytes());
        update_delimited(&mut hash, event.retry.map(|ms| ms.to_string()).unwrap_or_default().as_bytes());
        let flags = [(event.close, 1), (event.data.is_binary(), 2), (event.metadata.is_some(), 4)];
        hash.update(&[flags.iter().map(|(set, bit)| u8::from(*set) * bit).sum()]);
        if let Some(metadata) = &event.metadata {
            update_delimited(&mut hash, metadata.bytes());
        }
    }
    hash
}

/// Adds `bytes` and their length, so that two fields cannot be confused with one.
fn update_delimited(hash: &mut Context, bytes: &[u8]) {
    hash.update(&(bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

/// 128 bits are enough: a publisher gains nothing by a collision with a key of its own.
fn truncated(hash: Context) -> [u8; 16] {
    hash.finish().as_ref()[..16].try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::{Data, EventId, EventName, Metadata, TopicName, TraceParent};

    #[test]
    fn every_part_of_a_request_changes_the_fingerprint() {
        let fast_path = |topic: &str, data: &str| NewEvent::new(TopicName::new(topic).expect("valid"), data);
        let base = fast_path("t", "ab");
        let named =
            |name: &str, data: &str| NewEvent { name: EventName::new(name).expect("valid"), ..fast_path("t", data) };
        let all: Vec<[u8; 16]> = [
            (vec![base.clone()], None, BatchShape::One),
            (vec![base.clone()], None, BatchShape::Many),
            (vec![base.clone()], Some(ExpectedLast::Empty), BatchShape::One),
            (vec![base.clone()], EventId::parse("abcd-1").map(ExpectedLast::Last), BatchShape::One),
            (vec![base.clone(), base.clone()], None, BatchShape::Many),
            (vec![fast_path("ta", "b")], None, BatchShape::One),
            (vec![named("x", "ab")], None, BatchShape::One),
            (vec![named("xa", "b")], None, BatchShape::One),
            (vec![NewEvent { retry: Some(0), ..base.clone() }], None, BatchShape::One),
            (vec![NewEvent { close: true, ..base.clone() }], None, BatchShape::One),
            (vec![NewEvent { data: Data::binary("ab".into()), ..base.clone() }], None, BatchShape::One),
            (vec![NewEvent { metadata: Metadata::stored(b"\x01"), ..base.clone() }], None, BatchShape::One),
            (vec![NewEvent { metadata: Metadata::stored(b"\x02"), ..base.clone() }], None, BatchShape::One),
        ]
        .into_iter()
        .map(|(events, expect, shape)| idempotency(None, 1, "k", &events, expect, shape).fingerprint)
        .collect();
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        let again = |holder, key| idempotency(holder, 1, key, std::slice::from_ref(&base), None, BatchShape::One);
        assert_eq!(again(None, "k").fingerprint, all[0]);
        let parent = TraceParent::parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").expect("valid");
        let traced = NewEvent { traceparent: Some(Arc::new(parent)), ..base.clone() };
        let traced = idempotency(None, 1, "k", &[traced], None, BatchShape::One);
        assert_eq!(traced.fingerprint, all[0], "a retry has a span of its own");
        assert_ne!(again(None, "k").key, again(None, "l").key);
        assert_ne!(again(Some("ci"), "k").key, again(None, "k").key, "keys of two holders never collide");
    }
}
